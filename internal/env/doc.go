// Package env bundles the four things that a broker takes from the outside
// world (clock, file system, network, randomness), so that a whole broker can
// run inside one test.
//
// It is only the bundle: what each thing promises is written in clock, vfs and
// vnet. Nothing above asks for the outside world anywhere else; internal/lint
// sees to it.
//
// # Invariants
//
//  1. Every field of an Env is set.
//  2. Two test grounds of one seed draw the same random numbers.
//
// # File map
//
//	env.go   Env, Rand, the real ground
//	test.go  the test ground
package env
