package isr

import (
	"time"

	"holdfast/internal/kafka"
)

// A state is kept as bytes: they are its identity, and millions of them fit into
// memory. Images that everybody has left behind are not part of it.

type writer []byte

func (w *writer) bytes(b ...int8) {
	for _, v := range b {
		*w = append(*w, byte(v))
	}
}

func (w *writer) flags(b ...bool) {
	v := byte(0)
	for i, f := range b {
		if f {
			v |= 1 << i
		}
	}
	*w = append(*w, v)
}

// times are all the times that a state can hold.
var times = []time.Time{{}, ancient, now, now.Add(lagMax / joinShare), now.Add(lagMax)}

func (w *writer) time(t time.Time) {
	for i := range times {
		if times[i].Equal(t) {
			*w = append(*w, byte(i))
			return
		}
	}
	panic("a time that no state can hold: " + t.String())
}

// trail leaves out what can have no effect: while the end is the leader's, the rest
// is set anew by whatever comes next.
func (w *writer) trail(t *trail, leaderEnd kafka.Offset, own bool) {
	w.bytes(int8(t.end))
	if own || t.end >= leaderEnd {
		return
	}
	w.time(t.caughtUp)
	w.time(t.markTime)
	if !t.markTime.IsZero() {
		w.bytes(int8(t.mark))
	}
}

// since makes a partition epoch relative to the latest: without that, a replica
// that leaves and joins for ever would make states without end.
func since(latest, partitionEpoch int8) int8 { return min(latest-partitionEpoch, behindMax+1) }

func (w *writer) leader(l *Leader, latest int8) {
	w.bytes(int8(l.self), int8(l.epoch), int8(l.epochStart), since(latest, int8(l.partitionEpoch)), int8(l.minISR), int8(l.end), int8(l.highWatermark))
	w.flags(l.pending, l.pageCache)
	w.time(l.quietUntil)
	for i := range l.replicas {
		r := &l.replicas[i]
		w.bytes(int8(r.epoch))
		w.flags(r.candidate, r.committed, r.proposed)
		w.time(r.holdUntil)
		w.time(r.restUntil)
		w.trail(&r.fetch, l.end, r.id == l.self)
		w.trail(&r.durable, l.end, r.id == l.self)
	}
}

func (w *writer) node(n *node, latest int8) {
	w.bytes(n.log[:]...)
	w.bytes(n.starts[:]...)
	w.bytes(n.waits[:]...)
	w.bytes(n.ever[:]...)
	w.bytes(n.end, n.durable, n.report.epoch, n.report.broker, n.report.end)
	w.flags(n.leading, n.following, n.proposal.made, n.answer.made)
	outstanding := func(number int64) bool { return n.leading && number == n.lead.number }
	if p := &n.proposal; p.made {
		w.bytes(p.leaderEpoch, since(latest, p.partitionEpoch), int8(p.isr))
		w.bytes(p.brokers[:]...)
		w.flags(outstanding(p.number))
	}
	if a := &n.answer; a.made {
		w.bytes(a.leaderEpoch, since(latest, a.partitionEpoch), int8(a.isr))
		w.flags(outstanding(a.number), a.refused)
	}
	switch {
	case n.leading:
		w.leader(&n.lead, latest)
	case n.following:
		w.bytes(int8(n.follow.epoch), int8(n.follow.matched), int8(n.follow.highWatermark))
	default:
		w.bytes(n.hw)
	}
}

func (w *world) encode(buf []byte, s *state) []byte {
	out := writer(buf[:0])
	first, latest := s.latest, s.image().partitionEpoch
	for i := range w.nodes {
		first = min(first, s.nodes[i].applied)
	}
	out.bytes(s.latest-first, s.crashes, s.wipes, s.fences, s.elections, s.minSets)
	for at := first; at <= s.latest; at++ {
		im := &s.images[at]
		out.bytes(im.leader, im.leaderEpoch, since(latest, im.partitionEpoch), int8(im.isr), im.minISR)
		out.bytes(im.brokers[:]...)
	}
	out.bytes(s.committed[:]...)
	for i := range w.nodes {
		out.bytes(s.nodes[i].applied - first)
		out.node(&s.nodes[i], latest)
	}
	return out
}

