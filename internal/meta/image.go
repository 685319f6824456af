package meta

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"holdfast/internal/kafka"
)

// Image is the whole metadata at one offset of the metadata log. It never
// changes: Apply returns another one and shares the rest. What its methods
// return belongs to the image and must not be changed either.
type Image struct {
	offset     kafka.Offset
	cluster    Cluster
	topics     ordered[string, *Topic]
	topicsByID ordered[kafka.TopicID, *Topic]
	partitions int
	brokers    ordered[kafka.BrokerID, *Broker]
	configs    map[string]map[string]string // of brokers, by resource name; "" is the cluster
	producers  ProducerIDs
}

// Topic is a topic with its partitions, which are 0 to n-1 without a gap.
type Topic struct {
	ID         kafka.TopicID
	Name       string
	Partitions []Partition
	Configs    map[string]string // only what was set; nil when nothing was
}

// Partition is one partition of an image. Copying it copies a pointer: the record
// behind it never changes, so that changing one of many partitions costs little.
type Partition struct {
	*PartitionRecord
}

// Partition returns the partition of that index; ok is false when the topic has
// no such one.
func (t *Topic) Partition(index kafka.PartitionIndex) (p Partition, ok bool) {
	if index < 0 || int(index) >= len(t.Partitions) {
		return Partition{}, false
	}
	return t.Partitions[index], true
}

// Empty returns the image before the first record, at NoOffset.
func Empty() *Image {
	return &Image{
		offset:     kafka.NoOffset,
		topics:     newOrdered[string, *Topic](cmp.Compare[string]),
		topicsByID: newOrdered[kafka.TopicID, *Topic](compareTopicIDs),
		brokers:    newOrdered[kafka.BrokerID, *Broker](cmp.Compare[kafka.BrokerID]),
		producers:  ProducerIDs{Broker: kafka.NoBroker, Epoch: EpochOfEntry},
	}
}

func compareTopicIDs(a, b kafka.TopicID) int { return bytes.Compare(a[:], b[:]) }

// Offset is the offset of the last entry that was applied, NoOffset in Empty.
func (i *Image) Offset() kafka.Offset { return i.offset }

// ClusterID names the cluster; zero before its first record.
func (i *Image) ClusterID() kafka.ClusterID { return i.cluster.ID }

// FeatureLevel is the level in force; 0 before the first record.
func (i *Image) FeatureLevel() FeatureLevel { return i.cluster.FeatureLevel }

// TopicByName returns the topic, nil when there is none.
func (i *Image) TopicByName(name string) *Topic {
	t, _ := i.topics.get(name)
	return t
}

// TopicByID returns the topic, nil when there is none.
func (i *Image) TopicByID(id kafka.TopicID) *Topic {
	t, _ := i.topicsByID.get(id)
	return t
}

// Topics lists the topics in the order of their names.
func (i *Image) Topics() []*Topic {
	return slices.AppendSeq(make([]*Topic, 0, i.topics.size), i.topics.values())
}

// TopicCount is the number of topics.
func (i *Image) TopicCount() int { return i.topics.size }

// PartitionCount is the number of partitions of all topics.
func (i *Image) PartitionCount() int { return i.partitions }

// TopicConfig is what was set for the topic; nil when nothing was, or when there
// is no such topic.
func (i *Image) TopicConfig(name string) map[string]string {
	if t := i.TopicByName(name); t != nil {
		return t.Configs
	}
	return nil
}

// Config is what was set for a resource; nil when nothing was.
func (i *Image) Config(r Resource) map[string]string {
	if r.Type == ResourceTopic {
		return i.TopicConfig(r.Name)
	}
	return i.configs[r.Name]
}

// BrokerResources lists the brokers, and the cluster, for which something was
// set, in the order of their names.
func (i *Image) BrokerResources() []Resource {
	var list []Resource
	for _, name := range slices.Sorted(maps.Keys(i.configs)) {
		list = append(list, Resource{ResourceBroker, name})
	}
	return list
}

// Broker returns the registration, nil when there is none.
func (i *Image) Broker(id kafka.BrokerID) *Broker {
	b, _ := i.brokers.get(id)
	return b
}

// Brokers lists the registrations in the order of their ids.
func (i *Image) Brokers() []*Broker {
	return slices.AppendSeq(make([]*Broker, 0, i.brokers.size), i.brokers.values())
}

// ProducerIDs says how far producer ids were handed out.
func (i *Image) ProducerIDs() ProducerIDs { return i.producers }

// Records is the image as records: applying them to Empty as one entry at Offset
// gives an equal image. Equal images give equal records.
func (i *Image) Records() []Record {
	var out []Record
	if !i.cluster.ID.IsZero() {
		c := i.cluster
		out = append(out, &c)
	}
	for b := range i.brokers.values() {
		out = append(out, b)
	}
	for _, r := range i.BrokerResources() {
		out = appendConfigs(out, r, i.configs[r.Name])
	}
	for t := range i.topics.values() {
		out = append(out, &TopicRecord{ID: t.ID, Name: t.Name})
		for _, p := range t.Partitions {
			out = append(out, p.PartitionRecord)
		}
		out = appendConfigs(out, TopicResource(t.Name), t.Configs)
	}
	if i.producers.Next > 0 {
		p := i.producers
		out = append(out, &p)
	}
	return out
}

func appendConfigs(out []Record, r Resource, settings map[string]string) []Record {
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		value := settings[key]
		out = append(out, &Config{Resource: r, Key: key, Value: &value})
	}
	return out
}
