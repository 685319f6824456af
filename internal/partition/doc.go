// Package partition is one replica of a topic-partition: its log, its role (it
// leads, follows, or neither) and the requests that wait for it, all under one
// mutex. What is committed and where logs part is decided by isr, a value; reads,
// appends, flush reports and what followers say meet here and nowhere else.
//
// What it is not: it owns no goroutine and no file, knows no wire format, sends
// nothing and makes no decision about the cluster.
//
// Invariants
//
//  1. Every acknowledgement is tied to (leader epoch, offset). A waiter of an
//     older epoch is never told "committed"; it finds out that its epoch ended.
//  2. The high watermark counts durable ends only, except in topics that are in
//     page-cache mode, which say so in every description.
//  3. Consumers never see a byte at or above the high watermark that this replica
//     knows.
//  4. Waiters complete, and others are told, after the mutex has been released.
//  5. A follower's log changes by the leader's answers only, each of which is of
//     the present epoch and begins at the log's end. Bytes below the own high
//     watermark are never cut: the replica goes offline with them instead.
//  6. What a follower may report durable was matched with the leader in the present
//     epoch, and every epoch begins unmatched, also behind the same leader.
//  7. The committed ISR, min ISR and candidates come with Lead only, all of one
//     metadata offset.
//
// # Locks
//
//	turn    held across the disk: one change of the role, or of a follower's log, at a time
//	  mu    guards everything below it; never held across a wait
//	    log and data directory, their own short locks
//
// The one system call under mu is the page-cache write of an append, which is what
// gives records their order. Only a log is cut without mu, with the turn held and
// the role a follower's. The data directory calls Flushed with none of its locks
// held.
//
// # File map
//
//	partition.go  the type, configuration, marks
//	suspend.go    no writes while cut off from the controller
//	role.go       leading, following, neither; flush reports; the ISR outwards
//	append.go     the produce walk
//	read.go       the fetch walk of consumers and followers, look-ups, waiting for data
//	replica.go    a follower: what to fetch, what to take over, what to report
//	followers.go  what the leader knows of its followers
//	describe.go   what a person may want to know
//	producers.go  who writes with a producer id
//	upkeep.go     retention, expiry
//	faults.go     planted faults, for proving the rigs
//
// KIPs: KIP-101 and KIP-279 (epochs), KIP-207 (no latest offset that goes back),
// KIP-392 (reading from followers), KIP-497 and KIP-903 (ISR), KIP-595 (divergence
// in the fetch), KIP-966 (strict min ISR).
package partition
