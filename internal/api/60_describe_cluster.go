package api

// DescribeCluster, key 60, versions 0 to 2.
//
//	1 endpoint type (KIP-919); 2 fenced brokers

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// The types of endpoints. Controllers have no door of their own here.
const (
	endpointBrokers     = 1
	endpointControllers = 2
)

func (a *API) describeCluster(r *Request) (*Reply, Pending) {
	q := wire.NewDescribeClusterRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewDescribeClusterResponse()
	switch q.EndpointType {
	case endpointBrokers:
	case endpointControllers:
		why := "this address is a broker's"
		out.ErrorCode, out.ErrorMessage = int16(kafka.ErrMismatchedEndpointType), &why
		return respond(r, &out), nil
	default:
		why := "unknown type of endpoint"
		out.ErrorCode, out.ErrorMessage = int16(kafka.ErrUnsupportedEndpointType), &why
		return respond(r, &out), nil
	}
	if q.IncludeClusterAuthorizedOperations {
		out.ClusterAuthorizedOperations = a.operationsOn(r.Conn.Principal, clusterResource())
	}
	image := a.o.Quorum.Image()
	out.ClusterID = image.ClusterID().String()
	out.ControllerID = int32(a.controllerFor(r.Conn, image))
	for _, b := range image.Brokers() {
		e, ok := b.Endpoint(r.Conn.Listener)
		if !ok || b.Fenced && !q.IncludeFencedBrokers {
			continue
		}
		out.Brokers = append(out.Brokers, wire.DescribeClusterResponseBroker{NodeID: int32(b.ID), Host: e.Host, Port: e.Port, Rack: rack(b), IsFenced: b.Fenced})
	}
	return respond(r, &out), nil
}
