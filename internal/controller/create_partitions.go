package controller

import (
	"slices"

	"holdfast/internal/config"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

func (c CreatePartitions) decide(d *decision) (Reply, error) {
	asked := map[string]int{}
	for _, m := range c.Topics {
		asked[m.Topic]++
	}
	var reply Reply
	for i := range c.Topics {
		m := &c.Topics[i]
		result := TopicResult{Name: m.Topic}
		err := d.addPartitions(m, asked[m.Topic], &result)
		if err != nil {
			result.Code, result.Message = err.Code, err.Message
		}
		reply.Topics = append(reply.Topics, result)
	}
	if c.ValidateOnly {
		d.records = nil
	}
	return reply, nil
}

func (d *decision) addPartitions(m *MorePartitions, asked int, result *TopicResult) *Error {
	t := d.image.TopicByName(m.Topic)
	if asked > 1 {
		return refuse(kafka.ErrInvalidRequest, "topic %s is named twice", clip(m.Topic))
	}
	if t == nil {
		return refuse(kafka.ErrUnknownTopicOrPartition, "there is no topic %s", clip(m.Topic))
	}
	if internal(t.Name) {
		return refuse(kafka.ErrInvalidRequest, "the number of partitions of %s decides where each group lives: it cannot change", t.Name)
	}
	first := t.Partitions[0]
	factor := len(first.Replicas) - len(first.Removing)
	if err := d.checkMore(t, m, factor); err != nil {
		return err
	}
	minISR := first.MinISR
	if settings, err := d.topicSettings(t); err == nil {
		minISR = settings.EffectiveMinISR(factor)
	}
	for index := len(t.Partitions); index < m.Count; index++ {
		var replicas []kafka.BrokerID
		if m.Assignments == nil {
			replicas = d.placement().place(factor)
		} else {
			replicas = slices.Clone(m.Assignments[index-len(t.Partitions)])
			d.placement().noteManual(replicas)
		}
		d.emit(d.newPartition(t.ID, index, replicas, minISR))
	}
	d.added += m.Count - len(t.Partitions)
	result.ID, result.Partitions, result.ReplicationFactor = t.ID, m.Count, factor
	return nil
}

func (d *decision) checkMore(t *meta.Topic, m *MorePartitions, factor int) *Error {
	have := len(t.Partitions)
	switch {
	case m.Count == have:
		return refuse(kafka.ErrInvalidPartitions, "topic %s has %d partitions already", t.Name, have)
	case m.Count < have:
		return refuse(kafka.ErrInvalidPartitions, "topic %s has %d partitions; their number cannot be lowered to %d", t.Name, have, m.Count)
	case m.Count > config.PartitionsMax:
		return refuse(kafka.ErrInvalidPartitions, "%d partitions, at most %d", m.Count, config.PartitionsMax)
	}
	if err := d.checkCount(m.Count - have); err != nil {
		return err
	}
	if m.Assignments == nil {
		if usable := d.placement().usable(); factor > usable {
			return refuse(kafka.ErrInvalidReplicationFactor, "the topic has %d replicas, more than there are brokers, %d", factor, usable)
		}
		return nil
	}
	if len(m.Assignments) != m.Count-have {
		return refuse(kafka.ErrInvalidReplicaAssignment, "%d assignments for %d new partitions", len(m.Assignments), m.Count-have)
	}
	for _, replicas := range m.Assignments {
		if err := d.checkAssignment(replicas); err != nil {
			return err
		}
		if len(replicas) != factor {
			return refuse(kafka.ErrInvalidReplicaAssignment, "an assignment of %d replicas in a topic of %d", len(replicas), factor)
		}
	}
	return nil
}
