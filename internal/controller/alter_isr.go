package controller

import (
	"slices"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

func (c AlterISR) decide(d *decision) (Reply, error) {
	if _, refusal := d.incarnation(c.Broker, c.Epoch); refusal != nil {
		return Reply{}, refusal
	}
	var reply Reply
	seen := make(map[kafka.TopicIDPartition]bool, len(c.Changes))
	for i := range c.Changes {
		change := &c.Changes[i]
		tp := kafka.TopicIDPartition{TopicID: change.TopicID, Partition: change.Partition}
		result := ISRResult{TopicID: change.TopicID, Partition: change.Partition}
		if seen[tp] {
			result.Code, result.Message = kafka.ErrInvalidRequest, "the partition is named twice"
		} else if err := d.alterISR(c.Broker, change, &result); err != nil {
			result.Code, result.Message = err.Code, err.Message
		}
		seen[tp] = true
		reply.ISR = append(reply.ISR, result)
	}
	return reply, nil
}

// alterISR decides on one proposal. (R7)
func (d *decision) alterISR(leader kafka.BrokerID, c *ISRChange, result *ISRResult) *Error {
	t := d.image.TopicByID(c.TopicID)
	if t == nil {
		return refuse(kafka.ErrUnknownTopicID, "there is no topic with id %s", c.TopicID)
	}
	p, ok := t.Partition(c.Partition)
	if !ok {
		return refuse(kafka.ErrUnknownTopicOrPartition, "there is no partition %s-%d", t.Name, c.Partition)
	}
	if err := c.checkState(leader, p); err != nil {
		return err
	}
	isr, err := d.checkMembers(leader, c, p)
	if err != nil {
		if err.Code == kafka.ErrIneligibleReplica {
			// A copy of the proposal may still be on its way, and the replica may be
			// eligible when it comes: the partition epoch moves on, and the leader
			// can go back to the committed set for certain.
			d.emit(changeOf(p.PartitionRecord))
		}
		return err
	}
	x := d.transition(t, p)
	x.setISR(isr)
	x.settle()
	if x.next.Leader != leader {
		result.Code, result.Message = kafka.ErrNewLeaderElected, "done, and another replica leads from there on"
	}
	return nil
}

// checkState compares what the leader started from with what is.
func (c *ISRChange) checkState(leader kafka.BrokerID, p meta.Partition) *Error {
	switch {
	case c.LeaderEpoch > p.LeaderEpoch || c.LeaderEpoch == p.LeaderEpoch && c.PartitionEpoch > p.PartitionEpoch:
		return refuse(kafka.ErrNotController, "the leader knows a newer state (epochs %d, %d) than this controller (%d, %d)",
			c.LeaderEpoch, c.PartitionEpoch, p.LeaderEpoch, p.PartitionEpoch)
	case c.LeaderEpoch < p.LeaderEpoch || p.Leader != leader:
		return refuse(kafka.ErrFencedLeaderEpoch, "broker %d in leader epoch %d does not lead: broker %d does, in epoch %d", leader, c.LeaderEpoch, p.Leader, p.LeaderEpoch)
	case c.PartitionEpoch < p.PartitionEpoch:
		return refuse(kafka.ErrInvalidUpdateVersion, "the partition is at epoch %d, the proposal comes from %d", p.PartitionEpoch, c.PartitionEpoch)
	}
	return nil
}

// checkMembers refuses sets that the partition cannot have. A member counts as
// the incarnation whose progress the leader has seen: another one may have lost
// its tail since (KIP-903). Fenced ones and those that are leaving would be
// waited for without ever answering (KIP-841).
func (d *decision) checkMembers(leader kafka.BrokerID, c *ISRChange, p meta.Partition) ([]kafka.BrokerID, *Error) {
	var isr []kafka.BrokerID
	for _, m := range c.ISR {
		if slices.Contains(isr, m.ID) || !p.HasReplica(m.ID) {
			return nil, refuse(kafka.ErrInvalidRequest, "broker %d is named twice or has no replica", m.ID)
		}
		isr = append(isr, m.ID)
		b := d.image.Broker(m.ID)
		switch {
		case b == nil:
			return nil, refuse(kafka.ErrIneligibleReplica, "broker %d is not registered", m.ID)
		case b.Epoch != m.Epoch:
			return nil, refuse(kafka.ErrIneligibleReplica, "broker %d is registered with epoch %d, the proposal counts on %d", m.ID, b.Epoch, m.Epoch)
		case !b.IsLive() && !p.InSync(m.ID):
			return nil, refuse(kafka.ErrIneligibleReplica, "broker %d is fenced or shutting down", m.ID)
		}
	}
	switch {
	case !slices.Contains(isr, leader):
		return nil, refuse(kafka.ErrInvalidRequest, "the leader, broker %d, is not in the proposed set %v", leader, isr)
	case len(isr) == len(p.ISR) && isSubset(isr, p.ISR):
		return nil, refuse(kafka.ErrInvalidRequest, "the in-sync replicas are %v already", isr)
	}
	return isr, nil
}
