package quorum

import (
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/kafka"
)

// Message is one message to another member, encoded, so that nothing of it is
// shared with the library that goes on working.
type Message struct {
	To    kafka.BrokerID
	Bytes []byte
	// Snapshot: the message is large, and the member gets nothing else until
	// ReportSnapshot tells how it went. Whoever drops it says so too.
	Snapshot bool
	raftID   uint64 // of To
}

// Transport carries messages to other members. Send never waits; it may drop.
type Transport interface {
	Send(messages []Message)
}

// NoTransport is the transport of a voter that is alone.
type NoTransport struct{}

// Send implements Transport.
func (NoTransport) Send([]Message) {}

// outgoing encodes messages. Those to members that are not known any more are
// dropped, as a network would.
func (m membership) outgoing(messages []*pb.Message) ([]Message, error) {
	var out []Message
	for _, x := range messages {
		to := m.node(x.GetTo())
		if to == kafka.NoBroker {
			continue
		}
		b, err := proto.Marshal(x)
		if err != nil {
			return nil, fmt.Errorf("encode raft message: %w", err)
		}
		out = append(out, Message{To: to, Bytes: b, Snapshot: x.GetType() == pb.MsgSnap, raftID: x.GetTo()})
	}
	return out, nil
}

// messageBytesMax bounds a message of another member: a snapshot is the largest.
const messageBytesMax = snapshotBytesMax + 1<<20

func decodeMessage(b []byte) (*pb.Message, error) {
	if len(b) > messageBytesMax {
		return nil, fmt.Errorf("raft message of %d bytes: %w", len(b), errSize)
	}
	m := new(pb.Message)
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("decode raft message: %w", err)
	}
	// The library looks types up in a table without looking whether they are in it.
	if _, known := pb.MessageType_name[int32(m.GetType())]; !known || raft.IsLocalMsg(m.GetType()) {
		return nil, fmt.Errorf("raft message of type %s from another member: %w", m.GetType(), errValue)
	}
	return m, nil
}
