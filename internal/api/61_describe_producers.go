package api

// DescribeProducers, key 61, version 0 (KIP-664): who writes to a partition with
// a producer id, as its leader remembers.

import (
	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) describeProducers(r *Request) (*Reply, Pending) {
	q := wire.NewDescribeProducersRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewDescribeProducersResponse()
	for _, in := range q.Topics {
		t := wire.DescribeProducersResponseTopic{Topic: in.Topic}
		code, why := kafka.ErrNone, ""
		if err := controller.ValidateTopicName(in.Topic); err != nil {
			code, why = codeOf(err), err.Error()
		} else if !a.authorize(r.Conn.Principal, opRead, topicResource(in.Topic)) {
			code, why = kafka.ErrTopicAuthorizationFailed, "not authorised"
		} else if a.o.Quorum.Image().TopicByName(in.Topic) == nil {
			code, why = kafka.ErrUnknownTopicOrPartition, "there is no such topic"
		}
		for _, index := range in.Partitions {
			p := wire.NewDescribeProducersResponseTopicPartition()
			p.Partition = index
			if p.ErrorCode = int16(code); code != kafka.ErrNone {
				p.ErrorMessage = &why
			} else {
				a.producersOf(in.Topic, &p)
			}
			t.Partitions = append(t.Partitions, p)
		}
		out.Topics = append(out.Topics, t)
	}
	return respond(r, &out), nil
}

func (a *API) producersOf(topic string, out *wire.DescribeProducersResponseTopicPartition) {
	p, code := a.byName(topic, out.Partition)
	if code != kafka.ErrNone {
		out.ErrorCode = int16(code)
		return
	}
	list, code := p.Producers()
	out.ErrorCode = int16(code)
	for _, x := range list {
		out.ActiveProducers = append(out.ActiveProducers, wire.DescribeProducersResponseTopicPartitionActiveProducer{
			ProducerID: int64(x.ID), ProducerEpoch: int32(x.Epoch), LastSequence: int32(x.LastSequence), LastTimestamp: int64(x.LastTimestamp),
			CoordinatorEpoch: x.CoordinatorEpoch, CurrentTxnStartOffset: int64(x.TxnFirst)})
	}
}
