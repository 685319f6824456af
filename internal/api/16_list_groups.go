package api

// ListGroups, key 16, versions 0 to 5.
//
//	3 flexible; 4 states and a filter by them (KIP-518); 5 types and a filter by
//	them (KIP-848)

import (
	"holdfast/internal/coord"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) listGroups(r *Request) (*Reply, Pending) {
	q := wire.NewListGroupsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	shards := a.o.Coord.Shards()
	g := a.newGrouped(r, len(shards), groupWait)
	return g.await(func(parts []coord.Outcome) wire.Message {
		out := wire.NewListGroupsResponse()
		for _, p := range parts {
			if p.Code != kafka.ErrNone {
				out.ErrorCode = int16(p.Code)
				continue
			}
			for _, one := range p.Value.([]wire.ListGroupsResponseGroup) {
				if a.mayUseGroup(r, opDescribe, one.Group) {
					out.Groups = append(out.Groups, one)
				}
			}
		}
		return &out
	}, shards.List(g.waiter, &q)...)
}
