// Package fetcher keeps the partitions that follow up to date: it fetches what
// their leaders have and reports to the leaders what is durable here. There is one
// fetch session for each leader broker, with all of its partitions (KIP-227).
//
// What it is not: it does not decide whom to follow (broker says so, from the
// metadata), it does not write (partition does), and it never asks twice for what
// an answer has brought.
//
// # Invariants
//
//  1. A partition is fetched by one lane at a time, and what an answer brings is
//     taken over in order. An answer to a position that is not the present one is
//     dropped by the partition.
//  2. While anything follows a leader, a fetch is at work there: it is parked at
//     the leader until there is something to tell.
//  3. No partition waits for another: one that fails leaves the session until its
//     time comes, one whose log has to be cut is cut beside the session, and one
//     that comes while the session's fetch is parked is fetched beside it at once.
//  4. What is durable here travels by itself, never on a fetch, which may be parked
//     (DESIGN 7). One request per leader is at work; what comes meanwhile goes with
//     the next one. After a loss of the connection everything is told again.
//  5. The first answer in an epoch is always one that the leader has spelled out: a
//     partition that enters an epoch, or was cut, is new to its session.
//
// # Goroutines
//
// Three for each leader that is followed: the session, what is fetched beside it,
// and the progress; and a few more while logs are cut. Close ends them and waits.
//
// # Lock order
//
// Fetcher.mu, then leader.mu, then the partitions' own. None is held across a wait.
//
// # File map
//
//	fetcher.go   Fetcher: who follows whom
//	leader.go    one leader: its followers and where each of them is
//	session.go   the fetch that is always at work
//	aside.go     fetches beside it
//	apply.go     answers into partitions
//	progress.go  what is durable here, told to the leader
//	run.go       the goroutines
package fetcher
