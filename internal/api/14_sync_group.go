package api

// SyncGroup, key 14, versions 0 to 5.
//
//	3 static members (KIP-345); 4 flexible; 5 protocol type and name (KIP-559)
//
// Behaviours: members wait for their leader's assignment, which is durable before
// anybody hears of it.

import (
	"time"

	"holdfast/internal/coord"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// syncWait is longer than any rebalance: the coordinator ends the wait.
const syncWait = time.Hour

func (a *API) syncGroup(r *Request) (*Reply, Pending) {
	q := wire.NewSyncGroupRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	if !a.mayUseGroup(r, opRead, q.Group) {
		return respond(r, &wire.SyncGroupResponse{ErrorCode: int16(kafka.ErrGroupAuthorizationFailed)}), nil
	}
	g := a.newGrouped(r, 1, syncWait)
	g.members = true
	return g.await(func(parts []coord.Outcome) wire.Message {
		if parts[0].Code != kafka.ErrNone {
			return &wire.SyncGroupResponse{ErrorCode: int16(parts[0].Code)}
		}
		return parts[0].Value.(*wire.SyncGroupResponse)
	}, a.o.Coord.Sync(g.waiter, &q))
}
