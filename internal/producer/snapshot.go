package producer

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The .snapshot file of Kafka, version 1, big-endian:
//
//	 0  version int16  1
//	 2  crc     uint32 CRC32C of everything from byte 6 on
//	 6  count   int32
//	10  count times, 46 bytes each:
//	      producer id               int64
//	      producer epoch            int16
//	      last sequence             int32  -1: no batch in this epoch
//	      last offset               int64  -1: no batch in this epoch
//	      offset delta              int32  last offset minus base offset of that batch
//	      timestamp                 int64  max timestamp of the last batch or marker
//	      coordinator epoch         int32  -1: no marker yet
//	      current txn first offset  int64  -1: no transaction is open
//
// The offset that the table reflects is the file's name, not in the file.
const (
	snapshotVersion    = 1
	snapshotCRCEnd     = 6
	snapshotHeaderSize = 10
	snapshotEntrySize  = 46
)

// Encode returns the table as the file that Kafka names after mapEnd, the end of
// the log that it reflects. It holds the last batch of each producer only.
// Entries are in the order of ids. mapEnd is not below End: a file that claims
// less than it holds would name batches that recovery has yet to find.
func (t *Table) Encode(mapEnd kafka.Offset) []byte {
	invariant.Check(mapEnd >= t.end, "producer snapshot at %d of a table that ends at %d", mapEnd, t.end)
	out := make([]byte, snapshotHeaderSize, snapshotHeaderSize+len(t.entries)*snapshotEntrySize)
	binary.BigEndian.PutUint16(out, snapshotVersion)
	binary.BigEndian.PutUint32(out[snapshotCRCEnd:], uint32(len(t.entries)))
	for _, p := range t.Producers() {
		delta := int32(0)
		if e := t.entries[p.ID]; e.count > 0 {
			delta = e.batches[e.count-1].offsetDelta
		}
		out = binary.BigEndian.AppendUint64(out, uint64(p.ID))
		out = binary.BigEndian.AppendUint16(out, uint16(p.Epoch))
		out = binary.BigEndian.AppendUint32(out, uint32(p.LastSequence))
		out = binary.BigEndian.AppendUint64(out, uint64(p.LastOffset))
		out = binary.BigEndian.AppendUint32(out, uint32(delta))
		out = binary.BigEndian.AppendUint64(out, uint64(p.LastTimestamp))
		out = binary.BigEndian.AppendUint32(out, uint32(p.CoordinatorEpoch))
		out = binary.BigEndian.AppendUint64(out, uint64(p.TxnFirst))
	}
	sealCRC(out, snapshotCRCEnd)
	return out
}

// Decode reads a .snapshot file named after mapEnd. Every producer counts as
// heard of at loadTime. The file says neither what was forgotten before it nor
// more than one batch per producer: the table accepts any unknown producer and
// recognises a repetition of the last batch only. Errors are *CorruptionError.
func Decode(b []byte, mapEnd kafka.Offset, loadTime kafka.Timestamp) (*Table, error) {
	if err := checkCRC(b, snapshotVersion, snapshotCRCEnd, snapshotHeaderSize); err != nil {
		return nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(b[snapshotCRCEnd:])))
	if n < 0 || n != (len(b)-snapshotHeaderSize)/snapshotEntrySize || len(b) != snapshotHeaderSize+n*snapshotEntrySize {
		return nil, corrupt(snapshotCRCEnd, ErrTruncated, "%d producers in %d bytes", n, len(b))
	}
	found := make([]entry, n)
	for i := range found {
		p := snapshotHeaderSize + i*snapshotEntrySize
		found[i] = decodeEntry(b[p:p+snapshotEntrySize], loadTime)
		if !found[i].sane(mapEnd) {
			return nil, corrupt(p, ErrContent, "producer %d", found[i].id)
		}
	}
	slices.SortStableFunc(found, func(a, b entry) int { return cmp.Compare(a.last(), b.last()) })
	t := New()
	t.end, t.forgotten = mapEnd, forgottenAll
	for i := range found {
		if !t.insert(&found[i]) {
			return nil, corrupt(snapshotHeaderSize, ErrContent, "producer %d occurs twice", found[i].id)
		}
	}
	return t, nil
}

func decodeEntry(b []byte, loadTime kafka.Timestamp) entry {
	e := entry{
		id:               kafka.ProducerID(binary.BigEndian.Uint64(b)),
		epoch:            kafka.ProducerEpoch(binary.BigEndian.Uint16(b[8:])),
		timestamp:        kafka.Timestamp(binary.BigEndian.Uint64(b[26:])),
		coordinatorEpoch: int32(binary.BigEndian.Uint32(b[34:])),
		txnFirst:         max(kafka.NoOffset, kafka.Offset(binary.BigEndian.Uint64(b[38:]))),
		appendedAt:       loadTime,
	}
	last := batch{
		lastSequence: kafka.Sequence(binary.BigEndian.Uint32(b[10:])),
		lastOffset:   kafka.Offset(binary.BigEndian.Uint64(b[14:])),
		offsetDelta:  int32(binary.BigEndian.Uint32(b[22:])),
		timestamp:    e.timestamp,
	}
	if last.lastOffset >= 0 {
		e.push(last)
	}
	return e
}

// last is the offset of the newest batch remembered, NoOffset without one.
func (e *entry) last() kafka.Offset {
	if e.count == 0 {
		return kafka.NoOffset
	}
	return e.batches[e.count-1].lastOffset
}

// sane reports whether e can be part of a table that ends at end.
func (e *entry) sane(end kafka.Offset) bool {
	if e.id < 0 || e.epoch < 0 || e.coordinatorEpoch < noCoordinatorEpoch || e.txnFirst >= end {
		return false
	}
	next := kafka.Offset(0)
	for _, b := range e.window() {
		if b.offsetDelta < 0 || b.baseOffset() < next || b.lastOffset >= end || b.lastSequence < kafka.NoSequence {
			return false
		}
		next = b.lastOffset + 1
	}
	return true
}

// insert adds a decoded entry as the least silent one; false: its id is taken.
func (t *Table) insert(e *entry) bool {
	if t.entries[e.id] != nil {
		return false
	}
	t.entries[e.id] = e
	t.link(e)
	return true
}

// sealCRC writes the CRC of what follows crcEnd to the four bytes before it.
func sealCRC(b []byte, crcEnd int) {
	binary.BigEndian.PutUint32(b[crcEnd-4:], crc32.Checksum(b[crcEnd:], castagnoli))
}

// checkCRC checks size, version and CRC, in this order.
func checkCRC(b []byte, version uint16, crcEnd, sizeMin int) error {
	if len(b) < sizeMin {
		return corrupt(len(b), ErrTruncated, "%d bytes", len(b))
	}
	if got := binary.BigEndian.Uint16(b); got != version {
		return corrupt(0, ErrVersion, "version %d", got)
	}
	stored, computed := binary.BigEndian.Uint32(b[crcEnd-4:]), crc32.Checksum(b[crcEnd:], castagnoli)
	if stored != computed {
		return corrupt(crcEnd-4, ErrChecksum, "stored %08x, computed %08x", stored, computed)
	}
	return nil
}

func corrupt(position int, cause error, format string, args ...any) error {
	return &CorruptionError{Position: position, Cause: fmt.Errorf(format+": %w", append(args, cause)...)}
}
