package api

// PushTelemetry, key 72, version 0 (KIP-714).
//
// Behaviours: nobody was asked for metrics. What comes under the empty
// subscription is dropped, anything else is UNKNOWN_SUBSCRIPTION_ID.

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) pushTelemetry(r *Request) (*Reply, Pending) {
	q := wire.NewPushTelemetryRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewPushTelemetryResponse()
	switch {
	case q.ClientInstanceID == [16]byte{}:
		out.ErrorCode = int16(kafka.ErrInvalidRequest)
	case q.SubscriptionID != telemetrySubscription:
		out.ErrorCode = int16(kafka.ErrUnknownSubscriptionID)
	case len(q.Metrics) > telemetryBytesMax:
		out.ErrorCode = int16(kafka.ErrTelemetryTooLarge)
	}
	return respond(r, &out), nil
}
