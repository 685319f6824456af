package record

import (
	"fmt"

	"holdfast/internal/kafka"
)

// KeyValue is a record header of the application.
type KeyValue struct {
	Key   string
	Value []byte // nil: null
}

// Record is one record of a batch.
type Record struct {
	Offset    kafka.Offset
	Timestamp kafka.Timestamp
	Key       []byte // nil: null
	Value     []byte // nil: null, a tombstone in a compacted topic
	Headers   []KeyValue
}

// Iterate calls fn with each record of the one whole batch in b, in order, and
// stops at fn's first error, which it returns as it is. Key, Value and Headers
// alias b or a decompressed copy that nobody else keeps; fn may keep them as
// long as b stays unchanged. At most limit bytes are decompressed; zero means
// MaxDecompressedDefault. The CRC is not checked. Other errors are
// *CorruptionError, possibly after some records.
func Iterate(b []byte, limit int, fn func(Record) error) error {
	h, err := ParseHeader(b)
	if err != nil {
		return err
	}
	if len(b) != h.Size() {
		return corrupt(h.BaseOffset, ErrTruncated, "%d bytes of %d", len(b), h.Size())
	}
	payload := b[HeaderSize:]
	if codec := h.Attributes.Compression(); codec != None {
		payload, err = Decompress(nil, codec, payload, orDefault(limit))
		if err != nil {
			return &CorruptionError{Base: h.BaseOffset, Cause: err}
		}
	}
	p := 0
	for i := int32(0); i < h.Count; i++ {
		r, next, err := readRecord(payload, p, h)
		if err != nil {
			return &CorruptionError{Base: h.BaseOffset, Cause: fmt.Errorf("record %d: %w", i, err)}
		}
		p = next
		if err := fn(r); err != nil {
			return err
		}
	}
	if p != len(payload) {
		return corrupt(h.BaseOffset, ErrRecords, "%d bytes after the last record", len(payload)-p)
	}
	return nil
}

// readRecord reads the record at p and returns the position after it.
func readRecord(b []byte, p int, h Header) (Record, int, error) {
	size, p := varint(b, p)
	if p < 0 || size < 1 || int(size) > len(b)-p {
		return Record{}, 0, ErrRecords
	}
	end := p + int(size)
	b = b[:end]
	delta, p := varlong(b, p+1)
	offset, p := varint(b, p)
	r := Record{Offset: h.BaseOffset.Add(int64(offset)), Timestamp: h.BaseTimestamp + kafka.Timestamp(delta)}
	if h.Attributes.LogAppendTime() {
		r.Timestamp = h.MaxTimestamp
	}
	r.Key, p = take(b, p)
	r.Value, p = take(b, p)
	r.Headers, p = takeHeaders(b, p)
	if p != end || offset < 0 || offset > h.LastOffsetDelta {
		return Record{}, 0, ErrRecords
	}
	return r, end, nil
}

// take reads bytes with a length before them. Their capacity ends with them, so
// that appending to one field cannot overwrite the next.
func take(b []byte, p int) ([]byte, int) {
	n, p := varint(b, p)
	end := skip(b, p, n)
	if end < 0 || n < 0 {
		return nil, end
	}
	return b[p:end:end], end
}

func takeHeaders(b []byte, p int) ([]KeyValue, int) {
	n, p := varint(b, p)
	if n == 0 {
		return nil, p
	}
	if end := skipHeaders(b, p, n); end < 0 {
		return nil, badPos
	}
	headers := make([]KeyValue, n)
	for i := range headers {
		var key []byte
		key, p = take(b, p)
		headers[i].Key = string(key)
		headers[i].Value, p = take(b, p)
	}
	return headers, p
}
