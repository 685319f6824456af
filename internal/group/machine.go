package group

import (
	"time"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// Settings are the broker's settings for groups. Every duration is positive
// unless it says otherwise.
type Settings struct {
	MinSession       time.Duration // group.min.session.timeout.ms
	MaxSession       time.Duration // group.max.session.timeout.ms
	MaxSize          int           // group.max.size, at least 1
	InitialDelay     time.Duration // group.initial.rebalance.delay.ms, may be 0
	OffsetRetention  time.Duration // offsets.retention.minutes
	RetentionCheck   time.Duration // offsets.retention.check.interval.ms
	MaxMetadata      int           // offset.metadata.max.bytes
	MaxBatchBytes    int           // most bytes of one Effects' records that an append takes; less than LeastBatchBytes counts as that
	NewMemberTimeout time.Duration // how long a new member may wait in JoinGroup; 0 means Kafka's 5 min
}

// LeastBatchBytes is room for any record that must always be possible: a
// tombstone, and a group without members, with the longest names.
const LeastBatchBytes = 256 << 10

// Machine is the state of one partition of __consumer_offsets. Its methods are
// called one after the other, with a time that does not go back.
type Machine struct {
	settings Settings
	groups   map[string]*group
	timers   timers
	seq      Seq // of the newest records
	skipped  int
	loaded   bool
	weight   Weight
	limit    Weight
	crowded  int
	wall     kafka.Timestamp // see SetWall; 0: it says what the calls say

	nextCheck kafka.Timestamp // of the offsets' retention
	doomed    []TopicRef      // topics that are gone, for the next sweep
	sweep     *sweep          // nil: none is under way
}

// New returns an empty machine.
func New(settings Settings) *Machine {
	settings.MaxBatchBytes = max(settings.MaxBatchBytes, LeastBatchBytes)
	if settings.NewMemberTimeout <= 0 {
		settings.NewMemberTimeout = 5 * time.Minute
	}
	return &Machine{settings: settings, groups: map[string]*group{}, limit: NoLimit}
}

// SetWall tells what the wall clock says, for all calls until it is told again.
// What is kept in the log counts by it: when an offset was committed, and when it
// expires. Deadlines count by the time of the calls, which passes evenly, so that
// a wall clock that is set ends no session and delays no rebalance.
func (m *Machine) SetWall(t kafka.Timestamp) { m.wall = max(t, 1) }

// operation gathers what one call does.
type operation struct {
	*Machine
	now     kafka.Timestamp // for deadlines
	wall    kafka.Timestamp // for what goes to the log
	effects Effects
	bytes   int // of the records, about
}

func (m *Machine) begin(now kafka.Timestamp) *operation {
	invariant.Check(m.loaded, "group: the machine is used before Loaded")
	o := &operation{Machine: m, now: now, wall: now, bytes: batchOverhead}
	if m.wall != 0 {
		o.wall = m.wall
	}
	return o
}

// What a batch takes besides its records, and a record besides its key and value,
// at most.
const (
	batchOverhead  = 61
	recordOverhead = 32
)

func (o *operation) record(key, value []byte) {
	o.effects.Records = append(o.effects.Records, Record{Key: key, Value: value})
	o.bytes += len(key) + len(value) + recordOverhead
}

func (o *operation) reply(call CallID, response wire.Response) {
	o.effects.Replies = append(o.effects.Replies, Reply{Call: call, Response: response})
}

// finish numbers the records and makes every reply wait for all that was written
// so far: what it says may rest on any of it.
func (o *operation) finish() Effects {
	if len(o.effects.Records) > 0 {
		o.seq++
		o.effects.Seq = o.seq
	}
	for i := range o.effects.Replies {
		o.effects.Replies[i].After = o.seq
	}
	return o.effects
}

// MemberIDPrefix is what a new member id starts with, before "-" and a random
// UUID in its usual text form: the client id, or the instance id of a static member.
func MemberIDPrefix(clientID string, instanceID *string) string {
	if instanceID != nil {
		return *instanceID
	}
	return clientID
}
