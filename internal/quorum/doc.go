// Package quorum keeps the metadata log: it hosts the Raft library, stores its
// entries, vote and snapshots, runs the controller where it leads, and tells
// subscribers what was committed. A member votes, or learns without a vote what a
// leader sends it, or observes: it pulls what is committed, as brokers do that are no
// controllers.
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
//  9. A command is tried again only where nothing was done for certain or where it
//     can be repeated. A refusal after a try in doubt is not passed on as one.
//  10. A new leader decides when it has applied an entry of its own term and no change
//     of members is under way.
//  11. What is pulled is committed, and goes the way of a leader's entries. A pulled
//     snapshot never replaces an entry that a leader may have counted.
//  12. Nobody votes or campaigns before the other voters have compared what they recall
//     of its directory with what it has.
//  13. New voters have what is committed, but for a few entries, before they get a vote;
//     all of them get it in one joint change.
//
// # Lock order
//
// There are no locks: readers load atomic pointers, everything else belongs to
// the loop of run.go.
//
// # File map
//
//	quorum.go     Quorum: Open, Subscribe, Image, Receive, LeaderDead, Close
//	submit.go     Submit: here, or forwarded; what is tried again
//	run.go        the loop; the observer's loop
//	step.go       the same without a goroutine, for simulations
//	core.go       one step at a time: tick, message, proposals, Ready
//	propose.go    commands to entries; who waits for which entry
//	apply.go      committed entries to images
//	storage.go    what Raft reads: entries in memory, backed by the log
//	entrylog.go   entries as record batches in internal/log
//	vote.go       term, vote and the durable end in an A/B file
//	snapshot.go   snapshot files
//	founding.go   an empty directory that founds; opening one that is not empty
//	joining.go    an empty directory that joins
//	election.go   when a member campaigns; proofs of death; handing over
//	recall.go     whether a directory is an older copy of itself
//	change.go     changes of the voters
//	pull.go       what observers pull, and how they take it
//	reserve.go    disk space set aside
//	member.go     who takes part
//	transport.go  messages to and from other members
//	peers.go      what is needed of whoever connects the members
//	describe.go   what DescribeQuorum shows
//	logger.go     the library's log lines
//	errors.go     damage, refusals
//
// docs/format/metadata.md has every byte; docs/decisions/0002-metadata-quorum.md and
// docs/decisions/0006-several-controllers.md have the reasons. KIPs: 500, 595, 630
// (snapshots), 853 (directory ids of voters, joining and leaving).
package quorum
