package log

import (
	"errors"
	"fmt"
	"io/fs"

	"holdfast/internal/kafka"
)

// Reason is why Retain deleted a segment.
type Reason uint8

// The reasons.
const (
	BelowStart Reason = iota + 1 // DeleteRecords raised the log start above it
	TooOld                       // retention.ms
	TooMuch                      // retention.bytes
)

// String names the setting or request behind the reason.
func (r Reason) String() string {
	return [...]string{"", "log start", "retention.ms", "retention.bytes"}[r%4]
}

// Deleted is a segment that Retain took out of the log.
type Deleted struct {
	Base, End kafka.Offset
	Size      int64
	Reason    Reason
}

// dyingFile is a file that was renamed and is removed later.
type dyingFile struct {
	name string
	due  kafka.Timestamp
}

// How far a record's time may lie from when its segment was written and still
// decide how long it is kept.
const (
	believedBefore = 24 * 3600 * 1000 // milliseconds before the first append
	believedAfter  = 3600 * 1000      // milliseconds after the last append
)

// ageFromLocked is the time from which a segment's age counts for retention.ms.
// As in Kafka it is the largest timestamp of its records, unless that is absurd:
// more than a day before the segment's first append or more than an hour after
// its last. Then it is the time of the last append. (Kafka deletes a back-fill
// of old records at the next pass, and never deletes a record from the future.)
func (s *segmentState) ageFromLocked() kafka.Timestamp {
	if s.firstAppend == kafka.NoTimestamp {
		return s.maxTimestamp
	}
	if s.maxTimestamp < s.firstAppend-believedBefore || s.maxTimestamp > s.lastAppend+believedAfter {
		return s.lastAppend
	}
	return s.maxTimestamp
}

func (s *segmentState) expiredLocked(c *Config, now kafka.Timestamp) bool {
	return c.RetentionMs >= 0 && s.size > 0 && int64(now-s.ageFromLocked()) > c.RetentionMs
}

// Retain takes the oldest segments out of the log: those below the log start,
// those older than retention.ms and as many as retention.bytes demands. It never
// takes the active segment (see RollExpired) nor one that reaches above
// highWatermark. The log start is durable before anything goes; the files are
// renamed, and Sweep removes them. It waits for the disk.
func (l *Log) Retain(now kafka.Timestamp, highWatermark kafka.Offset) ([]Deleted, error) {
	return l.retain(l.config.Load(), now, highWatermark)
}

