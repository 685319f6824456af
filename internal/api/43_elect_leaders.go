package api

// ElectLeaders, key 43, versions 0 to 2 (KIP-183, KIP-460).
//
//	1 the kind of election; an error for all; 2 flexible
//
// Behaviours: a partition that is led by whom the election would choose answers
// ELECTION_NOT_NEEDED; of all partitions (null), such ones are left out.
//
// Deviations from Apache Kafka: a replica that lacks acknowledged records is
// never elected, whoever asks: ELIGIBLE_LEADERS_NOT_AVAILABLE.

import (
	"context"
	"errors"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) electLeaders(r *Request) (*Reply, Pending) {
	q := wire.NewElectLeadersRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	command := controller.ElectLeaders{Kind: controller.ElectionKind(q.ElectionType)}
	code, why := kafka.ErrNone, ""
	switch {
	case !a.authorize(r.Conn.Principal, opAlter, clusterResource()):
		code, why = kafka.ErrClusterAuthorizationFailed, "not authorised"
	case command.Kind != controller.ElectPreferred && command.Kind != controller.ElectUnclean:
		code, why = kafka.ErrInvalidRequest, "unknown kind of election"
	}
	if code != kafka.ErrNone {
		return respond(r, electionRefused(&q, code, why)), nil
	}
	if q.Topics != nil {
		command.Partitions = []kafka.TopicPartition{}
	}
	for _, t := range q.Topics {
		for _, index := range t.Partitions {
			command.Partitions = append(command.Partitions, kafka.TopicPartition{Topic: t.Topic, Partition: kafka.PartitionIndex(index)})
		}
	}
	return nil, a.later(r, millis(q.TimeoutMillis), func(ctx context.Context) wire.Message {
		reply, err := a.submit(ctx, command)
		if err != nil {
			return electionRefused(&q, codeOf(err), reasonOf(err))
		}
		return a.elected(&q, reply.Partitions)
	})
}

// elected groups the outcomes by topic: those of the request, or all there are.
func (a *API) elected(q *wire.ElectLeadersRequest, results []controller.PartitionResult) *wire.ElectLeadersResponse {
	out := wire.NewElectLeadersResponse()
	at := make(map[string]int)
	name := func(topic string) {
		if _, ok := at[topic]; !ok {
			at[topic] = len(out.Topics)
			out.Topics = append(out.Topics, wire.ElectLeadersResponseTopic{Topic: topic})
		}
	}
	for _, t := range q.Topics {
		name(t.Topic)
	}
	if q.Topics == nil {
		for _, t := range a.o.Quorum.Image().Topics() {
			name(t.Name)
		}
	}
	for _, x := range results {
		name(x.Topic)
		t := &out.Topics[at[x.Topic]]
		t.Partitions = append(t.Partitions, wire.ElectLeadersResponseTopicPartition{Partition: int32(x.Partition), ErrorCode: int16(x.Code), ErrorMessage: &x.Message})
	}
	return &out
}

// electionRefused answers every partition of the request with one code.
func electionRefused(q *wire.ElectLeadersRequest, code kafka.ErrorCode, why string) *wire.ElectLeadersResponse {
	out := wire.NewElectLeadersResponse()
	out.ErrorCode = int16(code)
	for _, in := range q.Topics {
		t := wire.ElectLeadersResponseTopic{Topic: in.Topic}
		for _, index := range in.Partitions {
			t.Partitions = append(t.Partitions, wire.ElectLeadersResponseTopicPartition{Partition: index, ErrorCode: int16(code), ErrorMessage: &why})
		}
		out.Topics = append(out.Topics, t)
	}
	return &out
}

// reasonOf is the text of a refusal without its code.
func reasonOf(err error) string {
	if refused, ok := errors.AsType[*controller.Error](err); ok {
		return refused.Message
	}
	return err.Error()
}
