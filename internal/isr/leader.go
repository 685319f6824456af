package isr

import (
	"slices"
	"time"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
)

// noBrokerEpoch stands for an incarnation that metadata has not named.
const noBrokerEpoch kafka.BrokerEpoch = -1

// Candidate is a replica that may be in the ISR, as the applied metadata says: its
// broker is registered, unfenced and not shutting down. Epoch is its incarnation.
type Candidate struct {
	ID    kafka.BrokerID
	Epoch kafka.BrokerEpoch
}

// Leader is what the leader of a partition knows about who has how much of the
// log, and what it has asked the controller for. It belongs to one owner, which
// guards it: the partition, under its own lock. A copy shares its insides.
type Leader struct {
	self           kafka.BrokerID
	epoch          kafka.LeaderEpoch
	epochStart     kafka.Offset // the log's end when the term began
	partitionEpoch kafka.PartitionEpoch
	minISR         int
	pageCache      bool
	lagMax         time.Duration

	end           kafka.Offset // of the leader's own log
	highWatermark kafka.Offset
	replicas      []replica // the assignment, the leader included
	pending       bool      // a proposal is outstanding, made at partitionEpoch
	number        int64     // of the last proposal of the term
	quietUntil    time.Time // nothing is proposed before
}

// replica is one assigned replica.
//
// committed is its place in the ISR of the applied metadata; proposed is its
// place in the ISR that was asked for, and equals committed while nothing is
// outstanding.
type replica struct {
	id        kafka.BrokerID
	epoch     kafka.BrokerEpoch // the last incarnation that metadata named
	candidate bool
	committed bool
	proposed  bool
	holdUntil time.Time // it counts for the high watermark until then; zero: no hold
	restUntil time.Time // no hold begins before
	fetch     trail
	durable   trail
}

// trail is an end that grows, and when it was last at the leader's end.
type trail struct {
	end      kafka.Offset // exclusive; NoOffset: nothing is known
	caughtUp time.Time    // it had everything that the leader had at this time
	mark     kafka.Offset // an earlier end of the leader, not yet reached
	markTime time.Time    // when mark was the leader's end; zero: none
}

// moved notes that the trail has reached end, while the leader's end is leaderEnd.
// A lower end is an old message and takes nothing back.
func (t *trail) moved(end, leaderEnd kafka.Offset, now time.Time) {
	t.end = max(t.end, end)
	switch marked := !t.markTime.IsZero(); {
	case t.end >= leaderEnd:
		t.caughtUp = now
	case marked && t.end >= t.mark:
		t.caughtUp = t.markTime
	case marked:
		return
	}
	t.mark, t.markTime = leaderEnd, now
}

// overtaken notes that the leader's end grows from before to after now.
func (t *trail) overtaken(before, after kafka.Offset, now time.Time) {
	if t.end >= before {
		t.caughtUp, t.mark, t.markTime = now, after, now
	}
}

// behind reports whether the trail is below leaderEnd and has not been at the
// leader's end within the last d.
func (t *trail) behind(leaderEnd kafka.Offset, now time.Time, d time.Duration) bool {
	return t.end < leaderEnd && now.Sub(t.caughtUp) > d
}

// Term describes a leadership that begins.
type Term struct {
	Self           kafka.BrokerID
	Epoch          kafka.LeaderEpoch
	PartitionEpoch kafka.PartitionEpoch
	Replicas       []kafka.BrokerID // the assignment; contains ISR
	ISR            []kafka.BrokerID // committed; contains Self
	Candidates     []Candidate      // any order; replicas only count
	MinISR         int              // min.insync.replicas, at least 1
	End            kafka.Offset     // the own log's end, where this epoch starts
	Durable        kafka.Offset     // the own durable end, at most End
	// HighWatermark is the highest value this replica has ever known. The term
	// starts from it, or from the own durable end where that is lower, which only a
	// forced recovery brings about.
	HighWatermark kafka.Offset
	LagMax        time.Duration // replica.lag.time.max.ms, above 0
	Now           time.Time
	PageCache     bool // the topic counts bytes that are not yet durable
}

// NewLeader begins a leadership. What followers told the leader before counts for
// nothing: they match their logs with this one first (KIP-101, KIP-279). Members of
// the ISR have LagMax from now to do so.
func NewLeader(t Term) Leader {
	invariant.Check(t.MinISR >= 1, "min ISR %d", t.MinISR)
	invariant.Check(t.Durable <= t.End, "durable end %d above the log end %d", t.Durable, t.End)
	invariant.Check(t.LagMax > 0, "replica lag time max %s", t.LagMax)
	l := Leader{self: t.Self, epoch: t.Epoch, epochStart: t.End, partitionEpoch: t.PartitionEpoch,
		minISR: t.MinISR, pageCache: t.PageCache, lagMax: t.LagMax, end: t.End}
	l.assign(t.Replicas, t.ISR, t.Candidates)
	for i := range l.replicas {
		r := &l.replicas[i]
		if r.committed {
			r.fetch.caughtUp, r.durable.caughtUp = t.Now, t.Now
		}
		if r.id == l.self {
			r.fetch.moved(t.End, t.End, t.Now)
			r.durable.moved(t.Durable, t.End, t.Now)
		}
	}
	own := l.replica(l.self)
	l.highWatermark = max(0, min(t.HighWatermark, l.held(own)))
	l.advance()
	return l
}

