package isr

import (
	"fmt"
	"time"

	"holdfast/internal/kafka"
)

// step is one thing that may happen. It reports false when it cannot happen now;
// then the state may have been touched and is thrown away.
type step struct {
	name string
	may  func(s *state) bool
	do   func(s *state) error
}

// steps lists everything that may happen in w.
func (w *world) steps() (all []step) {
	add := func(name string, may func(s *state) bool, do func(s *state) error) {
		all = append(all, step{name, may, do})
	}
	for i := range w.nodes {
		add(fmt.Sprintf("%d appends a record", i), func(s *state) bool { return w.mayAppend(&s.nodes[i]) }, func(s *state) error { return w.append(s, i) })
		add(fmt.Sprintf("%d flushes", i), func(s *state) bool { return s.nodes[i].durable < s.nodes[i].end }, func(s *state) error { return w.flush(s, i) })
		add(fmt.Sprintf("%d fetches", i), func(s *state) bool { return s.leaderOf(i) != nil }, func(s *state) error { return w.fetch(s, i) })
		add(fmt.Sprintf("%d applies the next metadata", i), func(s *state) bool { return s.nodes[i].applied < s.latest }, func(s *state) error {
			s.nodes[i].applied++
			return w.obey(s, i)
		})
		add(fmt.Sprintf("%d applies all metadata", i), func(s *state) bool { return s.nodes[i].applied+1 < s.latest }, func(s *state) error {
			s.nodes[i].applied = s.latest
			return w.obey(s, i)
		})
		add(fmt.Sprintf("time passes at %d", i), func(s *state) bool { return s.nodes[i].leading }, func(s *state) error {
			s.nodes[i].lead.age()
			return w.event(s, i, func(l *Leader) Effects { return l.Tick(now) })
		})
		add(fmt.Sprintf("the controller decides the proposal of %d", i), func(s *state) bool { return s.nodes[i].proposal.made && s.latest < behindMax }, func(s *state) error { w.decide(s, i); return nil })
		add(fmt.Sprintf("%d hears the answer", i), func(s *state) bool { return s.nodes[i].answer.made }, func(s *state) error { return w.hear(s, i, true) })
		if w.rules.lost != nil {
			add(fmt.Sprintf("the answer to %d is lost", i), func(s *state) bool { return s.nodes[i].answer.made }, func(s *state) error { return w.hear(s, i, false) })
		}
		w.reportSteps(i, add)
		w.failures(i, add)
	}
	if w.minSets > 0 {
		add("min ISR becomes 2", func(s *state) bool { return s.minSets < w.minSets && s.room() && s.image().minISR < 2 }, func(s *state) error {
			s.minSets++
			s.next().minISR = 2
			return nil
		})
	}
	return all
}

func (w *world) reportSteps(i int, add func(string, func(*state) bool, func(*state) error)) {
	sends := func(s *state) error {
		n := &s.nodes[i]
		end, ok := w.progress(n)
		if !ok {
			return nil
		}
		n.report = report{int8(n.follow.epoch), s.images[n.applied].brokers[i], int8(end)}
		if w.late {
			return nil
		}
		return w.deliver(s, i)
	}
	if !w.late {
		add(fmt.Sprintf("%d reports what is durable", i), func(s *state) bool { return s.leaderOf(i) != nil }, sends)
		return
	}
	add(fmt.Sprintf("%d sends what is durable", i), func(s *state) bool { return s.nodes[i].following }, sends)
	add(fmt.Sprintf("what %d sent arrives", i), func(s *state) bool { return s.nodes[i].report != report{} }, func(s *state) error { return w.deliver(s, i) })
}

