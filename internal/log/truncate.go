package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"holdfast/internal/kafka"
	"holdfast/internal/producer"
	"holdfast/internal/vfs"
)

// TruncateSuffix removes every batch that does not end at or below to. It is
// durable when it returns: no crash brings the batches back. Before the call, the
// caller has made a Checkpoint and then a fence durable in the journal, in this
// order: a fence kills entries below to as well. It appends nothing meanwhile and
// reads End afterwards (below to where to was inside of a batch). Leader epochs that begin
// at or above to go too, also where no batch does. It waits for the disk.
//
// Bytes that somebody holds are cut away but never replaced: while a Range of
// the segment is held, the log goes on in a new file.
func (l *Log) TruncateSuffix(to kafka.Offset) error {
	l.takeTurn()
	defer l.endTurn()
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.Lock()
	start, end := l.mu.start, l.mu.end
	if to >= end {
		l.mu.epochs = l.mu.epochs.cutSuffix(to)
	}
	segments := l.mu.segments
	l.mu.Unlock()
	if to >= end {
		return nil
	}
	if to < start || to < segments[0].base {
		return fmt.Errorf("truncate log %s to %d, which starts at %d: %w", l.dir, to, start, ErrOffsetOutOfRange)
	}
	if err := l.truncateSuffix(segments, to); err != nil {
		return fmt.Errorf("truncate log %s to %d: %w", l.dir, to, err)
	}
	return nil
}

func (l *Log) truncateSuffix(segments []*Segment, to kafka.Offset) error {
	s := floorSegment(segments, to)
	position, end, err := l.boundary(s, to)
	if err != nil {
		return err
	}
	// From here on a crash ends in the cut: see bounds.
	if err := l.storeBounds(bounds{start: min(l.disk.bounds.start, end), cut: end, cutting: true}); err != nil {
		return l.broken(err)
	}
	if err := l.finishSuffix(s, position, end); err != nil {
		l.fail(err) // whatever it is: memory and disk differ now
		return err
	}
	return nil
}

// finishSuffix does what the bounds on disk promise.
func (l *Log) finishSuffix(s *Segment, position int64, end kafka.Offset) error {
	s.complete.Store(false)
	l.disk.cutAge, l.disk.pointSaved = 0, false
	gone, held := l.publishCut(s, position, end)
	if err := l.removeSuffixFiles(gone, s, end); err != nil {
		return err
	}
	if err := l.cutFile(s, position); err != nil {
		return err
	}
	if held {
		if err := l.replaceActive(s, position, end); err != nil {
			return err
		}
	}
	if err := l.reloadTable(end); err != nil {
		return err
	}
	// A checkpoint whose note is synced: an older note speaks of a recovery point
	// above the cut and must not come back.
	p := l.capture()
	if err := l.store(p, true); err != nil {
		return err
	}
	l.disk.point, l.disk.cutAge = p.end, 0
	return l.storeBounds(bounds{start: l.disk.bounds.start, cut: end})
}

// boundary finds the position of the first batch of s that does not end at or
// below to, and its base offset.
func (l *Log) boundary(s *Segment, to kafka.Offset) (int64, kafka.Offset, error) {
	l.mu.Lock()
	size := s.size
	l.mu.Unlock()
	var index []indexEntry
	if err := l.needIndex(s, &index); err != nil {
		return 0, 0, err
	}
	w := newWalk(s, s.name, floorLast(index, int64(to-1-s.base)), size)
	defer w.close()
	end := s.base
	for {
		at := w.position
		h, err := w.next()
		if errors.Is(err, io.EOF) {
			return at, end, nil
		}
		if err != nil {
			return 0, 0, err
		}
		if h.End() > to {
			return at, h.BaseOffset, nil
		}
		end = h.End()
	}
}

// publishCut makes the cut visible. It returns the segments after s, and whether
// somebody holds bytes of s.
func (l *Log) publishCut(s *Segment, position int64, end kafka.Offset) (gone []*Segment, held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kept []*Segment
	for _, other := range l.mu.segments {
		if other.base <= s.base {
			kept = append(kept, other)
			continue
		}
		gone = append(gone, other)
		l.mu.size -= other.size
	}
	l.mu.segments = kept
	l.mu.size -= s.size - position
	l.mu.end = end
	l.mu.start = min(l.mu.start, end)
	l.mu.epochs = l.mu.epochs.cutSuffix(end)
	l.forgetPlacesLocked()
	l.mu.windows = nil
	s.cutLocked(position, end)
	return gone, s.holders.Load() > 0
}

