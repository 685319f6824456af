package api

// Delegation tokens (KIP-48), keys 38 to 41. A plaintext connection may not ask
// for them, in Kafka as here: DELEGATION_TOKEN_REQUEST_NOT_ALLOWED.

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

const tokensNotAllowed = int16(kafka.ErrDelegationTokenRequestNotAllowed)

// createToken is CreateDelegationToken, key 38, versions 1 to 3.
func (a *API) createToken(r *Request) (*Reply, Pending) {
	q := wire.NewCreateDelegationTokenRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewCreateDelegationTokenResponse()
	out.ErrorCode = tokensNotAllowed
	out.PrincipalType, out.PrincipalName = "User", "ANONYMOUS"
	out.TokenRequesterPrincipalType, out.TokenRequesterPrincipalName = "User", "ANONYMOUS"
	out.IssueTimestamp, out.ExpiryTimestamp, out.MaxTimestamp = -1, -1, -1
	return respond(r, &out), nil
}

// renewToken is RenewDelegationToken, key 39, versions 1 and 2.
func (a *API) renewToken(r *Request) (*Reply, Pending) {
	q := wire.NewRenewDelegationTokenRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	return respond(r, &wire.RenewDelegationTokenResponse{ErrorCode: tokensNotAllowed, ExpiryTimestamp: -1}), nil
}

// expireToken is ExpireDelegationToken, key 40, versions 1 and 2.
func (a *API) expireToken(r *Request) (*Reply, Pending) {
	q := wire.NewExpireDelegationTokenRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	return respond(r, &wire.ExpireDelegationTokenResponse{ErrorCode: tokensNotAllowed, ExpiryTimestamp: -1}), nil
}

// describeTokens is DescribeDelegationToken, key 41, versions 1 to 3.
func (a *API) describeTokens(r *Request) (*Reply, Pending) {
	q := wire.NewDescribeDelegationTokenRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	return respond(r, &wire.DescribeDelegationTokenResponse{ErrorCode: tokensNotAllowed}), nil
}
