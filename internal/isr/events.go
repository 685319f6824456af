package isr

import (
	"time"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
)

// Effects are what the owner has to do after an event.
type Effects struct {
	// Moved: the high watermark grew.
	Moved bool
	// Propose, when set, is to be sent to the controller, after the owner's lock is
	// released. It is outstanding until metadata of a later partition epoch is
	// applied or it is definitely refused; no other one is made meanwhile.
	Propose *Proposal
}

// Proposal asks the controller for another ISR. PartitionEpoch is the
// compare-and-swap token; LeaderEpoch and Number name the proposal, and its answer
// carries them: two proposals may well have the same partition epoch.
type Proposal struct {
	LeaderEpoch    kafka.LeaderEpoch
	Number         int64
	PartitionEpoch kafka.PartitionEpoch
	ISR            []Candidate // in the order of the assignment; the leader is a member
}

// Appended tells that the own log ends at end now. It moves the high watermark only
// in page-cache mode.
func (l *Leader) Appended(end kafka.Offset, now time.Time) Effects {
	if end <= l.end {
		return Effects{}
	}
	for i := range l.replicas {
		r := &l.replicas[i]
		r.fetch.overtaken(l.end, end, now)
		r.durable.overtaken(l.end, end, now)
		if r.id == l.self {
			r.fetch.moved(end, end, now)
		}
	}
	l.end = end
	if !l.pageCache {
		return Effects{}
	}
	l.release(now)
	return Effects{Moved: l.advance()}
}

// Flushed tells that everything below end is on stable storage here.
func (l *Leader) Flushed(end kafka.Offset, now time.Time) Effects {
	effects := l.Appended(end, now)
	l.replica(l.self).durable.moved(end, l.end, now)
	l.release(now)
	effects.Moved = l.advance() || effects.Moved
	return effects
}

// follower is the replica that an event with an offset is about; nil where the event
// changes nothing: it comes from a stranger or from another incarnation than the
// metadata names, or the own log has no such offset.
func (l *Leader) follower(id kafka.BrokerID, epoch kafka.BrokerEpoch, at kafka.Offset) *replica {
	r := l.replica(id)
	if r == nil || r.id == l.self || r.epoch != epoch || at < 0 || at > l.end {
		return nil
	}
	return r
}

// Fetch is a follower's fetch whose position matches the leader's log: the
// follower has everything below From, though not on stable storage.
type Fetch struct {
	Replica kafka.BrokerID
	Epoch   kafka.BrokerEpoch
	From    kafka.Offset
}

// Fetched tells of a fetch. One by a stranger, by another incarnation than the
// metadata names, or beyond the own end changes nothing.
func (l *Leader) Fetched(f Fetch, now time.Time) Effects {
	r := l.follower(f.Replica, f.Epoch, f.From)
	if r == nil {
		return Effects{}
	}
	r.fetch.moved(f.From, l.end, now)
	return l.settle(now, false)
}

// Report is a follower's durable progress in this leader epoch: everything below
// Durable matches the leader's log and is on the follower's stable storage.
type Report struct {
	Replica kafka.BrokerID
	Epoch   kafka.BrokerEpoch
	Durable kafka.Offset
}

// Reported tells of durable progress. The caller has compared the report's leader
// epoch with this one's. Reports of strangers, of other incarnations and beyond the
// own end change nothing; nor do old ones.
func (l *Leader) Reported(p Report, now time.Time) Effects {
	r := l.follower(p.Replica, p.Epoch, p.Durable)
	if r == nil {
		return Effects{}
	}
	r.durable.moved(p.Durable, l.end, now)
	return l.settle(now, false)
}

// Tick lets time pass: replicas that have not been at the leader's end within
// LagMax are proposed to leave. Call it at least every LagMax/8.
func (l *Leader) Tick(now time.Time) Effects { return l.settle(now, true) }

// Change is what the applied metadata says of the partition, all of one offset.
type Change struct {
	PartitionEpoch kafka.PartitionEpoch // never goes back
	Replicas       []kafka.BrokerID
	ISR            []kafka.BrokerID
	Candidates     []Candidate
	MinISR         int
	PageCache      bool
}

// Changed tells what the applied metadata says, in the same leader epoch. It is
// the only way in which the committed ISR and min ISR change.
func (l *Leader) Changed(c Change, now time.Time) Effects {
	invariant.Check(c.MinISR >= 1, "min ISR %d", c.MinISR)
	invariant.Check(c.PartitionEpoch >= l.partitionEpoch, "partition epoch goes from %d back to %d", l.partitionEpoch, c.PartitionEpoch)
	if c.PartitionEpoch > l.partitionEpoch {
		// Whatever was asked for at the old epoch is decided: this is the outcome.
		l.pending = false
	}
	l.partitionEpoch, l.minISR, l.pageCache = c.PartitionEpoch, c.MinISR, c.PageCache
	l.assign(c.Replicas, c.ISR, c.Candidates)
	return l.settle(now, false)
}

// Answer is the controller's answer to the proposal that LeaderEpoch and Number
// name.
type Answer struct {
	LeaderEpoch kafka.LeaderEpoch
	Number      int64
	// Refused: it was not applied and never will be: the answer is that of the only
	// attempt that was made, and no copy of it can still be decided. Everything else
	// (applied, timed out, an error after a retry) is not Refused: the proposal stays
	// outstanding until Changed, and the sender sends it again.
	Refused bool
}

// Answered tells of an answer. One to another proposal than the outstanding one
// changes nothing, and so does success: acting on it before the metadata that it
// names is applied would take an ISR without the min ISR change that precedes it.
func (l *Leader) Answered(a Answer, now time.Time) Effects {
	if !l.pending || a.LeaderEpoch != l.epoch || a.Number != l.number || !a.Refused {
		return Effects{}
	}
	l.withdraw()
	l.quietUntil = now.Add(l.joinMax())
	l.release(now)
	return Effects{Moved: l.advance()}
}

// Outstanding is the proposal whose outcome is not known, for sending it again.
func (l *Leader) Outstanding() (Proposal, bool) {
	if !l.pending {
		return Proposal{}, false
	}
	return l.proposal(), true
}
