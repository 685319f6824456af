// Package log keeps the log of one partition in segment files: append, read,
// look up, roll, retain, truncate, and recover from anything.
//
// What it is not: it starts no goroutine and makes nothing durable by itself.
// Who acknowledges, when a flush round runs, which journal entries exist and
// what is committed is decided above. It knows no leadership and no client.
//
// The files are Kafka's, in Kafka's formats and with Kafka's names, so that
// Kafka's dump tool reads them; ours lie beside them (docs/format/log.md).
//
// # What is durable when
//
// Append writes to the page cache and returns a Span. The caller makes the span
// durable, either by Segment.SyncData and a journal entry with its checksum
// (Extent), or by a journal entry with its bytes (Data). Only then may it be
// acknowledged. Checkpoint syncs the segments themselves, so that journal
// entries below the recovery point that it returns are not needed any more.
//
// # Recovery
//
// Open looks first (survey.go): it reads segments through the journal's entries,
// as if those had been written to their places, and finds the end of what is
// valid. Then a table decides (decide.go), and only then something is written
// (recover.go): the tail again, a sync, and after it the cut. A bad batch below
// the durable end stops the log with its bytes untouched. The work is bounded by
// the bytes since the last checkpoint; closed segments cost their sidecar's
// head.
//
// # Invariants
//
//  1. Append is all or nothing. A write that fails is cut back; where that fails
//     too, or the failure is not about space, the log is offline for good.
//  2. The bytes of the log are a function of the batches appended: batch after
//     batch, offsets without a gap, epochs that do not fall.
//  3. Nothing is read by a caller after Open that is not in a synced segment or
//     was appended since.
//  4. Bytes below the durable end are never cut by recovery, whatever they look
//     like.
//  5. A held segment (Range) never shows other bytes than it had when it was
//     handed out; a cut may take them away.
//  6. What is only a help (indexes, note of the checkpoint, producer tables,
//     epoch file, sidecars) has a checksum or is compared with the segment, and
//     is made anew when it is wrong. What decides (identity, bounds) stops the
//     log when it is wrong.
//  7. A producer table on disk reflects synced batches only.
//
// # Locks
//
//	turn        held across the disk; one change of the files at a time, but for Append
//	  Log.mu    never held across I/O
//	    Segment.handle  a leaf
//
// The writer's own methods need no turn for appending. Readers take Log.mu for a
// moment, retain the segment in that moment, and read without a lock.
//
// # File map
//
//	log.go         Log, Options, Config, accessors
//	open.go        Create, Open
//	createall.go   many new logs with two syncs
//	append.go      Append, rolling
//	read.go        Read: positions, whole batches, bounds
//	places.go      where the newest batches begin and the latest reads ended
//	lookup.go      by timestamp
//	retain.go      retention, DeleteRecords, delayed removal
//	truncate.go    TruncateSuffix, TruncatePrefix
//	checkpoint.go  Checkpoint, Close, sealing closed segments
//	window.go      producer tables on disk
//	cold.go        what closed segments load when they are read
//	scrub.go       comparing closed segments with their sidecars, a little at a time
//	segment.go     Segment: a reference-counted file
//	survey.go      recovery: looking
//	overlay.go     segments as the journal says they are
//	scan.go        verifying batch after batch
//	decide.go      recovery: the decision table
//	recover.go     recovery: acting
//	walk.go        going over headers
//	index.go, epochs.go, sidecar.go, identity.go, bounds.go, state.go, sealed.go, name.go  formats
//	check.go       Check: offline verification
//	dump.go        Dump: what the files hold
//
// KIPs: KIP-33 (time index), KIP-98 (producer snapshots), KIP-101 and KIP-279
// (leader epochs), KIP-107 (DeleteRecords), KIP-734 (largest timestamp).
package log
