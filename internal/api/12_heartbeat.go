package api

// Heartbeat, key 12, versions 0 to 4.
//
//	3 static members (KIP-345); 4 flexible

import (
	"holdfast/internal/coord"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) heartbeat(r *Request) (*Reply, Pending) {
	q := wire.NewHeartbeatRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	if !a.mayUseGroup(r, opRead, q.Group) {
		return respond(r, &wire.HeartbeatResponse{ErrorCode: int16(kafka.ErrGroupAuthorizationFailed)}), nil
	}
	g := a.newGrouped(r, 1, groupWait)
	return g.await(func(parts []coord.Outcome) wire.Message {
		switch parts[0].Code {
		case kafka.ErrNone:
			return parts[0].Value.(*wire.HeartbeatResponse)
		case kafka.ErrCoordinatorLoadInProgress:
			// As in Kafka: a member must not give its place up because the broker has
			// just started.
			return &wire.HeartbeatResponse{}
		}
		return &wire.HeartbeatResponse{ErrorCode: int16(parts[0].Code)}
	}, a.o.Coord.Heartbeat(g.waiter, &q))
}
