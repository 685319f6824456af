package fetcher

import (
	"context"
	"errors"

	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/partition"
	"holdfast/internal/wire"
)

// answer is what a leader has answered for one partition, and what became of it.
type answer struct {
	n     *follower
	part  *wire.FetchResponseTopicPartition
	asked partition.FetchPosition
	later *partition.Replicated // to be taken over beside the lane: it waits for the disk
	read  int                   // bytes of records
	err   error
}

// resolve finds the followers that an answer is about. asked are the positions of a
// request outside of the session; in it, each follower knows its own. What was not
// asked for is left out.
func (l *leader) resolve(dst []answer, r *wire.FetchResponse, asked map[*follower]partition.FetchPosition) []answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range r.Topics {
		t := &r.Topics[i]
		for k := range t.Partitions {
			p := &t.Partitions[k]
			n := l.mu.followers[kafka.TopicIDPartition{TopicID: t.TopicID, Partition: kafka.PartitionIndex(p.Partition)}]
			switch {
			case n == nil:
			case asked == nil && n.place == inSession:
				dst = append(dst, answer{n: n, part: p, asked: n.sent})
			case asked != nil:
				if pos, ok := asked[n]; ok {
					dst = append(dst, answer{n: n, part: p, asked: pos})
				}
			}
		}
	}
	return dst
}

// apply hands an answer to its partition, with the records where they were read
// to. What would wait for the disk is left for later.
func (l *leader) apply(a *answer) {
	p := a.part
	r := partition.Replicated{Epoch: a.asked.Epoch, From: a.asked.From, Records: p.RecordBatches,
		HighWatermark: kafka.Offset(p.HighWatermark), LogStart: kafka.Offset(p.LogStartOffset), Code: kafka.ErrorCode(p.ErrorCode)}
	if p.DivergingEpoch.Epoch >= 0 || p.DivergingEpoch.EndOffset >= 0 {
		r.Diverging = &partition.EpochEnd{Epoch: kafka.LeaderEpoch(p.DivergingEpoch.Epoch), End: kafka.Offset(p.DivergingEpoch.EndOffset)}
	}
	if r.Code == kafka.ErrNone && r.Diverging != nil || r.Code == kafka.ErrOffsetOutOfRange {
		r.Records = nil
		a.later = &r
		return
	}
	a.read = len(r.Records)
	l.f.stats.Bytes.Add(int64(a.read))
	trim := r.LogStart
	if r.Code == kafka.ErrNone && trim > a.asked.LogStart {
		r.LogStart = a.asked.LogStart
	}
	a.err = a.n.p.Replicate(r)
	if a.err == nil && r.LogStart != trim {
		r.LogStart, r.Records = trim, nil
		a.later = &r
	}
}

// noteSession says where the followers of an answer to the session go from here.
func (l *leader) noteSession(list []answer) {
	now := l.clock().Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.err = nil
	for i := range list {
		a := &list[i]
		switch {
		case a.n.place != inSession: // renewed or gone meanwhile
		case a.err != nil:
			l.refusedLocked(a)
			l.punishLocked(a.n, now)
		case a.later != nil:
			l.cutLocked(a)
		default:
			a.n.failures = 0
			l.mu.touched = append(l.mu.touched, a.n)
		}
	}
}

// noteAside says where the followers go that were fetched beside the session.
func (l *leader) noteAside(list []answer) {
	now := l.clock().Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range list {
		a := &list[i]
		switch {
		case a.n.place != beside:
		case a.err != nil:
			l.refusedLocked(a)
			l.punishLocked(a.n, now)
		case a.later != nil:
			l.cutLocked(a)
		default:
			a.n.failures = 0
			due := now
			if a.n.quick++; a.read == 0 || a.n.quick%asideQuick == 0 {
				a.n.quick, due = 0, now.Add(asideEvery)
			}
			l.waitLocked(a.n, due, true)
		}
	}
}

// refusedLocked says so when an answer was an error that does not explain itself.
// Right after a change of leaders most of them do: one side learns of it first.
func (l *leader) refusedLocked(a *answer) {
	l.f.stats.Refused.Add(1)
	var code kafka.ErrorCode
	if errors.As(a.err, &code) && a.n.failures < 8 {
		return
	}
	if a.n.failures > 0 && a.n.failures%64 != 8 {
		return
	}
	l.f.o.Log.Warn("a partition does not follow its leader; it tries again", "topic", a.n.p.Topic(), "partition", a.n.id.Partition,
		"leader", l.id, "error", a.err)
}

// cut is an answer that waits for the disk while it is taken over.
type cut struct {
	n *follower
	r partition.Replicated
}

// cuttersMax is how many logs of one leader's followers are cut side by side: they
// share the flush rounds that they wait for.
const cuttersMax = 8

// cutLocked hands an answer to a cutter. The caller holds mu.
func (l *leader) cutLocked(a *answer) {
	l.leaveLocked(a.n)
	a.n.place = cutting
	l.mu.cuts = append(l.mu.cuts, cut{a.n, *a.later})
	if l.mu.cutters < cuttersMax {
		l.mu.cutters++
		l.beginCutter()
	}
}

// runCuts takes such answers over until none is left.
func (l *leader) runCuts(ctx context.Context) {
	for {
		l.mu.Lock()
		if len(l.mu.cuts) == 0 || ctx.Err() != nil {
			l.mu.cutters--
			l.mu.Unlock()
			return
		}
		c := l.mu.cuts[0]
		l.mu.cuts[0] = cut{}
		l.mu.cuts = l.mu.cuts[1:]
		l.mu.Unlock()
		err := l.runCut(&c)
		now := l.clock().Now()
		l.mu.Lock()
		if c.n.place == cutting {
			if err != nil {
				l.refusedLocked(&answer{n: c.n, err: err})
				l.punishLocked(c.n, now)
			} else {
				c.n.failures = 0
				l.waitLocked(c.n, now, true)
			}
		}
		l.mu.Unlock()
		l.pokeLanes()
	}
}

// runCut takes one answer over.
func (l *leader) runCut(c *cut) error {
	if c.r.Code == kafka.ErrNone && c.r.Diverging == nil {
		// The records that came along are in the log: only the start is left to move.
		pos, ok := c.n.p.FetchPosition()
		if !ok || pos.Epoch != c.r.Epoch {
			return nil
		}
		c.r.From = pos.From
	}
	before := c.n.p.Log().End()
	err := c.n.p.Replicate(c.r)
	if after := c.n.p.Log().End(); err == nil && after < before {
		l.f.o.Log.Warn("cut what the leader does not have", "topic", c.n.p.Topic(), "partition", c.n.id.Partition, "leader", l.id,
			"leader_epoch", c.r.Epoch, "from", after, "to", before)
	}
	if err != nil && c.n.p.Err() != nil && !errors.Is(err, log.ErrNoSpace) {
		l.f.o.Log.Error("a replica is offline", "topic", c.n.p.Topic(), "partition", c.n.id.Partition, "leader", l.id, "error", err)
	}
	return err
}
