// Package broker holds the partitions that this broker hosts and keeps them what
// the metadata says: it opens, leads, reconfigures and deletes them as the
// metadata log moves on.
//
// What it is not: it decides nothing; placement, leaders and configurations are
// records that controller decided.
//
// Invariants
//
//  1. A look-up costs no lock: the table of partitions is immutable and replaced
//     as a whole, once per change of metadata.
//  2. A partition is found only when its log is open and it is led here.
//  3. A deleted partition's journal entries are fenced before its directory is
//     moved aside, so that no replay brings dead bytes back.
//  4. Only what an entry of the metadata log has deleted is deleted. A directory
//     of a topic that the metadata does not know is reported and stays.
//
// File map
//
//	broker.go     the table, look-ups
//	reconcile.go  metadata deltas into open, lead, configure, delete
//	deleted.go    directories of deleted topics, and of unknown ones
//	upkeep.go     retention and expiry, called on a timer
//	scrub.go      closed segments compared with their checksums
//	directory.go the data directory, described
//	run.go        the goroutines
package broker
