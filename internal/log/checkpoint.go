package log

import (
	"errors"
	"fmt"
	"hash/crc32"
	"path"
	"slices"

	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// windowMinBytes is how much must have been appended since the last window for a
// checkpoint to write another one. It is what a restart reads for the producer
// table of one partition beyond the recovery point, more or less.
const windowMinBytes = 1 << 20

// snapshot is what a checkpoint covers.
type snapshot struct {
	end     kafka.Offset
	closed  []*Segment // to be sealed, ascending
	active  *Segment
	known   segmentState // of active
	epochs  epochs
	windows []encodedWindow
}

// Checkpoint makes everything that was appended before the call durable in its
// segments and writes what a restart would otherwise have to find out: index
// files, sidecars of closed segments, leader epochs, the producer table. It
// returns the recovery point, below which no journal entry is needed any more.
// A caller that calls it again has stored the recovery point of the call before,
// or will never use it.
//
// It waits for the disk, without any lock that Append or Read needs. After an
// error the log is offline (Err), unless it was a full disk or a file that could
// not be opened; then the call may be repeated.
func (l *Log) Checkpoint() (kafka.Offset, error) {
	l.takeTurn()
	defer l.endTurn()
	return l.checkpoint(false)
}

func (l *Log) checkpoint(closing bool) (kafka.Offset, error) {
	if err := l.usable(); err != nil {
		return 0, err
	}
	p := l.capture()
	err := l.store(p, closing)
	if err != nil {
		if !harmless(err) {
			l.fail(err)
		}
		return 0, fmt.Errorf("checkpoint log %s: %w", l.dir, err)
	}
	l.disk.point = p.end
	return p.end, nil
}

func (l *Log) capture() snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := snapshot{end: l.mu.end, active: l.activeLocked(), epochs: l.mu.epochs}
	for _, s := range l.mu.segments {
		if s.closed && !s.sealed {
			p.closed = append(p.closed, s)
		}
	}
	p.known = p.active.segmentState
	newest := kafka.NoOffset
	if n := len(l.disk.windows); n > 0 {
		newest = l.disk.windows[n-1]
	}
	if n := len(l.mu.windows); n > 0 {
		newest = l.mu.windows[n-1].end
	}
	if newest < p.end && (l.mu.sinceWindow >= windowMinBytes || newest == kafka.NoOffset) {
		l.encodeWindowLocked(false)
	}
	p.windows = slices.Clone(l.mu.windows)
	return p
}

// store writes what p covers. The order is the point: epochs, segments, then what
// speaks of them, and last the note that all of it is done.
func (l *Log) store(p snapshot, closing bool) error {
	if p.end == l.disk.point && l.disk.pointSaved && len(p.closed) == 0 && len(p.windows) == 0 && !closing &&
		slices.Equal(p.epochs, l.disk.epochsStored) {
		return l.forgetCut()
	}
	if err := l.forgetCut(); err != nil {
		return err
	}
	// Before any segment is sealed: recovery does not look for epochs in those.
	// What the file says beyond the end that a crash leaves, recovery drops.
	if !slices.Equal(p.epochs, l.disk.epochsStored) {
		if err := vfs.WriteFile(l.fsys, path.Join(l.dir, nameEpochs), p.epochs.encode()); err != nil {
			return fmt.Errorf("write leader epochs: %w", err)
		}
		l.disk.epochsStored = p.epochs
	}
	for _, s := range p.closed {
		if err := l.seal(s, p.epochs); err != nil {
			return err
		}
	}
	if err := p.active.SyncData(); err != nil {
		return err
	}
	if err := l.writeWindows(p.windows); err != nil {
		return err
	}
	l.mu.Lock()
	l.mu.windows = slices.DeleteFunc(l.mu.windows, func(w encodedWindow) bool { return w.end <= p.end })
	l.mu.Unlock()
	if err := l.pruneWindows(); err != nil {
		return err
	}
	if err := l.writeIndexes(p.active, p.known.index, p.known.times); err != nil {
		return err
	}
	if err := l.saveState(p); err != nil {
		return err
	}
	return l.rest()
}

