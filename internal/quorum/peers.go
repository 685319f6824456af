package quorum

import (
	"context"
	"errors"

	"holdfast/internal/kafka"
)

// Voter is a member with a vote: a node, and the directory that it keeps its
// entries in. Another directory of the same node is another member.
type Voter struct {
	Node      kafka.BrokerID
	Directory kafka.DirectoryID
}

// Forwarder carries a command to the member that leads. It answers with what
// SubmitEncoded returned there, one hop away.
//
// *NotLeaderError and errors that wrap ErrNotSent: nothing was done there. After
// any other error nobody knows.
type Forwarder interface {
	Submit(ctx context.Context, leader kafka.BrokerID, command []byte) (reply []byte, err error)
}

// ErrNotSent: the command certainly did not reach the other member.
var ErrNotSent = errors.New("the command was not sent")

// Puller asks a voter for committed metadata from an offset on; it answers with
// what Pull returned there.
type Puller interface {
	Pull(ctx context.Context, node kafka.BrokerID, from kafka.Offset) (Pulled, error)
}

// Pulled is committed metadata, a snapshot or entries. Both are this package's own
// encoding; checksums are in it.
type Pulled struct {
	Snapshot []byte // nil: Entries are the answer
	// Entries begins with a head that names the leader and its term; the entries
	// behind it begin where it was asked. There may be none.
	Entries   []byte
	Committed kafka.Offset // at the voter that answers, every entry below is committed
}

// PullBytesMax is how much an observer asks for at once. A single entry, or a
// snapshot, may be larger.
const PullBytesMax = 4 << 20
