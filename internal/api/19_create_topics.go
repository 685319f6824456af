package api

// CreateTopics, key 19, versions 2 to 7.
//
//	4 defaults for partitions and replication factor (KIP-464); 5 flexible, the
//	settings in the reply (KIP-525); 7 the topic's id
//
// Behaviours: answered when the topics can be written to here.
//
// Deviations from Apache Kafka: min.insync.replicas above the replication factor
// is refused.

import (
	"context"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) createTopics(r *Request) (*Reply, Pending) {
	q := wire.NewCreateTopicsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	command := controller.CreateTopics{ValidateOnly: q.ValidateOnly}
	for i := range q.Topics {
		command.Topics = append(command.Topics, newTopic(&q.Topics[i]))
	}
	if !a.authorize(r.Conn.Principal, opCreate, clusterResource()) {
		return respond(r, createRefused(&q, kafka.ErrClusterAuthorizationFailed, "not authorised")), nil
	}
	return nil, a.later(r, time.Duration(q.TimeoutMillis)*time.Millisecond, func(ctx context.Context) wire.Message {
		reply, err := a.submit(ctx, command)
		if err != nil {
			return createRefused(&q, codeOf(err), reasonOf(err))
		}
		out := wire.NewCreateTopicsResponse()
		for i := range reply.Topics {
			out.Topics = append(out.Topics, a.created(&reply.Topics[i]))
		}
		return &out
	})
}

func newTopic(t *wire.CreateTopicsRequestTopic) controller.NewTopic {
	n := controller.NewTopic{Name: t.Topic, Partitions: int(t.NumPartitions), ReplicationFactor: int(t.ReplicationFactor)}
	for _, c := range t.Configs {
		n.Configs = append(n.Configs, controller.Setting{Key: c.Name, Value: c.Value})
	}
	for _, as := range t.ReplicaAssignment {
		n.Assignments = append(n.Assignments, controller.Assignment{Partition: kafka.PartitionIndex(as.Partition), Brokers: ids(as.Replicas)})
	}
	return n
}

func ids(in []int32) []kafka.BrokerID {
	out := make([]kafka.BrokerID, len(in))
	for i, id := range in {
		out[i] = kafka.BrokerID(id)
	}
	return out
}

func (a *API) created(t *controller.TopicResult) wire.CreateTopicsResponseTopic {
	out := wire.NewCreateTopicsResponseTopic()
	out.Topic, out.ErrorCode = t.Name, int16(t.Code)
	if t.Code != kafka.ErrNone {
		message := t.Message
		out.ErrorMessage, out.Configs = &message, []wire.CreateTopicsResponseTopicConfig{}
		return out
	}
	if t.Warning != "" { // clients show it, or do not look
		warning := t.Warning
		out.ErrorMessage = &warning
		a.o.Log.Warn("topic made that keeps less than it could", "topic", t.Name, "warning", warning)
	}
	out.TopicID, out.NumPartitions, out.ReplicationFactor = t.ID, int32(t.Partitions), int16(t.ReplicationFactor)
	out.Configs = []wire.CreateTopicsResponseTopicConfig{}
	for _, d := range a.settings().DescribeTopic(t.Configs, t.ReplicationFactor) {
		out.Configs = append(out.Configs, wire.CreateTopicsResponseTopicConfig{Name: d.Key.Name, Value: d.Value,
			ReadOnly: d.ReadOnly, Source: int8(d.Source), IsSensitive: d.Key.Sensitive})
	}
	return out
}

func createRefused(q *wire.CreateTopicsRequest, code kafka.ErrorCode, why string) *wire.CreateTopicsResponse {
	out := wire.NewCreateTopicsResponse()
	for i := range q.Topics {
		t := wire.NewCreateTopicsResponseTopic()
		t.Topic, t.ErrorCode, t.ErrorMessage, t.Configs = q.Topics[i].Topic, int16(code), &why, []wire.CreateTopicsResponseTopicConfig{}
		out.Topics = append(out.Topics, t)
	}
	return &out
}

// settings are the broker's settings as they are now, dynamic ones included.
func (a *API) settings() *config.Broker { return a.o.Broker.Settings() }
