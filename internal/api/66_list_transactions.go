package api

// ListTransactions, key 66, versions 0 to 2 (KIP-664).
//
//	1 by duration (KIP-994); 2 by a pattern of ids (KIP-1152)
//
// Behaviours: the list is empty.

import (
	"slices"

	"holdfast/internal/wire"
)

func (a *API) listTransactions(r *Request) (*Reply, Pending) {
	q := wire.NewListTransactionsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewListTransactionsResponse()
	known := []string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"}
	for _, state := range q.StateFilters {
		if !slices.Contains(known, state) && !slices.Contains(out.UnknownStateFilters, state) {
			out.UnknownStateFilters = append(out.UnknownStateFilters, state)
		}
	}
	return respond(r, &out), nil
}
