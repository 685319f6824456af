package log

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"holdfast/internal/kafka"
	"holdfast/internal/record"
)

// walkBufferSize is how much one read of a walk over headers fetches: with the
// default index interval, one read finds a batch.
const walkBufferSize = 8 << 10

var walkBuffers = sync.Pool{New: func() any { return new([walkBufferSize]byte) }}

// walk goes over the headers of the batches in a file. It reads a little more
// than headers, because small batches lie close together.
type walk struct {
	from io.ReaderAt
	name string
	end  int64 // batches end at or below it

	position int64 // of the next header
	buffer   *[walkBufferSize]byte
	at       int64 // what buffer holds begins here
	filled   int
}

func newWalk(from io.ReaderAt, name string, position, end int64) *walk {
	return &walk{from: from, name: name, end: end, position: position, buffer: walkBuffers.Get().(*[walkBufferSize]byte)}
}

// close gives the buffer back.
func (w *walk) close() {
	if w.buffer != nil {
		walkBuffers.Put(w.buffer)
		w.buffer = nil
	}
}

// next returns the header at the walk's position and moves behind its batch. At
// the end it is io.EOF. A header that is none, or a batch that ends behind the
// end, is a *CorruptionError.
func (w *walk) next() (record.Header, error) {
	left := w.end - w.position
	if left == 0 {
		return record.Header{}, io.EOF
	}
	if left < record.HeaderSize {
		return record.Header{}, w.corrupt(kafka.NoOffset, fmt.Errorf("%d bytes at the end: %w", left, record.ErrTruncated))
	}
	b, err := w.header()
	if err != nil {
		return record.Header{}, err
	}
	h, err := record.ParseHeader(b)
	if err != nil {
		return record.Header{}, w.corrupt(kafka.NoOffset, err)
	}
	if int64(h.Size()) > left {
		return record.Header{}, w.corrupt(h.BaseOffset, fmt.Errorf("a batch of %d bytes in %d: %w", h.Size(), left, record.ErrTruncated))
	}
	w.position += int64(h.Size())
	return h, nil
}

// header returns the bytes of the header at position.
func (w *walk) header() ([]byte, error) {
	if w.position < w.at || w.position+record.HeaderSize > w.at+int64(w.filled) {
		want := min(int64(walkBufferSize), w.end-w.position)
		n, err := w.from.ReadAt(w.buffer[:want], w.position)
		if n < record.HeaderSize {
			if err == nil || errors.Is(err, io.EOF) {
				return nil, w.corrupt(kafka.NoOffset, fmt.Errorf("%d bytes where %d must be: %w", n, left(w), record.ErrTruncated))
			}
			return nil, fmt.Errorf("read segment %s at %d: %w", w.name, w.position, err)
		}
		w.at, w.filled = w.position, n
	}
	return w.buffer[w.position-w.at:][:record.HeaderSize], nil
}

func left(w *walk) int64 { return w.end - w.position }

func (w *walk) corrupt(offset kafka.Offset, cause error) error {
	return &CorruptionError{File: w.name, Position: w.position, Offset: offset, Cause: cause}
}