// forgetPlacesLocked forgets where batches are, because the log was cut, and lets
// readers that are under way notice.
func (l *Log) forgetPlacesLocked() {
	l.mu.recent.clear()
	l.mu.cursors.clear()
	l.mu.cuts++
}

// cutLocked makes s an open segment that ends at position. Its indexes are
// loaded. The largest timestamp becomes that of the time index, which may be
// lower than what the batches after its last entry have: the entry that a later
// batch makes is then correct again, and look-ups walk from there.
func (s *segmentState) cutLocked(position int64, end kafka.Offset) {
	s.size, s.end, s.closed, s.sealed = position, end, false, false
	if s.checked != nil { // the sidecar that could vouch for it goes
		s.inherit(position)
	}
	s.inherited = min(s.inherited, position)
	s.checked, s.side, s.suspect = nil, nil, false
	s.index = cutIndex(s.index, position)
	s.times = cutTimeIndex(s.times, int64(end-s.origin))
	s.indexWritten, s.timesWritten, s.indexCRC, s.timesCRC = 0, 0, 0, 0
	if position == 0 {
		s.firstAppend, s.lastAppend = kafka.NoTimestamp, kafka.NoTimestamp
	}
}

// removeSuffixFiles removes, newest first, the files that speak of what was cut
// away: later segments, the sidecar of s, producer tables above end.
func (l *Log) removeSuffixFiles(gone []*Segment, s *Segment, end kafka.Offset) error {
	now := kafka.Timestamp(l.clock.Now().UnixMilli())
	for i := len(gone) - 1; i >= 0; i-- {
		if err := l.bury(gone[i], now); err != nil {
			return err
		}
	}
	if err := removeIfThere(l.fsys, filePath(l.dir, s.base, suffixSidecar)); err != nil {
		return err
	}
	if err := l.removeTables(end); err != nil {
		return err
	}
	return l.fsys.SyncDir(l.dir)
}

// removeTables removes producer tables of offsets above end.
func (l *Log) removeTables(end kafka.Offset) error {
	within := func(list []kafka.Offset, i int) bool { return list[i] <= end }
	var err error
	if l.disk.windows, err = l.prune(l.disk.windows, suffixWindow, within); err != nil {
		return err
	}
	l.disk.snapshots, err = l.prune(l.disk.snapshots, suffixSnapshot, within)
	return err
}

func removeIfThere(fsys vfs.FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove: %w", err)
	}
	return nil
}

// cutFile cuts the .log file of s to size bytes, durably, and opens it for
// writing.
func (l *Log) cutFile(s *Segment, size int64) error {
	if err := s.reopenForWriting(); err != nil {
		return err
	}
	f := s.writer()
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("cut segment %s: %w", s.name, err)
	}
	if err := s.SyncData(); err != nil {
		return err
	}
	rest := make([]byte, size%BlockSize)
	if err := s.readFull(rest, size-int64(len(rest))); err != nil {
		return err
	}
	s.position.size, s.position.allocated = size, size
	s.position.sums.cut(size, rest)
	return l.recountTimestamp(s)
}

// recountTimestamp finds the largest timestamp of a segment that was cut: that
// of the last time index entry, or of a later batch.
func (l *Log) recountTimestamp(s *Segment) error {
	l.mu.Lock()
	known := s.segmentState
	l.mu.Unlock()
	highest, last, from := kafka.NoTimestamp, kafka.NoOffset, int64(0)
	if n := len(known.times); n > 0 {
		highest, last = known.times[n-1].timestamp, known.origin.Add(int64(known.times[n-1].last))
		from = floorLast(known.index, int64(known.times[n-1].last))
	}
	w := newWalk(s, s.name, from, known.size)
	defer w.close()
	for {
		h, err := w.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if h.MaxTimestamp > highest {
			highest, last = h.MaxTimestamp, h.End()-1
		}
	}
	l.mu.Lock()
	s.maxTimestamp, s.maxLast = highest, last
	l.mu.Unlock()
	return nil
}

