// Package meta is what the cluster knows about itself: the records of the
// metadata log, the immutable image that they add up to, and the difference that
// one entry makes.
//
// What it is not: it decides nothing (controller does), keeps nothing (quorum
// does) and does not know where it is used. It is pure.
//
// # Invariants
//
//  1. Metadata changes through Apply alone, the same way live and on recovery.
//     Records are facts: applying them needs no setting and no version of the
//     code that decided them.
//  2. An Image, and everything reachable from it, never changes.
//  3. The records of one entry take effect together or not at all.
//  4. An image as records, followed by the entries after it, gives the same image
//     as all entries from the beginning.
//  5. A partition's epoch grows by one with every change, its leader epoch with
//     every leadership; neither ever falls. The leader is in the ISR, the ISR is
//     among the replicas, and ISR, ELR and lost replicas do not overlap.
//  6. Producer ids are handed out upwards and never twice.
//  7. A kind, version or feature level that this program does not know is refused
//     with a VersionError; it is never skipped.
//  8. Every listing is sorted, so that equal images look, encode and iterate the
//     same everywhere.
//
// # File map
//
//	record.go           the records
//	resource.go         what settings belong to
//	codec.go            frames, lists of records, most bodies
//	codec_partition.go  bodies of partitions and their changes
//	ordered.go          a sorted map that never changes
//	image.go            Image and look-ups; an image as records
//	apply.go            records into an image
//	delta.go            what an entry changed, and what that means for a broker
//	picture.go          images as text
//	errors.go           damage and newer versions
//
// KIPs: 500 and 631 (metadata as a log), 516 (topic ids), 966 (ELR), 858
// (directory ids), 778 (feature levels).
package meta
