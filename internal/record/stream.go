package record

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// windowSize is the stretch of decompressed records that a streaming walk holds.
// A record that does not fit is walked field by field.
const windowSize = 64 << 10

// emptyReadsMax ends a decompressor that keeps answering nothing without an error.
const emptyReadsMax = 100

var windows = sync.Pool{New: func() any { return new([windowSize]byte) }}

// window is a sliding view of a decompressing reader, bounded in the bytes that
// it will ever take from it.
type window struct {
	r        io.Reader
	buf      *[windowSize]byte
	pos, end int   // the unread bytes are buf[pos:end]
	left     int   // bytes that may still be read from r
	err      error // why there will be no more: io.EOF at the clean end
}

// ensure tries to have n unread bytes, n at most windowSize, and returns the
// unread ones: fewer than n only where the reader has ended.
func (w *window) ensure(n int) []byte {
	if w.end-w.pos < n && w.err == nil {
		w.end = copy(w.buf[:], w.buf[w.pos:w.end])
		w.pos = 0
		w.fill(n)
	}
	return w.buf[w.pos:w.end]
}

func (w *window) fill(n int) {
	for empty := 0; w.end < n && w.err == nil; {
		got, err := w.r.Read(w.buf[w.end:])
		w.end += got
		w.left -= got
		w.err = err
		if empty++; got > 0 {
			empty = 0
		}
		switch {
		case w.left < 0:
			w.err = ErrTooLarge
		case empty > emptyReadsMax:
			w.err = io.ErrNoProgress
		}
	}
}

// discard drops n unread bytes, reading as many as it needs, and reports
// whether there were that many.
func (w *window) discard(n int) bool {
	for n > 0 {
		have := len(w.ensure(min(n, windowSize)))
		if have == 0 {
			return false
		}
		step := min(n, have)
		w.pos += step
		n -= step
	}
	return true
}

// fault explains why bytes are missing: the reader's error if it had one, else
// the records themselves are too short.
func (w *window) fault(i int32, what string) error {
	if w.err != nil && w.err != io.EOF {
		return decodeFault(w.err)
	}
	return recordFault(i, what)
}

// walkCompressed is walk over the decompressed form of payload, of which at most
// limit bytes are looked at. Its memory does not depend on them, but for raw
// snappy, which only exists as a whole.
func (s *scan) walkCompressed(codec Codec, payload []byte, count int32, limit int) error {
	d, err := openDecoder(codec, payload, limit)
	if err != nil {
		return err
	}
	defer d.release()
	w := window{r: d, buf: windows.Get().(*[windowSize]byte), left: limit}
	defer windows.Put(w.buf)
	for i := int32(0); i < count; i++ {
		if err := s.streamed(&w, i); err != nil {
			return err
		}
	}
	if rest := w.ensure(1); len(rest) > 0 {
		return fmt.Errorf("bytes after the last of %d records: %w", count, ErrRecords)
	}
	if w.err != io.EOF {
		return decodeFault(w.err)
	}
	return nil
}

// streamed checks the next record of w.
func (s *scan) streamed(w *window, i int32) error {
	size, p := varint(w.ensure(binary.MaxVarintLen32), 0)
	if p < 0 || size < 0 {
		return w.fault(i, "length")
	}
	w.pos += p
	if size > windowSize {
		return s.oversize(w, i, int(size))
	}
	r := w.ensure(int(size))
	if len(r) < int(size) {
		return w.fault(i, "length")
	}
	w.pos += int(size)
	return s.record(r[:size], i)
}

// fields reads one record that is larger than the window.
type fields struct {
	w    *window
	left int  // bytes of the record not yet read
	bad  bool // a field did not fit
}

func (f *fields) number() int64 {
	b := f.w.ensure(binary.MaxVarintLen64)
	v, p := varlong(b[:min(len(b), max(f.left, 0))], 0)
	if p < 0 {
		f.bad = true
		return 0
	}
	f.w.pos += p
	f.left -= p
	return v
}

// size is number for a field of 32 bits.
func (f *fields) size() int32 {
	v := f.number()
	if v < -1<<31 || v > 1<<31-1 {
		f.bad = true
		return 0
	}
	return int32(v)
}

func (f *fields) skip(n int32) {
	if n == -1 || f.bad {
		return
	}
	if n < 0 || int(n) > f.left || !f.w.discard(int(n)) {
		f.bad = true
		return
	}
	f.left -= int(n)
}

// oversize is record for a record of size bytes at the window's position.
func (s *scan) oversize(w *window, i int32, size int) error {
	f := fields{w: w, left: size}
	f.skip(1) // attributes
	delta := f.number()
	offset := f.size()
	keySize := f.size()
	f.skip(keySize)
	f.skip(f.size())
	headers := f.size()
	if headers < 0 || int(headers) > f.left/2 {
		f.bad = true
	}
	for n := int32(0); n < headers && !f.bad; n++ {
		key := f.size()
		f.bad = f.bad || key < 0
		f.skip(key)
		f.skip(f.size())
	}
	if f.bad || f.left != 0 {
		return w.fault(i, "fields")
	}
	return s.note(i, delta, offset, keySize >= 0)
}
