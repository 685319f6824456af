package api

// UnregisterBroker, key 64, version 0 (KIP-500): forgets a broker that will not
// come back.
//
// Behaviours: a broker that nobody knows is BROKER_ID_NOT_REGISTERED.
//
// Deviations from Apache Kafka: a broker that is live, or that partitions still
// name as a replica, is not forgotten: POLICY_VIOLATION, and nothing becomes less
// safe by it.

import (
	"context"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) unregisterBroker(r *Request) (*Reply, Pending) {
	q := wire.NewUnregisterBrokerRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	answer := func(code kafka.ErrorCode, why string) *wire.UnregisterBrokerResponse {
		return &wire.UnregisterBrokerResponse{ErrorCode: int16(code), ErrorMessage: &why}
	}
	if !a.authorize(r.Conn.Principal, opAlter, clusterResource()) {
		return respond(r, answer(kafka.ErrClusterAuthorizationFailed, "not authorised")), nil
	}
	return nil, a.later(r, commandWait, func(ctx context.Context) wire.Message {
		if _, err := a.submit(ctx, controller.UnregisterBroker{Broker: kafka.BrokerID(q.BrokerID)}); err != nil {
			return answer(codeOf(err), reasonOf(err))
		}
		return answer(kafka.ErrNone, "")
	})
}
