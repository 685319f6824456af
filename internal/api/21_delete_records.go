package api

// DeleteRecords, key 21, versions 0 to 2: raises the log start offset (KIP-107).
//
// Behaviours: offset -1 means the high watermark; an offset above it is
// OFFSET_OUT_OF_RANGE; the new start is durable when the answer leaves.

import (
	"context"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) deleteRecords(r *Request) (*Reply, Pending) {
	q := wire.NewDeleteRecordsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	return nil, a.later(r, time.Duration(q.TimeoutMillis)*time.Millisecond, func(context.Context) wire.Message {
		out := wire.NewDeleteRecordsResponse()
		for i := range q.Topics {
			t := wire.DeleteRecordsResponseTopic{Topic: q.Topics[i].Topic}
			for _, in := range q.Topics[i].Partitions {
				low, code := a.deleteBefore(r.Conn, t.Topic, in)
				t.Partitions = append(t.Partitions, wire.DeleteRecordsResponseTopicPartition{
					Partition: in.Partition, LowWatermark: int64(low), ErrorCode: int16(code)})
			}
			out.Topics = append(out.Topics, t)
		}
		return &out
	})
}

func (a *API) deleteBefore(c *Conn, topic string, in wire.DeleteRecordsRequestTopicPartition) (kafka.Offset, kafka.ErrorCode) {
	if !a.authorize(c.Principal, opDelete, topicResource(topic)) {
		return kafka.NoOffset, kafka.ErrTopicAuthorizationFailed
	}
	if isInternal(topic) {
		return kafka.NoOffset, kafka.ErrInvalidTopicException
	}
	part, code := a.byName(topic, in.Partition)
	if code != kafka.ErrNone {
		return kafka.NoOffset, code
	}
	return part.DeleteRecords(kafka.Offset(in.Offset))
}
