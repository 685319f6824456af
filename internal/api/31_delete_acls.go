package api

// DeleteAcls, key 31, versions 1 to 3: SECURITY_DISABLED for each.

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) deleteACLs(r *Request) (*Reply, Pending) {
	q := wire.NewDeleteACLsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewDeleteACLsResponse()
	why := noAuthorizer
	for range q.Filters {
		out.Results = append(out.Results, wire.DeleteACLsResponseResult{ErrorCode: int16(kafka.ErrSecurityDisabled), ErrorMessage: &why})
	}
	return respond(r, &out), nil
}
