package api

// ReplicaProgress, key 30006: what other brokers tell about replicas. It does not
// wait: a follower's durable ends. They count for the leader epoch that
// they name and for the follower's incarnation of the request, and for nothing
// else.

import (
	"holdfast/internal/auth"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// privateOfAPI answers the requests of brokers that need partitions.
func (a *API) privateOfAPI(r *Request, from auth.Identity, q wire.Request) *Reply {
	switch q := q.(type) {
	case *wire.ReplicaProgressRequest:
		return a.replicaProgress(r, from, q)
	case *wire.ReplicaLogsRequest:
		return a.replicaLogs(r, q)
	}
	a.o.Log.Warn("closing connection: a broker sends a request out of turn", "broker", from.Broker, "key", int16(r.Header.Key))
	return dropReply()
}

func (a *API) replicaProgress(r *Request, from auth.Identity, q *wire.ReplicaProgressRequest) *Reply {
	out := wire.NewReplicaProgressResponse()
	if kafka.BrokerID(q.BrokerID) != from.Broker {
		a.o.Log.Warn("closing connection: a broker speaks for another one", "broker", from.Broker, "for", q.BrokerID)
		return dropReply()
	}
	out.Topics = make([]wire.ReplicaProgressResponseTopic, len(q.Topics))
	for i := range q.Topics {
		t := &q.Topics[i]
		w := wire.ReplicaProgressResponseTopic{TopicID: t.TopicID, Partitions: make([]wire.ReplicaProgressResponseTopicPartition, len(t.Partitions))}
		for j, p := range t.Partitions {
			part, code := a.byID(t.TopicID, p.Partition)
			if code == kafka.ErrNone {
				code = part.ReplicaDurable(from.Broker, kafka.BrokerEpoch(q.BrokerEpoch), kafka.LeaderEpoch(p.LeaderEpoch), kafka.Offset(p.DurableEnd))
			}
			w.Partitions[j] = wire.ReplicaProgressResponseTopicPartition{Partition: p.Partition, ErrorCode: int16(code)}
		}
		out.Topics[i] = w
	}
	return respond(r, &out)
}
