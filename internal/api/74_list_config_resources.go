package api

// ListConfigResources, key 74, versions 0 and 1 (KIP-1142).
//
//	0 client metrics only; 1 any types, none named meaning all
//
// Behaviours: broker loggers are listed by their broker, as in Kafka; nothing can
// be set on them.

import (
	"strconv"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) listConfigResources(r *Request) (*Reply, Pending) {
	q := wire.NewListConfigResourcesRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewListConfigResourcesResponse()
	if !a.authorize(r.Conn.Principal, opDescribeConfigs, clusterResource()) {
		out.ErrorCode = int16(kafka.ErrClusterAuthorizationFailed)
		return respond(r, &out), nil
	}
	if r.Header.Version == 0 {
		return respond(r, &out), nil
	}
	all := len(q.ResourceTypes) == 0
	topics, brokers, loggers := all, all, all
	for _, t := range q.ResourceTypes {
		switch wire.ConfigResourceType(t) {
		case wire.ConfigResourceTypeTopic:
			topics = true
		case wire.ConfigResourceTypeBroker:
			brokers = true
		case wire.ConfigResourceTypeBrokerLogger:
			loggers = true
		case wire.ConfigResourceTypeClientMetrics, wire.ConfigResourceTypeGroupConfig:
		default:
			out.ErrorCode = int16(kafka.ErrUnsupportedVersion)
			return respond(r, &out), nil
		}
	}
	add := func(kind wire.ConfigResourceType, name string) {
		out.ConfigResources = append(out.ConfigResources, wire.ListConfigResourcesResponseConfigResource{Name: name, Type: int8(kind)})
	}
	image := a.o.Quorum.Image()
	if topics {
		for _, t := range image.Topics() {
			add(wire.ConfigResourceTypeTopic, t.Name)
		}
	}
	for _, b := range image.Brokers() {
		if brokers {
			add(wire.ConfigResourceTypeBroker, strconv.Itoa(int(b.ID)))
		}
		if loggers {
			add(wire.ConfigResourceTypeBrokerLogger, strconv.Itoa(int(b.ID)))
		}
	}
	return respond(r, &out), nil
}
