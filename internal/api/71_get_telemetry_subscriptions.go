package api

// GetTelemetrySubscriptions, key 71, version 0 (KIP-714): which metrics a client
// should send.
//
// Behaviours: none. The client is given an id, and asks again after a day.

import (
	"time"

	"holdfast/internal/wire"
)

const (
	// telemetrySubscription is the id of the empty subscription.
	telemetrySubscription = 1
	// telemetryInterval is when a client asks again.
	telemetryInterval = 24 * time.Hour
	// telemetryBytesMax is Kafka's telemetry.max.bytes.
	telemetryBytesMax = 1 << 20
)

func (a *API) getTelemetrySubscriptions(r *Request) (*Reply, Pending) {
	q := wire.NewGetTelemetrySubscriptionsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewGetTelemetrySubscriptionsResponse()
	if out.ClientInstanceID = q.ClientInstanceID; q.ClientInstanceID == [16]byte{} {
		out.ClientInstanceID = a.o.Broker.NewUUID()
	}
	out.SubscriptionID = telemetrySubscription
	out.AcceptedCompressionTypes = []int8{4, 3, 1, 2} // as Kafka: zstd, lz4, gzip, snappy
	out.PushIntervalMillis = int32(telemetryInterval / time.Millisecond)
	out.TelemetryMaxBytes, out.DeltaTemporality = telemetryBytesMax, true
	return respond(r, &out), nil
}
