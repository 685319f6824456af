// Package vnet is the only way to the network. Real processes use TCP; tests
// use a network in memory that can delay, cut and partition.
//
// It knows nothing of frames, requests or Kafka: it carries bytes.
//
// # Invariants
//
//  1. Bytes of one direction of a connection arrive complete and in order, or
//     the connection fails. Nothing is promised between two connections.
//  2. A cut link loses nothing of a connection that outlives it: what was under
//     way arrives after the link is back, as with TCP's retransmissions.
//  3. A host that lost its power tells nobody. A process that was killed does.
//  4. No goroutine waits while it holds a lock, and every wait is on a channel
//     or a timer of the clock, so that everything runs inside a
//     testing/synctest bubble.
//
// # Lock order
//
//	Mem.mu
//	  stream.mu
//	deadline.mu is a leaf of its own
//
// # File map
//
//	vnet.go      the interface; TCP
//	mem.go       Mem: hosts, links, listening and dialling
//	mem_conn.go  Mem: connections
//	stream.go    Mem: one direction of a connection
//
//	sendfile_linux.go  a file's bytes to a TCP connection without a copy
//	sendfile_other.go  systems where they are copied
package vnet
