package api

// LeaveGroup, key 13, versions 0 to 5.
//
//	3 several members at once, static ones too (KIP-345); 4 flexible
//	5 a reason (KIP-800)

import (
	"holdfast/internal/coord"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) leaveGroup(r *Request) (*Reply, Pending) {
	q := wire.NewLeaveGroupRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	if !a.mayUseGroup(r, opRead, q.Group) {
		return respond(r, &wire.LeaveGroupResponse{ErrorCode: int16(kafka.ErrGroupAuthorizationFailed)}), nil
	}
	g := a.newGrouped(r, 1, groupWait)
	return g.await(func(parts []coord.Outcome) wire.Message {
		if parts[0].Code != kafka.ErrNone {
			return &wire.LeaveGroupResponse{ErrorCode: int16(parts[0].Code)}
		}
		return parts[0].Value.(*wire.LeaveGroupResponse)
	}, a.o.Coord.Leave(g.waiter, r.Header.Version, &q))
}
