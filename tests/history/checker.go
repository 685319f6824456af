package history

import (
	"fmt"

	"holdfast/internal/kafka"
)

// Reader names one consumer session: a sequence of polls that must move
// forwards. A reader that starts again is another Reader.
type Reader int32

// outcome is what the writer learned about a send.
type outcome uint8

const (
	unknown outcome = iota // no answer, or one that leaves it open
	acked
	failed // refused for good: it must not be in the log
)

// send is one record that was sent. 24 bytes; there are millions.
type send struct {
	acked   kafka.Offset // where the acknowledgement put it, or NoOffset
	seen    kafka.Offset // the first offset where a reader saw it, or NoOffset
	key     int32
	outcome outcome
	final   bool // the current final read saw it
	twice   bool // already reported or counted as standing at two offsets
	lost    bool // already reported as lost
}

// partition is what is known of one log.
type partition struct {
	name  kafka.TopicPartition
	log   []uint64 // by offset: the packed value known to stand there, 0 when none is known
	sends []uint64 // packed values sent here
}

// cursor is where a reader stands in one log.
type cursor struct {
	key    int32
	reader Reader
}

// gap is a stretch of offsets that a reader was led past.
type gap struct {
	cursor
	from, to kafka.Offset
}

// Checker collects a history and judges it. It is not safe for concurrent use.
type Checker struct {
	report     Report
	keys       map[kafka.TopicPartition]int32
	partitions []*partition
	writers    [][]send
	idempotent []bool
	cursors    map[cursor]kafka.Offset
	gaps       []gap
}

// New returns a checker of an empty history.
func New() *Checker {
	return &Checker{
		report:  Report{Counts: map[Kind]int64{}},
		keys:    map[kafka.TopicPartition]int32{},
		cursors: map[cursor]kafka.Offset{},
	}
}

// AddWriter registers a writer. Only an idempotent one promises that no value
// of it stands twice.
func (c *Checker) AddWriter(idempotent bool) Writer {
	c.writers = append(c.writers, nil)
	c.idempotent = append(c.idempotent, idempotent)
	return Writer(len(c.writers) - 1)
}

// Invoke records that a writer is about to send its next value to tp, and
// returns the value.
func (c *Checker) Invoke(w Writer, tp kafka.TopicPartition) Value {
	k := c.key(tp)
	v := Value{Writer: w, Counter: uint32(len(c.writers[w]))}
	c.writers[w] = append(c.writers[w], send{acked: kafka.NoOffset, seen: kafka.NoOffset, key: k})
	c.partitions[k].sends = append(c.partitions[k].sends, pack(v))
	c.report.Sent++
	return v
}

// Ack records that the value was acknowledged at the offset; NoOffset when the
// answer did not say where, as for a retry that fell out of the window.
func (c *Checker) Ack(v Value, offset kafka.Offset) {
	s := c.send(v)
	s.outcome, s.acked = acked, offset
	c.report.Acknowledged++
	if offset == kafka.NoOffset {
		c.report.Unplaced++
		return
	}
	c.place(s.key, offset, v, "acknowledged")
	if s.seen != kafka.NoOffset {
		c.seenAt(s, offset, v)
	}
}

// Fail records that the value was refused in a way that promises its absence.
func (c *Checker) Fail(v Value) { c.send(v).outcome = failed }

// Poll records that a reader was given the value at the offset.
func (c *Checker) Poll(r Reader, tp kafka.TopicPartition, offset kafka.Offset, v Value) {
	k := c.key(tp)
	c.step(r, k, offset)
	c.report.Polled++
	if int(v.Writer) >= len(c.writers) || int(v.Counter) >= len(c.writers[v.Writer]) || c.writers[v.Writer][v.Counter].key != k {
		c.find(Phantom, "%s at %s offset %d was never sent there", v, tp, offset)
		return
	}
	s := c.send(v)
	if s.outcome == failed {
		c.find(FailedButPresent, "%s was refused and is at %s offset %d", v, tp, offset)
	}
	c.place(k, offset, v, "read")
	c.seenAt(s, offset, v)
}

// seenAt compares an offset at which v stands with the ones known before.
func (c *Checker) seenAt(s *send, offset kafka.Offset, v Value) {
	name := c.partitions[s.key].name
	if s.seen == kafka.NoOffset {
		s.seen = offset
	}
	elsewhere := s.seen
	if elsewhere == offset && s.acked != kafka.NoOffset {
		elsewhere = s.acked
	}
	if elsewhere == offset || s.twice {
		return
	}
	s.twice = true
	if c.idempotent[v.Writer] {
		c.find(Duplicate, "%s of %s is at %d and at %d", v, name, elsewhere, offset)
	} else {
		c.report.Repeats++
	}
}

// PollCorrupt records that a reader was given bytes that Decode refused.
func (c *Checker) PollCorrupt(r Reader, tp kafka.TopicPartition, offset kafka.Offset, cause error) {
	c.step(r, c.key(tp), offset)
	c.report.Polled++
	c.find(Corrupt, "%s offset %d: %v", tp, offset, cause)
}

// Acknowledged is the end that an answer given from now on must cover: one past
// the highest acknowledged or read offset of tp.
func (c *Checker) Acknowledged(tp kafka.TopicPartition) kafka.Offset {
	return kafka.Offset(len(c.partitions[c.key(tp)].log))
}

// EndOffset records an end offset that was asked for when Acknowledged was floor.
func (c *Checker) EndOffset(tp kafka.TopicPartition, end, floor kafka.Offset) {
	if end < floor {
		c.find(StaleEndOffset, "%s ends at %d, but offset %d was acknowledged or read before the question", tp, end, floor-1)
	}
}

