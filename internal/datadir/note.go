package datadir

import (
	"math"

	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
)

// noteBase is where the fence of a note stands: above every offset, so that it
// declares nothing dead, wherever it is in the journal.
const noteBase kafka.Offset = math.MaxInt64

// Note remembers a high watermark of an open log that no append carries. It goes
// with the next flush round, whosever that is, and with the next checkpoint; it is
// worth no round of its own. It is not above what is durable: found above the log's
// end, it is proof of a loss.
func (d *Dir) Note(l *log.Log, highWatermark kafka.Offset) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.mu.logs[l]
	if s == nil || highWatermark <= s.high {
		return
	}
	s.high = highWatermark
	if s.noted != d.mu.group {
		s.noted = d.mu.group
		d.mu.fill.notes = append(d.mu.fill.notes, s)
	}
}

// noteEntries makes entries of the notes of a group. They do not keep a round from
// being given back longer than the log's own entries do: the state is checkpointed
// before, and the high watermark with it.
func (d *Dir) noteEntries(g *group) []journal.Entry {
	if len(g.notes) == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]journal.Entry, 0, len(g.notes))
	for _, s := range g.notes {
		if d.mu.logs[s.log] == s { // else it is being removed, and fenced
			out = append(out, journal.Entry{Kind: journal.Fence, Key: s.key, Base: noteBase, HighWatermark: s.high})
		}
	}
	return out
}

// notedHigh sorts the notes of a replayed journal out. A fence of a log takes back what
// was noted before it above its place: a removal all of it.
func notedHigh(entries []journal.Entry) map[journal.Key]kafka.Offset {
	high := make(map[journal.Key]kafka.Offset)
	for i := range entries {
		e := &entries[i]
		switch {
		case e.Kind != journal.Fence:
		case e.Base == noteBase:
			high[e.Key] = max(high[e.Key], e.HighWatermark)
		case high[e.Key] > e.Base:
			high[e.Key] = e.Base
		}
	}
	return high
}
