package api

// DescribeGroups, key 15, versions 0 to 6.
//
//	3 authorised operations (KIP-430); 4 static members (KIP-345); 5 flexible
//	6 an unknown group is GROUP_ID_NOT_FOUND with a message (KIP-1043)

import (
	"math"

	"holdfast/internal/coord"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// groupOperations are what KIP-430 lists for a group when everything is allowed:
// READ, DELETE, DESCRIBE, by their bits.
const groupOperations = 1<<3 | 1<<6 | 1<<8

func (a *API) describeGroups(r *Request) (*Reply, Pending) {
	q := wire.NewDescribeGroupsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	g := a.newGrouped(r, len(q.Groups), groupWait)
	tickets := a.once(r, g.waiter, opDescribe, q.Groups, func(i int) *coord.Ticket {
		return a.o.Coord.Describe(g.waiter, r.Header.Version, q.Groups[i])
	})
	return g.await(func(parts []coord.Outcome) wire.Message {
		out := wire.NewDescribeGroupsResponse()
		for i, p := range parts {
			one := wire.DescribeGroupsResponseGroup{Group: q.Groups[i], ErrorCode: int16(p.Code)}
			if p.Code == kafka.ErrNone {
				one = p.Value.(wire.DescribeGroupsResponseGroup)
			}
			one.AuthorizedOperations = math.MinInt32
			if q.IncludeAuthorizedOperations && one.ErrorCode == 0 {
				one.AuthorizedOperations = groupOperations
			}
			out.Groups = append(out.Groups, one)
		}
		return &out
	}, tickets...)
}
