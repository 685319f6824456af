package controller

import "holdfast/internal/kafka"

// AlterISR proposes in-sync replica sets for partitions that Broker leads. Each
// is decided by itself. (KIP-497, 841, 903)
type AlterISR struct {
	Broker  kafka.BrokerID
	Epoch   kafka.BrokerEpoch
	Changes []ISRChange
}

// ISRChange is the proposal for one partition. The two epochs are those of the
// state that the leader started from.
type ISRChange struct {
	TopicID        kafka.TopicID
	Partition      kafka.PartitionIndex
	LeaderEpoch    kafka.LeaderEpoch
	PartitionEpoch kafka.PartitionEpoch
	ISR            []Member
}

// Member is a replica and the incarnation whose progress the leader has seen.
type Member struct {
	ID    kafka.BrokerID
	Epoch kafka.BrokerEpoch
}

// ISRResult is the outcome of one proposal.
//
// Code ErrNone: it is decided, and in force where the reply's offset is applied;
// ErrNewLeaderElected: the same, and somebody else leads from there on.
// ErrIneligibleReplica and ErrInvalidRequest: it was not done and never will be.
// Every other code says that the leader's state is not the last one: what became
// of the proposal (of an earlier try, too) is what the metadata says.
type ISRResult struct {
	TopicID   kafka.TopicID
	Partition kafka.PartitionIndex
	Code      kafka.ErrorCode
	Message   string
}

// Refused reports whether the proposal was definitely not carried out, by this
// command or by an earlier one with the same content. Only then may a leader go
// back to the committed set.
func (r ISRResult) Refused() bool {
	return r.Code == kafka.ErrIneligibleReplica || r.Code == kafka.ErrInvalidRequest
}

// PartitionResult is the outcome for one partition.
type PartitionResult struct {
	Topic     string // empty when there is no such topic and the command named its id
	TopicID   kafka.TopicID
	Partition kafka.PartitionIndex
	Code      kafka.ErrorCode
	Message   string // the reason of a refusal, or what an operator should know
}

// ElectionKind says which leader is asked for. The numbers are the protocol's.
type ElectionKind int8

// The kinds of elections.
const (
	ElectPreferred ElectionKind = 0 // the first replica, where it is in sync
	ElectUnclean   ElectionKind = 1 // anybody; refused here, see ForceRecovery
)

// ElectLeaders elects leaders. A nil list is every partition for which the
// election would change something. (KIP-460)
type ElectLeaders struct {
	Partitions []kafka.TopicPartition
	Kind       ElectionKind
}

// AlterReassignments begins, replaces or cancels the move of partitions to other
// brokers. Each is decided by itself. (KIP-455)
type AlterReassignments struct {
	Reassignments []Reassignment
	// KeepFactor refuses to change the number of replicas. (KIP-860)
	KeepFactor bool
}

// Reassignment gives one partition new replicas, the preferred leader first. A
// nil list cancels the one that is under way.
type Reassignment struct {
	Topic     string
	Partition kafka.PartitionIndex
	Replicas  []kafka.BrokerID
}

// CancelReassignments ends reassignments that are under way, with the replicas
// from before them. Nil: all of them.
type CancelReassignments struct {
	Partitions []kafka.TopicPartition
}

// EnsureReplication begins reassignments that give the internal topics their
// replication factor, once there are brokers enough that nothing becomes less
// available by it: three or more live ones. At most Max partitions are under way
// at a time; 0 means MovesDefault. Asking again continues.
type EnsureReplication struct {
	Max int
}

// BalanceLeaders moves leaderships back to preferred leaders: those that are in
// sync in a partition whose ISR holds every replica, and only while every
// registered broker is live and every partition has a leader. At most Max move;
// 0 means MovesDefault. Asking again continues.
type BalanceLeaders struct {
	Max int
}

// LogReport is what one replica of a partition without a leader has on stable
// storage.
type LogReport struct {
	TopicID     kafka.TopicID
	Partition   kafka.PartitionIndex
	Broker      kafka.BrokerID
	BrokerEpoch kafka.BrokerEpoch
	Directory   kafka.DirectoryID
	// LeaderEpoch is the partition's epoch without a leader, as the replica knew it
	// when it read its log. A report from before another leader counts for nothing.
	LeaderEpoch kafka.LeaderEpoch
	LastEpoch   kafka.LeaderEpoch // of the last batch; NoLeaderEpoch in an empty log
	End         kafka.Offset      // the durable end
}

// RecoverPartitions elects the leaders of partitions whose in-sync replicas, and
// those of the ELR, are all away: when as many replicas have reported as must
// include one with every acknowledged record, the one whose log is the longest.
// There is a result for each partition that is named, in the order of topic ids;
// ErrEligibleLeadersNotAvailable: not enough reports, see its message.
type RecoverPartitions struct {
	Reports []LogReport
}

// ForceRecovery makes a live replica the leader of a partition that has none,
// though acknowledged records may be lost by it. The decision stays in the
// partition's record. With ValidateOnly it only says what would be lost.
type ForceRecovery struct {
	TopicID      kafka.TopicID
	Partition    kafka.PartitionIndex
	Broker       kafka.BrokerID // who shall lead
	Reports      []LogReport    // of Broker at least, of all that can be reached
	Reason       string         // for people: who, and why; needed
	ValidateOnly bool
}

// MovesDefault is how many partitions EnsureReplication and BalanceLeaders
// touch at a time when they are not told.
const MovesDefault = 20
