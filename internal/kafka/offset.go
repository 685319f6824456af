package kafka

// Offset is the position of a record in a partition. Valid offsets are 0 and
// above.
type Offset int64

// NoOffset is the wire's "no offset".
const NoOffset Offset = -1

// Add returns the offset n records later.
func (o Offset) Add(n int64) Offset { return o + Offset(n) }

// LeaderEpoch numbers the leaderships of a partition; it grows by one with
// every change of leader.
type LeaderEpoch int32

// NoLeaderEpoch is the wire's "unknown epoch".
const NoLeaderEpoch LeaderEpoch = -1

// PartitionEpoch grows by one with every change of a partition's record and is
// the compare-and-swap token for changing it.
type PartitionEpoch int32

// ProducerID names a producer session (KIP-98). NoProducerID marks a batch
// without idempotence.
type ProducerID int64

// NoProducerID marks a batch that is not idempotent.
const NoProducerID ProducerID = -1

// ProducerEpoch numbers the incarnations of one producer id.
type ProducerEpoch int16

// NoProducerEpoch is the wire's "no epoch".
const NoProducerEpoch ProducerEpoch = -1

// Sequence numbers the records of one producer on one partition; it wraps from
// the largest int32 to 0.
type Sequence int32

// NoSequence marks a batch without idempotence.
const NoSequence Sequence = -1

// Add returns the sequence n records later, wrapping from the largest int32 to
// 0 as KIP-98 has it. n is from 0 to the largest int32.
func (s Sequence) Add(n int32) Sequence {
	sum := int64(s) + int64(n)
	if sum > 0x7fffffff {
		sum -= 0x80000000
	}
	return Sequence(sum)
}

// Timestamp is a record's time in milliseconds since 1970-01-01 UTC.
// NoTimestamp means "none".
type Timestamp int64

// NoTimestamp is the wire's "no timestamp".
const NoTimestamp Timestamp = -1

// Special timestamps of ListOffsets.
const (
	TimestampLatest        Timestamp = -1 // the last stable offset or high watermark
	TimestampEarliest      Timestamp = -2 // the log start offset
	TimestampMax           Timestamp = -3 // the record with the largest timestamp (KIP-734)
	TimestampEarliestLocal Timestamp = -4 // the first offset on local disk (KIP-405)
	TimestampLatestTiered  Timestamp = -5 // the last offset in remote storage (KIP-1005)
)

// NextSessionEpoch is the epoch of a fetch session after e: it wraps past the largest
// int32 to 1, because 0 opens a session and -1 ends one (KIP-227).
func NextSessionEpoch(e int32) int32 {
	if e == 1<<31-1 {
		return 1
	}
	return e + 1
}
