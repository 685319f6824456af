package controller

import (
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// Command asks for a change of the metadata. It is one of the types below, by
// value.
type Command interface {
	decide(d *decision) (Reply, error)
}

// Default in counts of NewTopic asks for the cluster's default.
const Default = -1

// CreateTopics makes topics. Each is decided by itself, in order.
type CreateTopics struct {
	Topics       []NewTopic
	ValidateOnly bool
}

// NewTopic is a topic to be made. With Assignments, Partitions and
// ReplicationFactor must be Default.
type NewTopic struct {
	Name              string
	Partitions        int
	ReplicationFactor int
	Assignments       []Assignment
	Configs           []Setting
}

// Assignment places one partition. The first broker is the preferred leader.
type Assignment struct {
	Partition kafka.PartitionIndex
	Brokers   []kafka.BrokerID
}

// Setting is a name with a value; a nil Value is what a client sent as null.
type Setting struct {
	Key   string
	Value *string
}

// DeleteTopics removes topics.
type DeleteTopics struct {
	Topics []TopicRef
}

// TopicRef names a topic by its name or by its id, and not by both.
type TopicRef struct {
	Name string
	ID   kafka.TopicID
}

// CreatePartitions gives topics more partitions.
type CreatePartitions struct {
	Topics       []MorePartitions
	ValidateOnly bool
}

// MorePartitions raises the number of a topic's partitions to Count.
type MorePartitions struct {
	Topic string
	Count int
	// Assignments place the new partitions in order; nil leaves it to us.
	Assignments [][]kafka.BrokerID
}

// AlterConfigs changes settings of topics, brokers and the cluster. Each resource
// is decided by itself: all of its changes or none.
type AlterConfigs struct {
	Resources []ResourceChange
	// Replace makes the changes, all of them Set, the whole of a resource's
	// settings (the older AlterConfigs request); others are removed.
	Replace      bool
	ValidateOnly bool
}

// ResourceChange lists the changes of one resource.
type ResourceChange struct {
	Resource meta.Resource
	Changes  []ConfigChange
}

// ConfigOp is what to do with a setting. The numbers are the protocol's.
type ConfigOp int8

// The operations.
const (
	ConfigSet      ConfigOp = 0
	ConfigDelete   ConfigOp = 1
	ConfigAppend   ConfigOp = 2 // to a list
	ConfigSubtract ConfigOp = 3 // from a list
)

// ConfigChange is one change of one setting.
type ConfigChange struct {
	Key   string
	Op    ConfigOp
	Value *string
}

// AllocateProducerIDs hands the broker's incarnation a block of producer ids.
type AllocateProducerIDs struct {
	Broker kafka.BrokerID
	Epoch  kafka.BrokerEpoch
}

// Reply is the answer to a command. It is given when the records are applied.
type Reply struct {
	// Offset is the metadata offset that has to be applied somewhere before what
	// the reply says can be seen there.
	Offset      kafka.Offset
	Topics      []TopicResult     // of topic commands, in the order of the command
	Configs     []ConfigResult    // of AlterConfigs, in the order of the command
	ProducerIDs ProducerIDBlock   // of AllocateProducerIDs
	BrokerEpoch kafka.BrokerEpoch // of RegisterBroker
	Heartbeat   HeartbeatResult   // of Heartbeat
	ISR         []ISRResult       // of AlterISR, in the order of the command
	// Partitions are the outcomes of the commands that elect, move and recover
	// partitions: in the order of the command, or of topic names and indexes where
	// the command names none. There, only partitions with something to do appear.
	Partitions []PartitionResult
}

// TopicResult is the outcome for one topic. Code is ErrNone where it was done, or
// would have been.
type TopicResult struct {
	Name              string
	ID                kafka.TopicID // zero where there is none, or only validated
	Code              kafka.ErrorCode
	Message           string
	Warning           string // where it was done: what the operator should know; usually empty
	Partitions        int
	ReplicationFactor int
	Configs           map[string]string // of a new topic: what was set
}

// ConfigResult is the outcome for one resource.
type ConfigResult struct {
	Resource meta.Resource
	Code     kafka.ErrorCode
	Message  string
	Warning  string // where it was done: what the operator should know; usually empty
}

// ProducerIDBlock is the half-open range [First, First+Count).
type ProducerIDBlock struct {
	First kafka.ProducerID
	Count int
}

// At returns the reply of a decision whose records are the entry at offset.
func (r Reply) At(offset kafka.Offset) Reply {
	r.Offset = offset
	if r.BrokerEpoch == meta.EpochOfEntry {
		r.BrokerEpoch = kafka.BrokerEpoch(offset)
	}
	return r
}
