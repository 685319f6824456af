package api

// AlterClientQuotas, key 49, versions 0 and 1 (KIP-546).
//
// Deviations from Apache Kafka: there are no quotas yet, and one that is
// accepted and does nothing would be a lie: INVALID_REQUEST for each.

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) alterClientQuotas(r *Request) (*Reply, Pending) {
	q := wire.NewAlterClientQuotasRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewAlterClientQuotasResponse()
	why := "there are no quotas yet"
	for _, e := range q.Entries {
		w := wire.AlterClientQuotasResponseEntry{ErrorCode: int16(kafka.ErrInvalidRequest), ErrorMessage: &why}
		for _, x := range e.Entity {
			w.Entity = append(w.Entity, wire.AlterClientQuotasResponseEntryEntity{Type: x.Type, Name: x.Name})
		}
		out.Entries = append(out.Entries, w)
	}
	return respond(r, &out), nil
}
