package log

import (
	"errors"
	"fmt"
	"io"

	"holdfast/internal/kafka"
)

// Range is a run of whole batches in one segment. Source is retained for the
// caller, who releases it when the bytes are sent; it is nil when there is
// nothing to read.
type Range struct {
	Source           *Segment
	Position, Length int64
	// Base is the first offset of the first batch, which may be below the offset
	// asked for; End is the offset after the last batch.
	Base, End kafka.Offset
}

// reading is one Read: what it saw of the log when it began.
type reading struct {
	l    *Log
	s    *Segment
	from kafka.Offset
	// The batches that may be read end at or below bound and at or below limit.
	bound kafka.Offset
	limit int64
	size  int64        // of the segment
	end   kafka.Offset // of the segment
	index []indexEntry
	cuts  int // of the log, when it began
	// walked is where the headers begin that decided what is read. Rot in one of
	// them could skip records without touching those that are returned.
	walked int64
}

// Read returns the whole batches of one segment in [the batch that holds from,
// upTo), at most maxBytes of them. With minOne the first batch is returned even
// where it alone is larger. A batch that reaches beyond upTo is left out. Where
// nothing is to be read (from is at upTo or above, or the first batch is too
// large) the range is empty and Base and End are from.
//
// from below Start or above End is ErrOffsetOutOfRange. *CorruptionError: stored
// bytes are wrong; they are not returned.
func (l *Log) Read(from, upTo kafka.Offset, maxBytes int, minOne bool) (Range, error) {
	for {
		rng, again, err := l.tryRead(from, upTo, maxBytes, minOne)
		if !again {
			return rng, err
		}
	}
}

// tryRead is one attempt of Read. again says that the log was cut underneath it,
// so that what it found to be wrong means nothing; cuts are rare, so that Read
// ends.
func (l *Log) tryRead(from, upTo kafka.Offset, maxBytes int, minOne bool) (rng Range, again bool, err error) {
	empty := Range{Base: from, End: from}
	r, err := l.beginRead(from, upTo)
	if err != nil || r.s == nil {
		return empty, false, err
	}
	rng, err = r.read(int64(max(maxBytes, 0)), minOne)
	if err == nil {
		err = l.checkRead(r.s, r.walked, max(rng.Position+rng.Length, r.walked+1))
	}
	if err != nil || rng.Length == 0 {
		again = err != nil && r.outlived()
		err = outdated(r.s, err)
		r.s.Release()
		return empty, again, err
	}
	rng.Source = r.s
	return rng, false, nil
}

// outlived reports whether the log was cut since the read began.
func (r *reading) outlived() bool {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	return r.l.mu.cuts != r.cuts
}

// beginRead picks the segment and retains it, in the same moment in which it
// looks at the log's end: a cut that comes later sees the holder.
func (l *Log) beginRead(from, upTo kafka.Offset) (reading, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.closed {
		return reading{}, fmt.Errorf("read log %s: %w", l.dir, ErrClosed)
	}
	if from < l.mu.start || from > l.mu.end {
		return reading{}, fmt.Errorf("read log %s at %d, which holds [%d, %d): %w", l.dir, from, l.mu.start, l.mu.end, ErrOffsetOutOfRange)
	}
	bound := min(upTo, l.mu.end)
	if from >= bound {
		return reading{}, nil
	}
	s := floorSegment(l.mu.segments, from)
	s.Retain()
	return reading{l: l, s: s, from: from, bound: bound, size: s.size, end: s.end, index: s.index, cuts: l.mu.cuts}, nil
}

// floorSegment is the segment that holds offset, which is not below the first.
func floorSegment(segments []*Segment, offset kafka.Offset) *Segment {
	lo, hi := 0, len(segments)
	for hi-lo > 1 {
		mid := (lo + hi) / 2
		if segments[mid].base <= offset {
			lo = mid
		} else {
			hi = mid
		}
	}
	return segments[lo]
}

func (r *reading) read(maxBytes int64, minOne bool) (Range, error) {
	if err := r.l.needIndex(r.s, &r.index); err != nil {
		return Range{}, err
	}
	rng := Range{Base: r.from, End: r.from}
	start, base, err := r.first()
	if err != nil {
		return rng, err
	}
	stop, end, known := r.last()
	if known && stop-start <= maxBytes {
		rng = Range{Position: start, Length: stop - start, Base: base, End: end}
	} else if rng, err = r.cut(start, base, stop, maxBytes, minOne); err != nil {
		return rng, err
	}
	r.remember(place{offset: rng.End, base: r.s.base, position: rng.Position + rng.Length})
	return rng, nil
}

// remember notes where the read ended, unless the log was cut since it began:
// the place would be one of bytes that are gone.
func (r *reading) remember(p place) {
	r.l.mu.Lock()
	if r.l.mu.cuts == r.cuts {
		r.l.mu.cursors.add(p)
	}
	r.l.mu.Unlock()
}

// first finds the batch that holds from: its position and its base offset.
func (r *reading) first() (int64, kafka.Offset, error) {
	if r.from == r.s.base {
		return 0, r.from, nil
	}
	if at, ok := r.known(r.from); ok {
		r.walked = at
		return at, r.from, nil
	}
	r.walked = floorLast(r.index, int64(r.from-r.s.base))
	w := newWalk(r.s, r.s.name, r.walked, r.size)
	defer w.close()
	for {
		at := w.position
		h, err := w.next()
		if errors.Is(err, io.EOF) {
			return 0, 0, corrupt(r.s.name, at, ErrMissing, "no batch holds offset %d", r.from)
		}
		if err != nil {
			return 0, 0, err
		}
		if h.End() > r.from {
			return at, h.BaseOffset, nil
		}
	}
}

// known looks the position of the batch that begins at offset up in memory.
func (r *reading) known(offset kafka.Offset) (int64, bool) {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	if at, ok := r.l.mu.recent.find(offset, r.s.base); ok {
		return at, true
	}
	return r.l.mu.cursors.find(offset, r.s.base)
}

// last tells where the batches below bound end. known is false when that takes
// a walk; stop is then where the segment ends.
func (r *reading) last() (stop int64, end kafka.Offset, known bool) {
	if r.bound >= r.end {
		return r.size, r.end, true
	}
	if at, ok := r.known(r.bound); ok {
		return at, r.bound, true
	}
	return r.size, r.end, false
}

// cut walks to the last batch that ends within maxBytes and below bound. It
// begins at the last indexed batch that surely does.
func (r *reading) cut(start int64, base kafka.Offset, stop, maxBytes int64, minOne bool) (Range, error) {
	rng := Range{Position: start, Base: base, End: base}
	limit := min(stop, start+maxBytes)
	from := min(floorPosition(r.index, min(limit, stop-1)), floorLast(r.index, int64(r.bound-1-r.s.base)))
	from = max(from, start)
	w := newWalk(r.s, r.s.name, from, r.size)
	defer w.close()
	if from > start {
		rng.Length = from - start
	}
	for w.position < stop {
		at := w.position
		h, err := w.next()
		if err != nil {
			return rng, err
		}
		if at == from && from > start {
			rng.End = h.BaseOffset
		}
		tooLarge := w.position > limit && !(minOne && at == start)
		if tooLarge || h.End() > r.bound {
			break
		}
		rng.Length, rng.End = w.position-start, h.End()
	}
	if rng.Length == 0 {
		rng.Base, rng.End = r.from, r.from
	}
	return rng, nil
}