// forgetCut drops the memory of a cut once the recovery point of a later
// checkpoint was stored, which is so when another checkpoint begins.
func (l *Log) forgetCut() error {
	if l.disk.bounds.cut == kafka.NoOffset {
		return nil
	}
	if l.disk.cutAge++; l.disk.cutAge < 2 {
		return nil
	}
	return l.storeBounds(bounds{start: l.disk.bounds.start, cut: kafka.NoOffset})
}

// storeBounds makes bounds durable.
func (l *Log) storeBounds(b bounds) error {
	if err := vfs.WriteFile(l.fsys, path.Join(l.dir, nameBounds), b.encode(l.key)); err != nil {
		return fmt.Errorf("store log start: %w", err)
	}
	l.disk.bounds = b
	return nil
}

// writeIndexes brings the index files of s up to these entries and notes their
// checksums. Those of a closed segment are synced: nobody writes them again.
func (l *Log) writeIndexes(s *Segment, index []indexEntry, times []timeEntry) error {
	l.mu.Lock()
	indexAt, timesAt := s.indexWritten, s.timesWritten
	how := extension{durable: s.closed, trim: !s.indexTrimmed}
	l.mu.Unlock()
	indexBytes, timesBytes := appendIndex(nil, index[indexAt:]), appendTimeIndex(nil, times[timesAt:])
	if err := l.extend(s, suffixIndex, indexBytes, int64(indexAt)*indexEntrySize, how); err != nil {
		return err
	}
	if err := l.extend(s, suffixTimeIndex, timesBytes, int64(timesAt)*timeIndexEntrySize, how); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.indexWritten, s.timesWritten, s.indexTrimmed = len(index), len(times), true
	s.indexCRC = crc32.Update(s.indexCRC, castagnoli, indexBytes)
	s.timesCRC = crc32.Update(s.timesCRC, castagnoli, timesBytes)
	return nil
}

// extension says how a file of a segment is extended.
type extension struct {
	durable bool // and synced
	trim    bool // a crash may have left bytes behind the end: cut them
}

// extend writes p at the end of a file of s. At position 0 it makes the file.
func (l *Log) extend(s *Segment, suffix string, p []byte, at int64, how extension) error {
	if len(p) == 0 && at > 0 && !how.durable && !how.trim {
		return nil
	}
	flag := vfs.Write | vfs.Create
	if at == 0 {
		flag |= vfs.Truncate
	}
	name := filePath(l.dir, s.base, suffix)
	f, err := l.fsys.OpenFile(name, flag)
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	if how.trim && at > 0 {
		err = f.Truncate(at)
	}
	if err == nil && len(p) > 0 {
		_, err = f.WriteAt(p, at)
	}
	if err == nil && how.durable {
		err = f.SyncData()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write index %s: %w", name, err)
	}
	return nil
}

// saveState notes what is durable now.
func (l *Log) saveState(p snapshot) error {
	s := p.active
	l.mu.Lock()
	note := state{point: p.end, base: s.base, position: p.known.size,
		firstAppend: p.known.firstAppend, lastAppend: p.known.lastAppend,
		maxTimestamp: p.known.maxTimestamp, maxLast: p.known.maxLast,
		index: int32(s.indexWritten), times: int32(s.timesWritten), indexCRC: s.indexCRC, timesCRC: s.timesCRC}
	l.mu.Unlock()
	if !slices.Equal(p.epochs, l.disk.epochsStored) {
		// On a full disk the note may go ahead of the leader epochs. Index files
		// that it does not match let recovery read the segment, and them in it.
		note.index, note.times, note.indexCRC = 0, 0, ^uint32(0)
	}
	if err := writeState(l.fsys, l.dir, note.encode(l.key)); err != nil {
		return err
	}
	l.disk.pointSaved = true
	return nil
}

func lastPosition(index []indexEntry) int64 {
	if len(index) == 0 {
		return 0
	}
	return int64(index[len(index)-1].position)
}

