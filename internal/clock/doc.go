// Package clock is the only way to the time. Every package that waits or reads
// the time takes a Clock; internal/lint refuses time.Now and its kin elsewhere.
//
// Real is the operating system's clock, and the bubble's clock inside
// testing/synctest. Sim stands still until somebody advances it.
//
// # Invariants
//
//  1. Durations are measured on the monotonic clock: a jump of the wall clock
//     moves no deadline.
//  2. Sim fires timers in the order of their times, and of their making where
//     the times are equal; Now during a firing is the timer's own time.
//
// # Lock order
//
// Sim.mu is a leaf: it is not held while a function of AfterFunc runs.
//
// # File map
//
//	clock.go  the interfaces; Real
//	sim.go    Sim
package clock
