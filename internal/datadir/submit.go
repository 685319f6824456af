package datadir

import (
	"context"
	"hash/crc32"

	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
)

// What goes through the journal and what is synced straight to its segment. A
// log with more than directPerLog bytes in one round, and everything in a round
// of more than directPerRound bytes, is synced: above these sizes the bytes cost
// more than the extra sync (docs/decisions/0001-journal.md).
const (
	directPerLog   = 64 << 10
	directPerRound = 256 << 10
)

// logState is what the directory knows of an open log.
type logState struct {
	log *log.Log
	// oldest is the first journal round that holds an entry which no checkpoint
	// covers; 0 for none. newest is the last one with any entry.
	oldest, newest uint64
	// slot is the place of the log in the group that is being filled, valid when
	// group is that one.
	group *group
	slot  int
	gone  bool // removed: no checkpoint any more
}

// group is what one flush round makes durable.
type group struct {
	round  journal.Round
	slots  []slot
	fences []fence
}

// slot is one log's part of a group.
type slot struct {
	target  Flushable
	state   *logState
	end     kafka.Offset
	small   int64 // bytes in the journal round
	extents []extent
}

// extent is a run of bytes of one segment that is synced there.
type extent struct {
	segment *log.Segment
	entry   journal.Entry
}

// fence is a request to declare a log's entries dead.
type fence struct {
	key  journal.Key
	done chan error
}

func newGroup() *group { return &group{} }

func (g *group) empty() bool { return len(g.slots) == 0 && len(g.fences) == 0 }

// roundKeep is the largest round buffer that is kept for the next group.
const roundKeep = 1 << 20

func (g *group) reset() {
	g.round.Reset()
	g.round.Trim(roundKeep)
	for i := range g.slots {
		g.slots[i] = slot{extents: g.slots[i].extents[:0]}
	}
	g.slots = g.slots[:0]
	g.fences = nil
}

// slot returns the log's part of the group, a new one at its first span.
func (g *group) slotOf(s *logState, target Flushable) *slot {
	if s.group == g && s.slot < len(g.slots) && g.slots[s.slot].state == s {
		return &g.slots[s.slot]
	}
	if len(g.slots) < cap(g.slots) {
		g.slots = g.slots[:len(g.slots)+1]
	} else {
		g.slots = append(g.slots, slot{})
	}
	s.group, s.slot = g, len(g.slots)-1
	n := &g.slots[s.slot]
	*n = slot{target: target, state: s, extents: n.extents[:0]}
	return n
}

// Submit hands a span that has been written to the next flush round. It copies
// what it needs of data and never waits. Spans of one log come in order.
func (d *Dir) Submit(target Flushable, l *log.Log, span log.Span, data []byte, highWatermark kafka.Offset) {
	if err := d.Err(); err != nil {
		target.Failed(err)
		return
	}
	e := journal.Entry{Kind: journal.Data, Key: l.Key(), LeaderEpoch: span.Epoch, Base: span.Base, End: span.End,
		SegmentBase: span.Segment.Base(), Position: span.Position, Length: span.Length, HighWatermark: highWatermark}
	d.mu.Lock()
	state := d.mu.logs[l]
	if state == nil {
		d.mu.Unlock()
		target.Failed(errNotOpen)
		return
	}
	g := d.mu.fill
	s := g.slotOf(state, target)
	s.end = span.End
	small := len(s.extents) == 0 && s.small+span.Length <= directPerLog &&
		g.round.Bytes()+span.Length <= directPerRound && g.round.Fits(len(data))
	if small {
		e.Checksum = crc32.Checksum(data, castagnoli)
		g.round.Add(&e, data)
		s.small += span.Length
	} else {
		s.addExtent(span.Segment, e, data)
	}
	d.mu.Unlock()
	d.wakeFlusher()
}

// addExtent notes bytes to be synced, joining them with the run before where
// they follow it.
func (s *slot) addExtent(segment *log.Segment, e journal.Entry, data []byte) {
	if n := len(s.extents); n > 0 {
		last := &s.extents[n-1]
		if last.segment == segment && last.entry.Position+last.entry.Length == e.Position {
			last.entry.Length += e.Length
			last.entry.End, last.entry.LeaderEpoch, last.entry.HighWatermark = e.End, e.LeaderEpoch, e.HighWatermark
			last.entry.Checksum = crc32.Update(last.entry.Checksum, castagnoli, data)
			return
		}
	}
	e.Kind = journal.Extent
	e.Checksum = crc32.Checksum(data, castagnoli)
	segment.Retain()
	s.extents = append(s.extents, extent{segment: segment, entry: e})
}

func (d *Dir) wakeFlusher() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

// Fence declares every journal entry of the key dead and returns when that is
// durable.
func (d *Dir) Fence(ctx context.Context, key journal.Key) error {
	return d.await(ctx, &key)
}

// Barrier returns when everything that was submitted before is durable.
func (d *Dir) Barrier(ctx context.Context) error { return d.await(ctx, nil) }

func (d *Dir) await(ctx context.Context, key *journal.Key) error {
	if err := d.Err(); err != nil {
		return err
	}
	f := fence{done: make(chan error, 1)}
	d.mu.Lock()
	g := d.mu.fill
	if key != nil {
		f.key = *key
		e := journal.Entry{Kind: journal.Fence, Key: *key}
		g.round.Add(&e, nil)
	}
	g.fences = append(g.fences, f)
	d.mu.Unlock()
	d.wakeFlusher()
	select {
	case err := <-f.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
