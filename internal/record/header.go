package record

import (
	"encoding/binary"
	"hash/crc32"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
)

// HeaderSize is the size of a batch without records.
const HeaderSize = 61

// OverheadSize is what precedes the bytes that Length counts.
const OverheadSize = 12

// LengthMax is the largest Length that is believed: 1 GiB, more than any
// max.message.bytes that is accepted.
const LengthMax = 1 << 30

const magic2 = 2

// Places of the fields.
const (
	posBaseOffset    = 0
	posLength        = 8
	posLeaderEpoch   = 12
	posMagic         = 16
	posCRC           = 17
	posAttributes    = 21
	posLastDelta     = 23
	posBaseTimestamp = 27
	posMaxTimestamp  = 35
	posProducerID    = 43
	posProducerEpoch = 51
	posBaseSequence  = 53
	posCount         = 57
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Attributes are the flags of a batch.
type Attributes int16

const (
	attrCodecMask     Attributes = 0x07
	attrLogAppendTime Attributes = 0x08
	attrTransactional Attributes = 0x10
	attrControl       Attributes = 0x20
	attrDeleteHorizon Attributes = 0x40
)

// Compression is the codec of the records; it may be an unknown one.
func (a Attributes) Compression() Codec { return Codec(a & attrCodecMask) }

// LogAppendTime reports whether every record's time is the batch's
// MaxTimestamp, set by the broker.
func (a Attributes) LogAppendTime() bool { return a&attrLogAppendTime != 0 }

// Transactional reports whether the batch is part of a transaction.
func (a Attributes) Transactional() bool { return a&attrTransactional != 0 }

// Control reports whether the batch holds a control record and no data.
func (a Attributes) Control() bool { return a&attrControl != 0 }

// DeleteHorizon reports whether BaseTimestamp is the time after which a cleaner
// may drop the tombstones of the batch (KIP-534).
func (a Attributes) DeleteHorizon() bool { return a&attrDeleteHorizon != 0 }

// WithLogAppendTime is a with the mark that SetLogAppendTime sets.
func (a Attributes) WithLogAppendTime() Attributes { return a | attrLogAppendTime }

// Header is the fixed part of a batch.
type Header struct {
	BaseOffset      kafka.Offset
	Length          int32 // bytes after this field; at least HeaderSize-OverheadSize
	LeaderEpoch     kafka.LeaderEpoch
	CRC             uint32
	Attributes      Attributes
	LastOffsetDelta int32 // never negative; larger than Count-1 only after compaction
	BaseTimestamp   kafka.Timestamp
	MaxTimestamp    kafka.Timestamp
	ProducerID      kafka.ProducerID
	ProducerEpoch   kafka.ProducerEpoch
	BaseSequence    kafka.Sequence
	Count           int32
}

// Size is the number of bytes of the whole batch.
func (h Header) Size() int { return OverheadSize + int(h.Length) }

// End is the offset after the batch's last.
func (h Header) End() kafka.Offset { return h.BaseOffset.Add(int64(h.LastOffsetDelta) + 1) }

// HasProducer reports whether the batch is idempotent.
func (h Header) HasProducer() bool { return h.ProducerID > kafka.NoProducerID }

// LastSequence is the sequence of the batch's last record, NoSequence where the
// batch has none. It wraps as KIP-98 has it.
func (h Header) LastSequence() kafka.Sequence {
	if h.BaseSequence < 0 {
		return kafka.NoSequence
	}
	return h.BaseSequence.Add(h.LastOffsetDelta)
}

// ParseHeader reads the header at the start of b, which may be longer than the
// batch or end with the header. It checks what must hold before any other field
// is believed: magic 2, a possible length, and offsets that do not run
// backwards or overflow. It checks neither the CRC nor the records. Errors are
// *CorruptionError.
func ParseHeader(b []byte) (Header, error) {
	h, err := parseFields(b)
	if err != nil {
		return Header{}, err
	}
	switch {
	case h.BaseOffset < 0 || h.BaseOffset > maxOffset:
		return Header{}, corrupt(h.BaseOffset, ErrRecords, "base offset %d", h.BaseOffset)
	case h.LastOffsetDelta < 0:
		return Header{}, corrupt(h.BaseOffset, ErrRecords, "last offset delta %d", h.LastOffsetDelta)
	case h.Count < 0:
		return Header{}, corrupt(h.BaseOffset, ErrRecords, "count %d", h.Count)
	}
	return h, nil
}

// parseFields is ParseHeader without belief in any field but magic and length;
// the header is returned even with an error about one of these.
func parseFields(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, corrupt(kafka.NoOffset, ErrTruncated, "%d bytes, a header has %d", len(b), HeaderSize)
	}
	b = b[:HeaderSize]
	h := Header{
		BaseOffset:      kafka.Offset(binary.BigEndian.Uint64(b[posBaseOffset:])),
		Length:          int32(binary.BigEndian.Uint32(b[posLength:])),
		LeaderEpoch:     kafka.LeaderEpoch(binary.BigEndian.Uint32(b[posLeaderEpoch:])),
		CRC:             binary.BigEndian.Uint32(b[posCRC:]),
		Attributes:      Attributes(binary.BigEndian.Uint16(b[posAttributes:])),
		LastOffsetDelta: int32(binary.BigEndian.Uint32(b[posLastDelta:])),
		BaseTimestamp:   kafka.Timestamp(binary.BigEndian.Uint64(b[posBaseTimestamp:])),
		MaxTimestamp:    kafka.Timestamp(binary.BigEndian.Uint64(b[posMaxTimestamp:])),
		ProducerID:      kafka.ProducerID(binary.BigEndian.Uint64(b[posProducerID:])),
		ProducerEpoch:   kafka.ProducerEpoch(binary.BigEndian.Uint16(b[posProducerEpoch:])),
		BaseSequence:    kafka.Sequence(binary.BigEndian.Uint32(b[posBaseSequence:])),
		Count:           int32(binary.BigEndian.Uint32(b[posCount:])),
	}
	switch {
	case b[posMagic] != magic2:
		return h, corrupt(h.BaseOffset, ErrMagic, "magic %d", int8(b[posMagic]))
	case h.Length < HeaderSize-OverheadSize || h.Length > LengthMax:
		return h, corrupt(h.BaseOffset, ErrLength, "length %d", h.Length)
	}
	return h, nil
}

