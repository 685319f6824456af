package log

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// needIndex makes the index of a sealed segment available and stores it in
// index. Of all sealed segments of a log, those that were not read since the
// last checkpoint give their index back.
func (l *Log) needIndex(s *Segment, index *[]indexEntry) error {
	l.mu.Lock()
	loaded := s.indexLoaded
	*index = s.index
	l.mu.Unlock()
	if loaded {
		return nil
	}
	entries, times, err := l.loadIndexes(s)
	if err != nil {
		return err
	}
	l.mu.Lock()
	if !s.indexLoaded {
		s.index, s.times, s.indexLoaded = entries, times, true
	}
	*index = s.index
	l.mu.Unlock()
	return nil
}

// loadIndexes reads the index files of a sealed segment. What does not match the
// sidecar is made anew from the segment.
func (l *Log) loadIndexes(s *Segment) ([]indexEntry, []timeEntry, error) {
	l.mu.Lock()
	size, indexCRC, timesCRC := s.size, s.indexCRC, s.timesCRC
	l.mu.Unlock()
	index, err := readChecked(l.fsys, filePath(l.dir, s.base, suffixIndex), indexCRC)
	if err != nil {
		return nil, nil, err
	}
	times, err := readChecked(l.fsys, filePath(l.dir, s.base, suffixTimeIndex), timesCRC)
	if err != nil {
		return nil, nil, err
	}
	if index != nil && times != nil {
		entries, err1 := decodeIndex(index, size)
		stamps, err2 := decodeTimeIndex(times)
		if err1 == nil && err2 == nil {
			return entries, stamps, nil
		}
	}
	return l.reindex(s, size)
}

// readChecked returns the content of a file with the checksum given, nil where
// it has another one or does not exist.
func readChecked(fsys vfs.FS, name string, crc uint32) ([]byte, error) {
	b, err := vfs.ReadFile(fsys, name, segmentBytesMax)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	if crc32.Checksum(b, castagnoli) != crc {
		return nil, nil
	}
	return b, nil
}

// reindex makes the indexes of a segment from its headers.
func (l *Log) reindex(s *Segment, size int64) ([]indexEntry, []timeEntry, error) {
	fresh := segmentState{origin: s.base, end: s.base, maxTimestamp: kafka.NoTimestamp, maxLast: kafka.NoOffset}
	interval := int64(l.config.Load().IndexIntervalBytes)
	w := newWalk(s, s.name, 0, size)
	defer w.close()
	for {
		at := w.position
		h, err := w.next()
		if errors.Is(err, io.EOF) {
			fresh.noteTime()
			return fresh.index, fresh.times, nil
		}
		if err != nil {
			return nil, nil, err
		}
		fresh.noteBatch(&h, at, interval)
	}
}

// checkRead compares [from, to), where that is read for the first time since the
// log was opened, with the sidecar's checksums, or, in a segment that has none
// yet, verifies its batches. What this process wrote is not looked at.
func (l *Log) checkRead(s *Segment, from, to int64) error {
	l.mu.Lock()
	cold, size := s.checked != nil, s.size
	rotten, inherited := s.rotten, from < s.inherited
	l.mu.Unlock()
	if rotten != nil {
		return rotten
	}
	if inherited {
		return l.proveRead(s, from, to)
	}
	if !cold {
		return nil
	}
	first, last := int(from/BlockSize), int((min(to, size)-1)/BlockSize)
	for i := first; i <= last; i++ {
		if err := l.checkBlock(s, i, size); err != nil {
			return err
		}
	}
	return nil
}

// checkBlock checks block i of a segment that has a sidecar, unless it was
// checked before.
func (l *Log) checkBlock(s *Segment, i int, size int64) error {
	l.mu.Lock()
	done := s.checked != nil && s.checked[i/64]&(1<<(i%64)) != 0
	side := s.side
	l.mu.Unlock()
	if done {
		return nil
	}
	if side == nil {
		var err error
		side, err = readSidecar(l.fsys, l.dir, s.base)
		if _, bad := errors.AsType[*CorruptionError](err); bad || errors.Is(err, fs.ErrNotExist) {
			l.forgetSidecar(s) // rot of the sidecar is not rot of the segment
			return nil
		}
		if err != nil {
			return fmt.Errorf("check segment %s: %w", s.name, err)
		}
	}
	block := make([]byte, min(BlockSize, size-int64(i)*BlockSize))
	err := s.readFull(block, int64(i)*BlockSize)
	if err == nil {
		if rot := side.verifyBlock(i, block); rot != nil {
			err = &CorruptionError{File: s.name, Position: int64(i) * BlockSize, Offset: kafka.NoOffset, Cause: rot}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.sealed {
		return nil // cut meanwhile: the sidecar speaks of what is no more
	}
	s.side = side
	if err == nil && s.checked != nil {
		s.checked[i/64] |= 1 << (i % 64)
	}
	if c, ok := errors.AsType[*CorruptionError](err); ok {
		s.rotten = c
	}
	return err
}

// forgetSidecar lets s be read as a segment without one is: consumers verify the
// batches' own checksums, and Check reports the sidecar.
func (l *Log) forgetSidecar(s *Segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.checked, s.side = nil, nil
}

// outdated turns an error about a segment that was deleted or cut away meanwhile
// into the answer for offsets that are not there.
func outdated(s *Segment, err error) error {
	if err == nil || !s.gone.Load() {
		return err
	}
	return fmt.Errorf("read segment %s, which is being deleted: %w", s.name, ErrOffsetOutOfRange)
}
