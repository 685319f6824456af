package record

import (
	"errors"
	"math"
	"time"

	"holdfast/internal/kafka"
)

// MaxDecompressedDefault bounds the decompressed records of a batch where
// Rules.MaxDecompressed does not: 64 MiB, sixty-four times the default
// max.message.bytes, while text shrinks 3 to 20 times. The walk streams, so that
// the bound is one of CPU time (some 0.1 s for the worst 1 MiB), not of memory.
const MaxDecompressedDefault = 64 << 20

// maxDecompressedFactor keeps the default bound above what a large
// max.message.bytes allows without compression.
const maxDecompressedFactor = 8

// NoBound is the value of BeforeMax and AfterMax that bounds nothing. Settings
// beyond the largest Duration (Kafka's default for "before" is) mean NoBound.
const NoBound time.Duration = math.MaxInt64

// Rules are what a topic asks of the batches that clients send.
type Rules struct {
	MaxBytes        int             // max.message.bytes; a batch is counted whole; 0: not checked
	Compacted       bool            // cleanup.policy has compact: every record needs a key
	LogAppendTime   bool            // message.timestamp.type: the batch is stamped with Now
	Now             kafka.Timestamp // the broker's clock
	BeforeMax       time.Duration   // message.timestamp.before.max.ms; NoBound for none
	AfterMax        time.Duration   // message.timestamp.after.max.ms; NoBound for none
	MaxDecompressed int             // bytes; 0: the larger of 64 MiB and 8 times MaxBytes
}

// ValidateProduce checks the one batch that a client sent for one partition
// against every rule that Kafka has for it, and returns its header. On success
// b is fit to be stored once SetBase was called.
//
// It may change b in place: the max timestamp is set to the largest of the
// records where the client wrote another, and with LogAppendTime the batch is
// stamped with Now; the CRC follows, and the header returned is the new one.
//
// On failure the error is a *Rejection and b is as it came. Nothing is
// allocated for an uncompressed batch that passes.
func ValidateProduce(b []byte, r Rules) (Header, error) {
	h, rejection := checkFrame(b, r.MaxBytes)
	if rejection == nil {
		rejection = checkHeader(h)
	}
	if rejection != nil {
		return Header{}, rejection
	}
	s := newScan(h)
	s.compacted = r.Compacted
	if !r.LogAppendTime {
		s.lo, s.hi = r.timestampRange()
	}
	s, err := scanRecords(b, h, s, r.maxDecompressed())
	if err != nil {
		return Header{}, rejectRecords(err)
	}
	if s.faulty > 0 {
		return Header{}, rejectFaults(s)
	}
	return restamp(b, h, s.max, r), nil
}

// checkFrame finds exactly one batch in b, small enough and with a valid CRC.
// The order of the checks decides which code a batch with several faults gets,
// and is Kafka's.
func checkFrame(b []byte, maxBytes int) (Header, *Rejection) {
	if len(b) == 0 {
		return Header{}, reject(kafka.ErrInvalidRecord, "There is no record batch.")
	}
	if len(b) > posMagic && b[posMagic] != magic2 {
		if b[posMagic] < magic2 {
			return Header{}, reject(kafka.ErrInvalidRecord, "The record batch has magic %d; only magic 2 is accepted.", b[posMagic])
		}
		return Header{}, reject(kafka.ErrCorruptMessage, "The record batch has the unknown magic %d.", int8(b[posMagic]))
	}
	h, err := parseFields(b)
	switch {
	case errors.Is(err, ErrTruncated):
		return Header{}, reject(kafka.ErrInvalidRecord, "The record batch ends within its header.")
	case err != nil:
		return Header{}, reject(kafka.ErrCorruptMessage, "The record batch has the impossible length %d.", h.Length)
	case len(b) < h.Size():
		return Header{}, reject(kafka.ErrInvalidRecord, "The record batch has %d bytes and declares %d.", len(b), h.Size())
	case len(b) > h.Size():
		return Header{}, reject(kafka.ErrInvalidRecord, "There are %d bytes after the record batch; one batch per partition is accepted.", len(b)-h.Size())
	case h.BaseOffset != 0:
		return Header{}, reject(kafka.ErrInvalidRecord, "The base offset of the record batch is %d instead of 0.", h.BaseOffset)
	case maxBytes > 0 && h.Size() > maxBytes:
		return Header{}, reject(kafka.ErrMessageTooLarge, "The record batch has %d bytes; max.message.bytes allows %d.", h.Size(), maxBytes)
	case checksum(b) != h.CRC:
		return Header{}, reject(kafka.ErrCorruptMessage, "The checksum of the record batch is wrong.")
	}
	return h, nil
}