// ChecksumFrom is where the bytes of a batch begin that its checksum covers, up to
// the end.
const ChecksumFrom = posAttributes

// maxOffset leaves room for any last offset delta below the largest int64.
const maxOffset kafka.Offset = 1<<63 - 1 - 1<<32

// Verify checks that b is one whole batch and that its CRC32C matches. Errors
// are *CorruptionError.
func Verify(b []byte) error {
	h, err := ParseHeader(b)
	if err != nil {
		return err
	}
	switch {
	case len(b) < h.Size():
		return corrupt(h.BaseOffset, ErrTruncated, "%d bytes of %d", len(b), h.Size())
	case len(b) > h.Size():
		return corrupt(h.BaseOffset, ErrLength, "%d bytes after the batch", len(b)-h.Size())
	}
	if sum := checksum(b); sum != h.CRC {
		return corrupt(h.BaseOffset, ErrChecksum, "stored %08x, computed %08x", h.CRC, sum)
	}
	return nil
}

// checksum is the CRC32C of the bytes that the CRC field covers.
func checksum(b []byte) uint32 { return crc32.Checksum(b[posAttributes:], castagnoli) }

// SetBase gives the batch its place in a log, in place. The checksum does not
// cover these fields and stays right. b holds at least a header.
func SetBase(b []byte, base kafka.Offset, epoch kafka.LeaderEpoch) {
	invariant.Check(len(b) >= HeaderSize, "set base of a batch of %d bytes", len(b))
	binary.BigEndian.PutUint64(b[posBaseOffset:], uint64(base))
	binary.BigEndian.PutUint32(b[posLeaderEpoch:], uint32(epoch))
}

// SetLogAppendTime marks the one whole batch in b as stamped by the broker at
// ts, in place, and recomputes the CRC. It keeps the records' bytes: readers
// take MaxTimestamp for every record of such a batch.
func SetLogAppendTime(b []byte, ts kafka.Timestamp) {
	invariant.Check(len(b) >= HeaderSize, "set append time of a batch of %d bytes", len(b))
	attrs := Attributes(binary.BigEndian.Uint16(b[posAttributes:])) | attrLogAppendTime
	binary.BigEndian.PutUint16(b[posAttributes:], uint16(attrs))
	setMaxTimestamp(b, ts)
}

// setMaxTimestamp writes the field and the CRC of the one whole batch in b.
func setMaxTimestamp(b []byte, ts kafka.Timestamp) {
	binary.BigEndian.PutUint64(b[posMaxTimestamp:], uint64(ts))
	binary.BigEndian.PutUint32(b[posCRC:], checksum(b))
}

// put writes the header to the first HeaderSize bytes of b, all but the CRC.
func (h Header) put(b []byte) {
	b = b[:HeaderSize]
	binary.BigEndian.PutUint64(b[posBaseOffset:], uint64(h.BaseOffset))
	binary.BigEndian.PutUint32(b[posLength:], uint32(h.Length))
	binary.BigEndian.PutUint32(b[posLeaderEpoch:], uint32(h.LeaderEpoch))
	b[posMagic] = magic2
	binary.BigEndian.PutUint16(b[posAttributes:], uint16(h.Attributes))
	binary.BigEndian.PutUint32(b[posLastDelta:], uint32(h.LastOffsetDelta))
	binary.BigEndian.PutUint64(b[posBaseTimestamp:], uint64(h.BaseTimestamp))
	binary.BigEndian.PutUint64(b[posMaxTimestamp:], uint64(h.MaxTimestamp))
	binary.BigEndian.PutUint64(b[posProducerID:], uint64(h.ProducerID))
	binary.BigEndian.PutUint16(b[posProducerEpoch:], uint16(h.ProducerEpoch))
	binary.BigEndian.PutUint32(b[posBaseSequence:], uint32(h.BaseSequence))
	binary.BigEndian.PutUint32(b[posCount:], uint32(h.Count))
}
