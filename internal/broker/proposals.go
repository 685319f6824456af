package broker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"holdfast/internal/controller"
	"holdfast/internal/isr"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/partition"
)

// proposals are the changes of ISRs that partitions led here want and the metadata
// does not show yet.
type proposals struct {
	kick chan struct{}
	mu   struct {
		sync.Mutex
		pending map[kafka.TopicIDPartition]*proposal
	}
}

// proposal is one change. It stays until the metadata has moved on, or it was
// refused for certain. Of one that was sent and not answered nobody knows what
// became of it: it is sent again, and a refusal proves nothing then.
type proposal struct {
	p     *partition.Partition
	epoch kafka.LeaderEpoch
	isr   isr.Proposal
	doubt bool // an attempt may have been carried out, or may yet be
	done  bool // answered: the metadata will show it
}

// How proposals are sent.
const (
	proposalsAtOnce = 1000
	proposalTimeout = 2 * time.Second
	proposalPause   = 100 * time.Millisecond
)

// propose takes a change of the ISR that a partition wants, instead of an earlier
// one. It never waits.
func (b *Broker) propose(p *partition.Partition, change isr.Proposal) {
	o := p.Offsets()
	if b.o.Controller == nil || !o.Leading {
		return
	}
	s := &b.proposals
	s.mu.Lock()
	if old := s.mu.pending[p.ID()]; old == nil || old.isr.PartitionEpoch <= change.PartitionEpoch {
		s.mu.pending[p.ID()] = &proposal{p: p, epoch: o.Epoch, isr: change}
	}
	s.mu.Unlock()
	s.poke()
}

// poke has the goroutine that speaks with the controller look.
func (s *proposals) poke() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// drop forgets what a partition wants: it does not lead any more.
func (s *proposals) drop(id kafka.TopicIDPartition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.pending, id)
}

// settle drops a proposal that the metadata has overtaken. What it says is the
// outcome.
func (s *proposals) settle(id kafka.TopicIDPartition, state meta.Partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.mu.pending[id]; x != nil && (x.isr.PartitionEpoch < state.PartitionEpoch || x.epoch < state.LeaderEpoch) {
		delete(s.mu.pending, id)
	}
}

// take lists what is to be sent, in the order of ids.
func (s *proposals) take() (list []*proposal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.mu.pending {
		if !x.done {
			list = append(list, x)
		}
	}
	slices.SortFunc(list, func(x, y *proposal) int { return compareIDs(x.p.ID(), y.p.ID()) })
	return list[:min(len(list), proposalsAtOnce)]
}

// send asks the controller for everything that is wanted. It reports whether
// something is to be sent again, after a pause.
func (b *Broker) sendProposals(ctx context.Context) (again bool) {
	list := b.proposals.take()
	if len(list) == 0 {
		return false
	}
	broker := b.o.Epoch()
	if broker < 0 {
		return true
	}
	limited, cancel := context.WithTimeout(ctx, proposalTimeout)
	defer cancel()
	reply, err := b.o.Controller.Submit(limited, alterISR(b.o.Self, broker, list))
	if ctx.Err() != nil {
		return false
	}
	if err == nil && len(reply.ISR) != len(list) {
		err = errors.New("the answer has another number of partitions")
	}
	if err != nil {
		b.proposals.noteFailed(list, err)
		b.o.Log.Warn("the in-sync replicas cannot be changed; trying again", "partitions", len(list), "error", err)
		return true
	}
	for i, x := range list {
		again = b.noteAnswer(x, reply.ISR[i]) || again
	}
	return again || len(list) == proposalsAtOnce
}

func alterISR(self kafka.BrokerID, epoch kafka.BrokerEpoch, list []*proposal) controller.AlterISR {
	c := controller.AlterISR{Broker: self, Epoch: epoch}
	for _, x := range list {
		change := controller.ISRChange{TopicID: x.p.ID().TopicID, Partition: x.p.ID().Partition, LeaderEpoch: x.epoch, PartitionEpoch: x.isr.PartitionEpoch}
		for _, m := range x.isr.ISR {
			change.ISR = append(change.ISR, controller.Member{ID: m.ID, Epoch: m.Epoch})
		}
		c.Changes = append(c.Changes, change)
	}
	return c
}

// noteFailed notes that nobody knows what became of the list, unless the command
// was refused as a whole.
func (s *proposals) noteFailed(list []*proposal, err error) {
	var refusal *controller.Error
	if errors.As(err, &refusal) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range list {
		x.doubt = true
	}
}

// noteAnswer takes the answer to one proposal. What was done counts when the
// metadata that the answer names is applied here, never before: reconcile tells the
// partition. It reports whether the proposal is to be sent again.
func (b *Broker) noteAnswer(x *proposal, r controller.ISRResult) (again bool) {
	s := &b.proposals
	s.mu.Lock()
	current := s.mu.pending[x.p.ID()] == x
	refused := r.Refused() && !x.doubt
	switch {
	case refused && current:
		delete(s.mu.pending, x.p.ID())
	case r.Code == kafka.ErrInvalidRequest, r.Code == kafka.ErrNotController:
		again = current // the controller is behind, or an earlier attempt may be on its way
	default: // the partition epoch has moved on, or does now
		x.done = true
	}
	s.mu.Unlock()
	if refused {
		b.o.Log.Info("a change of the in-sync replicas was refused", "topic", x.p.Topic(), "partition", x.p.ID().Partition, "code", r.Code, "reason", r.Message)
		x.p.ISRAnswered(isr.Answer{LeaderEpoch: x.isr.LeaderEpoch, Number: x.isr.Number, Refused: true})
	}
	return again
}
