package api

// CreateAcls, key 30, versions 1 to 3: SECURITY_DISABLED for each.

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) createACLs(r *Request) (*Reply, Pending) {
	q := wire.NewCreateACLsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewCreateACLsResponse()
	why := noAuthorizer
	for range q.Creations {
		out.Results = append(out.Results, wire.CreateACLsResponseResult{ErrorCode: int16(kafka.ErrSecurityDisabled), ErrorMessage: &why})
	}
	return respond(r, &out), nil
}
