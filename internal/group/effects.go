package group

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// CallID names one request that waits for its reply. The shell chooses it; it is
// unique among the calls that a machine owes a reply.
type CallID uint64

// Seq numbers the effects that carry records, from 1, in the order in which their
// records must be appended. 0 is "nothing to wait for".
type Seq uint64

// Record is one record of __consumer_offsets. A nil Value is a tombstone.
type Record struct {
	Key, Value []byte
}

// Reply is the answer to one call. Every call gets exactly one, perhaps out of a
// later call or a Tick.
type Reply struct {
	Call CallID
	// After is the effects number whose records must be committed before the
	// reply is sent; 0 means at once.
	After    Seq
	Response wire.Response
}

// Effects is what the shell has to do after a call: append Records as one batch
// (all or nothing, stamped with the wall clock's time), then send each reply when its
// After is committed.
type Effects struct {
	Seq     Seq // number of Records; 0 when there are none
	Records []Record
	Replies []Reply
}

// Read is a reply that could be computed at once; it may be sent when the
// records numbered After are committed.
type Read[T any] struct {
	After Seq
	Value T
}

// Caller says who sent a request.
type Caller struct {
	ClientID string
	Host     string // as Kafka shows it: "/127.0.0.1"
}

// JoinRequest is a JoinGroup with what the machine cannot draw itself.
type JoinRequest struct {
	*wire.JoinGroupRequest
	Version int16
	Caller  Caller
	// NewMemberID is a fresh id, unique for ever, drawn for every request; it is
	// used only when a new member needs one. See MemberIDPrefix.
	NewMemberID string
}

// CommitRequest is an OffsetCommit of partitions that exist: the shell has
// answered for unknown topics itself and has resolved topic ids to names; both
// Topic and TopicID of each topic are set.
type CommitRequest struct {
	*wire.OffsetCommitRequest
	Version int16
}

// TopicRef is a topic that has committed offsets. ID is zero if the commit did
// not carry one.
type TopicRef struct {
	Name string
	ID   kafka.TopicID
}
