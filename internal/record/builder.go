package record

import (
	"encoding/binary"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
)

// Producer makes a batch idempotent.
type Producer struct {
	ID           kafka.ProducerID
	Epoch        kafka.ProducerEpoch
	BaseSequence kafka.Sequence // NoSequence in control batches
}

// Options are the fields of a batch that its records do not decide. The zero
// value is an uncompressed batch at offset 0 without a producer.
type Options struct {
	Compression   Compression
	BaseOffset    kafka.Offset
	LeaderEpoch   kafka.LeaderEpoch
	Producer      *Producer // nil: not idempotent
	Transactional bool
	Control       bool
}

// Builder collects records and makes one batch of them. The zero value is not
// usable; NewBuilder makes one. After Build it holds the same records; Reset
// empties it and keeps its memory.
type Builder struct {
	opts    Options
	records []byte
	body    []byte // one record, before its length is known
	count   int32
	base    kafka.Timestamp
	max     kafka.Timestamp
}

// NewBuilder returns an empty builder.
func NewBuilder(opts Options) *Builder {
	b := new(Builder)
	b.Reset(opts)
	return b
}

// Reset empties the builder for a batch with other options.
func (b *Builder) Reset(opts Options) {
	*b = Builder{opts: opts, records: b.records[:0], body: b.body[:0], max: kafka.NoTimestamp}
}

// Append adds a record. A nil key or value is null, an empty one is empty.
func (b *Builder) Append(ts kafka.Timestamp, key, value []byte, headers ...KeyValue) {
	if b.count == 0 {
		b.base = ts
	}
	b.max = max(b.max, ts)
	r := append(b.body[:0], 0)
	r = appendVarint(r, int64(ts-b.base))
	r = appendVarint(r, int64(b.count))
	r = appendField(r, key)
	r = appendField(r, value)
	r = appendVarint(r, int64(len(headers)))
	for _, h := range headers {
		r = appendVarint(r, int64(len(h.Key)))
		r = append(r, h.Key...)
		r = appendField(r, h.Value)
	}
	b.records = appendVarint(b.records, int64(len(r)))
	b.records = append(b.records, r...)
	b.body = r
	b.count++
}

func appendField(dst, field []byte) []byte {
	if field == nil {
		return appendVarint(dst, -1)
	}
	dst = appendVarint(dst, int64(len(field)))
	return append(dst, field...)
}

// Count is the number of records.
func (b *Builder) Count() int { return int(b.count) }

// Size is the number of bytes of the batch that Build would make without
// compression.
func (b *Builder) Size() int { return HeaderSize + len(b.records) }

// Build appends the finished batch to dst. There is at least one record. It
// fails only for a codec or level that does not exist.
func (b *Builder) Build(dst []byte) ([]byte, error) {
	invariant.Check(b.count > 0, "build a batch of no records")
	at := len(dst)
	out, err := Compress(append(dst, make([]byte, HeaderSize)...), b.opts.Compression, b.records)
	if err != nil {
		return dst, err
	}
	h := Header{
		BaseOffset:      b.opts.BaseOffset,
		LeaderEpoch:     b.opts.LeaderEpoch,
		Attributes:      b.attributes(),
		LastOffsetDelta: b.count - 1,
		BaseTimestamp:   b.base,
		MaxTimestamp:    b.max,
		ProducerID:      kafka.NoProducerID,
		ProducerEpoch:   kafka.NoProducerEpoch,
		BaseSequence:    kafka.NoSequence,
		Count:           b.count,
	}
	if p := b.opts.Producer; p != nil {
		h.ProducerID, h.ProducerEpoch, h.BaseSequence = p.ID, p.Epoch, p.BaseSequence
	}
	seal(out[at:], h)
	return out, nil
}

func (b *Builder) attributes() Attributes {
	a := Attributes(b.opts.Compression.Codec)
	if b.opts.Transactional {
		a |= attrTransactional
	}
	if b.opts.Control {
		a |= attrControl
	}
	return a
}

// seal writes h with the length and CRC that the batch in b turned out to have,
// and returns it.
func seal(b []byte, h Header) Header {
	invariant.Check(len(b)-OverheadSize <= LengthMax, "batch of %d bytes", len(b))
	h.Length = int32(len(b) - OverheadSize)
	h.put(b)
	h.CRC = checksum(b)
	binary.BigEndian.PutUint32(b[posCRC:], h.CRC)
	return h
}
