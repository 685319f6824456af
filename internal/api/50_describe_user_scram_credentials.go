package api

// DescribeUserScramCredentials, key 50, version 0 (KIP-554): there are none.

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) describeSCRAM(r *Request) (*Reply, Pending) {
	q := wire.NewDescribeUserSCRAMCredentialsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewDescribeUserSCRAMCredentialsResponse()
	none, missing, twice := "", "there is no such user", "the user is asked for twice"
	out.ErrorMessage = &none
	times := map[string]int{}
	for _, u := range q.Users {
		times[u.Name]++
	}
	for _, u := range q.Users {
		w := wire.DescribeUserSCRAMCredentialsResponseResult{User: u.Name, ErrorCode: int16(kafka.ErrResourceNotFound), ErrorMessage: &missing}
		switch times[u.Name] {
		case 0: // answered already
			continue
		case 1:
		default:
			w.ErrorCode, w.ErrorMessage = int16(kafka.ErrDuplicateResource), &twice
		}
		times[u.Name] = 0
		out.Results = append(out.Results, w)
	}
	return respond(r, &out), nil
}
