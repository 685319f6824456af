package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/quorum"
	"holdfast/internal/wire"
)

// Members carries what the members of the metadata quorum say to each other: it is
// a quorum.Transport, a quorum.Forwarder and a quorum.Puller.
type Members struct {
	p *Peers
	// arrived is told how the carrying of a snapshot went (Quorum.ReportSnapshot).
	arrived func(m quorum.Message, arrived bool)
}

var (
	_ quorum.Transport = (*Members)(nil)
	_ quorum.Forwarder = (*Members)(nil)
	_ quorum.Puller    = (*Members)(nil)
)

// Members uses these connections for the quorum. arrived runs on a goroutine of its
// own and may wait; it is called after the quorum has been opened.
func (p *Peers) Members(arrived func(m quorum.Message, arrived bool)) *Members {
	return &Members{p: p, arrived: arrived}
}

// snapshotWait bounds the carrying of a snapshot.
const snapshotWait = time.Minute

// Send implements quorum.Transport. What does not fit, or finds no connection, is
// dropped.
func (m *Members) Send(messages []quorum.Message) {
	requests := make(map[kafka.BrokerID]*wire.RaftMessagesRequest)
	for _, x := range messages {
		if x.Snapshot {
			m.p.background(func(ctx context.Context) { m.sendSnapshot(ctx, x) })
			continue
		}
		q := requests[x.To]
		if q == nil {
			q = m.request()
			requests[x.To] = q
		}
		q.Messages = append(q.Messages, wire.RaftMessagesRequestMessage{Bytes: x.Bytes})
	}
	for to, q := range requests {
		m.p.For(to, Raft).Post(wire.KeyRaftMessages, 0, q, nil)
	}
}

func (m *Members) request() *wire.RaftMessagesRequest {
	return &wire.RaftMessagesRequest{BrokerID: int32(m.p.o.Self().Broker)}
}

// sendSnapshot goes beside the other messages, so that heartbeats do not wait for
// it.
func (m *Members) sendSnapshot(ctx context.Context, x quorum.Message) {
	ctx, cancel := context.WithTimeout(ctx, snapshotWait)
	defer cancel()
	err := errTooLarge
	if len(x.Bytes) < frameMax-1024 {
		q := m.request()
		q.Messages = []wire.RaftMessagesRequestMessage{{Bytes: x.Bytes}}
		out := wire.NewRaftMessagesResponse()
		if err = m.p.For(x.To, Pull).Do(ctx, wire.KeyRaftMessages, 0, q, &out); err == nil {
			err = refusal(out.ErrorCode, out.ErrorMessage)
		}
	}
	if err != nil {
		m.p.o.Log.Warn("a snapshot of the metadata did not reach another controller", "broker", x.To, "bytes", len(x.Bytes), "error", err)
	}
	m.arrived(x, err == nil)
}

var errTooLarge = errors.New("larger than one frame")

// Submit implements quorum.Forwarder.
func (m *Members) Submit(ctx context.Context, leader kafka.BrokerID, command []byte) ([]byte, error) {
	limit := submitMax
	if at, ok := ctx.Deadline(); ok {
		limit = min(limit, at.Sub(m.p.o.Env.Clock.Now()))
	}
	q := wire.SubmitCommandRequest{TimeoutMillis: int32(max(1, limit.Milliseconds())), Command: command}
	out := wire.NewSubmitCommandResponse()
	err := m.p.For(leader, Command).Do(ctx, wire.KeySubmitCommand, 0, &q, &out)
	switch {
	case err != nil && !Sent(err):
		return nil, fmt.Errorf("%w: %w", quorum.ErrNotSent, err)
	case err != nil:
		return nil, err
	case out.ErrorCode == int16(kafka.ErrNone):
		return out.Reply, nil
	case out.ErrorCode == int16(kafka.ErrNotController):
		return nil, &quorum.NotLeaderError{Leader: kafka.BrokerID(out.LeaderID)}
	}
	err = refusal(out.ErrorCode, out.ErrorMessage)
	if !out.OutcomeUnknown {
		err = fmt.Errorf("%w: %w", quorum.ErrNotSent, err)
	}
	return nil, err
}

// submitMax is the longest that a command waits at the controller.
const submitMax = 30 * time.Second

// pullMax bounds a pull of metadata.
const pullMax = 10 * time.Second

// Pull implements quorum.Puller.
func (m *Members) Pull(ctx context.Context, node kafka.BrokerID, from kafka.Offset) (quorum.Pulled, error) {
	ctx, cancel := context.WithTimeout(ctx, pullMax)
	defer cancel()
	q := wire.PullMetadataRequest{BrokerID: int32(m.p.o.Self().Broker), From: int64(from), MaxBytes: quorum.PullBytesMax,
		MaxWaitMillis: int32(pullMax.Milliseconds())}
	out := wire.NewPullMetadataResponse()
	if err := m.p.For(node, Pull).Do(ctx, wire.KeyPullMetadata, 0, &q, &out); err != nil {
		return quorum.Pulled{}, err
	}
	if err := refusal(out.ErrorCode, out.ErrorMessage); err != nil {
		return quorum.Pulled{}, err
	}
	return quorum.Pulled{Snapshot: out.Snapshot, Entries: out.Entries, Committed: kafka.Offset(out.Committed)}, nil
}
