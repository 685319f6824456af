// Package journal is the prewritten ring file of a data directory. A small
// append of any partition becomes durable when the round that holds it has been
// written to the ring with one aligned, synchronous write; its segment is synced
// later, by a checkpoint that nobody waits for.
//
// What it is not: it knows no log and no rule of recovery. It keeps entries and
// gives them back in order; package log decides what they mean.
//
// Invariants
//
//  1. One round is written at a time, and the next one only after it is on
//     stable storage.
//  2. Sequence numbers of rounds grow by one. An invalid round that is followed
//     by a valid later one is corruption; an invalid last round is the end,
//     whatever may be valid inside it, because a power cut may keep the later
//     sectors of one write and drop the earlier ones.
//  3. Space is written over only after the tail that frees it is on stable
//     storage in the superblock.
//  4. One checksum covers a whole round. A round says where it was written, so
//     that a copy of one inside a payload is never taken for one.
//  5. A change of the superblock ends with both copies saying the same: no single
//     damaged block brings an older state back.
//  6. After a crash the last round is written again before anything follows it.
//
// Locks: mu guards the list of live rounds and is never held across I/O. Commit
// is called by one goroutine, Release and Grow by one other.
//
// The bytes are drawn in docs/format/journal.md.
//
// File map
//
//	entry.go    what a round holds; its encoding
//	round.go    building a round in an aligned buffer
//	journal.go  the ring: commit, release, grow
//	super.go    the superblock: version, tail, size
//	open.go     creating, opening, finding the live rounds
//	aside.go    a file for entries that nobody can take over now
package journal
