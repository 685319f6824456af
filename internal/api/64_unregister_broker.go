package api

// UnregisterBroker, key 64, version 0 (KIP-500): forgets a broker that will not
// come back.
//
// Behaviours: a broker that nobody knows is BROKER_ID_NOT_REGISTERED.
//
// Deviations from Apache Kafka: the one broker that there is cannot be
// forgotten: INVALID_REQUEST.

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) unregisterBroker(r *Request) (*Reply, Pending) {
	q := wire.NewUnregisterBrokerRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	code, why := kafka.ErrInvalidRequest, "a broker that takes part cannot be forgotten"
	switch {
	case !a.authorize(r.Conn.Principal, opAlter, clusterResource()):
		code, why = kafka.ErrClusterAuthorizationFailed, "not authorised"
	case a.o.Quorum.Image().Broker(kafka.BrokerID(q.BrokerID)) == nil:
		code, why = kafka.ErrBrokerIDNotRegistered, "no broker of that id is registered"
	}
	return respond(r, &wire.UnregisterBrokerResponse{ErrorCode: int16(code), ErrorMessage: &why}), nil
}
