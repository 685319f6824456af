// Package record reads, checks, builds and re-stamps record batches of magic 2,
// the unit in which records travel and are stored.
//
// What it is not: it opens no file, keeps no state between calls and knows no
// partition. It is pure; the one exemption is sync.Pool in the compression
// files. Magic 0 and 1 (message sets before Kafka 0.11) are refused.
//
// The layout of a batch, big-endian, offsets in bytes:
//
//	 0  base offset            int64   assigned by the leader, not checksummed
//	 8  length                 int32   bytes that follow this field
//	12  partition leader epoch int32   assigned by the leader, not checksummed
//	16  magic                  int8    2
//	17  crc                    uint32  CRC32C of everything from byte 21 on
//	21  attributes             int16   0-2 codec, 3 append time, 4 transactional,
//	                                   5 control, 6 delete horizon
//	23  last offset delta      int32   count - 1 when a client made the batch
//	27  base timestamp         int64
//	35  max timestamp          int64
//	43  producer id            int64   -1: no idempotence
//	51  producer epoch         int16
//	53  base sequence          int32
//	57  count                  int32
//	61  records                        compressed as one stream if a codec is set
//
// A record, every number but attributes a zigzag varint:
//
//	length, attributes int8, timestamp delta, offset delta, key length (-1: null),
//	key, value length (-1: null), value, header count,
//	{ key length, key, value length (-1: null), value } ...
//
// Invariants
//
//  1. What ValidateProduce accepts decodes to exactly Count records with offset
//     deltas 0..Count-1, consumes every byte, and needs at most
//     Rules.MaxDecompressed bytes when decompressed.
//  2. No input makes a function of this package panic, allocate more than its
//     documented bound, or run longer than linear in input plus allowed output.
//  3. SetBase does not change the checksum: the bytes that a producer
//     checksummed are the bytes that a consumer receives.
//  4. Declared sizes are compared with what is left before they are used.
//
// File map:
//
//	header.go      Header, Attributes, ParseHeader, Verify, SetBase, SetLogAppendTime
//	codec.go       the codecs' names and numbers
//	errors.go      CorruptionError (stored bytes), Rejection (a client's bytes)
//	validate.go    ValidateProduce: every rule for a batch that a client sends
//	walk.go        the structural walk over records in memory
//	stream.go      the same walk over a decompressing stream, in constant memory
//	varint.go      zigzag varints
//	iterate.go     Iterate: full records for readers
//	builder.go     Builder: batches made by ourselves
//	control.go     control records: transaction markers
//	recompress.go  Recompress for topics that fix a codec
//	compress.go    writers of the codecs
//	decompress.go  readers of the codecs, bounded
//	snappy.go      snappy, raw and in xerial frames
//	lz4.go         which lz4 frames are acceptable
//
// KIPs: KIP-98 (this format), KIP-110 (zstd), KIP-390 (levels), KIP-467
// (per-record errors), KIP-937 (timestamp bounds).
package record
