package meta

import (
	"slices"

	"holdfast/internal/kafka"
)

// Kind numbers the records of the metadata log. Numbers are on disk: they are
// never reused.
type Kind uint16

// The kinds of records.
const (
	KindCluster         Kind = 1
	KindFeatureLevel    Kind = 2
	KindBroker          Kind = 3
	KindTopic           Kind = 4
	KindPartition       Kind = 5
	KindPartitionChange Kind = 6
	KindRemoveTopic     Kind = 7
	KindConfig          Kind = 8
	KindProducerIDs     Kind = 9
	KindRemoveBroker    Kind = 10
)

var kindNames = map[Kind]string{
	KindCluster: "cluster", KindFeatureLevel: "feature-level", KindBroker: "broker", KindTopic: "topic",
	KindPartition: "partition", KindPartitionChange: "partition-change", KindRemoveTopic: "remove-topic",
	KindConfig: "config", KindProducerIDs: "producer-ids",
	KindRemoveBroker: "remove-broker",
}

// String is the kind's name as pictures and errors print it.
func (k Kind) String() string {
	if s, ok := kindNames[k]; ok {
		return s
	}
	return "unknown"
}

// Record is one fact of the metadata log. Records are pointers to the types
// below. An image keeps the records that were applied to it: nobody changes a
// record after it was made.
type Record interface {
	Kind() Kind
	// version is the lowest one that can hold the record, so that what an older
	// program could have written still has its bytes.
	version() uint8
	// body appends that version of the record without its frame.
	body(dst []byte) []byte
}

// FeatureLevel gates the writing of new kinds and versions of records. A program
// that does not know a level refuses to go on.
type FeatureLevel uint16

// The levels that this program knows.
const (
	FeatureLevelMin FeatureLevel = 1
	FeatureLevelMax FeatureLevel = LevelReplication
)

// LevelReplication allows what more than one broker needs: controlled shutdown,
// reassignments, forced recoveries and the removal of brokers.
const LevelReplication FeatureLevel = 2

// Cluster is the first fact of a cluster.
type Cluster struct {
	ID           kafka.ClusterID
	FeatureLevel FeatureLevel
}

// FeatureLevelRecord raises the feature level.
type FeatureLevelRecord struct {
	Level FeatureLevel
}

// EpochOfEntry in Broker.Epoch stands for the offset of the entry that the record
// is applied from: whoever decides does not know it yet.
const EpochOfEntry kafka.BrokerEpoch = -1

// Broker is the registration of one incarnation of a broker.
type Broker struct {
	ID kafka.BrokerID
	// Epoch is the metadata offset of the registration; in an image it is never
	// EpochOfEntry.
	Epoch kafka.BrokerEpoch
	// Incarnation is drawn at random by each process. It tells a repeated
	// registration from that of a clone.
	Incarnation kafka.UUID
	// Starts is the number of this start of the broker's data directory.
	Starts      uint64
	Directories []kafka.DirectoryID
	Endpoints   []Endpoint
	Rack        string // empty: none
	// Fenced: not electable, not shown to clients, and in no ISR that has another
	// member.
	Fenced bool
	// ShuttingDown: leaves in order; elected for nothing and admitted to no ISR.
	// The next incarnation begins without it.
	ShuttingDown bool
	// Features is the newest level that its program knows; 0 stands for
	// FeatureLevelMin.
	Features FeatureLevel
}

// IsLive reports whether the broker may lead and be admitted to an ISR.
func (b *Broker) IsLive() bool { return b != nil && !b.Fenced && !b.ShuttingDown }

// FeatureLevel is the newest level that the broker's program knows.
func (b *Broker) FeatureLevel() FeatureLevel { return max(FeatureLevelMin, b.Features) }

// Endpoint is an address of a broker under a listener's name.
type Endpoint struct {
	Listener string
	Host     string
	Port     int32
}

// Endpoint returns the broker's address for the listener of that name.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Listener == listener {
			return e, true
		}
	}
	return Endpoint{}, false
}

// HasDirectory reports whether the broker's registration names the directory.
func (b *Broker) HasDirectory(id kafka.DirectoryID) bool { return slices.Contains(b.Directories, id) }

// RemoveBroker ends the registration of a broker that no partition names.
type RemoveBroker struct {
	ID kafka.BrokerID
}

// TopicRecord begins a topic without partitions.
type TopicRecord struct {
	ID   kafka.TopicID
	Name string
}

// RemoveTopic ends a topic, its partitions and its configuration.
type RemoveTopic struct {
	ID kafka.TopicID
}

