//go:build !faults

package cli

import "holdfast/internal/env"

// plantedEnv is the ground that this process was asked to have. This build has
// the real one only; a build with the tag "faults" can cut the links between
// brokers.
func plantedEnv(e env.Env) env.Env { return e }
