package log

import (
	"errors"
	"fmt"
	"io"

	"holdfast/internal/kafka"
	"holdfast/internal/record"
)

// TimestampOffset is a record's time and place.
type TimestampOffset struct {
	Timestamp kafka.Timestamp
	Offset    kafka.Offset
}

// lookup is what a look-up saw of one segment. The segment is retained.
type lookup struct {
	l     *Log
	s     *Segment
	known segmentState
	from  kafka.Offset
	upTo  kafka.Offset
}

// OffsetForTimestamp finds the first record in [Start, upTo) whose time is ts or
// later. found is false when there is none.
func (l *Log) OffsetForTimestamp(ts kafka.Timestamp, upTo kafka.Offset) (at TimestampOffset, found bool, err error) {
	err = l.eachSegment(upTo, func(k lookup) (bool, error) {
		if k.known.maxTimestamp < ts {
			return true, nil
		}
		at, found, err = k.firstFrom(ts)
		return !found && err == nil, err
	})
	return at, found, err
}

// MaxTimestamp finds the first record with the largest time in [Start, upTo).
// found is false when there is no record.
func (l *Log) MaxTimestamp(upTo kafka.Offset) (at TimestampOffset, found bool, err error) {
	at.Timestamp = kafka.NoTimestamp
	err = l.eachSegment(upTo, func(k lookup) (bool, error) {
		if found && k.known.maxTimestamp <= at.Timestamp {
			return true, nil
		}
		highest, ok, err := k.highest()
		if err == nil && ok && (!found || highest > at.Timestamp) {
			at, found, err = k.firstFrom(highest)
		}
		return true, err
	})
	return at, found, err
}

// eachSegment calls fn with the segments that hold something of [Start, upTo),
// ascending, until it returns false or an error.
func (l *Log) eachSegment(upTo kafka.Offset, fn func(lookup) (bool, error)) error {
	l.mu.Lock()
	if l.mu.closed {
		l.mu.Unlock()
		return fmt.Errorf("look up in log %s: %w", l.dir, ErrClosed)
	}
	start, end := l.mu.start, min(upTo, l.mu.end)
	var seen []lookup
	for _, s := range l.mu.segments {
		if s.end > start && s.base < end {
			s.Retain()
			seen = append(seen, lookup{l: l, s: s, known: s.segmentState, from: start, upTo: end})
		}
	}
	l.mu.Unlock()
	var err error
	more := true
	for _, k := range seen {
		if more && err == nil {
			more, err = fn(k)
			err = outdated(k.s, err)
		}
		k.s.Release()
	}
	return err
}

// needIndexes loads the indexes of a sealed segment into k.
func (k *lookup) needIndexes() error {
	if k.known.indexLoaded {
		return nil
	}
	if err := k.l.needIndex(k.s, &k.known.index); err != nil {
		return err
	}
	k.l.mu.Lock()
	k.known.times = k.s.times
	k.l.mu.Unlock()
	return nil
}

// firstFrom finds the first record with a time of at least ts.
func (k *lookup) firstFrom(ts kafka.Timestamp) (TimestampOffset, bool, error) {
	if err := k.needIndexes(); err != nil {
		return TimestampOffset{}, false, err
	}
	position := floorLast(k.known.index, int64(k.from-k.s.base))
	if e, ok := floorTime(k.known.times, ts); ok {
		position = max(position, floorLast(k.known.index, int64(e.last)))
	}
	w := newWalk(k.s, k.s.name, position, k.known.size)
	defer w.close()
	for {
		at := w.position
		h, err := w.next()
		if errors.Is(err, io.EOF) || (err == nil && h.End() > k.upTo) {
			return TimestampOffset{}, false, nil
		}
		if err != nil {
			return TimestampOffset{}, false, err
		}
		if h.MaxTimestamp < ts || h.End() <= k.from {
			continue
		}
		found, ok, err := k.inBatch(h, at, ts)
		if err != nil || ok {
			return found, ok, err
		}
	}
}

// errFound ends an iteration.
var errFound = errors.New("found")

// inBatch finds the first record of one batch with a time of at least ts, at or
// above from.
func (k *lookup) inBatch(h record.Header, at int64, ts kafka.Timestamp) (TimestampOffset, bool, error) {
	if err := k.l.checkRead(k.s, at, at+int64(h.Size())); err != nil {
		return TimestampOffset{}, false, err
	}
	batch := make([]byte, h.Size())
	if err := k.s.readFull(batch, at); err != nil {
		return TimestampOffset{}, false, err
	}
	wrong := func(err error) error {
		return &CorruptionError{File: k.s.name, Position: at, Offset: h.BaseOffset, Cause: err}
	}
	if err := record.Verify(batch); err != nil {
		return TimestampOffset{}, false, wrong(err)
	}
	var found TimestampOffset
	err := record.Iterate(batch, 0, func(r record.Record) error {
		if r.Offset < k.from || r.Timestamp < ts {
			return nil
		}
		found = TimestampOffset{Timestamp: r.Timestamp, Offset: r.Offset}
		return errFound
	})
	if errors.Is(err, errFound) {
		return found, true, nil
	}
	if err != nil {
		err = wrong(err)
	}
	return TimestampOffset{}, false, err
}

// highest is the largest batch timestamp of the segment below upTo.
func (k *lookup) highest() (kafka.Timestamp, bool, error) {
	if k.known.end <= k.upTo && k.s.base >= k.from {
		return k.known.maxTimestamp, k.known.size > 0, nil
	}
	if err := k.needIndexes(); err != nil {
		return 0, false, err
	}
	// Part of the segment is out of bounds: what the indexes say of all of it
	// does not count. Start at the time entry that is in bounds, if from is not
	// what cuts the segment.
	best, found, position := kafka.NoTimestamp, false, floorLast(k.known.index, int64(k.from-k.s.base))
	if k.s.base >= k.from {
		if times := cutTimeIndex(k.known.times, int64(k.upTo-k.s.base)); len(times) > 0 {
			e := times[len(times)-1]
			position = floorLast(k.known.index, int64(e.last))
		}
	}
	w := newWalk(k.s, k.s.name, position, k.known.size)
	defer w.close()
	for {
		h, err := w.next()
		if errors.Is(err, io.EOF) || (err == nil && h.End() > k.upTo) {
			return best, found, nil
		}
		if err != nil {
			return 0, false, err
		}
		if h.End() > k.from && (!found || h.MaxTimestamp > best) {
			best, found = h.MaxTimestamp, true
		}
	}
}
