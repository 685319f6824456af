package api

// JoinGroup, key 11, versions 0 to 9.
//
//	1 rebalance timeout; 4 a member id is handed out first (KIP-394)
//	5 static members (KIP-345); 6 flexible; 7 protocol type in the reply (KIP-559)
//	8 a reason (KIP-800); 9 the leader may skip the assignment (KIP-814)
//
// Behaviours: it is answered when the group has decided; a connection that ends
// meanwhile takes its request along and leaves the member to its session.

import (
	"holdfast/internal/coord"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) joinGroup(r *Request) (*Reply, Pending) {
	q := wire.NewJoinGroupRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	// What waits keeps nothing of the request: a member may wait for long, and the
	// coordinator counts what it has copied.
	member, version := q.MemberID, r.Header.Version
	refuse := func(code kafka.ErrorCode) *wire.JoinGroupResponse {
		out := wire.NewJoinGroupResponse()
		out.ErrorCode, out.MemberID = int16(code), member
		if version < 7 { // null came later
			out.Protocol = new(string)
		}
		return &out
	}
	if !a.mayUseGroup(r, opRead, q.Group) {
		return respond(r, refuse(kafka.ErrGroupAuthorizationFailed)), nil
	}
	g := a.newGrouped(r, 1, millis(max(q.RebalanceTimeoutMillis, q.SessionTimeoutMillis))+memberWait)
	g.members = true
	return g.await(func(parts []coord.Outcome) wire.Message {
		if parts[0].Code != kafka.ErrNone {
			return refuse(parts[0].Code)
		}
		return parts[0].Value.(*wire.JoinGroupResponse)
	}, a.o.Coord.Join(g.waiter, caller(r), version, &q))
}
