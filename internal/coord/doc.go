// Package coord hosts consumer groups: one group.Machine for each partition of
// __consumer_offsets that this broker leads. It loads the machine from the log,
// feeds it requests and the time, appends the records that it returns, and sends
// replies when what they say is committed.
//
// What it is not: it decides nothing about groups (package group does), it knows
// no connection and no wire version (package api does), and it does not choose
// where the partitions live (the metadata does).
//
// # Invariants
//
//  1. A reply leaves when the records that it speaks of are below the high
//     watermark, in the leader epoch that they were appended in: an offset commit
//     is as durable as any acknowledged record.
//  2. A machine whose append failed, or whose epoch ended, is never asked again.
//     Everybody who waits for it is told NOT_COORDINATOR, which sends every
//     client back to FindCoordinator, and a new one is loaded from the log.
//     What a client asks to be written while the disk is full is refused before a
//     machine has seen it.
//  3. A machine is loaded from everything that was in the log when its loading
//     began, and only once all of that is committed.
//  4. The cleaner takes a record away when a newer one of its key, perhaps a copy
//     of it, is committed.
//  5. Offsets of a topic are dropped when the topic is known to be gone: its end was
//     seen here, or the metadata here does not know it and is not older than what
//     was loaded. A broker that has just become the leader may be behind.
//  6. Calls of one partition are serialised. What one partition owes is bounded,
//     and so is what all of them hold in memory.
//
// # Locks
//
//	shard.mu          the machine and what it owes; never held across a wait
//	  Partition's mu  taken by Append, Admits and Outcome
//	Coordinator.mu    a leaf: what the runner shall look at
//
// Tickets are completed after shard.mu has been released. A flush that moves the
// high watermark only tells the runner, which takes shard.mu itself.
//
// # File map
//
//	coord.go   Coordinator: which shards exist, the internal topic
//	shard.go   one partition: calls, effects, replies that wait
//	calls.go   the requests
//	load.go    replay
//	clean.go   what keeps the internal topic small
//	weight.go  the bound of what all groups hold
//	ticket.go  a call that waits for its reply
//	faults.go  a planted fault, for proving the rigs
//	run.go     the goroutines
//
// KIPs: KIP-62, KIP-211, KIP-345, KIP-394, KIP-447 (all in package group).
package coord
