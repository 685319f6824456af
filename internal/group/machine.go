package group

import (
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// Settings are the broker's settings for groups. Every duration is positive
// unless it says otherwise.
type Settings struct {
	MinSession         time.Duration // group.min.session.timeout.ms
	MaxSession         time.Duration // group.max.session.timeout.ms
	MaxSize            int           // group.max.size, at least 1
	InitialDelay       time.Duration // group.initial.rebalance.delay.ms, may be 0
	OffsetRetention    time.Duration // offsets.retention.minutes
	RetentionCheck     time.Duration // offsets.retention.check.interval.ms
	MaxMetadata        int           // offset.metadata.max.bytes
	MaxBatchBytes      int           // most bytes of one Effects' records that an append takes
	PendingJoinTimeout time.Duration // how long an id that was handed out may stay unused (KIP-394); 0 means 5 min
}

// Machine is the state of one partition of __consumer_offsets. Its methods are
// called one after the other, with a time that does not go back.
type Machine struct {
	settings Settings
}

// New returns an empty machine.
func New(settings Settings) *Machine { return &Machine{settings: settings} }

// Replay applies one committed record of the log, in log order, before Loaded.
// It never fails for what compaction may leave, nor for kinds and versions that
// it does not know (those are skipped and counted, see Skipped). A record that is
// damaged gives a *CorruptionError. A nil value is a tombstone. timestamp is the
// record's own.
func (m *Machine) Replay(key, value []byte, timestamp kafka.Timestamp) error { return nil }

// Loaded ends the replay: members get a fresh session from now.
func (m *Machine) Loaded(now kafka.Timestamp) Effects { return Effects{} }

// Skipped is the number of replayed records whose kind or version is unknown.
func (m *Machine) Skipped() int { return 0 }

// Join handles JoinGroup. The call may be parked.
func (m *Machine) Join(now kafka.Timestamp, call CallID, r JoinRequest) Effects { return Effects{} }

// Sync handles SyncGroup. The call may be parked.
func (m *Machine) Sync(now kafka.Timestamp, call CallID, r *wire.SyncGroupRequest) Effects {
	return Effects{}
}

// Heartbeat handles Heartbeat.
func (m *Machine) Heartbeat(now kafka.Timestamp, call CallID, r *wire.HeartbeatRequest) Effects {
	return Effects{}
}

// Leave handles LeaveGroup of the version given.
func (m *Machine) Leave(now kafka.Timestamp, call CallID, version int16, r *wire.LeaveGroupRequest) Effects {
	return Effects{}
}

// Commit handles OffsetCommit.
func (m *Machine) Commit(now kafka.Timestamp, call CallID, r CommitRequest) Effects {
	return Effects{}
}

// DeleteOffsets handles OffsetDelete.
func (m *Machine) DeleteOffsets(now kafka.Timestamp, call CallID, r *wire.OffsetDeleteRequest) Effects {
	return Effects{}
}

// DeleteGroup handles one group of DeleteGroups. The reply is a
// *wire.DeleteGroupsResponse with exactly one group.
func (m *Machine) DeleteGroup(now kafka.Timestamp, call CallID, group string) Effects {
	return Effects{}
}

// DeleteTopics drops the offsets of topics that are gone. A ref with an id drops
// the offsets committed under that id or without one, so that a topic which was
// created again keeps what was committed to it; a zero id drops all of the name.
func (m *Machine) DeleteTopics(now kafka.Timestamp, topics []TopicRef) Effects { return Effects{} }

// Topics lists the topics that have offsets, by name and id, so that the shell
// can compare them with the metadata after loading.
func (m *Machine) Topics() []TopicRef { return nil }

// Fetch handles one group of an OffsetFetch. nil Topics asks for all. Every topic
// of the request has its name set; TopicID is copied to the answer. In the answer
// to nil Topics, TopicID is the id of the commit (perhaps zero). requireStable
// changes nothing while there are no transactions: an offset that is not
// committed yet delays the answer (see Read) instead of being an error.
func (m *Machine) Fetch(r wire.OffsetFetchRequestGroup, requireStable bool) Read[wire.OffsetFetchResponseGroup] {
	return Read[wire.OffsetFetchResponseGroup]{}
}

// Describe handles one group of DescribeGroups of the version given.
func (m *Machine) Describe(version int16, group string) Read[wire.DescribeGroupsResponseGroup] {
	return Read[wire.DescribeGroupsResponseGroup]{}
}

// List handles ListGroups: the groups of this partition that pass both filters,
// by name.
func (m *Machine) List(r *wire.ListGroupsRequest) Read[[]wire.ListGroupsResponseGroup] {
	return Read[[]wire.ListGroupsResponseGroup]{}
}

// Next is the time at which Tick has something to do, if ever.
func (m *Machine) Next() (deadline kafka.Timestamp, ok bool) { return 0, false }

// Tick does what is due at now: sessions and rebalances that ran out, the initial
// delay, expired offsets. Effects may fill several batches: call again until Next
// is later than now.
func (m *Machine) Tick(now kafka.Timestamp) Effects { return Effects{} }

// Owed lists the calls that wait for a reply of this machine, in ascending order;
// the shell answers them when it drops the machine.
func (m *Machine) Owed() []CallID { return nil }

// MemberIDPrefix is what a new member id starts with, before "-" and a random
// UUID in its usual text form: the client id, or the instance id of a static member.
func MemberIDPrefix(clientID string, instanceID *string) string {
	if instanceID != nil {
		return *instanceID
	}
	return clientID
}
