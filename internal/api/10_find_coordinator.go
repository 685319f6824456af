package api

// FindCoordinator, key 10, versions 0 to 6.
//
//	1 transaction coordinators; 3 flexible; 4 several keys at once (KIP-699)
//	6 share groups (KIP-932)
//
// A group is coordinated by the leader of its partition of __consumer_offsets,
// which is made when somebody first asks. Transactions have no coordinator yet:
// TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which no client retries for ever.

import (
	"context"

	"holdfast/internal/coord"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// Coordinator types on the wire.
const (
	coordinatorGroup       = 0
	coordinatorTransaction = 1
)

func (a *API) findCoordinator(r *Request) (*Reply, Pending) {
	q := wire.NewFindCoordinatorRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	if q.CoordinatorType == coordinatorGroup && a.o.Quorum.Image().TopicByName(coord.OffsetsTopic) == nil {
		kept := &Request{Conn: r.Conn, Received: r.Received, Header: r.Header}
		return nil, a.later(r, commandWait, func(ctx context.Context) wire.Message {
			a.makeOffsetsTopic(ctx)
			return a.coordinators(kept, &q)
		})
	}
	return respond(r, a.coordinators(r, &q)), nil
}

// makeOffsetsTopic makes the internal topic of groups. Where that fails, the
// clients find no coordinator and ask again.
func (a *API) makeOffsetsTopic(ctx context.Context) {
	reply, err := a.submit(ctx, coord.TopicCommand(a.settings()))
	if err != nil {
		a.o.Log.Warn("the internal topic of consumer groups cannot be made", "error", err)
		return
	}
	switch t := reply.Topics[0]; t.Code {
	case kafka.ErrNone:
		a.o.Log.Info("internal topic of consumer groups made", "topic", t.Name, "partitions", t.Partitions, "replicas", t.ReplicationFactor)
	case kafka.ErrTopicAlreadyExists:
	default:
		a.o.Log.Warn("the internal topic of consumer groups cannot be made", "error", t.Message)
	}
}

func (a *API) coordinators(r *Request, q *wire.FindCoordinatorRequest) *wire.FindCoordinatorResponse {
	out := wire.NewFindCoordinatorResponse()
	if r.Header.Version < 4 {
		c := a.coordinator(r, q.CoordinatorKey, q.CoordinatorType)
		out.ErrorCode, out.ErrorMessage, out.NodeID, out.Host, out.Port = c.ErrorCode, c.ErrorMessage, c.NodeID, c.Host, c.Port
		return &out
	}
	for _, key := range q.CoordinatorKeys {
		out.Coordinators = append(out.Coordinators, a.coordinator(r, key, q.CoordinatorType))
	}
	return &out
}

func (a *API) coordinator(r *Request, key string, kind int8) wire.FindCoordinatorResponseCoordinator {
	c := wire.FindCoordinatorResponseCoordinator{Key: key, NodeID: -1, Port: -1}
	refuse := func(code kafka.ErrorCode, why string) wire.FindCoordinatorResponseCoordinator {
		c.ErrorCode, c.ErrorMessage = int16(code), &why
		return c
	}
	switch {
	case kind == coordinatorTransaction:
		return refuse(kafka.ErrTransactionalIDAuthorizationFailed, "transactions are not supported yet")
	case kind != coordinatorGroup:
		return refuse(kafka.ErrInvalidRequest, "unknown coordinator type")
	case !a.mayUseGroup(r, opDescribe, key):
		return refuse(kafka.ErrGroupAuthorizationFailed, "not authorised")
	}
	image := a.o.Quorum.Image()
	t := image.TopicByName(coord.OffsetsTopic)
	if t == nil {
		return refuse(kafka.ErrCoordinatorNotAvailable, "the internal topic of consumer groups does not exist yet")
	}
	leader := t.Partitions[coord.PartitionOf(key, len(t.Partitions))].Leader
	if b := image.Broker(leader); b != nil && !b.Fenced {
		if e, ok := b.Endpoint(r.Conn.Listener); ok {
			c.NodeID, c.Host, c.Port = int32(leader), e.Host, e.Port
			return c
		}
	}
	return refuse(kafka.ErrCoordinatorNotAvailable, "the coordinator of the group is not available")
}
