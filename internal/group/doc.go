// Package group decides everything about consumer groups: who is a member, which
// generation runs, which offsets are committed. One Machine is the state of one
// partition of __consumer_offsets. It is pure: no file, clock, lock, goroutine or
// randomness; package coord feeds it requests and the time, and executes the
// Effects that it returns.
//
// What it is not: it does not choose which broker or partition a group lives on
// (coord does), it does not assign partitions to members (the leading member
// does), it knows nothing of topics except their names and ids, and it speaks the
// classic protocol only (no KIP-848).
//
// # Writing, and what "after" means
//
// A method changes the state at once and returns the records that say so. They
// are appended as one batch. Every reply carries After: the number of the effects
// whose records must be committed (below the high watermark, hence durable by the
// rule of every acknowledged record) before the reply may leave. A reply that was
// computed from a state which is not committed yet waits for it in the same way,
// so nobody ever sees a fact that a crash could take back. There is nothing to
// tell the machine when records commit.
//
// When an append fails, or nobody knows whether it did, the machine has run ahead
// of its log. The shell drops it, answers every call that it owes with a retriable
// error (NOT_COORDINATOR or COORDINATOR_NOT_AVAILABLE), loads a new machine from
// the log, and clients join again. There is no roll-back.
package group
