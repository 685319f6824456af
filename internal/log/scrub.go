package log

import "holdfast/internal/kafka"

// ScrubPlace is how far a scrub of a log has come: whole segments below Segment,
// and so many blocks of that one. The zero value is the beginning.
type ScrubPlace struct {
	Segment kafka.Offset
	Block   int
}

// Scrub compares up to maxBytes of closed segments, at least a block of one, with
// their sidecars, and returns where to go on and how many bytes it has read; 0
// bytes without an error mean that there is nothing left. What it reads may come
// from the page cache. *CorruptionError: rot was found; nothing is read from that
// segment any more. After any error the next segment is where to go on. A paced caller calls it.
func (l *Log) Scrub(from ScrubPlace, maxBytes int64) (next ScrubPlace, read int64, err error) {
	for read < maxBytes {
		s := l.beginScrub(&from)
		if s == nil {
			return from, read, nil
		}
		n, done, err := l.scrubSegment(s, from.Block, maxBytes-read)
		read += n
		from.Block += int((n + BlockSize - 1) / BlockSize)
		if done || err != nil {
			from = ScrubPlace{Segment: s.base + 1}
		}
		s.Release()
		if done || err != nil {
			if closeErr := l.endScrub(s); err == nil {
				err = closeErr
			}
		}
		if err != nil {
			return from, read, err
		}
	}
	return from, read, nil
}

// beginScrub holds the first segment to look at, from place on; nil: none.
func (l *Log) beginScrub(from *ScrubPlace) *Segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.mu.segments {
		if !s.sealed || s.suspect || s.base < from.Segment {
			continue
		}
		if s.base != from.Segment || from.Block == 0 || s.checked == nil {
			*from = ScrubPlace{Segment: s.base}
			s.checked = make([]uint64, s.size/BlockSize/64+1) // nothing counts as checked
		}
		s.Retain()
		return s
	}
	return nil
}

// scrubSegment compares blocks from block on.
func (l *Log) scrubSegment(s *Segment, block int, maxBytes int64) (read int64, done bool, err error) {
	l.mu.Lock()
	size := s.size
	l.mu.Unlock()
	for at := int64(block) * BlockSize; at < size; at += BlockSize {
		if read >= maxBytes {
			return read, false, nil
		}
		read += min(BlockSize, size-at)
		err := l.checkBlock(s, int(at/BlockSize), size)
		if s.gone.Load() {
			return read, true, nil
		}
		if err != nil {
			return read, true, err
		}
		if !l.comparable(s) {
			return read, true, nil
		}
	}
	return read, true, nil
}

// comparable reports whether there is a sidecar to compare s with. Where there is
// none that can be used, no later block can be compared either.
func (l *Log) comparable(s *Segment) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.checked != nil
}

// endScrub gives back what the scrub has opened: most segments are read by
// nobody else.
// It has the turn, because a cut may make the segment the one that is written.
func (l *Log) endScrub(s *Segment) error {
	l.takeTurn()
	defer l.endTurn()
	l.mu.Lock()
	s.side = nil
	sealed := s.sealed
	l.mu.Unlock()
	if !sealed {
		return nil
	}
	s.used.Store(false)
	return s.idle()
}
