package api

import (
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// TestElect: every state of a partition's leadership against both elections. A
// leader is never made of a replica that lacks acknowledged records.
func TestElect(t *testing.T) {
	topic := &meta.Topic{Name: "t"}
	for i, leader := range []kafka.BrokerID{1, 2, kafka.NoBroker} {
		topic.Partitions = append(topic.Partitions, meta.Partition{PartitionRecord: &meta.PartitionRecord{
			Index: kafka.PartitionIndex(i), Replicas: []kafka.BrokerID{1, 2}, ISR: []kafka.BrokerID{1, 2}, Leader: leader}})
	}
	for _, c := range []struct {
		topic     *meta.Topic
		index     kafka.PartitionIndex
		preferred kafka.ErrorCode
		unclean   kafka.ErrorCode
	}{
		{topic, 0, kafka.ErrElectionNotNeeded, kafka.ErrElectionNotNeeded},
		{topic, 1, kafka.ErrPreferredLeaderNotAvailable, kafka.ErrElectionNotNeeded},
		{topic, 2, kafka.ErrPreferredLeaderNotAvailable, kafka.ErrEligibleLeadersNotAvailable},
		{topic, 3, kafka.ErrUnknownTopicOrPartition, kafka.ErrUnknownTopicOrPartition},
		{nil, 0, kafka.ErrUnknownTopicOrPartition, kafka.ErrUnknownTopicOrPartition},
	} {
		p, _ := elect(c.topic, c.index, electPreferred)
		u, _ := elect(c.topic, c.index, electUnclean)
		if p != c.preferred || u != c.unclean {
			t.Errorf("partition %d: preferred %s, unclean %s", c.index, p, u)
		}
	}
	if got := electAll(topic, electPreferred); len(got.Partitions) != 2 {
		t.Errorf("all: %+v", got)
	}
}
