package controller

import (
	"slices"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

func (c ElectLeaders) decide(d *decision) (Reply, error) {
	if c.Kind != ElectPreferred && c.Kind != ElectUnclean {
		return Reply{}, refuse(kafka.ErrInvalidRequest, "unknown kind of election %d", c.Kind)
	}
	var reply Reply
	if c.Partitions == nil {
		d.everyPartition(func(t *meta.Topic, p meta.Partition) {
			if err := d.electLeader(t, p, c.Kind); err == nil || err.Code != kafka.ErrElectionNotNeeded {
				reply.Partitions = append(reply.Partitions, resultOf(t, p, err))
			}
		})
		return reply, nil
	}
	seen := map[kafka.TopicPartition]bool{}
	for _, tp := range c.Partitions {
		t, p, result := d.named(tp, seen)
		if t != nil {
			result = resultOf(t, p, d.electLeader(t, p, c.Kind))
		}
		reply.Partitions = append(reply.Partitions, result)
	}
	return reply, nil
}

func (d *decision) electLeader(t *meta.Topic, p meta.Partition, kind ElectionKind) *Error {
	preferred := p.Replicas[0]
	switch {
	case kind == ElectUnclean && p.Leader != kafka.NoBroker, kind == ElectPreferred && p.Leader == preferred:
		return refuse(kafka.ErrElectionNotNeeded, "broker %d leads", p.Leader)
	case kind == ElectUnclean:
		return refuse(kafka.ErrEligibleLeadersNotAvailable,
			"no replica with every acknowledged record is live; none is elected by guess: bring back one of %v, or force a recovery", inSyncOrELR(p))
	case !p.InSync(preferred) || !d.isLive(preferred):
		return refuse(kafka.ErrPreferredLeaderNotAvailable, "the preferred leader, broker %d, is not in sync", preferred)
	}
	x := d.transition(t, p)
	x.lead(preferred)
	x.settle()
	return nil
}

func inSyncOrELR(p meta.Partition) []kafka.BrokerID {
	return append(slices.Clone(p.ISR), p.ELR...)
}

func (c BalanceLeaders) decide(d *decision) (Reply, error) {
	most := movesMax(c.Max)
	for _, b := range d.image.Brokers() {
		if !b.IsLive() {
			return Reply{}, nil // first of all it shall come back
		}
	}
	var reply Reply
	healthy := true
	var away []func()
	d.everyPartition(func(t *meta.Topic, p meta.Partition) {
		healthy = healthy && p.Leader != kafka.NoBroker
		if p.Leader == p.Replicas[0] || p.IsReassigning() || len(p.ISR) < len(p.Replicas) || len(away) == most {
			return
		}
		away = append(away, func() {
			reply.Partitions = append(reply.Partitions, resultOf(t, p, d.electLeader(t, p, ElectPreferred)))
		})
	})
	if !healthy {
		return Reply{}, nil
	}
	for _, move := range away {
		move()
	}
	return reply, nil
}

func movesMax(asked int) int {
	if asked <= 0 {
		return MovesDefault
	}
	return asked
}

// everyPartition calls do for every partition, in the order of topic names and
// indexes.
func (d *decision) everyPartition(do func(*meta.Topic, meta.Partition)) {
	for _, t := range d.image.Topics() {
		for _, p := range t.Partitions {
			do(t, p)
		}
	}
}

// named finds the partition of a command. Without a topic, the result says why.
func (d *decision) named(tp kafka.TopicPartition, seen map[kafka.TopicPartition]bool) (*meta.Topic, meta.Partition, PartitionResult) {
	result := PartitionResult{Topic: tp.Topic, Partition: tp.Partition}
	t := d.image.TopicByName(tp.Topic)
	var p meta.Partition
	ok := false
	if t != nil {
		p, ok = t.Partition(tp.Partition)
	}
	switch {
	case !ok:
		result.Code, result.Message = kafka.ErrUnknownTopicOrPartition, "there is no such partition"
	case seen[tp]:
		result.Code, result.Message = kafka.ErrInvalidRequest, "the partition is named twice"
	default:
		seen[tp] = true
		return t, p, result
	}
	return nil, meta.Partition{}, result
}

func resultOf(t *meta.Topic, p meta.Partition, err *Error) PartitionResult {
	result := PartitionResult{Topic: t.Name, TopicID: t.ID, Partition: p.Index}
	if err != nil {
		result.Code, result.Message = err.Code, err.Message
	}
	return result
}
