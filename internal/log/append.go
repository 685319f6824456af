package log

import (
	"errors"
	"fmt"
	"math"

	"holdfast/internal/bin"
	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

// windowEveryBytes is how much is appended at most between two encodings of the
// producer table. It bounds what TruncateSuffix and recovery must read.
const windowEveryBytes = 64 << 20

// Blocks are reserved ahead of the end of a segment, as many as it has already,
// within these bounds: a sync of an append then has no allocation to commit.
const (
	reserveBytesMin = 64 << 10
	reserveBytesMax = 16 << 20
)

// Span is where an append went: [Position, Position+Length) of Segment. It never
// crosses a segment. It is durable once Segment.SyncData was called after the
// append, or once a journal holds a copy.
type Span struct {
	Segment          *Segment
	Position, Length int64
	Base, End        kafka.Offset
	Epoch            kafka.LeaderEpoch // of the last batch
	Checksum         uint32            // CRC32C of the bytes
}

// Append writes whole batches at the end of the log: all of them or none. data
// is exactly the batches that headers describe, headers[0].BaseOffset is End,
// offsets follow each other and leader epochs do not fall. Offsets and epochs in
// the bytes are those of the headers already, and so are the checksums, which were
// verified. now is the append time.
//
// After an error nothing was appended. ErrTooLarge and ErrNoSpace leave the log
// as it was; after any other the log is offline. Append does not wait for the
// disk; nothing of data is kept.
func (l *Log) Append(data []byte, headers []record.Header, now kafka.Timestamp) (Span, error) {
	if c := l.config.Load(); int64(len(data)) > c.SegmentBytes {
		return Span{}, fmt.Errorf("append %d bytes to %s, where segment.bytes is %d: %w", len(data), l.dir, c.SegmentBytes, ErrTooLarge)
	}
	return l.AppendReplica(data, headers, now)
}

// AppendReplica is Append for what another replica has appended before: it was
// accepted, whatever segment.bytes is now.
func (l *Log) AppendReplica(data []byte, headers []record.Header, now kafka.Timestamp) (Span, error) {
	s, err := l.place(data, headers, now)
	if err != nil {
		return Span{}, err
	}
	at := s.position.size
	if err := l.write(s, data); err != nil {
		return Span{}, err
	}
	s.position.size += int64(len(data))
	s.position.sums.add(data)

	last := &headers[len(headers)-1]
	l.mu.Lock()
	l.noteLocked(s, at, headers, now)
	l.mu.Unlock()
	return Span{Segment: s, Position: at, Length: int64(len(data)), Base: headers[0].BaseOffset, End: last.End(), Epoch: last.LeaderEpoch,
		Checksum: spanChecksum(data, headers)}, nil
}

// combineFrom is the size of a batch from which on its own checksum is carried
// over instead of reading it again.
const combineFrom = 64 << 10

// spanChecksum is the CRC32C of data. The checksum of a batch covers everything
// behind the field itself, and it was verified; only what is before is summed anew.
func spanChecksum(data []byte, headers []record.Header) uint32 {
	if len(data) < combineFrom {
		return bin.CRC32C(data)
	}
	sum := uint32(0)
	for i := range headers {
		h := &headers[i]
		batch := data[:h.Size()]
		data = data[h.Size():]
		if len(batch) < combineFrom {
			sum = bin.UpdateCRC32C(sum, batch)
			continue
		}
		sum = bin.UpdateCRC32C(sum, batch[:record.ChecksumFrom])
		sum = bin.CombineCRC32C(sum, h.CRC, int64(h.Size()-record.ChecksumFrom))
	}
	return sum
}

// place returns the segment that the batches go to, a new one where the active
// one has no room for them.
func (l *Log) place(data []byte, headers []record.Header, now kafka.Timestamp) (*Segment, error) {
	size, c := int64(len(data)), l.config.Load()
	l.mu.Lock()
	end, epoch := l.mu.end, l.mu.epochs.latest()
	err := l.usableLocked()
	s := l.activeLocked()
	full := s.size > 0 && len(headers) > 0 && s.fullLocked(c, size, headers[len(headers)-1].End(), now)
	l.mu.Unlock()
	l.checkAppend(size, headers, end, epoch)
	if err != nil {
		return nil, err
	}
	if size > segmentBytesMax {
		return nil, fmt.Errorf("append %d bytes to %s, where a segment has at most %d: %w", size, l.dir, segmentBytesMax, ErrTooLarge)
	}
	if !full {
		return s, nil
	}
	if err := l.roll(); err != nil {
		// A segment that is larger than it should be is better than an append that
		// fails for want of a file descriptor.
		if harmless(err) && s.position.size+size <= segmentBytesMax && headers[len(headers)-1].End()-1-s.base <= math.MaxInt32 {
			return s, nil
		}
		return nil, err
	}
	return l.active(), nil
}

// checkAppend panics over what only a bug can ask for. It calls Check only to
// fail, because arguments of a call cost an allocation.
func (l *Log) checkAppend(want int64, headers []record.Header, end kafka.Offset, epoch kafka.LeaderEpoch) {
	size := int64(0)
	for i := range headers {
		h := &headers[i]
		if h.BaseOffset != end || h.LeaderEpoch < epoch {
			invariant.Unreachable("append to %s: batch %d has offset %d and epoch %d, want %d and %d or more",
				l.dir, i, h.BaseOffset, h.LeaderEpoch, end, epoch)
		}
		end, epoch = h.End(), h.LeaderEpoch
		size += int64(h.Size())
	}
	if size != want || len(headers) == 0 {
		invariant.Unreachable("append to %s: %d headers of %d bytes for %d", l.dir, len(headers), size, want)
	}
}

// fullLocked reports whether an append of size bytes up to end must go to the
// next segment.
func (s *Segment) fullLocked(c *Config, size int64, end kafka.Offset, now kafka.Timestamp) bool {
	return s.size+size > c.SegmentBytes ||
		s.oldLocked(c, now) ||
		(len(s.index)+1)*indexEntrySize > c.SegmentIndexBytes ||
		(len(s.times)+2)*timeIndexEntrySize > c.SegmentIndexBytes ||
		end-1-s.base > math.MaxInt32
}

func (s *Segment) oldLocked(c *Config, now kafka.Timestamp) bool {
	return c.SegmentMs > 0 && s.firstAppend != kafka.NoTimestamp && int64(now-s.firstAppend) > c.SegmentMs
}

// write puts data at the writer's position of s. Where that fails, the segment
// is cut back to what it was, or the log goes offline.
func (l *Log) write(s *Segment, data []byte) error {
	p, f := &s.position, s.writer()
	if need := p.size + int64(len(data)); need > p.allocated {
		step := min(max(p.size, reserveBytesMin, int64(len(data))), reserveBytesMax)
		// Without a reservation appends cost more and mean the same.
		_ = f.Preallocate(p.allocated, need+step-p.allocated)
		p.allocated = need + step
	}
	_, err := f.WriteAt(data, p.size)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("append to segment %s at %d: %w", s.name, p.size, err)
	if cutErr := f.Truncate(p.size); cutErr != nil {
		l.fail(errors.Join(err, cutErr))
		return err
	}
	p.allocated = p.size
	if !errors.Is(err, vfs.ErrNoSpace) {
		// A device that refuses a write for any other reason cannot be trusted
		// with the next one.
		l.fail(err)
	}
	return err
}

// noteLocked makes batches that were written at position at visible.
func (l *Log) noteLocked(s *Segment, at int64, headers []record.Header, now kafka.Timestamp) {
	c, from := l.config.Load(), at
	for i := range headers {
		h := &headers[i]
		s.noteBatch(h, at, int64(c.IndexIntervalBytes))
		l.mu.recent.add(h.BaseOffset, s.base, at)
		l.mu.epochs, _ = l.mu.epochs.assign(h.LeaderEpoch, h.BaseOffset)
		l.mu.table.Apply(*h, now)
		at += int64(h.Size())
		l.mu.size += int64(h.Size())
	}
	if s.firstAppend == kafka.NoTimestamp {
		s.firstAppend = now
	}
	s.lastAppend = max(s.lastAppend, now)
	l.mu.end = s.end
	l.mu.sinceWindow += s.size - from
	if l.mu.sinceWindow >= windowEveryBytes {
		l.encodeWindowLocked(false)
	}
}

// noteBatch adds the batch at position at to what is known of the segment. The
// index gets an entry for the first batch after more than interval bytes, as
// Kafka has it.
func (s *segmentState) noteBatch(h *record.Header, at, interval int64) {
	if h.MaxTimestamp > s.maxTimestamp {
		s.maxTimestamp, s.maxLast = h.MaxTimestamp, h.End()-1
	}
	if at-lastPosition(s.index) > interval {
		s.index = append(s.index, indexEntry{last: int32(h.End() - 1 - s.origin), position: int32(at)})
		s.noteTime()
	}
	s.size = at + int64(h.Size())
	s.end = h.End()
}

// noteTime adds the largest timestamp so far to the time index, unless an entry
// says so already.
func (s *segmentState) noteTime() {
	if s.maxLast == kafka.NoOffset || (len(s.times) > 0 && s.maxTimestamp <= s.times[len(s.times)-1].timestamp) {
		return
	}
	e := timeEntry{timestamp: s.maxTimestamp, last: int32(s.maxLast - s.origin)}
	if len(s.times) > 0 && e.last <= s.times[len(s.times)-1].last {
		return
	}
	s.times = append(s.times, e)
}

// Roll closes the active segment and begins a new one at End, unless the active
// one is empty. It is the writer's.
func (l *Log) Roll() error {
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.Lock()
	empty := l.activeLocked().size == 0
	l.mu.Unlock()
	if empty {
		return nil
	}
	return l.roll()
}

// RollExpired rolls when the active segment is older than segment.ms, or when
// all of it may be deleted by age, and reports whether it did. A scheduler calls
// it before Retain, under the writer's lock.
func (l *Log) RollExpired(now kafka.Timestamp, highWatermark kafka.Offset) (bool, error) {
	c := l.config.Load()
	l.mu.Lock()
	s := l.activeLocked()
	due := s.size > 0 && (s.oldLocked(c, now) || (s.expiredLocked(c, now) && s.end <= highWatermark))
	l.mu.Unlock()
	if !due {
		return false, nil
	}
	return true, l.Roll()
}

// roll begins a new segment at End. The old one is synced and gets its sidecar
// at the next checkpoint, so that rolling costs the writer one file creation.
func (l *Log) roll() error {
	end := l.End()
	next := newSegment(l, end)
	next.indexLoaded = true
	if err := next.openForWriting(true); err != nil {
		if !harmless(err) {
			l.fail(err)
		}
		return fmt.Errorf("roll log %s: %w", l.dir, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.activeLocked()
	invariant.Check(old.end == end && old.base < end, "roll %s at %d, where segment %d ends at %d", l.dir, end, old.base, old.end)
	old.noteTime()
	old.closed = true
	l.mu.segments = append(l.mu.segments[:len(l.mu.segments):len(l.mu.segments)], next)
	l.encodeWindowLocked(true)
	return nil
}
