// Package founding decides how a broker with an empty data directory comes into a
// cluster: it waits, it founds one together with the others that were named, or it
// joins one that exists.
//
// It is pure: a state, the answers of the named addresses, and a decision. Whoever
// calls it asks the addresses again and again, carries decisions out durably before
// anybody is told of them, and says why it waits.
//
// What it is not: it is no election. It does not tolerate a missing address, on
// purpose. A broker that is silent may be the only one left of a cluster that was
// founded, and a second cluster over the first would take its names, ids and
// addresses, and its records with them.
//
// # Invariants
//
//  1. A cluster id is proposed by one broker only, the one with the lowest id, and
//     only when every named address has answered with the same list and an empty
//     directory.
//  2. A proposal is durable before it is shown. What is durable is never dropped and
//     never exchanged: a crash resumes it.
//  3. A directory founds only when every named address has shown the same proposal,
//     or one of them has founded it, which needed the same.
//  4. A proposal names directories, not only brokers. Where one of them is gone,
//     nobody can tell whether it had founded, and nobody goes on.
//  5. Whoever hears of a founded cluster joins it and founds nothing.
//
// # File map
//
//	founding.go  State, Answer, Decide
//	proposal.go  Proposal and its text
package founding
