// Package lifecycle is a broker among others: how it comes into a cluster, says that
// it lives, learns who has died, and leaves in order. Where this node leads the
// metadata quorum it also keeps the sessions of all brokers.
//
// What it is not: it decides nothing about partitions. What a broker's coming, going
// or silence means for them is the controller's decision; who may found a cluster is
// package founding's.
//
// # Sessions
//
// Every broker sends a heartbeat to the leader of the quorum. The contact is noted on
// the monotonic clock when it arrives, before anything is decided with it: a slow
// controller does not make others late. A new leader gives every broker a fresh
// session, and so does one that was itself held up.
//
// # Proof of death
//
// A process that ends takes its listener with it. Two brokers have to see that: one
// whose connection ended and whose next one was refused, and the leader of the
// quorum, which connects anew when it is told. One broker's word, a reset alone, or
// silence prove nothing; they wait for the session to end. What was proved holds for
// one broker epoch.
//
// Invariants
//
//  1. Whoever is fenced was silent for a whole session, or is proven dead.
//  2. A report of a death is repeated to whoever leads until the metadata shows it
//     or the broker answers again.
//  3. A stop in order waits until the leaders have moved and every live broker knows.
//  4. Nothing here waits while a lock is held; mu of each type is a leaf.
//
// # File map
//
//	lifecycle.go  Lifecycle: options, what the metadata tells
//	member.go     this broker: registering, heartbeats, leaving
//	sessions.go   the controller's side: contacts, fencing
//	death.go      proof of death, on both sides
//	upkeep.go     what the controller starts by itself: leaders, replication
//	recovery.go   partitions without a leader
//	found.go      founding or joining a cluster
//	run.go        the goroutines
package lifecycle
