// Package invariant holds the assertions. An assertion that fails is a bug in
// this program: it panics in production too, because going on could break the
// promise that an acknowledged write is never lost.
//
// It is not for operating errors (a full disk, a closed connection) nor for
// corruption found on disk: those are returned. It is pure.
//
// # File map
//
//	invariant.go      Check, Unreachable, Expensive
//	expensive_on.go   Expensive runs: under the race detector or the tag invariants
//	expensive_off.go  it does not: everywhere else
package invariant
