// Package hostile lets crowds of bad clients loose on a running broker while one
// good client works: slow senders, connections that end half-way or say nothing,
// ten thousand idle ones, clients that never read their replies, clients that
// pipeline a thousand requests.
//
// The good client's 99th percentile may at most double; what an idle connection
// costs the broker in memory is measured and bounded.
package hostile
