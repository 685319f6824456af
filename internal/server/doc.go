// Package server is the Kafka listener: it accepts connections, reads frames,
// admits their memory, hands requests to a Handler in the order in which they
// came, and writes the replies in that same order.
//
// What it is not: it knows no request kind. What a frame may cost and what is
// answered is the Handler's matter.
//
// Each connection has one goroutine that reads and begins requests. Replies that
// are ready at once are written by that goroutine; when a reply has to wait, a
// second goroutine drains the queue for as long as it is not empty. An idle
// connection therefore costs one goroutine and one small buffer.
//
// Invariants
//
//  1. Replies leave in request order (the Kafka protocol has no other way).
//
//  2. No frame is allocated before its cost has been reserved; at most
//     Limits.Parked requests of a connection wait for their replies, and
//     reading pauses at that number.
//
//  3. A failure after the first byte of a reply closes the connection.
//
//  4. A connection that is idle, slow to send a frame or slow to read replies
//     for longer than its limit is closed. One watch goroutine sees to it; no
//     timer is armed per request.
//
//  5. What other brokers send is counted against memory of their own, and they get
//     connections where clients have used theirs up: what clients wait for, brokers
//     bring.
//
// File map
//
//	server.go   listeners, accept, limits, stop
//	conn.go     one connection: frames in, replies out
//	frame.go    reading frames, memory admission, buffer pools
//	write.go    writing replies: plain, sendfile or copied
package server
