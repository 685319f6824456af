package log

import (
	"errors"
	"fmt"
	"io"

	"holdfast/internal/kafka"
	"holdfast/internal/record"
)

// scanChunk is how much a scan reads at once, in bytes.
const scanChunk = 1 << 20

// scan reads whole batches, one after the other, and verifies them. It does not
// trust anything: what it passes on has a right checksum and continues what was
// before it.
type scan struct {
	from io.ReaderAt
	name string
	size int64

	position int64
	next     kafka.Offset      // the offset that the next batch must begin at
	epoch    kafka.LeaderEpoch // that it must not be below

	buffer []byte
	at     int64
	filled int
}

// batch returns the next batch; its bytes are valid until the next call. io.EOF
// is the end. A *CorruptionError says what is wrong at position, which stays;
// any other error is one of reading.
func (s *scan) batch() (record.Header, []byte, error) {
	if s.position == s.size {
		return record.Header{}, nil, io.EOF
	}
	head, err := s.bytes(record.HeaderSize)
	if err != nil {
		return record.Header{}, nil, err
	}
	h, err := record.ParseHeader(head)
	if err != nil {
		return record.Header{}, nil, s.wrong(err)
	}
	b, err := s.bytes(h.Size())
	if err != nil {
		return record.Header{}, nil, err
	}
	switch {
	case h.BaseOffset != s.next:
		err = fmt.Errorf("offset %d: %w", h.BaseOffset, ErrOrder)
	case h.LeaderEpoch < s.epoch:
		err = fmt.Errorf("leader epoch %d after %d: %w", h.LeaderEpoch, s.epoch, ErrOrder)
	default:
		err = record.Verify(b)
	}
	if err != nil {
		return record.Header{}, nil, s.wrong(err)
	}
	s.position += int64(len(b))
	s.next, s.epoch = h.End(), h.LeaderEpoch
	return h, b, nil
}

// bytes returns n bytes at position.
func (s *scan) bytes(n int) ([]byte, error) {
	if int64(n) > s.size-s.position {
		return nil, s.wrong(fmt.Errorf("%d bytes where %d must be: %w", s.size-s.position, n, record.ErrTruncated))
	}
	if skip := s.position - s.at; skip >= 0 && skip+int64(n) <= int64(s.filled) {
		return s.buffer[skip:][:n], nil
	}
	want := int(min(int64(max(n, scanChunk)), s.size-s.position))
	if cap(s.buffer) < want {
		s.buffer = make([]byte, want)
	}
	s.buffer = s.buffer[:want]
	got, err := s.from.ReadAt(s.buffer, s.position)
	s.at, s.filled = s.position, got
	if got < n {
		if err == nil || errors.Is(err, io.EOF) {
			return nil, s.wrong(record.ErrTruncated)
		}
		return nil, fmt.Errorf("read segment %s at %d: %w", s.name, s.position, err)
	}
	return s.buffer[:n], nil
}

func (s *scan) wrong(cause error) error {
	return &CorruptionError{File: s.name, Position: s.position, Offset: s.next, Cause: cause}
}
