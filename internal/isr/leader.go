package isr

import (
	"slices"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
)

// Leader is what the leader of a partition knows about who has how much of the
// log on stable storage. It is a value in one goroutine's hands: the partition
// guards it with its own lock.
type Leader struct {
	self          kafka.BrokerID
	epoch         kafka.LeaderEpoch
	members       []member // the committed ISR, the leader included
	minISR        int
	highWatermark kafka.Offset
}

// member is one replica of the ISR.
type member struct {
	id      kafka.BrokerID
	durable kafka.Offset // exclusive: everything below is on its stable storage
}

// Term describes a leadership that begins.
type Term struct {
	Self    kafka.BrokerID
	Epoch   kafka.LeaderEpoch
	ISR     []kafka.BrokerID // committed; contains Self
	MinISR  int              // min.insync.replicas, at least 1
	Durable kafka.Offset     // the leader's own durable end
	// HighWatermark is the highest value this replica has ever known; the new
	// leadership starts from it.
	HighWatermark kafka.Offset
}

// NewLeader begins a leadership. Followers count as having nothing until they
// report.
func NewLeader(t Term) Leader {
	invariant.Check(slices.Contains(t.ISR, t.Self), "leader %d is not in its ISR %v", t.Self, t.ISR)
	invariant.Check(t.MinISR >= 1, "min ISR %d", t.MinISR)
	invariant.Check(t.HighWatermark <= t.Durable, "high watermark %d above the durable end %d", t.HighWatermark, t.Durable)
	l := Leader{self: t.Self, epoch: t.Epoch, minISR: t.MinISR, highWatermark: t.HighWatermark}
	for _, id := range t.ISR {
		m := member{id: id}
		if id == t.Self {
			m.durable = t.Durable
		}
		l.members = append(l.members, m)
	}
	l.advance()
	return l
}

// Epoch is the leader epoch of this leadership.
func (l *Leader) Epoch() kafka.LeaderEpoch { return l.epoch }

// HighWatermark is the end of the committed prefix, exclusive.
func (l *Leader) HighWatermark() kafka.Offset { return l.highWatermark }

// Size is the number of in-sync replicas.
func (l *Leader) Size() int { return len(l.members) }

// SetMinISR changes min.insync.replicas, at least 1.
func (l *Leader) SetMinISR(n int) (moved bool) {
	invariant.Check(n >= 1, "min ISR %d", n)
	l.minISR = n
	return l.advance()
}

// CanAppend reports whether a write that asks for every in-sync replica may be
// appended: the ISR has at least min.insync.replicas members.
func (l *Leader) CanAppend() bool { return len(l.members) >= l.minISR }

// Flushed tells that replica id has everything below end on stable storage. It
// reports whether the high watermark moved. A stale report (an end below what
// the replica said before) changes nothing.
func (l *Leader) Flushed(id kafka.BrokerID, end kafka.Offset) (moved bool) {
	for i := range l.members {
		if m := &l.members[i]; m.id == id && end > m.durable {
			m.durable = end
			return l.advance()
		}
	}
	return false
}

// advance recomputes the high watermark: the smallest durable end of the ISR,
// never going back, frozen while the ISR is below min.insync.replicas.
func (l *Leader) advance() bool {
	if len(l.members) < l.minISR {
		return false
	}
	least := l.members[0].durable
	for _, m := range l.members[1:] {
		least = min(least, m.durable)
	}
	if least <= l.highWatermark {
		return false
	}
	l.highWatermark = least
	return true
}
