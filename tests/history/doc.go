// Package history checks what clients of a log saw against what the log
// promised: every acknowledged record is there, once, at the offset that the
// acknowledgement named, unchanged and in its writer's order.
//
// It is pure: no clock, file, socket, lock or goroutine. The rigs feed it
// events as they happen (Invoke, Ack, Fail, Poll, EndOffset, EndOfLog) and ask
// for the Report. It is NOT a model of the broker and knows nothing of leaders
// or fsync; whatever the broker does inside, only these events count.
//
// Invariants of a Checker:
//
//  1. A value is unique: writer and counter name one record for ever, and the
//     counters of a writer start at 0 and have no holes.
//  2. Each event costs O(1); the whole check is O(history). Ten million records
//     fit in about half a gigabyte.
//  3. A verdict never rests on a silence: a send without an outcome may be in
//     the log or not, and both are right, until a reader saw it.
//
// File map:
//
//	checker.go  the events and the state that they build
//	anomaly.go  the kinds of anomaly, and the report
//	value.go    how a record's value carries its name and its checksum
package history
