// Package failover measures how long acknowledgements stay away when a broker of
// three dies, is paused, is cut off or is stopped in order, with a thousand records
// a second of one idempotent producer, and demands the bounds of docs/PERFORMANCE.md.
//
// A gap is the longest time between two acknowledgements of the partition, from
// just before the accident until writes flow again. It contains everything: noticing,
// electing, and the client's own search for the new leader.
package failover
