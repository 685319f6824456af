package meta_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// history draws records that may follow each other, with an image at hand.
type history struct {
	t      *rapid.T
	image  *meta.Image
	serial byte
}

func topicID(n int) kafka.TopicID { return kafka.TopicID{0: 1, 14: byte(n >> 8), 15: byte(n)} }

func ptr(s string) *string { return &s }

// entry draws the records of one entry, which apply to the image.
func (h *history) entry() []meta.Record {
	if h.image.ClusterID().IsZero() {
		return []meta.Record{&meta.Cluster{ID: kafka.ClusterID{7}, FeatureLevel: 1}, newBroker(1, 1), newBroker(2, 1)}
	}
	switch topics := h.image.Topics(); rapid.IntRange(0, 6).Draw(h.t, "what") {
	case 0:
		return []meta.Record{newBroker(kafka.BrokerID(rapid.IntRange(1, 3).Draw(h.t, "broker")), uint64(h.image.Offset()))}
	case 1:
		return []meta.Record{&meta.ProducerIDs{Next: h.image.ProducerIDs().Next + 1000, Broker: 1, Epoch: 3}}
	case 2:
		return h.settings(meta.ClusterResource())
	case 3, 4:
		return h.newTopic()
	default:
		if len(topics) == 0 {
			return nil
		}
		return h.change(topics[rapid.IntRange(0, len(topics)-1).Draw(h.t, "topic")])
	}
}

func newBroker(id kafka.BrokerID, starts uint64) *meta.Broker {
	return &meta.Broker{ID: id, Epoch: meta.EpochOfEntry, Incarnation: kafka.UUID{byte(starts), 1}, Starts: starts,
		Directories: []kafka.DirectoryID{{byte(id)}}, Endpoints: []meta.Endpoint{{Listener: "PLAINTEXT", Host: "h", Port: 9092}}}
}

func (h *history) settings(r meta.Resource) []meta.Record {
	key := fmt.Sprintf("k%d", rapid.IntRange(0, 3).Draw(h.t, "key"))
	if rapid.Bool().Draw(h.t, "remove") {
		return []meta.Record{&meta.Config{Resource: r, Key: key}}
	}
	return []meta.Record{&meta.Config{Resource: r, Key: key, Value: ptr(rapid.StringN(0, 4, 8).Draw(h.t, "value"))}}
}

func (h *history) newTopic() []meta.Record {
	h.serial++
	id := topicID(int(h.serial))
	out := []meta.Record{&meta.TopicRecord{ID: id, Name: fmt.Sprintf("t%d", h.serial)}}
	for n := range rapid.IntRange(1, 3).Draw(h.t, "partitions") {
		out = append(out, newPartition(id, n))
	}
	return append(out, h.settings(meta.TopicResource(fmt.Sprintf("t%d", h.serial)))...)
}

func newPartition(id kafka.TopicID, n int) *meta.PartitionRecord {
	return &meta.PartitionRecord{TopicID: id, Index: kafka.PartitionIndex(n), Replicas: []kafka.BrokerID{1, 2}, Directories: []kafka.DirectoryID{{1}, {2}},
		ISR: []kafka.BrokerID{1, 2}, Leader: 1, MinISR: 2, LowestMinISR: 2, TargetReplicas: 2}
}

func (h *history) change(t *meta.Topic) []meta.Record {
	switch rapid.IntRange(0, 3).Draw(h.t, "how") {
	case 0:
		return []meta.Record{&meta.RemoveTopic{ID: t.ID}}
	case 1:
		return h.settings(meta.TopicResource(t.Name))
	case 2:
		return []meta.Record{newPartition(t.ID, len(t.Partitions))}
	}
	p := t.Partitions[rapid.IntRange(0, len(t.Partitions)-1).Draw(h.t, "partition")]
	c := &meta.PartitionChange{Fields: meta.SetISR | meta.SetLeader}
	c.TopicID, c.Index, c.PartitionEpoch = t.ID, p.Index, p.PartitionEpoch+1
	c.Leader, c.LeaderEpoch = kafka.BrokerID(rapid.IntRange(1, 2).Draw(h.t, "leader")), p.LeaderEpoch+1
	c.ISR = []kafka.BrokerID{c.Leader}
	return []meta.Record{c}
}

func mustApply(t interface{ Fatalf(string, ...any) }, i *meta.Image, offset kafka.Offset, records ...meta.Record) (*meta.Image, meta.Delta) {
	next, delta, err := i.Apply(offset, records)
	if err != nil {
		t.Fatalf("apply at %d: %v", offset, err)
	}
	return next, delta
}

// baseImage has a cluster and two brokers at offset 0.
func baseImage(t *testing.T) *meta.Image {
	i, _ := mustApply(t, meta.Empty(), 0, &meta.Cluster{ID: kafka.ClusterID{7}, FeatureLevel: 1}, newBroker(1, 1), newBroker(2, 1))
	return i
}
