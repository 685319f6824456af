// Package partition is one topic-partition on this broker: its log, the rules of
// its leadership (isr, a value) and the requests that wait for it, all under one
// mutex. Reads, appends and flush reports meet here and nowhere else.
//
// What it is not: it owns no goroutine and no file, knows no wire format and
// makes no decision about the cluster.
//
// Invariants
//
//  1. Every acknowledgement is tied to (leader epoch, offset). A waiter of an
//     older epoch is never told "committed"; it finds out that its epoch ended.
//  2. The high watermark counts durable ends only, except in topics that are in
//     page-cache mode, which say so in every description.
//  3. Consumers never see a byte at or above the high watermark.
//  4. Waiters complete after the mutex has been released.
//
// Locks: mu guards everything below it. No wait and no fsync happens under it;
// the one system call under it is the page-cache write of an append, which is
// what gives records their order. mu may be taken while the data directory's own
// short locks are free; the data directory calls Flushed with none of its locks
// held.
//
// File map
//
//	partition.go  the type, leadership, configuration, flush reports
//	append.go     the produce walk
//	read.go       the fetch walk, look-ups, waiting for data
//	producers.go  who writes with a producer id
//	followers.go  what the leader knows of its followers
//	upkeep.go     retention, expiry
//	faults.go     planted faults, for proving the rigs
package partition