func (l *Log) retain(c *Config, now kafka.Timestamp, highWatermark kafka.Offset) ([]Deleted, error) {
	l.takeTurn()
	defer l.endTurn()
	if err := l.usable(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	deleted := l.expendableLocked(c, now, highWatermark)
	start := l.mu.start
	l.mu.Unlock()
	if len(deleted) == 0 {
		return nil, nil
	}
	start = max(start, deleted[len(deleted)-1].End)
	return deleted, l.dropPrefix(start, len(deleted), now)
}

// DropBelowStart is Retain of a follower: it takes only the segments below the log
// start, which its leader decides.
func (l *Log) DropBelowStart(now kafka.Timestamp, highWatermark kafka.Offset) ([]Deleted, error) {
	return l.retain(&Config{RetentionMs: -1, RetentionBytes: -1}, now, highWatermark)
}

// expendableLocked lists the leading segments that may go.
func (l *Log) expendableLocked(c *Config, now kafka.Timestamp, highWatermark kafka.Offset) []Deleted {
	var out []Deleted
	over := int64(-1)
	if c.RetentionBytes >= 0 {
		over = l.mu.size - c.RetentionBytes
	}
	for _, s := range l.mu.segments[:len(l.mu.segments)-1] {
		d := Deleted{Base: s.base, End: s.end, Size: s.size}
		switch {
		case s.end > highWatermark:
			return out
		case s.end <= l.mu.start:
			d.Reason = BelowStart
		case s.expiredLocked(c, now):
			d.Reason = TooOld
		case over >= s.size:
			d.Reason = TooMuch
		default:
			return out
		}
		over -= s.size
		out = append(out, d)
	}
	return out
}

// dropPrefix raises the log start, durably, and takes the first n segments out.
// The caller has the turn.
func (l *Log) dropPrefix(start kafka.Offset, n int, now kafka.Timestamp) error {
	if start > l.disk.bounds.start {
		if err := l.storeBounds(bounds{start: start, cut: l.disk.bounds.cut}); err != nil {
			return l.broken(err)
		}
	}
	l.mu.Lock()
	gone := l.mu.segments[:n]
	l.mu.segments = append([]*Segment(nil), l.mu.segments[n:]...)
	l.raiseStartLocked(start)
	for _, s := range gone {
		l.mu.size -= s.size
	}
	l.mu.Unlock()
	due := now + kafka.Timestamp(l.config.Load().FileDeleteDelay.Milliseconds())
	for _, s := range gone {
		if err := l.bury(s, due); err != nil {
			return l.broken(err)
		}
	}
	return nil
}

func (l *Log) raiseStartLocked(start kafka.Offset) {
	l.mu.start = max(l.mu.start, start)
	l.mu.epochs = l.mu.epochs.cutPrefix(l.mu.start)
}

// broken takes the log offline after an error that cannot be tried again.
func (l *Log) broken(err error) error {
	if !harmless(err) {
		l.fail(err)
	}
	return fmt.Errorf("log %s: %w", l.dir, err)
}

// bury renames the files of a segment that is no longer part of the log and
// remembers to remove them. Whoever holds it keeps reading: its file is opened
// before the name goes.
func (l *Log) bury(s *Segment, due kafka.Timestamp) error {
	s.gone.Store(true)
	if s.holders.Load() > 0 {
		if _, err := s.open(); err == nil { // else the holder's read fails
			s.done()
		}
	}
	for _, suffix := range segmentSuffixes {
		name := filePath(l.dir, s.base, suffix)
		err := l.fsys.Rename(name, name+suffixDeleted)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("delete segment: %w", err)
		}
		l.mu.Lock()
		l.mu.dying = append(l.mu.dying, dyingFile{name + suffixDeleted, due})
		l.mu.Unlock()
	}
	s.retire()
	return nil
}

// Sweep removes the files of deleted segments whose file.delete.delay is over
// and returns how many. A scheduler calls it.
func (l *Log) Sweep(now kafka.Timestamp) (int, error) {
	l.takeTurn()
	defer l.endTurn()
	l.mu.Lock()
	var due, later []dyingFile
	for _, d := range l.mu.dying {
		if d.due <= now {
			due = append(due, d)
		} else {
			later = append(later, d)
		}
	}
	l.mu.dying = later
	l.mu.Unlock()
	for i, d := range due {
		if err := l.fsys.Remove(d.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.mu.Lock()
			l.mu.dying = append(l.mu.dying, due[i:]...)
			l.mu.Unlock()
			return i, fmt.Errorf("sweep log %s: %w", l.dir, err)
		}
	}
	return len(due), nil
}

// SetStart raises the log start offset (DeleteRecords). It is durable when
// SetStart returns. A start at or below the present one changes nothing; one
// above End is ErrOffsetOutOfRange. Segments below it go with the next Retain.
func (l *Log) SetStart(to kafka.Offset) error {
	l.takeTurn()
	defer l.endTurn()
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.Lock()
	start, end := l.mu.start, l.mu.end
	l.mu.Unlock()
	if to <= start {
		return nil
	}
	if to > end {
		return fmt.Errorf("set start of log %s to %d, which ends at %d: %w", l.dir, to, end, ErrOffsetOutOfRange)
	}
	if err := l.storeBounds(bounds{start: to, cut: l.disk.bounds.cut}); err != nil {
		return l.broken(err)
	}
	l.mu.Lock()
	l.raiseStartLocked(to)
	l.mu.Unlock()
	return nil
}
