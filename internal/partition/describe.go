package partition

import (
	"holdfast/internal/isr"
	"holdfast/internal/kafka"
)

// Description is what a person may want to know of a replica, all of one moment.
type Description struct {
	Offsets
	// Leader is the broker that is followed, or this one; NoBroker without a role.
	Leader         kafka.BrokerID
	PartitionEpoch kafka.PartitionEpoch // a leader's only
	MinISR         int                  // a leader's only
	// Refused is how a write with acks=all is answered now; ErrNone: it is not.
	Refused kafka.ErrorCode
	// Waiting is the number of writes that wait for the high watermark.
	Waiting int
	// Replicas are what a leader knows of each, itself included; nil elsewhere.
	Replicas []isr.ReplicaState
	// LastCut is the newest suffix that was cut here because the leader has it not.
	LastCut Cut
	Err     error
}

// Describe returns the description.
func (p *Partition) Describe() Description {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := Description{Offsets: p.offsetsLocked(), Leader: kafka.NoBroker, LastCut: p.mu.lastCut, Err: p.errLocked()}
	switch p.mu.role {
	case leads:
		d.Leader, d.PartitionEpoch, d.MinISR = p.self, p.mu.lead.PartitionEpoch(), p.mu.lead.MinISR()
		d.Replicas = p.mu.lead.Describe()
	case follows:
		d.Leader = p.mu.following.leader
	}
	refusal, _ := p.admitLocked(true)
	d.Refused = refusal.Code
	for _, w := range p.mu.commits {
		if !w.waiter.Done() {
			d.Waiting++
		}
	}
	return d
}