func (w *world) failures(i int, add func(string, func(*state) bool, func(*state) error)) {
	bit := uint8(1) << i
	electable := func(s *state) uint8 { return s.image().isr &^ bit }
	for j := range w.nodes {
		heir := func(s *state) bool {
			if int(s.image().leader) != i {
				return j == 0 // no heir is needed: one of the steps is enough
			}
			return electable(s)&(1<<j) != 0 || electable(s) == 0 && j == i
		}
		name := func(what string) string { return fmt.Sprintf("%s (%d leads if need be)", what, j) }
		if w.fences > 0 {
			add(name(fmt.Sprintf("the controller removes %d from the ISR", i)), func(s *state) bool {
				return s.fences < w.fences && s.room() && s.image().isr&bit != 0 && electable(s) != 0 && heir(s)
			}, func(s *state) error { s.fences++; s.remove(i, j, false); return nil })
		}
		if w.crashes > 0 {
			add(name(fmt.Sprintf("%d loses power and returns", i)), func(s *state) bool { return s.crashes < w.crashes && s.room() && heir(s) },
				func(s *state) error { s.crashes++; return w.crash(s, i, j, false) })
		}
		if w.wipes > 0 {
			add(name(fmt.Sprintf("%d returns with an empty disk", i)), func(s *state) bool { return s.wipes < w.wipes && s.room() && electable(s) != 0 && heir(s) },
				func(s *state) error { s.wipes++; return w.crash(s, i, j, true) })
		}
	}
	if w.elections > 0 {
		add(fmt.Sprintf("the controller elects %d", i), func(s *state) bool {
			return s.elections < w.elections && s.room() && int(s.image().leader) != i && s.image().isr&bit != 0
		}, func(s *state) error { s.elections++; s.elect(i); return nil })
	}
}

// room bounds metadata and epochs: the oldest image that somebody has not left
// behind is the first.
func (s *state) room() bool { return s.latest < behindMax && s.image().leaderEpoch+1 < epochsMax }

// leaderOf is the leader that follower i fetches from, nil when there is none of
// its epoch.
func (s *state) leaderOf(i int) *node {
	n := &s.nodes[i]
	if !n.following {
		return nil
	}
	return s.leads(n.follow.epoch)
}

func (s *state) leads(epoch kafka.LeaderEpoch) *node {
	for j := range s.nodes {
		if l := &s.nodes[j]; l.leading && l.lead.epoch == epoch {
			return l
		}
	}
	return nil
}

func (s *state) index(n *node) int {
	for i := range s.nodes {
		if n == &s.nodes[i] {
			return i
		}
	}
	panic("not a node")
}

func (w *world) mayAppend(n *node) bool {
	if !n.leading || n.end >= w.entries {
		return false
	}
	if w.rules.canAppend != nil {
		return w.rules.canAppend(&n.lead)
	}
	return n.lead.CanAppend()
}

func (w *world) append(s *state, i int) error {
	n := &s.nodes[i]
	n.waits[n.end] = int8(n.lead.epoch)
	n.append(int8(n.lead.epoch))
	return w.event(s, i, func(l *Leader) Effects { return l.Appended(kafka.Offset(n.end), now) })
}

func (w *world) flush(s *state, i int) error {
	n := &s.nodes[i]
	n.durable = n.end
	if !n.leading {
		return nil
	}
	return w.event(s, i, func(l *Leader) Effects { return l.Flushed(kafka.Offset(n.end), now) })
}

// fetch is one request and its answer. Answers that come late are dropped by
// Follower.Accepts and are not modelled.
func (w *world) fetch(s *state, i int) error {
	n, l := &s.nodes[i], s.leaderOf(i)
	from := n.Last()
	if part, diverges := Diverges(l, from); diverges {
		cut, err := n.follow.Cut(n, part)
		if err != nil {
			return err
		}
		n.truncate(int8(cut))
		w.reached["a follower cuts"]++
		return nil
	}
	f := Fetch{Replica: kafka.BrokerID(i), Epoch: kafka.BrokerEpoch(s.images[n.applied].brokers[i]), From: from.End}
	if w.rules.fetch != nil {
		w.rules.fetch(&l.lead, &f)
	}
	if err := w.event(s, s.index(l), func(l *Leader) Effects { return l.Fetched(f, now) }); err != nil {
		return err
	}
	for n.end < l.end {
		n.append(l.log[n.end])
	}
	n.follow.Matched(kafka.Offset(n.end), l.lead.HighWatermark())
	return w.acknowledge(s, i, int8(min(n.follow.HighWatermark(), kafka.Offset(n.end))))
}

func (w *world) progress(n *node) (kafka.Offset, bool) {
	if w.rules.progress != nil {
		return w.rules.progress(&n.follow, kafka.Offset(n.durable))
	}
	return n.follow.Progress(kafka.Offset(n.durable))
}

