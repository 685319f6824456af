// Package group decides everything about consumer groups: who is a member, which
// generation runs, which offsets are committed. One Machine is the state of one
// partition of __consumer_offsets. It is pure: no file, clock, lock, goroutine or
// randomness; package coord feeds it requests and the time, and executes the
// Effects that it returns.
//
// What it is not: it does not choose which broker or partition a group lives on
// (coord does), it does not assign partitions to members (the leading member
// does), it knows nothing of topics except their names and ids, and it speaks the
// classic protocol only (no KIP-848). There are no transactions yet: offsets of a
// transaction are neither taken nor replayed as pending.
//
// # Writing, and what "after" means
//
// A method changes the state at once and returns the records that say so. They
// are appended as one batch. Every reply carries After: the number of the effects
// whose records must be committed (below the high watermark, hence durable by the
// rule of every acknowledged record) before the reply may leave. A reply that was
// computed from a state which is not committed yet waits for it in the same way,
// so nobody ever sees a fact that a crash could take back. There is nothing to
// tell the machine when records commit. An offset that is not committed yet is
// not shown, it delays the answer: Kafka shows the one before it.
//
// When an append fails, or nobody knows whether it did, the machine has run ahead
// of its log. The shell drops it, answers every call that it owes (Owed, and the
// replies that still wait) with a retriable error (NOT_COORDINATOR or
// COORDINATOR_NOT_AVAILABLE), loads a new machine from the log, and clients join
// again. There is no roll-back. What no log would take is refused before: a batch
// never has more than Settings.MaxBatchBytes.
//
// # What is kept and what is not
//
// A group goes to the log when its leader has brought the assignment, when a
// static member is replaced without a rebalance, when its last member is gone
// after a rebalance, and as a tombstone. Members that gather, ids that were handed
// out and parked calls are not in the log: after a crash the last generation that
// had an assignment is back, with fresh sessions. A group whose members never got
// that far leaves nothing behind (Kafka writes an empty group for each name that
// anybody joins).
//
// # Invariants
//
//  1. Each call is answered once; until then the machine owes it (Owed), or its
//     reply waits for the log. Where a second call of a member overtakes the
//     parked one, the first is answered REBALANCE_IN_PROGRESS; a parked SyncGroup
//     of a member that leaves, UNKNOWN_MEMBER_ID (Kafka forgets both).
//  2. SyncGroup and OffsetCommit succeed only after what they rest on is committed.
//  3. One generation of a group has one list of members, and SyncGroup of a
//     generation gives what its leader gave that member, or the error that it is over.
//  4. Nobody commits for a generation that is over, for one whose assignment is
//     not there yet, as a static instance that was replaced, or without being a
//     member while there are any.
//  5. The state is, for every key, what the last record of that key says. No record
//     needs another one, so every compaction of the log replays to the same state.
//  6. No input fails a replay except damage (*CorruptionError), and what is newer
//     than this version is skipped and counted.
//  7. No offset expires while its group has members. Otherwise KIP-211, counted
//     from the later of the last commit and the departure of the last member.
//  8. An offset that was committed for one topic id is never given for another.
//  9. What clients make a machine hold is counted in bytes, and no call takes it
//     above its limit; what does not make it more goes on at the limit. The members
//     of one group have a share of their own, so many times its largest record.
//  10. The work of a call does not grow with the number of members, except where
//     a generation begins or ends: then it is proportional to it, once.
//  11. Deadlines count by the time of the calls, which passes evenly; what is in the
//     log counts by the wall clock (SetWall).
//
// Invariants 1 to 4 and 7 are tried on all sequences of a few actions by
// model_test.go, and mutants_test.go shows that the model notices when one of
// them breaks; 5 by random histories and compactions in replay_test.go; 6 by a
// fuzz target; 9 by weight_test.go against the heap; 10 by counting allocations;
// 11 by wall_test.go.
//
// # File map
//
//	effects.go       what goes in and comes out
//	machine.go       Settings, Machine, how one call gathers its effects
//	state.go         a group and its members
//	timers.go        the queue of deadlines
//	join.go          JoinGroup: new, known and static members
//	rebalance.go     the phases: gather, begin a generation, become empty
//	member_calls.go  SyncGroup, Heartbeat, LeaveGroup
//	offsets.go       OffsetCommit, OffsetDelete, DeleteGroups
//	reads.go         OffsetFetch, DescribeGroups, ListGroups
//	tick.go          deadlines, retention, topics that are gone
//	subscription.go  the topics in consumers' metadata
//	weight.go        what a machine holds, and the limit of it
//	replay.go        from the log
//	codec.go         Kafka's formats of __consumer_offsets
//
// KIPs: 62 (rebalance timeout), 134 (initial delay), 211 (retention), 345 (static
// members), 389 (group.max.size), 394 (member id required), 447 (require stable),
// 496 (OffsetDelete), 518 and 848 (filters of ListGroups), 559 (protocol in
// SyncGroup), 709 (several groups), 814 (skip the assignment), 915 (tagged
// fields in records), 1043 (a missing group has an error).
package group
