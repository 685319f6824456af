package controller

import (
	"holdfast/internal/config"
	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// Limits of one command and of the cluster. They keep an entry of the metadata
// log, and a registration that touches every partition, small.
const (
	NewPartitionsMax     = 10_000   // of one command
	ClusterPartitionsMax = 200_000  // of all topics
	ReplicasMax          = 100      // of one partition
	ValueBytesMax        = 32 << 10 // of one setting
	SettingsMax          = 1_000    // of one resource
	RegistrationTextMax  = 1_000    // bytes of a rack, a host or a listener's name
)

// Inputs is what a decision depends on besides the image and the command.
type Inputs struct {
	Now kafka.Timestamp
	// NewID draws a random identity.
	NewID func() kafka.UUID
	// Config holds the settings of the node that decides. What was set over the
	// wire is in the image and counts over it.
	Config *config.Broker
}

// Decide returns the records that carry the command out, and the reply for when
// they are applied. No records and no error: nothing changes, and the reply is
// true once the image is. An error, an *Error, refuses the command as a whole.
func Decide(image *meta.Image, in Inputs, command Command) ([]meta.Record, Reply, error) {
	d := &decision{image: image, in: in}
	reply, err := command.decide(d)
	if err != nil {
		return nil, Reply{}, err
	}
	reply.Offset = image.Offset()
	invariant.Expensive(func() error { return readable(image, d.records) })
	return d.records, reply, nil
}

// readable tells whether the records can be read from their bytes and follow the
// image: one that is committed and cannot be would end the cluster.
func readable(image *meta.Image, records []meta.Record) error {
	if len(records) == 0 {
		return nil
	}
	decoded, err := meta.DecodeRecords(meta.AppendRecords(nil, records))
	if err != nil {
		return err
	}
	_, _, err = image.Apply(image.Offset()+1, decoded)
	return err
}

// Found returns the records of a new cluster. Its feature level rises with the
// first registration: a level is what every registered broker knows.
func Found(id kafka.ClusterID) []meta.Record {
	return []meta.Record{&meta.Cluster{ID: id, FeatureLevel: meta.FeatureLevelMin}}
}

// decision is one command on its way to records.
type decision struct {
	image    *meta.Image
	in       Inputs
	records  []meta.Record
	resolved *config.Broker                  // see settings
	load     *load                           // see placement
	added    int                             // partitions that records add
	brokers  map[kafka.BrokerID]*meta.Broker // that records change
	// What topics have that set nothing themselves, see topicSettings.
	defaults    *config.Topic
	defaultsErr error
}

func (d *decision) emit(records ...meta.Record) { d.records = append(d.records, records...) }

// settings are those of the deciding node with what was set over the wire.
func (d *decision) settings() *config.Broker {
	if d.resolved == nil {
		d.resolved = d.settingsWith(d.image.Config(meta.ClusterResource()))
	}
	return d.resolved
}

// settingsWith is settings with other defaults of the cluster.
func (d *decision) settingsWith(cluster map[string]string) *config.Broker {
	own := d.image.Config(meta.BrokerResource(d.in.Config.NodeID))
	b, err := d.in.Config.WithDynamic(cluster, own)
	if err != nil {
		// What was accepted once is refused now: another version of the program
		// decided it. The node's own settings are the safe ones.
		return d.in.Config
	}
	return b
}

// checkCount refuses more partitions than one command may add.
func (d *decision) checkCount(partitions int) *Error {
	switch {
	case partitions > NewPartitionsMax-d.added:
		return refuse(kafka.ErrPolicyViolation, "one request may add at most %d partitions", NewPartitionsMax)
	case d.image.PartitionCount()+d.added+partitions > ClusterPartitionsMax:
		return refuse(kafka.ErrPolicyViolation, "the cluster has %d partitions and may have at most %d", d.image.PartitionCount()+d.added, ClusterPartitionsMax)
	}
	return nil
}

// newTopicID draws an id that is free and does not look like an option of a
// command line.
func (d *decision) newTopicID() (kafka.TopicID, *Error) {
	for range 100 {
		id := kafka.TopicID(d.in.NewID())
		if id.IsZero() || id == (kafka.TopicID{15: 1}) || id.String()[0] == '-' || d.image.TopicByID(id) != nil {
			continue
		}
		return id, nil
	}
	return kafka.TopicID{}, refuse(kafka.ErrUnknownServerError, "no free topic id found")
}
