// Package env bundles the four things that a broker takes from the outside
// world (clock, file system, network, randomness), so that a whole broker can
// run inside one test.
package env

import (
	"holdfast/internal/clock"
	"holdfast/internal/vfs"
	"holdfast/internal/vnet"
)

// Env is the ground that a broker stands on. All fields are set.
type Env struct {
	Clock clock.Clock
	FS    vfs.FS
	Net   vnet.Net
	Rand  Rand
}

// Rand is a source of randomness. It is safe for concurrent use.
type Rand interface {
	// Read fills p; it never fails.
	Read(p []byte)
	// Uint64 is uniform over all values.
	Uint64() uint64
}
