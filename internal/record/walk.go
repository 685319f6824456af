package record

import (
	"errors"
	"fmt"

	"holdfast/internal/kafka"
)

// recordSizeMin is the size of the smallest record: seven one-byte fields.
const recordSizeMin = 7

// scan walks the records of one batch and remembers what the rules ask about:
// the largest timestamp and the records at fault. It is used by value, keeps no
// bytes of the batch, and allocates only to remember faults.
type scan struct {
	base      kafka.Timestamp // the batch's base timestamp
	lo, hi    kafka.Timestamp // allowed timestamps, both inclusive
	compacted bool            // a record without a key is at fault
	sparse    bool            // stored batch: offset deltas may have holes

	max       kafka.Timestamp // largest timestamp seen, NoTimestamp at first
	lastDelta int32           // offset delta of the last record seen, -1 at first
	faults    []RecordError   // at most recordErrorsMax
	faulty    int             // all of them
	badTime   bool            // one of them is a timestamp
}

func newScan(h Header) scan {
	return scan{base: h.BaseTimestamp, lo: -1 << 63, hi: 1<<63 - 1, max: kafka.NoTimestamp, lastDelta: -1}
}

// walk goes over count records that fill b exactly.
func (s *scan) walk(b []byte, count int32) error {
	p := 0
	for i := int32(0); i < count; i++ {
		n, q := varint(b, p)
		if q < 0 || n < 0 || int(n) > len(b)-q {
			return recordFault(i, "length")
		}
		p = q + int(n)
		if err := s.record(b[q:p], i); err != nil {
			return err
		}
	}
	if p != len(b) {
		return fmt.Errorf("%d bytes after the last of %d records: %w", len(b)-p, count, ErrRecords)
	}
	return nil
}

// record checks one record without its length field. Its attributes have no
// defined bit and are kept as they come, as Kafka does.
func (s *scan) record(r []byte, i int32) error {
	delta, p := varlong(r, 1)
	offset, p := varint(r, p)
	keySize, p := varint(r, p)
	p = skip(r, p, keySize)
	valueSize, p := varint(r, p)
	p = skip(r, p, valueSize)
	headers, p := varint(r, p)
	if headers != 0 {
		p = skipHeaders(r, p, headers)
	}
	if p != len(r) || len(r) == 0 {
		return recordFault(i, "fields")
	}
	return s.note(i, delta, offset, keySize >= 0)
}

// skip returns the position after n bytes; -1 stands for null and has none.
func skip(r []byte, p int, n int32) int {
	if n < 0 {
		if n == -1 {
			return p
		}
		return badPos
	}
	if int(n) > len(r)-p {
		return badPos
	}
	return p + int(n)
}

// skipHeaders returns the position after n headers. A header's key is never
// null. The smallest header is two bytes, which bounds n.
func skipHeaders(r []byte, p int, n int32) int {
	if p < 0 || n < 0 || int(n) > (len(r)-p)/2 {
		return badPos
	}
	for range n {
		keySize, q := varint(r, p)
		if q < 0 || keySize < 0 {
			return badPos
		}
		q = skip(r, q, keySize)
		valueSize, q := varint(r, q)
		p = skip(r, q, valueSize)
		if p < 0 {
			return badPos
		}
	}
	return p
}

// note applies the rules to what was read of record i.
func (s *scan) note(i int32, delta int64, offset int32, hasKey bool) error {
	if offset != s.lastDelta+1 && !(s.sparse && offset > s.lastDelta) {
		return recordFault(i, "offset delta")
	}
	s.lastDelta = offset
	ts := s.base + kafka.Timestamp(delta)
	if (delta < 0) != (ts < s.base) {
		return recordFault(i, "timestamp")
	}
	s.max = max(s.max, ts)
	if s.compacted && !hasKey {
		s.fault(i, "A record without a key cannot be kept in a compacted topic.")
	} else if (ts < s.lo || ts > s.hi) && ts != kafka.NoTimestamp {
		s.badTime = true
		s.fault(i, "The timestamp %d is outside of [%d, %d].", ts, s.lo, s.hi)
	}
	return nil
}

func (s *scan) fault(i int32, format string, args ...any) {
	s.faulty++
	if len(s.faults) < recordErrorsMax {
		s.faults = append(s.faults, RecordError{Index: i, Message: fmt.Sprintf(format, args...)})
	}
}

// scanRecords walks all records of the batch b with header h, decompressing at
// most limit bytes of them.
func scanRecords(b []byte, h Header, s scan, limit int) (scan, error) {
	payload := b[HeaderSize:]
	codec := h.Attributes.Compression()
	if codec == None {
		if int(h.Count) > len(payload)/recordSizeMin {
			return s, fmt.Errorf("%d records in %d bytes: %w", h.Count, len(payload), ErrRecords)
		}
		err := s.walk(payload, h.Count)
		return s, err
	}
	if int(h.Count) > limit/recordSizeMin {
		return s, fmt.Errorf("%d records in at most %d bytes: %w", h.Count, limit, ErrTooLarge)
	}
	start := s
	err := s.walkCompressed(codec, payload, h.Count, limit)
	if errors.Is(err, errWindow) {
		// A zstd frame with a window that the streaming reader does not grant.
		// Its records are decompressed as a whole instead, within the same limit.
		s = start
		var whole []byte
		if whole, err = decodeZstdWhole(nil, payload, limit); err == nil {
			err = s.walk(whole, h.Count)
		}
	}
	return s, err
}

// VerifyRecords checks one whole stored batch in b: CRC, and the structure of
// every record. Unlike a client's batch, a stored one may be a control batch or
// have holes that compaction made. At most limit bytes are decompressed; zero
// means MaxDecompressedDefault. Errors are *CorruptionError.
func VerifyRecords(b []byte, limit int) error {
	if err := Verify(b); err != nil {
		return err
	}
	h, err := ParseHeader(b)
	if err != nil {
		return err
	}
	if !h.Attributes.Compression().Valid() {
		return corrupt(h.BaseOffset, ErrCodec, "codec %d", h.Attributes.Compression())
	}
	s := newScan(h)
	s.sparse = true
	s, err = scanRecords(b, h, s, orDefault(limit))
	if err == nil && s.lastDelta > h.LastOffsetDelta {
		err = fmt.Errorf("offset delta %d above the last %d: %w", s.lastDelta, h.LastOffsetDelta, ErrRecords)
	}
	if err != nil {
		return &CorruptionError{Base: h.BaseOffset, Cause: err}
	}
	return nil
}

func recordFault(i int32, what string) error {
	return fmt.Errorf("record %d: %s: %w", i, what, ErrRecords)
}
