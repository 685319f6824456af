// Package datadir is one data directory: who owns it, the logs in it, and the
// flush rounds that make their appends durable together.
//
// What it is not: it knows no leadership and no topic settings, and it does not
// hold the metadata log, which flushes by itself so that it never waits behind
// data.
//
// # The flush round
//
// Submit notes a written span in the group that is being filled: a small one by
// copying its bytes into a journal round, a large one by its place and checksum.
// One goroutine takes the group, syncs the segments of the large spans, commits
// one journal round with all of it, and tells each partition its new durable
// end. While it waits for the disk the next group fills. Nothing on this path
// waits for a timer.
//
// Invariants
//
//  1. Flushed is called only after a journal round that names the span (Data or
//     Extent) is on stable storage, in order per log, with no lock held.
//  2. The first error of any write or sync stops the directory for ever: every
//     pending and later span gets Failed. A failed sync is never retried.
//  3. A round of the journal is released only after a checkpoint of every log
//     that has entries in it.
//  4. The clean-shutdown marker is removed, durably, before anything is loaded,
//     and written only after everything is synced.
//  5. The identity on disk outranks what the caller asks for. A damaged identity
//     is never taken for a fresh directory.
//  6. A log's entries are fenced before its directory is moved or removed.
//
// Locks: mu guards the group that is being filled and the states of the logs. It
// is never held across I/O or while a partition is called.
//
// File map
//
//	datadir.go    the type, open, close
//	identity.go   meta.properties
//	logs.go       opening and removing logs, journal entries that nobody claimed
//	submit.go     filling a group
//	flush.go      one flush round
//	checkpoint.go giving journal space back
//	space.go      the reserve of free space
//	run.go        the goroutines
package datadir
