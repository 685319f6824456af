package api

// DescribeClientQuotas, key 48, versions 0 and 1 (KIP-546): there are none.

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) describeClientQuotas(r *Request) (*Reply, Pending) {
	q := wire.NewDescribeClientQuotasRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewDescribeClientQuotasResponse()
	none := ""
	out.Entries, out.ErrorMessage = []wire.DescribeClientQuotasResponseEntry{}, &none
	for _, c := range q.Components {
		switch c.EntityType {
		case "user", "client-id", "ip":
		default:
			why := "there are quotas of users, client ids and addresses only"
			out.Entries, out.ErrorCode, out.ErrorMessage = nil, int16(kafka.ErrUnsupportedVersion), &why
		}
	}
	return respond(r, &out), nil
}
