package coord

import (
	"context"
	"fmt"

	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/record"
)

// Cleaning keeps the internal topic as large as what it says, about: the records
// of the oldest closed segments that are still the newest of their keys are
// appended once more at the end, and when that is committed, the log start is
// raised above those segments, which retention then deletes. No segment is ever
// rewritten: a crash anywhere leaves records twice and none missing.
//
// It is a legal compaction, because the machine's state is what the last record
// of every key says (package group). Tombstones of the oldest segments say
// nothing any more: whatever they hide lies before them, and goes with them.

const (
	// dirtyShare of the closed segments must be dead before they are cleaned, as
	// with Kafka's min.cleanable.dirty.ratio.
	dirtyShare = 0.5
	// movedMax is how many bytes one pass moves, more or less, and moveBytes how
	// many one append of it has.
	movedMax  = 8 << 20
	moveBytes = 256 << 10
	// recordOverhead is what a record takes besides its key and value, at most.
	recordOverhead = 32
	// cleanKeysMax bounds the memory of a pass.
	cleanKeysMax = 4 << 20
)

// newest is where a key was written last.
type newest struct {
	offset kafka.Offset
	bytes  int  // of key and value
	value  bool // no tombstone
}

// clean makes one pass over the partition.
func (s *shard) clean(ctx context.Context) error {
	closed := s.part.Log().Closed()
	if len(closed) == 0 || closed[len(closed)-1].End == s.looked {
		return nil // a look reads everything: one for each segment that is closed
	}
	o := s.part.Offsets()
	if !s.beginClean() {
		return nil
	}
	defer s.endClean()
	end := s.part.Log().End() // what comes later is noted in touched
	if err := s.awaitCommitted(ctx, end); err != nil {
		return err
	}
	keys, err := s.newestOf(ctx, o.LogStart, end)
	if err != nil || keys == nil {
		return err
	}
	n, live := worthMoving(closed, keys)
	if n == 0 {
		s.looked = closed[len(closed)-1].End
		return nil
	}
	upTo := closed[n-1].End
	moved, err := s.move(ctx, o.LogStart, upTo, keys)
	if err != nil {
		return err
	}
	// Everything that made a moved or left record superfluous has to be there for
	// good before the old place goes.
	if err := s.awaitMoved(ctx); err != nil {
		return err
	}
	if _, code := s.part.DeleteRecords(upTo); code != kafka.ErrNone {
		return fmt.Errorf("raise the log start of %s-%d to %d: %w", s.part.Topic(), s.part.ID().Partition, upTo, code)
	}
	s.c.o.Log.Info("consumer groups cleaned", "partition", s.part.ID().Partition, "segments", n, "moved", moved, "live_bytes", live, "log_start", upTo)
	return nil
}

func (s *shard) beginClean() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.state != active {
		return false
	}
	s.mu.touched = map[string]struct{}{}
	return true
}

func (s *shard) endClean() {
	s.mu.Lock()
	s.mu.touched = nil
	s.mu.Unlock()
}

// newestOf finds the last record of every key in [from, to); nil when there are
// too many keys.
func (s *shard) newestOf(ctx context.Context, from, to kafka.Offset) (map[string]newest, error) {
	keys := map[string]newest{}
	err := s.eachRecord(ctx, from, to, func(r record.Record) error {
		if len(keys) < cleanKeysMax {
			keys[string(r.Key)] = newest{offset: r.Offset, bytes: len(r.Key) + len(r.Value), value: r.Value != nil}
		}
		return nil
	})
	if err == nil && len(keys) == cleanKeysMax {
		s.c.o.Log.Warn("consumer groups are not cleaned: too many keys", "partition", s.part.ID().Partition, "keys", len(keys))
		return nil, nil
	}
	return keys, err
}

// worthMoving says how many of the oldest segments to clean, and how many bytes
// in them are live: none where too little is dead.
func worthMoving(closed []log.Extent, keys map[string]newest) (n int, live int64) {
	byExtent := make([]int64, len(closed))
	var all, size int64
	for _, k := range keys {
		if i := extentOf(closed, k.offset); i >= 0 && k.value {
			byExtent[i] += int64(k.bytes)
			all += int64(k.bytes)
		}
	}
	for _, e := range closed {
		size += e.Size
	}
	if float64(size-all) < dirtyShare*float64(size) {
		return 0, 0
	}
	for n < len(closed) && (n == 0 || live+byExtent[n] <= movedMax) {
		live += byExtent[n]
		n++
	}
	return n, live
}

func extentOf(closed []log.Extent, offset kafka.Offset) int {
	for i, e := range closed {
		if offset < e.End {
			return i
		}
	}
	return -1
}

// move appends the live records of [from, to) once more.
func (s *shard) move(ctx context.Context, from, to kafka.Offset, keys map[string]newest) (moved int, err error) {
	var pending []record.Record
	size := 0
	flush := func() error {
		n, err := s.appendMoved(pending)
		moved += n
		pending, size = nil, 0
		if err != nil {
			return err
		}
		return s.awaitMoved(ctx) // this is the pace
	}
	err = s.eachRecord(ctx, from, to, func(r record.Record) error {
		if k := keys[string(r.Key)]; k.offset != r.Offset || !k.value || s.c.o.Faults.CleanMovesNothing {
			return nil
		}
		// One record may be nearly as large as a segment, and fits alone.
		bytes := len(r.Key) + len(r.Value) + recordOverhead
		if len(pending) > 0 && size+bytes > moveBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		pending = append(pending, r)
		size += bytes
		return nil
	})
	if err == nil && len(pending) > 0 {
		err = flush()
	}
	return moved, err
}

// awaitMoved waits until all that is in the log is committed.
func (s *shard) awaitMoved(ctx context.Context) error {
	if s.c.o.Faults.CleanRaisesEarly {
		return nil
	}
	return s.awaitCommitted(ctx, s.part.Log().End())
}

// appendMoved appends the records that were not written again meanwhile.
func (s *shard) appendMoved(records []record.Record) (int, error) {
	s.mu.Lock()
	defer s.unlock()
	if s.mu.state != active {
		return 0, kafka.ErrNotCoordinator
	}
	var out []record.Record
	for _, r := range records {
		if _, again := s.mu.touched[string(r.Key)]; !again {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return 0, nil
	}
	// A refused append has written nothing: the machine has lost nothing.
	if code := s.appendLocked(0, out); code != kafka.ErrNone {
		return 0, fmt.Errorf("append moved records: %w", code)
	}
	return len(out), nil
}
