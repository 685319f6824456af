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
//     Extent) is on stable storage, in order per log, with no lock held, and only
//     when everything below the end is durable too: where a topic was in
//     page-cache mode before, the gap is synced first.
//  2. The first error of any write or sync stops the directory for ever: every
//     pending and later span gets Failed. A failed sync is never retried. A full
//     disk is no such error: what it delays is done when there is space.
//  3. A round of the journal is released only after a checkpoint of every log
//     that has entries in it, and after the recovery points are stored.
//  4. The clean-shutdown marker is removed, durably, before anything is loaded,
//     and written only after everything is synced; the marker of the broker epoch
//     goes with it and comes last.
//  5. The identity on disk outranks what the caller asks for. A damaged identity
//     is never taken for a fresh directory, a missing journal or log directory
//     never for an empty one.
//  6. Nothing is deleted but what a caller names as deleted by the metadata. What
//     belongs to no known topic stays, or is set aside where it is in the way.
//  7. A log's entries are fenced before its directory is moved or removed. The
//     order of a log's entries in the journal is the order of its calls.
//  8. A log that does not open does not keep the ring: its entries are put aside,
//     durably.
//
// Locks: mu guards the group that is being filled and the states of the logs. It
// is never held across I/O or while a partition is called. asideTurn is a turn
// that is held across I/O, never together with mu held by the same caller first.
//
// File map
//
//	datadir.go    the type, open, close
//	identity.go   meta.properties
//	marker.go     the broker epoch of a stop in order
//	logs.go       opening logs
//	create.go     many new logs together
//	remove.go     deleting the logs of deleted topics; what belongs to no topic
//	settle.go     journal entries that nobody claims
//	fence.go      what a fence leaves of entries
//	cut.go        cutting a log: checkpoint, fence, cut
//	submit.go     filling a group
//	note.go       high watermarks that no append carries
//	flush.go      one flush round
//	checkpoint.go giving journal space back
//	points.go     recovery points and Kafka's checkpoint files
//	space.go      the reserve of free space
//	run.go        the goroutines
//	step.go       without goroutines, for simulations
package datadir