// PartitionRecord is everything that the cluster knows about one partition. As a
// record it adds the next partition to its topic.
type PartitionRecord struct {
	TopicID  kafka.TopicID
	Index    kafka.PartitionIndex
	Replicas []kafka.BrokerID // the preferred leader first
	// Directories holds, for each of Replicas, the directory that it had when it
	// was last in the ISR, or that it was created in. A replica is back only with
	// that directory. Zero: not known yet.
	Directories []kafka.DirectoryID
	// ISR is the committed in-sync replica set, a subset of Replicas.
	ISR []kafka.BrokerID
	// ELR are replicas outside the ISR that have every committed record (KIP-966).
	ELR []kafka.BrokerID
	// Lost are replicas known to have lost records: wiped, rolled back or cut. The
	// mark stays until the replica is in the ISR again.
	Lost           []kafka.BrokerID
	Leader         kafka.BrokerID // NoBroker: offline
	LeaderEpoch    kafka.LeaderEpoch
	PartitionEpoch kafka.PartitionEpoch
	// MinISR is the min ISR in force, explicit or derived from TargetReplicas. It
	// stands here so that it moves in one step with the ISR.
	MinISR int
	// LowestMinISR is the smallest MinISR in force since the ISR last held every
	// replica: a recovery election counts on it.
	LowestMinISR int
	// TargetReplicas is the replication factor that a derived MinISR comes from.
	TargetReplicas int
	// Adding and Removing are the replicas that a reassignment adds and takes away
	// when it is done. Until then they are all among Replicas; those that stay and
	// those that come stand in front. (KIP-455)
	Adding, Removing []kafka.BrokerID
	// Forced is the last forced recovery of the partition, nil when there was none.
	Forced *ForcedRecovery
}

// ForcedRecovery is the decision of an operator to go on without records that
// may have been acknowledged.
type ForcedRecovery struct {
	// LeaderEpoch is the one that the recovery began. A replica whose log holds
	// nothing of it or of later epochs may cut below its high watermark, down to
	// Cut and no further, and keeps what it cuts off.
	LeaderEpoch kafka.LeaderEpoch
	// Cut is where the log of the chosen replica ended, and the smallest of these
	// where recoveries were forced several times.
	Cut    kafka.Offset
	At     kafka.Timestamp
	Reason string
}

// IsReassigning reports whether replicas are being added or taken away.
func (p *PartitionRecord) IsReassigning() bool { return len(p.Adding)+len(p.Removing) > 0 }

// HasReplica reports whether the broker hosts the partition.
func (p *PartitionRecord) HasReplica(id kafka.BrokerID) bool { return slices.Contains(p.Replicas, id) }

// InSync reports whether the broker is in the committed ISR.
func (p *PartitionRecord) InSync(id kafka.BrokerID) bool { return slices.Contains(p.ISR, id) }

// PartitionFields says which fields a PartitionChange sets.
type PartitionFields uint16

// The fields of a PartitionChange. PartitionEpoch is always set.
const (
	SetReplicas PartitionFields = 1 << iota // and Directories
	SetDirectories
	SetISR
	SetELR
	SetLost
	SetLeader // and LeaderEpoch
	SetMinISR // and LowestMinISR
	SetTargetReplicas
	SetReassignment // Adding and Removing; since version 2
	SetForced       // since version 2

	setAllV1 = SetTargetReplicas<<1 - 1
	setAll   = SetForced<<1 - 1
)

// PartitionChange gives some fields of a partition new values. PartitionEpoch is
// the partition's next one; LeaderEpoch never falls.
type PartitionChange struct {
	Fields PartitionFields
	PartitionRecord
}

// Config is one setting of a resource. A nil Value removes it.
type Config struct {
	Resource Resource
	Key      string
	Value    *string
}

// ProducerIDs says how far producer ids were handed out.
type ProducerIDs struct {
	Next   kafka.ProducerID // every id below was handed out
	Broker kafka.BrokerID   // who got the last block
	Epoch  kafka.BrokerEpoch
}

// Kind implements Record.
func (*Cluster) Kind() Kind { return KindCluster }

// Kind implements Record.
func (*FeatureLevelRecord) Kind() Kind { return KindFeatureLevel }

// Kind implements Record.
func (*Broker) Kind() Kind { return KindBroker }

// Kind implements Record.
func (*TopicRecord) Kind() Kind { return KindTopic }

// Kind implements Record.
func (*RemoveTopic) Kind() Kind { return KindRemoveTopic }

// Kind implements Record.
func (*PartitionRecord) Kind() Kind { return KindPartition }

// Kind implements Record.
func (*PartitionChange) Kind() Kind { return KindPartitionChange }

// Kind implements Record.
func (*Config) Kind() Kind { return KindConfig }

// Kind implements Record.
func (*ProducerIDs) Kind() Kind { return KindProducerIDs }

// Kind implements Record.
func (*RemoveBroker) Kind() Kind { return KindRemoveBroker }
