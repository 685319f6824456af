package api

// FindCoordinator, key 10, versions 0 to 6.
//
//	1 transaction coordinators; 3 flexible; 4 several keys at once (KIP-699)
//	6 share groups (KIP-932)
//
// With one broker it coordinates every group. Transactions have no coordinator
// yet: TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which no client retries for ever.

import (
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
	out := wire.NewFindCoordinatorResponse()
	if r.Header.Version < 4 {
		c := a.coordinator(r, q.CoordinatorKey, q.CoordinatorType)
		out.ErrorCode, out.ErrorMessage, out.NodeID, out.Host, out.Port = c.ErrorCode, c.ErrorMessage, c.NodeID, c.Host, c.Port
		return respond(r, &out), nil
	}
	for _, key := range q.CoordinatorKeys {
		out.Coordinators = append(out.Coordinators, a.coordinator(r, key, q.CoordinatorType))
	}
	return respond(r, &out), nil
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
	case !a.authorize(r.Conn.Principal, opDescribe, resource{kind: onGroup, name: key}):
		return refuse(kafka.ErrGroupAuthorizationFailed, "not authorised")
	}
	// Consumer groups come with their coordinator; until then a client that asks
	// keeps asking instead of failing.
	return refuse(kafka.ErrCoordinatorNotAvailable, "consumer groups are not supported yet")
}
