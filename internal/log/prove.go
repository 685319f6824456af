package log

import (
	"errors"
	"fmt"
	"io"

	"holdfast/internal/kafka"
	"holdfast/internal/record"
)

// A segment that was open when the log was closed, or when its machine died, has
// no sidecar yet, and recovery reads only what lies behind the recovery point. The
// bytes before it, [0, inherited), nobody has looked at since another process
// wrote them. Their batches vouch for themselves when they are read for the first
// time: the checksum of each for its records, the chain of offsets and the leader
// epochs for the part of the header that the checksum leaves out. proven notes of
// which blocks the batches that begin there were looked at.

// inherit begins with the first size bytes of s as unproven.
func (s *segmentState) inherit(size int64) {
	s.inherited = size
	s.proven = make([]uint64, (size+BlockSize-1)/BlockSize/64+1)
}

// disinherit says that every byte of s is known to be right.
func (s *segmentState) disinherit() { s.inherited, s.proven = 0, nil }

// unprovenLocked finds the blocks of [from, to) that were not proven: the first,
// and the one after the last.
func (s *segmentState) unprovenLocked(from, to int64) (first, after int64) {
	to = min(to, s.inherited)
	if from >= to {
		return 0, 0
	}
	first, after = from/BlockSize, (to+BlockSize-1)/BlockSize
	for first < after && s.proven[first/64]&(1<<(first%64)) != 0 {
		first++
	}
	for after > first && s.proven[(after-1)/64]&(1<<((after-1)%64)) != 0 {
		after--
	}
	return first, after
}

// proveRead verifies the batches around [begin, stop), which is about to be read, where nobody
// has since the log was opened. Rot is a *CorruptionError, now and from then on.
func (l *Log) proveRead(s *Segment, begin, stop int64) error {
	l.mu.Lock()
	first, after := s.unprovenLocked(begin, stop)
	from, to := int64(0), min(after*BlockSize, s.size)
	if first < after {
		from = floorPosition(s.index, max(first*BlockSize-1, 0)) // one before, for the chain
	}
	cuts := l.mu.cuts
	l.mu.Unlock()
	if first == after {
		return nil
	}
	err := l.proveBatches(s, from, to)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.cuts != cuts {
		return err // what was looked at may be other bytes now: it is proven next time
	}
	if rot, ok := errors.AsType[*CorruptionError](err); ok {
		s.rotten = rot
	}
	for i := first; err == nil && i < after && s.proven != nil; i++ {
		s.proven[i/64] |= 1 << (i % 64)
	}
	return err
}

// proveBatches verifies every batch that begins in [from, to) of s; at from one
// does.
func (l *Log) proveBatches(s *Segment, from, to int64) error {
	l.mu.Lock()
	size, end, epochs := s.size, s.end, l.mu.epochs
	l.mu.Unlock()
	w := newWalk(s, s.name, from, size)
	defer w.close()
	next := kafka.NoOffset
	var batch []byte
	for w.position < to {
		at := w.position
		h, err := w.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if h.Size() > cap(batch) {
			batch = make([]byte, h.Size())
		}
		batch = batch[:h.Size()]
		if err := s.readFull(batch, at); err != nil {
			return err
		}
		cause := record.Verify(batch)
		if epoch, known := epochs.at(h.BaseOffset); cause == nil && known && epoch != h.LeaderEpoch {
			cause = fmt.Errorf("leader epoch %d where the log has %d: %w", h.LeaderEpoch, epoch, ErrContent)
		}
		if cause == nil && (h.BaseOffset < next || h.BaseOffset < s.base) {
			cause = fmt.Errorf("offset %d after %d: %w", h.BaseOffset, next, ErrOrder)
		}
		if cause != nil {
			return &CorruptionError{File: s.name, Position: at, Offset: h.BaseOffset, Cause: cause}
		}
		next = h.End()
	}
	return l.proveChain(w, next, end)
}

// proveChain checks that what follows a walk follows it: the next batch, or the
// end of the segment.
func (l *Log) proveChain(w *walk, next, end kafka.Offset) error {
	at := w.position
	follows := end
	if h, err := w.next(); err == nil {
		follows = h.BaseOffset
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	if follows >= next {
		return nil
	}
	return &CorruptionError{File: w.name, Position: at, Offset: next,
		Cause: fmt.Errorf("offset %d after %d: %w", follows, next, ErrOrder)}
}