// reopenForWriting makes the file of s writable. The read-only file that readers
// of a sealed segment share stays open for them.
func (s *Segment) reopenForWriting() error {
	s.handle.Lock()
	writable := s.handle.writable
	s.handle.Unlock()
	if writable {
		return nil
	}
	f, err := s.fsys.OpenFile(s.name, vfs.Write)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	s.handle.Lock()
	old, busy := s.handle.file, s.handle.users > 0 || s.holders.Load() > 0
	if old != nil && busy {
		s.handle.superseded = append(s.handle.superseded, old)
		old = nil
	}
	s.handle.file, s.handle.writable = f, true
	s.handle.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// replaceActive ends s at the cut and goes on in a new file, because somebody
// holds bytes of s that new ones must not replace.
func (l *Log) replaceActive(s *Segment, position int64, end kafka.Offset) error {
	if position == 0 {
		// The new file has the name of the old one.
		if err := l.bury(s, kafka.Timestamp(l.clock.Now().UnixMilli())); err != nil {
			return err
		}
	}
	next := newSegment(l, end)
	next.indexLoaded = true
	if err := next.openForWriting(true); err != nil {
		return err
	}
	if err := next.SyncData(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.mu.segments[:len(l.mu.segments):len(l.mu.segments)]
	if position == 0 {
		kept = kept[: len(kept)-1 : len(kept)-1]
	} else {
		s.noteTime()
		s.closed = true
	}
	l.mu.segments = append(kept, next)
	return nil
}

// reloadTable makes the producer table reflect the log up to end: a table on
// disk at or below end, and the batches since.
func (l *Log) reloadTable(end kafka.Offset) error {
	l.mu.Lock()
	segments := l.mu.segments
	l.mu.Unlock()
	table, _ := l.loadTable(end, segments[0].base)
	if err := l.applyHeaders(table, segments, end); err != nil {
		return err
	}
	l.mu.Lock()
	l.mu.table = table
	l.mu.sinceWindow = windowMinBytes // the next checkpoint writes it
	l.mu.Unlock()
	return nil
}

// applyHeaders applies the batches in [table.End(), end) to the table.
func (l *Log) applyHeaders(table *producer.Table, segments []*Segment, end kafka.Offset) error {
	now := kafka.Timestamp(l.clock.Now().UnixMilli())
	for _, s := range segments {
		l.mu.Lock()
		size, segmentEnd := s.size, s.end
		l.mu.Unlock()
		from := table.End()
		if segmentEnd <= from || s.base >= end {
			continue
		}
		var index []indexEntry
		if err := l.needIndex(s, &index); err != nil {
			return err
		}
		if err := applySegment(table, newWalk(s, s.name, floorLast(index, int64(from-s.base)), size), now); err != nil {
			return err
		}
	}
	return nil
}

func applySegment(table *producer.Table, w *walk, now kafka.Timestamp) error {
	defer w.close()
	for {
		h, err := w.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.BaseOffset >= table.End() {
			table.Apply(h, now)
		}
	}
}

// TruncatePrefix makes to the log start: segments below it go at once. Where to
// is above End, everything goes and the log begins anew at to, as a follower or
// a Raft log does that is too far behind. It is durable when it returns. A to at
// or below Start changes nothing.
func (l *Log) TruncatePrefix(to kafka.Offset) error {
	l.takeTurn()
	defer l.endTurn()
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.Lock()
	start, end := l.mu.start, l.mu.end
	n := 0
	for _, s := range l.mu.segments[:len(l.mu.segments)-1] {
		if s.end <= to {
			n++
		}
	}
	l.mu.Unlock()
	now := kafka.Timestamp(l.clock.Now().UnixMilli())
	switch {
	case to <= start:
		return nil
	case to <= end:
		return l.dropPrefix(to, n, now)
	}
	if err := l.restartAt(to, now); err != nil {
		l.fail(err)
		return fmt.Errorf("truncate log %s up to %d: %w", l.dir, to, err)
	}
	return nil
}

// restartAt drops everything and begins anew at to, which is above End.
func (l *Log) restartAt(to kafka.Offset, now kafka.Timestamp) error {
	if err := l.storeBounds(bounds{start: to, cut: kafka.NoOffset}); err != nil {
		return err
	}
	next := newSegment(l, to)
	next.indexLoaded = true
	if err := next.openForWriting(true); err != nil {
		return err
	}
	l.mu.Lock()
	gone := l.mu.segments
	l.mu.segments = []*Segment{next}
	l.mu.start, l.mu.end, l.mu.size = to, to, 0
	l.mu.epochs, l.mu.table, l.mu.windows = nil, producer.NewAt(to), nil
	l.forgetPlacesLocked()
	l.mu.Unlock()
	for _, s := range gone {
		if err := l.bury(s, now); err != nil {
			return err
		}
	}
	p := l.capture()
	if err := l.store(p, true); err != nil {
		return err
	}
	l.disk.point = p.end
	return nil
}