// checkHeader applies the rules on fields; the CRC has vouched for them, so a
// fault is the client's and not the network's.
func checkHeader(h Header) *Rejection {
	invalid := func(format string, args ...any) *Rejection {
		return reject(kafka.ErrInvalidRecord, format, args...)
	}
	const known = attrCodecMask | attrLogAppendTime | attrTransactional | attrControl
	switch {
	case h.Count < 1:
		return invalid("The record batch declares %d records.", h.Count)
	case h.LastOffsetDelta != h.Count-1:
		return invalid("The record batch declares %d records and the last offset delta %d.", h.Count, h.LastOffsetDelta)
	case h.Attributes.Control():
		return invalid("Clients may not write control records.")
	case h.Attributes&^known != 0:
		return invalid("The record batch has the unknown attributes %#04x.", uint16(h.Attributes&^known))
	case !h.Attributes.Compression().Valid():
		return reject(kafka.ErrUnsupportedCompressionType, "The record batch has the unknown compression type %d.", uint8(h.Attributes.Compression()))
	case h.Attributes.LogAppendTime():
		return reject(kafka.ErrInvalidTimestamp, "Producers may not set the timestamp type LogAppendTime.")
	case h.ProducerID < kafka.NoProducerID:
		return invalid("The record batch has the producer id %d.", h.ProducerID)
	case h.HasProducer() && h.ProducerEpoch < 0:
		return invalid("The record batch has the producer id %d and the epoch %d.", h.ProducerID, h.ProducerEpoch)
	case h.HasProducer() && h.BaseSequence < 0:
		return invalid("The record batch has the producer id %d and the base sequence %d.", h.ProducerID, h.BaseSequence)
	case h.Attributes.Transactional() && !h.HasProducer():
		return invalid("The record batch is transactional and has no producer id.")
	}
	return nil
}

// rejectRecords answers records that are not what the header says. The CRC was
// right, so that sending the same bytes again cannot help: the code is one that
// clients do not retry.
func rejectRecords(err error) *Rejection {
	if errors.Is(err, ErrTooLarge) {
		return reject(kafka.ErrInvalidRecord, "The records decompress to more than is accepted.")
	}
	return reject(kafka.ErrInvalidRecord, "The records cannot be read: %v.", err)
}

// rejectFaults answers the records at fault. As in Kafka one bad timestamp
// decides the code for the batch.
func rejectFaults(s scan) *Rejection {
	code := kafka.ErrInvalidRecord
	if s.badTime {
		code = kafka.ErrInvalidTimestamp
	}
	rejection := reject(code, "%d of the records were refused; the first: %s", s.faulty, s.faults[0].Message)
	rejection.Records = s.faults
	return rejection
}

// restamp writes the batch's max timestamp, and with it the CRC, where the
// topic or the records ask for another than the client's.
func restamp(b []byte, h Header, largest kafka.Timestamp, r Rules) Header {
	switch {
	case r.LogAppendTime:
		SetLogAppendTime(b, r.Now)
	case h.MaxTimestamp != largest:
		setMaxTimestamp(b, largest)
	default:
		return h
	}
	h, _ = parseFields(b) // The length was checked before.
	return h
}

func (r Rules) maxDecompressed() int {
	if r.MaxDecompressed > 0 {
		return r.MaxDecompressed
	}
	return max(MaxDecompressedDefault, min(r.MaxBytes, LengthMax)*maxDecompressedFactor)
}

// orDefault is the bound for readers of stored batches.
func orDefault(limit int) int {
	if limit > 0 {
		return limit
	}
	return MaxDecompressedDefault
}

// timestampRange is the inclusive range of allowed timestamps; it saturates
// instead of wrapping.
func (r Rules) timestampRange() (lo, hi kafka.Timestamp) {
	lo, hi = math.MinInt64, math.MaxInt64
	if r.BeforeMax != NoBound {
		if d := r.Now - kafka.Timestamp(r.BeforeMax.Milliseconds()); d <= r.Now {
			lo = d
		}
	}
	if r.AfterMax != NoBound {
		if d := r.Now + kafka.Timestamp(r.AfterMax.Milliseconds()); d >= r.Now {
			hi = d
		}
	}
	return lo, hi
}
