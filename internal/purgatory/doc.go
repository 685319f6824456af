// Package purgatory holds what a parked request is: a Waiter that is registered
// with the things it waits for, completes exactly once, and costs one atomic
// word until then. It has no goroutine, no lock and no timer: who parks the
// request owns its deadline.
//
// Invariants
//
//  1. A waiter's wake function runs exactly once, whoever completes it.
//  2. The wake function runs on the goroutine that completed the waiter, never
//     under a lock of the one who completed it, and must not block.
package purgatory
