package producer

import (
	"encoding/binary"

	"holdfast/internal/kafka"
)

// The window, version 1, big-endian. It belongs to one offset of the log, as a
// .snapshot file does, and holds all that the table knows of the log below it:
//
//	 0  version    int16  1
//	 2  crc        uint32 CRC32C of everything from byte 6 on
//	 6  end        int64  the offset that the table reflects
//	14  forgotten  int64  highest producer id that was forgotten; -1: none
//	22  count      int32
//	26  count times, the most silent producer first:
//	      producer id               int64
//	      producer epoch            int16
//	      timestamp                 int64
//	      coordinator epoch         int32  -1: no marker yet
//	      current txn first offset  int64  -1: no transaction is open
//	      batches                   uint8  0 to 5, then that many times, oldest first:
//	        last sequence  int32
//	        last offset    int64
//	        offset delta   int32
//	        timestamp      int64
const (
	windowVersion    = 1
	windowCRCEnd     = 6
	windowHeaderSize = 26
	windowEntrySize  = 31
	windowBatchSize  = 24
)

// EncodeWindow returns the whole table but the clock's part of it. DecodeWindow
// gives a table that answers every Check as this one does.
func (t *Table) EncodeWindow() []byte {
	out := make([]byte, windowHeaderSize, windowHeaderSize+len(t.entries)*(windowEntrySize+Remembered*windowBatchSize))
	binary.BigEndian.PutUint16(out, windowVersion)
	binary.BigEndian.PutUint64(out[6:], uint64(t.end))
	binary.BigEndian.PutUint64(out[14:], uint64(t.forgotten))
	binary.BigEndian.PutUint32(out[22:], uint32(len(t.entries)))
	for e := t.list.next; e != &t.list; e = e.next {
		out = binary.BigEndian.AppendUint64(out, uint64(e.id))
		out = binary.BigEndian.AppendUint16(out, uint16(e.epoch))
		out = binary.BigEndian.AppendUint64(out, uint64(e.timestamp))
		out = binary.BigEndian.AppendUint32(out, uint32(e.coordinatorEpoch))
		out = binary.BigEndian.AppendUint64(out, uint64(e.txnFirst))
		out = append(out, uint8(e.count))
		for _, b := range e.window() {
			out = binary.BigEndian.AppendUint32(out, uint32(b.lastSequence))
			out = binary.BigEndian.AppendUint64(out, uint64(b.lastOffset))
			out = binary.BigEndian.AppendUint32(out, uint32(b.offsetDelta))
			out = binary.BigEndian.AppendUint64(out, uint64(b.timestamp))
		}
	}
	sealCRC(out, windowCRCEnd)
	return out
}

// DecodeWindow reads what EncodeWindow wrote. Every producer counts as heard of
// at loadTime. Errors are *CorruptionError.
func DecodeWindow(b []byte, loadTime kafka.Timestamp) (*Table, error) {
	if err := checkCRC(b, windowVersion, windowCRCEnd, windowHeaderSize); err != nil {
		return nil, err
	}
	t := New()
	t.end = kafka.Offset(binary.BigEndian.Uint64(b[6:]))
	t.forgotten = kafka.ProducerID(binary.BigEndian.Uint64(b[14:]))
	n := int(int32(binary.BigEndian.Uint32(b[22:])))
	if t.end < 0 || t.forgotten < kafka.NoProducerID || n < 0 || n > (len(b)-windowHeaderSize)/windowEntrySize {
		return nil, corrupt(windowCRCEnd, ErrContent, "end %d, forgotten %d, %d producers", t.end, t.forgotten, n)
	}
	p := windowHeaderSize
	for range n {
		e, size, ok := decodeWindowEntry(b[p:], loadTime)
		if !ok {
			return nil, corrupt(p, ErrTruncated, "an entry does not fit")
		}
		if !e.sane(t.end) || !t.insert(e) {
			return nil, corrupt(p, ErrContent, "producer %d", e.id)
		}
		p += size
	}
	if p != len(b) {
		return nil, corrupt(p, ErrTruncated, "%d bytes after the last producer", len(b)-p)
	}
	return t, nil
}

// decodeWindowEntry reads the entry at the start of b and its size.
func decodeWindowEntry(b []byte, loadTime kafka.Timestamp) (*entry, int, bool) {
	if len(b) < windowEntrySize {
		return nil, 0, false
	}
	count := int(b[windowEntrySize-1])
	size := windowEntrySize + count*windowBatchSize
	if count > Remembered || len(b) < size {
		return nil, 0, false
	}
	e := &entry{
		id:               kafka.ProducerID(binary.BigEndian.Uint64(b)),
		epoch:            kafka.ProducerEpoch(binary.BigEndian.Uint16(b[8:])),
		timestamp:        kafka.Timestamp(binary.BigEndian.Uint64(b[10:])),
		coordinatorEpoch: int32(binary.BigEndian.Uint32(b[18:])),
		txnFirst:         max(kafka.NoOffset, kafka.Offset(binary.BigEndian.Uint64(b[22:]))),
		appendedAt:       loadTime,
	}
	for i := range count {
		s := b[windowEntrySize+i*windowBatchSize:]
		e.push(batch{
			lastSequence: kafka.Sequence(binary.BigEndian.Uint32(s)),
			lastOffset:   kafka.Offset(binary.BigEndian.Uint64(s[4:])),
			offsetDelta:  int32(binary.BigEndian.Uint32(s[12:])),
			timestamp:    kafka.Timestamp(binary.BigEndian.Uint64(s[16:])),
		})
	}
	return e, size, true
}