// What a decoded state calls the latest partition epoch and the last proposal.
const (
	latestEpoch = 20
	lastNumber  = 10
)

type reader []byte

func (r *reader) byte() int8 {
	b := (*r)[0]
	*r = (*r)[1:]
	return int8(b)
}

func (r *reader) bytes(to ...*int8) {
	for _, p := range to {
		*p = r.byte()
	}
}

func (r *reader) fill(to []int8) {
	for i := range to {
		to[i] = r.byte()
	}
}

func (r *reader) flags(to ...*bool) {
	v := byte(r.byte())
	for i, p := range to {
		*p = v&(1<<i) != 0
	}
}

func (r *reader) time() time.Time { return times[r.byte()] }

func (r *reader) trail(leaderEnd kafka.Offset, own bool) (t trail) {
	t.end = kafka.Offset(r.byte())
	if own || t.end >= leaderEnd {
		return t
	}
	t.caughtUp, t.markTime = r.time(), r.time()
	if !t.markTime.IsZero() {
		t.mark = kafka.Offset(r.byte())
	}
	return t
}

func (r *reader) leader(nodes int) Leader {
	l := Leader{self: kafka.BrokerID(r.byte()), epoch: kafka.LeaderEpoch(r.byte()), epochStart: kafka.Offset(r.byte()),
		partitionEpoch: kafka.PartitionEpoch(latestEpoch - r.byte()), minISR: int(r.byte()), end: kafka.Offset(r.byte()), highWatermark: kafka.Offset(r.byte()), lagMax: lagMax, number: lastNumber}
	r.flags(&l.pending, &l.pageCache)
	l.quietUntil = r.time()
	l.replicas = make([]replica, nodes)
	for i := range l.replicas {
		p := &l.replicas[i]
		p.id, p.epoch = kafka.BrokerID(i), kafka.BrokerEpoch(r.byte())
		r.flags(&p.candidate, &p.committed, &p.proposed)
		p.holdUntil, p.restUntil = r.time(), r.time()
		p.fetch = r.trail(l.end, p.id == l.self)
		p.durable = r.trail(l.end, p.id == l.self)
	}
	return l
}

func (r *reader) number() int64 {
	var outstanding bool
	r.flags(&outstanding)
	if outstanding {
		return lastNumber
	}
	return lastNumber - 1
}

func (r *reader) node(n *node, nodes int) {
	r.fill(n.log[:])
	r.fill(n.starts[:])
	r.fill(n.waits[:])
	r.fill(n.ever[:])
	r.bytes(&n.end, &n.durable, &n.report.epoch, &n.report.broker, &n.report.end)
	r.flags(&n.leading, &n.following, &n.proposal.made, &n.answer.made)
	if p := &n.proposal; p.made {
		p.leaderEpoch, p.partitionEpoch, p.isr = r.byte(), latestEpoch-r.byte(), uint8(r.byte())
		r.fill(p.brokers[:])
		p.number = r.number()
	}
	if a := &n.answer; a.made {
		a.leaderEpoch, a.partitionEpoch, a.isr = r.byte(), latestEpoch-r.byte(), uint8(r.byte())
		var outstanding bool
		r.flags(&outstanding, &a.refused)
		if a.number = lastNumber - 1; outstanding {
			a.number = lastNumber
		}
	}
	switch {
	case n.leading:
		n.lead = r.leader(nodes)
	case n.following:
		n.follow = Follower{kafka.LeaderEpoch(r.byte()), kafka.Offset(r.byte()), kafka.Offset(r.byte())}
	default:
		n.hw = r.byte()
	}
}

func (w *world) decode(b []byte) *state {
	r, s := reader(b), &state{}
	r.bytes(&s.latest, &s.crashes, &s.wipes, &s.fences, &s.elections, &s.minSets)
	for at := range s.latest + 1 {
		im := &s.images[at]
		im.leader, im.leaderEpoch, im.partitionEpoch = r.byte(), r.byte(), latestEpoch-r.byte()
		im.isr, im.minISR = uint8(r.byte()), r.byte()
		r.fill(im.brokers[:])
	}
	r.fill(s.committed[:])
	for i := range w.nodes {
		s.nodes[i].applied = r.byte()
		r.node(&s.nodes[i], w.nodes)
	}
	return s
}
