// Package quorum keeps the metadata log: it hosts the Raft library, stores its
// entries, vote and snapshots, runs the controller where it leads, and tells
// subscribers what was committed. Today it has one voter; the format is that of
// several.
//
// What it is not: it decides nothing about the cluster (controller does) and does
// not know what an image is used for. Raft's own words, index and term, stay in
// here: outside, an index is an offset and a term a leader epoch.
//
// # Invariants
//
//  1. Term and vote are durable before any message or entry that depends on them,
//     in a file of their own: a truncation of entries cannot take a vote back.
//  2. Entries are synced before they count as stored, and committed before they
//     are applied. A Submit is answered after its entry was applied.
//  3. Offset = index: one entry is one record batch with one record, its leader
//     epoch is the term. The log holds nothing else.
//  4. A directory founds a cluster only when nothing was ever decided in it. What
//     is damaged or missing is a CorruptionError, never a fresh start.
//  5. Entries known to be synced (the vote file keeps their end) are never cut as
//     a torn tail.
//  6. One goroutine owns the core. No lock is held while it waits for the disk,
//     and callbacks run without any lock.
//  7. A snapshot is whole and durable before the entries that it covers go.
//  8. The first failed write or sync stops the quorum; only a restart, which reads
//     everything again, goes on.
//
// # Lock order
//
// There are no locks: readers load atomic pointers, everything else belongs to
// the loop of run.go.
//
// # File map
//
//	quorum.go     Quorum: Open, Submit, Subscribe, Image, Close
//	run.go        the loop
//	core.go       one step at a time: tick, message, proposals, Ready
//	propose.go    commands to entries; who waits for which entry
//	apply.go      committed entries to images
//	storage.go    what Raft reads: entries in memory, backed by the log
//	entrylog.go   entries as record batches in internal/log
//	vote.go       term, vote and the durable end in an A/B file
//	snapshot.go   snapshot files
//	founding.go   an empty directory; opening one that is not
//	reserve.go    disk space set aside
//	member.go     who takes part
//	transport.go  messages to and from other members
//	describe.go   what DescribeQuorum shows
//	logger.go     the library's log lines
//	errors.go     damage, refusals
//
// docs/format/metadata.md has every byte; docs/decisions/0002-metadata-quorum.md
// has the reasons. KIPs: 500, 595, 630 (snapshots), 853 (directory ids of voters).
package quorum
