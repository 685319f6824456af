package isr

import "time"

// joinShare is the part of LagMax within which a joiner must have been at the
// leader's end, and for which the high watermark may be held for it.
const joinShare = 8

// joinMax is LagMax/joinShare.
func (l *Leader) joinMax() time.Duration { return l.lagMax / joinShare }

// settle ends holds that are over, proposes another ISR where it should differ,
// and then moves the high watermark, in this order: a joiner that has just become
// ready is counted before the high watermark can leave it behind again.
func (l *Leader) settle(now time.Time, judge bool) (e Effects) {
	l.release(now)
	if l.propose(now, judge) {
		p := l.proposal()
		e.Propose = &p
	}
	e.Moved = l.advance()
	return e
}

// advance recomputes the high watermark: the smallest durable end of everyone whom
// an election might find in the ISR, never going back, frozen while fewer than
// min.insync.replicas are in sync whatever happens.
func (l *Leader) advance() bool {
	if !l.CanAppend() {
		return false
	}
	least := l.end
	for i := range l.replicas {
		if r := &l.replicas[i]; r.committed || r.proposed || !r.holdUntil.IsZero() {
			least = min(least, l.held(r))
		}
	}
	if least <= l.highWatermark {
		return false
	}
	l.highWatermark = least
	return true
}

// release ends the holds whose time is over.
func (l *Leader) release(now time.Time) {
	for i := range l.replicas {
		if r := &l.replicas[i]; !r.holdUntil.IsZero() && !now.Before(r.holdUntil) {
			r.holdUntil, r.restUntil = time.Time{}, now.Add(l.lagMax)
		}
	}
}

// propose decides which ISR there should be and reports whether it asks for it.
// judge: replicas that lag leave.
func (l *Leader) propose(now time.Time, judge bool) bool {
	if l.pending || now.Before(l.quietUntil) || !l.replica(l.self).candidate {
		return false
	}
	differs := false
	for i := range l.replicas {
		r := &l.replicas[i]
		r.proposed = r.id == l.self || r.candidate && (l.stays(r, now, judge) || l.joins(r, now))
		differs = differs || r.proposed != r.committed
		if r.proposed {
			r.holdUntil = time.Time{}
		}
	}
	if differs {
		l.pending = true
		l.number++
	}
	return differs
}

// stays reports whether a member of the ISR remains one.
func (l *Leader) stays(r *replica, now time.Time, judge bool) bool {
	return r.committed && !(judge && l.trailOf(r).behind(l.end, now, l.lagMax))
}

// joins reports whether an outsider is ready for the ISR, and holds the high
// watermark for one to whom nothing else is wanting.
func (l *Leader) joins(r *replica, now time.Time) bool {
	if r.committed || r.fetch.end < 0 || r.fetch.behind(l.end, now, l.joinMax()) || l.trailOf(r).behind(l.end, now, l.joinMax()) {
		return false
	}
	// The high watermark of a new leader may lie below what was committed before it;
	// the start of its epoch does not (KAFKA-7128).
	if l.held(r) >= max(l.highWatermark, l.epochStart) {
		return true
	}
	if r.holdUntil.IsZero() && !now.Before(r.restUntil) {
		r.holdUntil = now.Add(l.joinMax())
	}
	return false
}

// proposal is the ISR asked for, as a message.
func (l *Leader) proposal() Proposal {
	p := Proposal{LeaderEpoch: l.epoch, Number: l.number, PartitionEpoch: l.partitionEpoch}
	for i := range l.replicas {
		if r := &l.replicas[i]; r.proposed {
			p.ISR = append(p.ISR, Candidate{ID: r.id, Epoch: r.epoch})
		}
	}
	return p
}
