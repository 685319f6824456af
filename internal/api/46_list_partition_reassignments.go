package api

// ListPartitionReassignments, key 46, version 0 (KIP-455): none is ever under
// way.

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) listReassignments(r *Request) (*Reply, Pending) {
	q := wire.NewListPartitionReassignmentsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewListPartitionReassignmentsResponse()
	if !a.authorize(r.Conn.Principal, opDescribe, clusterResource()) {
		why := "not authorised"
		out.ErrorCode, out.ErrorMessage = int16(kafka.ErrClusterAuthorizationFailed), &why
	}
	return respond(r, &out), nil
}
