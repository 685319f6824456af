package isr

import (
	"slices"
	"time"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
)

// A stand-in with the agreed signatures, until the real rules are merged.

// Candidate is a replica that may be in the ISR, in its present incarnation.
type Candidate struct {
	ID    kafka.BrokerID
	Epoch kafka.BrokerEpoch
}

// Term describes a leadership that begins.
type Term struct {
	Self                        kafka.BrokerID
	Epoch                       kafka.LeaderEpoch
	PartitionEpoch              kafka.PartitionEpoch
	Replicas, ISR               []kafka.BrokerID
	Candidates                  []Candidate
	MinISR                      int
	End, Durable, HighWatermark kafka.Offset
	LagMax                      time.Duration
	Now                         time.Time
	PageCache                   bool
}

// Effects are what an event asks for.
type Effects struct {
	Moved   bool
	Propose *Proposal
}

// Proposal is a change of the ISR.
type Proposal struct {
	ISR            []Candidate
	PartitionEpoch kafka.PartitionEpoch
}

// Fetch is a follower's matched position.
type Fetch struct {
	Replica kafka.BrokerID
	Epoch   kafka.BrokerEpoch
	From    kafka.Offset
}

// Report is a follower's durable end.
type Report struct {
	Replica kafka.BrokerID
	Epoch   kafka.BrokerEpoch
	Durable kafka.Offset
}

// Change is what applied metadata says.
type Change struct {
	PartitionEpoch kafka.PartitionEpoch
	Replicas, ISR  []kafka.BrokerID
	Candidates     []Candidate
	MinISR         int
}

// Answer is the outcome of a proposal.
type Answer struct{ Refused bool }

type progress struct{ fetched, durable kafka.Offset }

// Leader is the stand-in.
type Leader struct {
	t        Term
	hw       kafka.Offset
	end      kafka.Offset
	progress map[kafka.BrokerID]progress
	proposed []kafka.BrokerID
}

// NewLeader begins a leadership.
func NewLeader(t Term) Leader {
	invariant.Check(slices.Contains(t.ISR, t.Self), "leader %d is not in its ISR %v", t.Self, t.ISR)
	l := Leader{t: t, hw: t.HighWatermark, end: t.End, progress: map[kafka.BrokerID]progress{t.Self: {t.End, t.Durable}}}
	l.advance()
	return l
}

// Epoch is the leader epoch.
func (l *Leader) Epoch() kafka.LeaderEpoch { return l.t.Epoch }

// HighWatermark is the end of the committed prefix.
func (l *Leader) HighWatermark() kafka.Offset { return l.hw }

// EpochStart is where the leadership began.
func (l *Leader) EpochStart() kafka.Offset { return l.t.End }

// Size is the number of in-sync replicas.
func (l *Leader) Size() int { return len(l.t.ISR) }

// CanAppend says whether min ISR is there.
func (l *Leader) CanAppend() bool { return len(l.t.ISR) >= l.t.MinISR }

// Appended tells the leader's own log end.
func (l *Leader) Appended(end kafka.Offset, _ time.Time) Effects { l.end = end; return Effects{} }

// Flushed tells the leader's own durable end.
func (l *Leader) Flushed(end kafka.Offset, _ time.Time) Effects {
	p := l.progress[l.t.Self]
	p.durable = max(p.durable, end)
	l.progress[l.t.Self] = p
	return Effects{Moved: l.advance()}
}

// Fetched tells a follower's position.
func (l *Leader) Fetched(f Fetch, _ time.Time) Effects {
	p := l.progress[f.Replica]
	p.fetched = f.From
	l.progress[f.Replica] = p
	return l.expand(f.Replica, f.Epoch)
}

// Reported tells a follower's durable end.
func (l *Leader) Reported(r Report, _ time.Time) Effects {
	p := l.progress[r.Replica]
	p.durable = max(p.durable, r.Durable)
	l.progress[r.Replica] = p
	moved := l.advance()
	e := l.expand(r.Replica, r.Epoch)
	e.Moved = moved
	return e
}

func (l *Leader) expand(id kafka.BrokerID, epoch kafka.BrokerEpoch) Effects {
	p := l.progress[id]
	if slices.Contains(l.t.ISR, id) || l.proposed != nil || !slices.Contains(l.t.Candidates, Candidate{id, epoch}) ||
		p.durable < max(l.hw, l.t.End) || p.fetched < l.end {
		return Effects{}
	}
	out := &Proposal{PartitionEpoch: l.t.PartitionEpoch}
	l.proposed = append(slices.Clone(l.t.ISR), id)
	for _, c := range l.t.Candidates {
		if slices.Contains(l.proposed, c.ID) {
			out.ISR = append(out.ISR, c)
		}
	}
	return Effects{Propose: out}
}

// Tick does nothing here.
func (l *Leader) Tick(time.Time) Effects { return Effects{} }

// Changed takes metadata over.
func (l *Leader) Changed(c Change, _ time.Time) Effects {
	l.t.PartitionEpoch, l.t.Replicas, l.t.ISR, l.t.Candidates, l.t.MinISR = c.PartitionEpoch, c.Replicas, c.ISR, c.Candidates, c.MinISR
	l.proposed = nil
	return Effects{Moved: l.advance()}
}

// Answered takes an outcome over.
func (l *Leader) Answered(a Answer, _ time.Time) Effects {
	if a.Refused {
		l.proposed = nil
	}
	return Effects{Moved: l.advance()}
}

func (l *Leader) advance() bool {
	if len(l.t.ISR) < l.t.MinISR {
		return false
	}
	least := kafka.Offset(1 << 62)
	for _, id := range append(slices.Clone(l.t.ISR), l.proposed...) {
		least = min(least, l.progress[id].durable)
	}
	if least <= l.hw {
		return false
	}
	l.hw = least
	return true
}