func (w *world) deliver(s *state, i int) error {
	r := s.nodes[i].report
	s.nodes[i].report = report{}
	l := s.leads(kafka.LeaderEpoch(r.epoch))
	if l == nil && w.rules.anyEpoch {
		l = s.leads(kafka.LeaderEpoch(s.image().leaderEpoch))
	}
	if l == nil {
		return nil
	}
	p := Report{Replica: kafka.BrokerID(i), Epoch: kafka.BrokerEpoch(r.broker), Durable: kafka.Offset(r.end)}
	if w.rules.report != nil {
		w.rules.report(&l.lead, &p)
	}
	return w.event(s, s.index(l), func(l *Leader) Effects { return l.Reported(p, now) })
}

// decide is the controller: compare and swap.
func (w *world) decide(s *state, i int) {
	p := s.nodes[i].proposal
	s.nodes[i].proposal = proposed{}
	im := s.image()
	same := im.leaderEpoch == p.leaderEpoch && im.partitionEpoch == p.partitionEpoch
	for _, id := range members(p.isr) {
		same = same && im.brokers[id] == p.brokers[id]
	}
	a := answered{made: true, refused: !same, leaderEpoch: p.leaderEpoch, partitionEpoch: p.partitionEpoch, number: p.number, isr: p.isr}
	if a.refused || w.rules.answer != nil || w.rules.lost != nil {
		s.nodes[i].answer = a // otherwise it has no effect
	}
	if !same {
		w.reached["a proposal is refused"]++
		return
	}
	if p.isr&^im.isr != 0 {
		w.reached["a joiner is in the ISR"]++
	}
	if im.isr&^p.isr != 0 {
		w.reached["a replica leaves the ISR"]++
	}
	to := s.next()
	to.isr = p.isr
	to.partitionEpoch++
}

// hear brings the answer to the leader, or tells the mutant that it did not come.
func (w *world) hear(s *state, i int, comes bool) error {
	n := &s.nodes[i]
	a := n.answer
	n.answer = answered{}
	if !n.leading {
		return nil
	}
	return w.event(s, i, func(l *Leader) Effects {
		switch {
		case !comes:
			w.rules.lost(l, &a)
		case w.rules.answer != nil:
			w.rules.answer(l, &a)
		default:
			return l.Answered(Answer{kafka.LeaderEpoch(a.leaderEpoch), a.number, a.refused}, now)
		}
		return Effects{}
	})
}

// elect makes j the leader.
func (s *state) elect(j int) {
	im := s.next()
	im.leader, im.leaderEpoch, im.partitionEpoch = int8(j), im.leaderEpoch+1, im.partitionEpoch+1
}

// remove takes i out of the ISR, unless it is the last member; heir leads if i led.
// anew: a new incarnation of i registers in the same moment.
func (s *state) remove(i, heir int, anew bool) {
	im := s.next()
	if anew {
		im.brokers[i]++
	}
	rest := im.isr &^ (1 << i)
	if rest != im.isr && rest != 0 {
		im.isr = rest
		im.partitionEpoch++
	}
	if int(im.leader) == i {
		im.leader, im.leaderEpoch = int8(heir), im.leaderEpoch+1
		if rest == 0 {
			im.partitionEpoch++
		}
	}
}

// crash loses what i has not on stable storage and brings it back as a new
// incarnation that has applied its own registration.
func (w *world) crash(s *state, i, heir int, wiped bool) error {
	n := &s.nodes[i]
	w.stop(n)
	n.waits = [entriesMax]int8{}
	if wiped {
		copy(n.ever[:n.durable], n.log[:n.durable])
		n.durable, n.hw = 0, 0
	}
	n.truncate(n.durable)
	if wiped {
		n.starts = [epochsMax]int8{}
	}
	s.remove(i, heir, true)
	n.applied = s.latest
	return w.obey(s, i)
}

// age makes everything that l noted ancient.
func (l *Leader) age() {
	old := func(t *time.Time) {
		if !t.IsZero() {
			*t = ancient
		}
	}
	l.quietUntil = time.Time{}
	for i := range l.replicas {
		r := &l.replicas[i]
		old(&r.holdUntil)
		r.restUntil = time.Time{}
		for _, t := range []*trail{&r.fetch, &r.durable} {
			old(&t.caughtUp)
			old(&t.markTime)
		}
	}
}