// seal syncs a closed segment for the last time and writes its sidecar.
func (l *Log) seal(s *Segment, all epochs) error {
	l.mu.Lock()
	size, suspect, index, times := s.size, s.suspect, s.index, s.times
	l.mu.Unlock()
	// Give the blocks that were reserved and not used back.
	if err := s.writer().Truncate(size); err != nil {
		return fmt.Errorf("trim segment %s: %w", s.name, err)
	}
	if err := s.SyncData(); err != nil {
		return err
	}
	if suspect {
		return nil
	}
	if err := l.writeIndexes(s, index, times); err != nil {
		return err
	}
	missing, err := l.missingSums(s)
	if rot, ok := errors.AsType[*CorruptionError](err); ok {
		l.mu.Lock()
		s.suspect, s.rotten = true, rot
		l.mu.Unlock()
		return nil // the next start scans it and says so; reads say so now
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	side := sidecar{key: l.key, base: s.base, end: s.end, size: s.size,
		firstAppend: s.firstAppend, lastAppend: s.lastAppend, maxTimestamp: s.maxTimestamp, maxLast: s.maxLast,
		index: int32(len(s.index)), times: int32(len(s.times)), indexCRC: s.indexCRC, timesCRC: s.timesCRC,
		epochs: all.cutSuffix(s.end).within(s.base), blocks: s.position.sums.all(missing)}
	l.mu.Unlock()
	if err := vfs.WriteFile(l.fsys, filePath(l.dir, s.base, suffixSidecar), side.encode()); err != nil {
		return fmt.Errorf("write sidecar: %w", err)
	}
	l.mu.Lock()
	s.sealed = true
	s.disinherit()
	l.mu.Unlock()
	s.complete.Store(true)
	return nil
}

// within drops the epochs that ended at or below base.
func (e epochs) within(base kafka.Offset) epochs {
	for len(e) > 1 && e[1].start <= base {
		e = e[1:]
	}
	return e
}

// missingSums computes the checksums of the blocks that were written before this
// process opened the segment. The batches are verified first: rot must not be
// given a good checksum.
func (l *Log) missingSums(s *Segment) ([]uint32, error) {
	n := s.position.sums.missing
	if n == 0 {
		return nil, nil
	}
	if err := l.proveBatches(s, 0, int64(n)*BlockSize); err != nil {
		return nil, err
	}
	sums := make([]uint32, n)
	block := make([]byte, BlockSize)
	for i := range sums {
		block = block[:min(BlockSize, s.position.size-int64(i)*BlockSize)]
		if err := s.readFull(block, int64(i)*BlockSize); err != nil {
			return nil, err
		}
		sums[i] = crc32.Checksum(block, castagnoli)
	}
	return sums, nil
}

// rest gives back what sealed segments that nobody reads hold in memory.
func (l *Log) rest() error {
	l.mu.Lock()
	var idle []*Segment
	for _, s := range l.mu.segments {
		if s.sealed && !s.used.Load() {
			s.index, s.times, s.side, s.indexLoaded = nil, nil, nil, false
			idle = append(idle, s)
		} else if s.sealed {
			s.used.Store(false)
		}
	}
	l.mu.Unlock()
	for _, s := range idle {
		if err := s.idle(); err != nil {
			return fmt.Errorf("close segment %s: %w", s.name, err)
		}
	}
	return nil
}

// Close ends the log: a last checkpoint, then every file is closed. Where the
// log is offline, or closing fails, nothing more is written, and the next start
// recovers. It is the writer's, and no Range may be held.
func (l *Log) Close() error {
	l.takeTurn()
	defer l.endTurn()
	l.mu.Lock()
	closed, failed := l.mu.closed, l.mu.failed
	l.mu.Unlock()
	if closed {
		return nil
	}
	var err error
	if failed == nil {
		_, err = l.checkpoint(true)
	}
	l.mu.Lock()
	l.mu.closed = true
	segments := l.mu.segments
	l.mu.Unlock()
	for _, s := range segments {
		s.retire()
	}
	return err
}
