package api

// DescribeAcls, key 29, versions 1 to 3.
//
// Behaviours: as Kafka without an authorizer, SECURITY_DISABLED.

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// noAuthorizer is why requests about access rules are refused.
const noAuthorizer = "this broker has no access control"

func (a *API) describeACLs(r *Request) (*Reply, Pending) {
	q := wire.NewDescribeACLsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewDescribeACLsResponse()
	why := noAuthorizer
	out.ErrorCode, out.ErrorMessage = int16(kafka.ErrSecurityDisabled), &why
	return respond(r, &out), nil
}
