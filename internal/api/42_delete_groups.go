package api

// DeleteGroups, key 42, versions 0 to 2.
//
//	2 flexible

import (
	"holdfast/internal/coord"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) deleteGroups(r *Request) (*Reply, Pending) {
	q := wire.NewDeleteGroupsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	g := a.newGrouped(r, len(q.Groups), groupWait)
	tickets := a.once(r, g.waiter, opDelete, q.Groups, func(i int) *coord.Ticket {
		return a.o.Coord.DeleteGroup(g.waiter, q.Groups[i])
	})
	return g.await(func(parts []coord.Outcome) wire.Message {
		out := wire.NewDeleteGroupsResponse()
		for i, p := range parts {
			if p.Code != kafka.ErrNone {
				out.Groups = append(out.Groups, wire.DeleteGroupsResponseGroup{Group: q.Groups[i], ErrorCode: int16(p.Code)})
				continue
			}
			out.Groups = append(out.Groups, p.Value.(*wire.DeleteGroupsResponse).Groups...)
		}
		return &out
	}, tickets...)
}
