// Package isr decides, for one replica of one partition, what is committed, who
// is in sync, whether a write may be accepted, and what a follower may cut and
// report. It is pure: no file, lock, clock or goroutine; the partition feeds it
// events with their time and executes the effects that it returns.
//
// What it is not: it stores nothing, sends nothing and compares no logs. Whether a
// fetch position matches the leader's log is found out by whoever has the log.
//
// # Two sets
//
// The committed ISR is what the applied metadata says. A proposal is what the
// leader has asked the controller for and of which it does not know whether it
// holds. Until metadata says, both are possible, and each question is asked of the
// set in which a wrong guess costs nothing:
//
//	the high watermark waits for   committed ∪ proposed (∪ held, see below)
//	min.insync.replicas counts     committed ∩ proposed
//	elections use                  committed, and are the controller's
//
// # How a joiner is admitted, and why load cannot keep it out
//
// A joiner is proposed when its durable end, matched with this leader in this
// epoch, is at or above the high watermark and the epoch's start, and its fetch end
// and durable end have been at the leader's end not longer than LagMax/8 ago.
//
// Under load the leader's end and the high watermark run ahead of what any
// follower can have reported: a rule that compares with the present would admit
// nobody. So both comparisons are made with something that stands still:
//
//   - "At the leader's end" is measured in time, as Kafka does it: the leader
//     remembers an end and when it was its end; when the follower reaches it, it was
//     caught up at that time. A follower that can carry the load gets there however
//     fast the end moves.
//   - When all but the high watermark is in order, the joiner is *held*: it counts
//     for the high watermark at once, before it is proposed. The high watermark
//     stands still, the joiner has what is below it in hand or in the next answer,
//     and when it has flushed that (the flush that runs and one more) the condition
//     is true, and stays true because the proposal keeps it counted.
//
// A hold ends after LagMax/8, proposed or not, and the next one begins LagMax
// later at the earliest: a joiner that fetches and cannot flush holds commits back
// for at most a ninth of the time.
//
// # Invariants
//
//  1. The high watermark counts durable ends only (except page-cache topics).
//  2. Within one leader epoch the high watermark never goes back.
//  3. It does not move while fewer than min.insync.replicas replicas are in sync
//     whatever the outcome of a proposal (KIP-966, strict min ISR).
//  4. min.insync.replicas is literal: never bounded by the number of replicas.
//  5. At most one proposal is outstanding. Its answer changes nothing unless it is a
//     definite refusal; what it achieved comes with the metadata (Changed).
//  6. What a replica reported counts for the incarnation (broker epoch, KIP-903)
//     that reported it and for the leader epoch in which it did.
//  7. A follower reports as durable only what it has matched with this leader in
//     this epoch, and cuts nothing below its own high watermark.
//
// What the controller must keep for this to be sound: the partition epoch grows
// with every change of a partition and is the compare-and-swap token of ISR
// changes; each proposed member must be live in the named incarnation; a replica
// that leaves the assignment ends the leader epoch (as in Kafka), so that a replica
// that is deleted and assigned again is never credited with its earlier life.
//
// # File map
//
//	leader.go    the leader's state, beginning of a term, what may be asked
//	events.go    what happens to a leader: progress, time, metadata, answers
//	propose.go   who is in sync, who joins, who leaves
//	follower.go  what a follower cuts, accepts and reports
package isr