// assign makes the list of replicas anew and keeps what is known of those that
// stay. An incarnation other than the one known starts from nothing.
func (l *Leader) assign(replicas, isr []kafka.BrokerID, candidates []Candidate) {
	invariant.Check(slices.Contains(isr, l.self), "leader %d is not in its ISR %v", l.self, isr)
	next := make([]replica, 0, len(replicas))
	for _, id := range replicas {
		r := replica{id: id, epoch: noBrokerEpoch}
		r.forget()
		if known := l.replica(id); known != nil {
			r = *known
		}
		r.committed = slices.Contains(isr, id)
		at := slices.IndexFunc(candidates, func(c Candidate) bool { return c.ID == id })
		if r.candidate = at >= 0; r.candidate && candidates[at].Epoch != r.epoch {
			if l.pending && r.proposed {
				// The proposal names an incarnation that is no more. It has not been
				// applied, or the partition epoch would have moved; now it cannot be.
				l.pending = false
			}
			if id != l.self {
				r.forget()
			}
			r.epoch = candidates[at].Epoch
		}
		if !r.candidate {
			r.holdUntil = time.Time{} // it cannot join: nothing waits for it (KAFKA-15021)
		}
		next = append(next, r)
	}
	for _, id := range isr {
		invariant.Check(slices.Contains(replicas, id), "ISR %v is not within the replicas %v", isr, replicas)
	}
	l.replicas = next
	if !l.pending {
		l.withdraw()
	}
}

// forget drops what a replica reported: another incarnation may have less.
func (r *replica) forget() {
	r.fetch, r.durable = trail{end: kafka.NoOffset}, trail{end: kafka.NoOffset}
	r.holdUntil, r.restUntil = time.Time{}, time.Time{}
}

// withdraw makes what was asked for equal to what holds.
func (l *Leader) withdraw() {
	l.pending = false
	for i := range l.replicas {
		l.replicas[i].proposed = l.replicas[i].committed
	}
}

// replica returns the assigned replica id, nil for a stranger.
func (l *Leader) replica(id kafka.BrokerID) *replica {
	for i := range l.replicas {
		if l.replicas[i].id == id {
			return &l.replicas[i]
		}
	}
	return nil
}

// held is the end of what r has in the sense that the topic asks for: on stable
// storage, or, in page-cache mode, at all. It is the one place where that counts.
func (l *Leader) held(r *replica) kafka.Offset {
	if l.pageCache {
		return max(r.durable.end, r.fetch.end)
	}
	return r.durable.end
}

// Epoch is the leader epoch of this leadership.
func (l *Leader) Epoch() kafka.LeaderEpoch { return l.epoch }

// EpochStart is the log's end when this leadership began. Until the high watermark
// has reached it, the latest offset cannot be told (KIP-207).
func (l *Leader) EpochStart() kafka.Offset { return l.epochStart }

// PartitionEpoch is that of the applied metadata.
func (l *Leader) PartitionEpoch() kafka.PartitionEpoch { return l.partitionEpoch }

// HighWatermark is the end of the committed prefix, exclusive.
func (l *Leader) HighWatermark() kafka.Offset { return l.highWatermark }

// CanAppend reports whether a write that asks for every in-sync replica may be
// appended, and whether one that was may be acknowledged: at least
// min.insync.replicas replicas are in sync whatever the outcome of a proposal.
func (l *Leader) CanAppend() bool { return l.Size() >= l.minISR }

// Size is the number of replicas that are in sync whatever the outcome of a
// proposal: committed and not proposed to leave.
func (l *Leader) Size() int {
	n := 0
	for i := range l.replicas {
		if r := &l.replicas[i]; r.committed && r.proposed {
			n++
		}
	}
	return n
}

// MinISR is min.insync.replicas as the applied metadata says.
func (l *Leader) MinISR() int { return l.minISR }

// InSync reports whether id is in the ISR of the applied metadata.
func (l *Leader) InSync(id kafka.BrokerID) bool {
	r := l.replica(id)
	return r != nil && r.committed
}

// ReplicaState is what a leader knows of one replica, for descriptions.
type ReplicaState struct {
	ID kafka.BrokerID
	// Epoch is the incarnation that metadata names, -1 when it has named none.
	Epoch      kafka.BrokerEpoch
	FetchEnd   kafka.Offset // NoOffset: it has not fetched in this term
	DurableEnd kafka.Offset // NoOffset: it has not reported in this term
	Candidate  bool
	InSync     bool // in the ISR of the applied metadata
	Proposed   bool // in the ISR that was asked for; equals InSync when nothing was
	Held       bool // the high watermark waits for it although it is not proposed yet
	// LagSince is the last time at which it had everything that the leader had;
	// zero when it has everything now, or never had in this term.
	LagSince time.Time
}

// Describe lists the replicas in the order of the assignment.
func (l *Leader) Describe() []ReplicaState {
	list := make([]ReplicaState, 0, len(l.replicas))
	for i := range l.replicas {
		r := &l.replicas[i]
		s := ReplicaState{ID: r.id, Epoch: r.epoch, FetchEnd: r.fetch.end, DurableEnd: r.durable.end,
			Candidate: r.candidate, InSync: r.committed, Proposed: r.proposed, Held: !r.holdUntil.IsZero()}
		if l.held(r) < l.end {
			s.LagSince = l.trailOf(r).caughtUp
		}
		list = append(list, s)
	}
	return list
}

// trailOf is the trail that decides whether r lags.
func (l *Leader) trailOf(r *replica) *trail {
	if l.pageCache {
		return &r.fetch
	}
	return &r.durable
}
