// Package peer holds this broker's connections to the others: one for each broker
// and purpose, made when somebody has something to say, proven by package auth,
// and made again when they end. Requests are pipelined.
//
// What it is not: it does not know what the requests mean, it decides nothing about
// who is alive (it reports what it saw), and it answers nobody (package server
// does).
//
// Invariants
//
//  1. A request is answered exactly once, or fails: with its context, with the
//     connection, or with the attempt to make one.
//  2. Nothing but the proof is sent before the other side has proved who it is.
//  3. What waits is bounded, and so is every frame.
//
// Goroutines: one for each link that was ever used, which connects and writes; and
// one for each connection, which reads. Close ends them and waits.
//
// Locks: Peers.mu and connection.mu are leaves; neither is held across a wait.
//
// File map
//
//	peers.go       Peers: links, addresses
//	client.go      Do and Post
//	link.go        one link: connect, write, lose, connect again
//	connection.go  one connection: the proof, who waits, reading
//	members.go     the metadata quorum's way to its other members
//	errors.go      what can go wrong
//	run.go         the goroutines
package peer
