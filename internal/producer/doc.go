// Package producer remembers, for one partition, what each idempotent producer
// appended last, and decides from it whether a batch is new, a repetition or a
// fault (KIP-98, KIP-360).
//
// What it is not: it has no file, lock, clock or goroutine, and it hands out no
// producer ids. The log keeps the encoded tables beside its segments; the
// partition asks Check before an append, and the log calls Apply after it.
//
// The table is a fold over the log: the same batches in the same order give the
// same table on every replica, so that every possible leader answers a retry
// alike. Three things are not in the log and therefore differ by what a replica
// has seen: when an append happened (only expiry looks at it), what expired, and
// what was there before the oldest batch it still has.
//
// # What survives a restart
//
// Kafka's own .snapshot file holds the last batch of each producer and nothing
// of the four before it. A retry of one of those four, sent to a broker that
// restarted, would be called out of order, and clients answer that by writing
// the record again under a new epoch: a duplicate. The window (EncodeWindow)
// therefore keeps all five, and the file of Kafka's format is written beside it
// for Kafka's tools. Recovery takes the newest readable window at or below the
// recovery point and Applies every later batch; a table from Decode alone is
// correct for the last batch only and accepts any unknown producer.
//
// A window above the end of the log describes a history that was cut off. Whoever
// cuts a log deletes the windows above the cut before anything is appended: the
// log may grow to the window's offset again with other batches, and then nobody
// can tell that it is the wrong one. The model shows the trace.
//
// # Unknown producers
//
// A batch whose producer the table does not know and whose sequence is not 0
// continues something that this partition has forgotten, or never had. Kafka
// accepts it always. Here it is accepted, and counted, only where something
// that could be it was forgotten: by expiry, by eviction, by DropBefore, or
// because the table does not reach back to the start of the partition. Else
// it is OUT_OF_ORDER_SEQUENCE_NUMBER, as it is for a transactional producer of
// Kafka 4: an earlier batch of that producer is missing, and accepting this one
// would hide it.
//
// Invariants
//
//  1. Check changes nothing. Apply is the only way in, and it is called with
//     batches that are in the log.
//  2. Every remembered batch was in the log when it was applied; the caller
//     reloads the table when it cuts the log. A verdict "duplicate" never names
//     an offset at or above End.
//  3. Within one epoch the remembered batches of a producer are consecutive:
//     each begins at the sequence after the previous one's last.
//  4. Apply of a batch below End does nothing: a scan may start anywhere below
//     a snapshot.
//  5. The number of producers is bounded. The one that was silent for longest is
//     forgotten first; one with an open transaction is never forgotten.
//
// File map:
//
//	table.go     Table: Check, Apply, markers, expiry, eviction
//	entry.go     what is remembered of one producer
//	snapshot.go  Encode, Decode: Kafka's .snapshot file, version 1
//	window.go    EncodeWindow, DecodeWindow: the whole table
//	errors.go    CorruptionError
package producer
