package meta

import (
	"cmp"
	"maps"
	"slices"

	"holdfast/internal/kafka"
)

// Delta says what one entry changed. It is a value; its lists must not be
// changed.
type Delta struct {
	from, to    *Image
	topics      []kafka.TopicID
	partitions  []kafka.TopicIDPartition
	brokers     []kafka.BrokerID
	configs     bool
	cluster     bool
	producerIDs bool
}

func comparePartitions(a, b kafka.TopicIDPartition) int {
	if c := compareTopicIDs(a.TopicID, b.TopicID); c != 0 {
		return c
	}
	return cmp.Compare(a.Partition, b.Partition)
}

// From is the image before the entry.
func (d Delta) From() *Image { return d.from }

// To is the image after the entry.
func (d Delta) To() *Image { return d.to }

// IsEmpty reports whether nothing but the offset moved.
func (d Delta) IsEmpty() bool {
	return len(d.topics) == 0 && len(d.brokers) == 0 && !d.configs && !d.cluster && !d.producerIDs
}

// TopicIDs lists the topics that were made, removed or changed in a partition or
// setting, in the order of their ids.
func (d Delta) TopicIDs() []kafka.TopicID { return d.topics }

// Partitions lists the partitions that were made, removed or changed, in the
// order of topic id and index.
func (d Delta) Partitions() []kafka.TopicIDPartition { return d.partitions }

// Brokers lists the brokers whose registrations changed or ended, in the order of
// their ids.
func (d Delta) Brokers() []kafka.BrokerID { return d.brokers }

// ConfigsOfBrokers reports whether a setting of a broker, or of all of them,
// changed.
func (d Delta) ConfigsOfBrokers() bool { return d.configs }

// LocalChanges is what an entry means for one broker. Every list is in the order
// of topic id and index.
type LocalChanges struct {
	Create []kafka.TopicIDPartition // not hosted before; also in Lead or Follow
	Lead   []kafka.TopicIDPartition // led here, and anything of it changed: epoch, ISR, min ISR
	Follow []kafka.TopicIDPartition // hosted and not led here, and anything of it changed
	Delete []kafka.TopicIDPartition // hosted before and no longer
}

// LocalChanges sorts the changed partitions by what the broker has to do.
func (d Delta) LocalChanges(broker kafka.BrokerID) LocalChanges {
	var out LocalChanges
	for _, tp := range d.partitions {
		before, after := d.from.partition(tp), d.to.partition(tp)
		was, is := before != nil && before.HasReplica(broker), after != nil && after.HasReplica(broker)
		if is && !was {
			out.Create = append(out.Create, tp)
		}
		switch {
		case is && after.Leader == broker:
			out.Lead = append(out.Lead, tp)
		case is:
			out.Follow = append(out.Follow, tp)
		case was:
			out.Delete = append(out.Delete, tp)
		}
	}
	return out
}

// partition looks a partition up, nil when there is none.
func (i *Image) partition(tp kafka.TopicIDPartition) *PartitionRecord {
	t := i.TopicByID(tp.TopicID)
	if t == nil {
		return nil
	}
	p, _ := t.Partition(tp.Partition)
	return p.PartitionRecord
}

// Partition looks a partition up; ok is false when there is none.
func (i *Image) Partition(tp kafka.TopicIDPartition) (p Partition, ok bool) {
	r := i.partition(tp)
	return Partition{r}, r != nil
}

// Difference is the delta between two images of one cluster, for whoever gets an
// image without the entries in between. It looks at everything.
func Difference(from, to *Image) Delta {
	d := Delta{from: from, to: to, cluster: from.cluster != to.cluster, producerIDs: from.producers != to.producers}
	d.configs = !maps.EqualFunc(from.configs, to.configs, maps.Equal[map[string]string, map[string]string])
	for t := range from.topicsByID.values() {
		d.addTopic(t, to.TopicByID(t.ID))
	}
	for t := range to.topicsByID.values() {
		if from.TopicByID(t.ID) == nil {
			d.addTopic(nil, t)
		}
	}
	slices.SortFunc(d.topics, compareTopicIDs)
	slices.SortFunc(d.partitions, comparePartitions)
	for b := range to.brokers.values() {
		if old := from.Broker(b.ID); old == nil || old.Epoch != b.Epoch || old.String() != b.String() || old.Features != b.Features {
			d.brokers = append(d.brokers, b.ID)
		}
	}
	for b := range from.brokers.values() {
		if to.Broker(b.ID) == nil {
			d.brokers = append(d.brokers, b.ID)
		}
	}
	slices.Sort(d.brokers)
	return d
}

// addTopic notes what differs between two states of a topic; nil: it is not there.
func (d *Delta) addTopic(from, to *Topic) {
	one, count := to, 0
	if to == nil {
		one = from
	}
	for index := range max(partitionsOf(from), partitionsOf(to)) {
		tp := kafka.TopicIDPartition{TopicID: one.ID, Partition: kafka.PartitionIndex(index)}
		x, y := d.from.partition(tp), d.to.partition(tp)
		if x != y && (x == nil || y == nil || x.PartitionEpoch != y.PartitionEpoch) {
			d.partitions = append(d.partitions, tp)
			count++
		}
	}
	if count > 0 || from == nil || to == nil || !maps.Equal(from.Configs, to.Configs) {
		d.topics = append(d.topics, one.ID)
	}
}

func partitionsOf(t *Topic) int {
	if t == nil {
		return 0
	}
	return len(t.Partitions)
}
