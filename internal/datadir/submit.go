package datadir

import (
	"context"

	"holdfast/internal/bin"
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
	directPerRound = 1 << 20
)

// logState is what the directory knows of an open log. Dir.mu guards it.
type logState struct {
	log *log.Log
	key journal.Key
	// oldest is the first journal round that holds an entry which no checkpoint
	// covers; 0 for none. newest is the last one with any entry.
	oldest, newest uint64
	// covered is the end of what was submitted without a gap, or checkpointed.
	// Topics in page-cache mode submit nothing, so that a gap can arise.
	covered kafka.Offset
	high    kafka.Offset // largest high watermark that was submitted or noted
	// slot is the place of the log in the group that is being filled, valid when
	// group is that one.
	group *group
	slot  int
	noted uint64 // number of the group that notes the log's high watermark
}

// group is what one flush round makes durable.
type group struct {
	round   journal.Round // Data entries; the others follow when it is committed
	slots   []slot
	fences  []journal.Entry // of logs that are not open
	waiting []chan error    // fences and barriers
	refused []Flushable     // submitted for a log that is not open
	notes   []*logState     // logs whose high watermark is noted with the rest
}

// slot is one log's part of a group.
type slot struct {
	target Flushable // nil while only a fence came
	state  *logState
	end    kafka.Offset
	small  int64 // bytes in the journal round
	gap    bool  // bytes before the group are in the page cache only
	// later are entries behind the Data entries of the log, in order.
	later []laterEntry
}

// laterEntry is an extent, to be synced in its segment, or a fence.
type laterEntry struct {
	segment *log.Segment // nil for a fence
	entry   journal.Entry
}

func (g *group) empty() bool {
	return len(g.slots) == 0 && len(g.waiting) == 0 && len(g.refused) == 0
}

// roundKeep is the largest round buffer that is kept for the next group.
const roundKeep = 1 << 20

// reset empties the group and lets its segments go.
func (g *group) reset() {
	g.round.Reset()
	g.round.Trim(roundKeep)
	for i := range g.slots {
		later := g.slots[i].later
		for k := range later {
			if s := later[k].segment; s != nil {
				s.Release()
			}
			later[k] = laterEntry{}
		}
		g.slots[i] = slot{later: later[:0]}
	}
	g.slots = g.slots[:0]
	g.fences, g.waiting, g.refused = nil, nil, nil
	clear(g.notes)
	g.notes = g.notes[:0]
}

// slotOf returns the log's part of the group, a new one at its first span.
func (g *group) slotOf(s *logState) *slot {
	if s.group == g && s.slot < len(g.slots) && g.slots[s.slot].state == s {
		return &g.slots[s.slot]
	}
	if len(g.slots) < cap(g.slots) {
		g.slots = g.slots[:len(g.slots)+1] // with the list that it had before
	} else {
		g.slots = append(g.slots, slot{})
	}
	s.group, s.slot = g, len(g.slots)-1
	n := &g.slots[s.slot]
	*n = slot{state: s, later: n.later[:0]}
	return n
}

// Submit hands a span that has been written to the next flush round. It copies
// what it needs of data, never waits, and never calls target itself, so that
// target may hold its own lock. Spans of one log come in order. After the first
// failure of the directory the next round answers Failed.
func (d *Dir) Submit(target Flushable, l *log.Log, span log.Span, data []byte, highWatermark kafka.Offset) {
	e := journal.Entry{Kind: journal.Data, Key: l.Key(), LeaderEpoch: span.Epoch, Base: span.Base, End: span.End,
		SegmentBase: span.Segment.Base(), Position: span.Position, Length: span.Length, HighWatermark: highWatermark,
		Checksum: span.Checksum}
	d.mu.Lock()
	g := d.mu.fill
	if state := d.mu.logs[l]; state == nil {
		g.refused = append(g.refused, target)
	} else {
		d.addLocked(g.slotOf(state), target, &span, &e, data)
		state.high = max(state.high, highWatermark)
	}
	d.mu.Unlock()
	d.wakeFlusher()
}

func (d *Dir) addLocked(s *slot, target Flushable, span *log.Span, e *journal.Entry, data []byte) {
	g := d.mu.fill
	s.target, s.end = target, span.End
	s.gap = s.gap || span.Base > s.state.covered
	s.state.covered = max(s.state.covered, span.End)
	small := len(s.later) == 0 && s.small+span.Length <= directPerLog &&
		g.round.Bytes()+span.Length <= directPerRound && !d.tight.Load() && !d.o.noPayload
	if small {
		g.round.Add(e, data)
		s.small += span.Length
		return
	}
	e.Kind = journal.Extent
	if s.joinLocked(span, e, data) {
		return
	}
	span.Segment.Retain()
	s.later = append(s.later, laterEntry{segment: span.Segment, entry: *e})
}

// joinLocked makes a small extent a part of the one before where it follows it.
// A group whose disk stands still then grows with large spans only, which are
// few. The checksum is carried on under the lock, so that large ones stay apart.
func (s *slot) joinLocked(span *log.Span, e *journal.Entry, data []byte) bool {
	n := len(s.later)
	if n == 0 || e.Length > directPerLog || s.later[n-1].segment != span.Segment {
		return false
	}
	last := &s.later[n-1].entry
	if last.Position+last.Length != e.Position || last.End != e.Base {
		return false
	}
	last.Checksum = bin.UpdateCRC32C(last.Checksum, data)
	last.Length += e.Length
	last.End, last.LeaderEpoch, last.HighWatermark = e.End, e.LeaderEpoch, max(last.HighWatermark, e.HighWatermark)
	return true
}

func (d *Dir) wakeFlusher() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

// Fence declares dead what the journal holds of key at or above from, and
// returns when that is durable. It precedes TruncateSuffix of an open log, and
// with from 0 the removal of a directory. Nothing of the log may be submitted
// meanwhile. When ctx ends first, the fence may still become durable: the caller
// must then cut or remove as it meant to.
func (d *Dir) Fence(ctx context.Context, key journal.Key, from kafka.Offset) error {
	e := journal.Entry{Kind: journal.Fence, Key: key, Base: from}
	return d.await(ctx, func(g *group) {
		s := d.mu.byKey[key]
		if s == nil {
			g.fences = append(g.fences, e)
			return
		}
		s.covered = min(s.covered, from)
		n := g.slotOf(s)
		n.later = append(n.later, laterEntry{entry: e})
	})
}

// Barrier returns when everything that was submitted before is durable.
func (d *Dir) Barrier(ctx context.Context) error { return d.await(ctx, func(*group) {}) }

// await adds to the group under mu and waits for its flush round.
func (d *Dir) await(ctx context.Context, add func(*group)) error {
	if err := d.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	d.mu.Lock()
	if d.mu.closed {
		d.mu.Unlock()
		return ErrClosed
	}
	add(d.mu.fill)
	d.mu.fill.waiting = append(d.mu.fill.waiting, done)
	d.mu.Unlock()
	d.wakeFlusher()
	if d.o.Stepped {
		d.runRounds()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
