package api

// AlterUserScramCredentials, key 51, version 0 (KIP-554).
//
// Deviations from Apache Kafka: nobody logs in yet, so that no credential is
// stored: UNSUPPORTED_SASL_MECHANISM for one to be set, RESOURCE_NOT_FOUND for
// one to be deleted.

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) alterSCRAM(r *Request) (*Reply, Pending) {
	q := wire.NewAlterUserSCRAMCredentialsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewAlterUserSCRAMCredentialsResponse()
	named := map[string]bool{}
	add := func(user string, code kafka.ErrorCode, why string) {
		if !named[user] {
			named[user] = true
			out.Results = append(out.Results, wire.AlterUserSCRAMCredentialsResponseResult{User: user, ErrorCode: int16(code), ErrorMessage: &why})
		}
	}
	for _, u := range q.Upsertions {
		add(u.Name, kafka.ErrUnsupportedSaslMechanism, "there is no authentication yet")
	}
	for _, u := range q.Deletions {
		add(u.Name, kafka.ErrResourceNotFound, "there is no such user")
	}
	return respond(r, &out), nil
}
