// Package broker holds the partitions that this broker hosts and keeps them what
// the metadata says: it opens them, has them lead or follow, reconfigures and
// deletes them as the metadata log moves on. It asks the controller for what they
// want: other in-sync replicas, a mark on a replica that has lost records.
//
// What it is not: it decides nothing; placement, leaders and configurations are
// records that controller decided. It fetches nothing; package fetcher does.
//
// Invariants
//
//  1. A look-up costs no lock: the table of partitions is immutable and replaced
//     as a whole, once per change of metadata.
//  2. A partition is found only when its log is open here.
//  3. A deleted partition's journal entries are fenced before its directory is
//     moved aside, so that no replay brings dead bytes back.
//  4. Only what an entry of the metadata log has deleted is deleted. A directory
//     of a topic that the metadata does not know is reported and stays. The same
//     goes for a replica that was moved away.
//  5. A change of the ISR counts when the metadata that shows it is applied; the
//     answer to the proposal only ends the asking. A proposal whose outcome nobody
//     knows is sent again until the metadata has moved on, and a refusal is believed
//     only when no other copy of the proposal can be decided.
//  6. A replica that has lost records is emptied only when the metadata marks it as
//     lost, so that it counts for no election, and enough others have everything.
//     The marks that are due at a start are made before the broker counts as caught
//     up.
//
// File map
//
//	broker.go     the table, look-ups
//	reconcile.go  metadata deltas into open, lead, follow, configure, delete
//	proposals.go  changes of ISRs, to the controller
//	damage.go     replicas that have lost records: told, emptied, filled again
//	deleted.go    directories of deleted topics and replicas, and of unknown ones
//	applied.go    how far the partitions are
//	upkeep.go     retention, expiry and lagging replicas, on timers
//	scrub.go      closed segments compared with their checksums
//	directory.go  the data directory, described
//	isolated.go   cut off from the controller
//	run.go        the goroutines
package broker