// step moves a reader forwards.
func (c *Checker) step(r Reader, k int32, offset kafka.Offset) {
	cur := cursor{key: k, reader: r}
	last, started := c.cursors[cur]
	c.cursors[cur] = offset
	switch {
	case !started:
	case offset <= last:
		c.find(NonmonotonicPoll, "reader %d of %s got offset %d after %d", r, c.partitions[k].name, offset, last)
	case offset > last+1:
		c.gaps = append(c.gaps, gap{cursor: cur, from: last + 1, to: offset})
	}
}

// place notes that v stands at the offset and complains when another value does.
func (c *Checker) place(k int32, offset kafka.Offset, v Value, how string) {
	p := c.partitions[k]
	if offset < 0 {
		c.find(InconsistentOffsets, "%s of %s %s at offset %d", v, p.name, how, offset)
		return
	}
	for int64(len(p.log)) <= int64(offset) {
		p.log = append(p.log, 0)
	}
	switch p.log[offset] {
	case 0:
		p.log[offset] = pack(v)
	case pack(v):
	default:
		c.find(InconsistentOffsets, "%s offset %d holds %s and, %s later, %s", p.name, offset, unpack(p.log[offset]), how, v)
	}
}

// FinalRead is one complete read of a log from its start to its end, after
// every fault has been healed and every writer has its answers.
type FinalRead struct {
	c    *Checker
	r    Reader
	tp   kafka.TopicPartition
	key  int32
	next map[Writer]uint32
	seen []uint64 // packed values seen, to unmark them at the end
}

// BeginFinalRead starts a complete read of tp by reader r.
func (c *Checker) BeginFinalRead(r Reader, tp kafka.TopicPartition) *FinalRead {
	return &FinalRead{c: c, r: r, tp: tp, key: c.key(tp), next: map[Writer]uint32{}}
}

// Poll records the next record of the read.
func (f *FinalRead) Poll(offset kafka.Offset, v Value) {
	before := f.c.report.Counts[Phantom]
	f.c.Poll(f.r, f.tp, offset, v)
	if f.c.report.Counts[Phantom] != before {
		return
	}
	s := f.c.send(v)
	if s.final {
		return // standing twice: told by Poll
	}
	s.final = true
	f.seen = append(f.seen, pack(v))
	if next := f.next[v.Writer]; v.Counter < next {
		f.c.find(Reorder, "%s offset %d: %s stands behind w%d:%d", f.tp, offset, v, v.Writer, next-1)
		return
	}
	f.next[v.Writer] = v.Counter + 1
}

// PollCorrupt records bytes that Decode refused.
func (f *FinalRead) PollCorrupt(offset kafka.Offset, cause error) {
	f.c.PollCorrupt(f.r, f.tp, offset, cause)
}

// End closes the read: the log ended at end. Whatever was acknowledged or seen
// and did not come is lost.
func (f *FinalRead) End(end kafka.Offset) {
	p := f.c.partitions[f.key]
	f.c.EndOffset(f.tp, end, kafka.Offset(len(p.log)))
	for _, packed := range p.sends {
		v := unpack(packed)
		s := f.c.send(v)
		if s.final || s.lost {
			continue
		}
		if s.outcome == acked {
			s.lost = true
			f.c.find(LostWrite, "%s of %s acknowledged at %d; the log ends at %d", v, f.tp, s.acked, end)
		} else if s.seen != kafka.NoOffset {
			s.lost = true
			f.c.find(LostWrite, "%s of %s was read at %d, and is gone; the log ends at %d", v, f.tp, s.seen, end)
		}
	}
	for _, packed := range f.seen {
		f.c.send(unpack(packed)).final = false
	}
}

// Report judges the history so far. It may be asked again later.
func (c *Checker) Report() Report {
	for _, g := range c.gaps {
		p := c.partitions[g.key]
		for o := g.from; o < g.to && int(o) < len(p.log); o++ {
			if p.log[o] != 0 {
				c.find(PollSkip, "reader %d of %s was led from %d to %d past %s at %d", g.reader, p.name, g.from-1, g.to, unpack(p.log[o]), o)
				break
			}
		}
	}
	c.gaps = nil
	r := c.report
	r.Unknown = r.Sent - r.Acknowledged
	r.Counts = map[Kind]int64{}
	for k, n := range c.report.Counts {
		r.Counts[k] = n
	}
	r.Examples = append([]Anomaly(nil), c.report.Examples...)
	return r
}

func (c *Checker) key(tp kafka.TopicPartition) int32 {
	k, ok := c.keys[tp]
	if !ok {
		k = int32(len(c.partitions))
		c.keys[tp] = k
		c.partitions = append(c.partitions, &partition{name: tp})
	}
	return k
}

func (c *Checker) send(v Value) *send { return &c.writers[v.Writer][v.Counter] }

func (c *Checker) find(k Kind, format string, args ...any) {
	c.report.Counts[k]++
	if c.report.Counts[k] <= examplesMax {
		c.report.Examples = append(c.report.Examples, Anomaly{Kind: k, Detail: fmt.Sprintf(format, args...)})
	}
}

// pack puts a value into a word that is never 0.
func pack(v Value) uint64 { return 1<<63 | uint64(v.Writer)<<32 | uint64(v.Counter) }

func unpack(p uint64) Value { return Value{Writer: Writer(p >> 32 & 0x7fff), Counter: uint32(p)} }
