package api

// ListOffsets, key 2, versions 1 to 11.
//
//	1  one offset per partition; 2 isolation level; 4 leader epochs
//	6  flexible; 7 the largest timestamp (KIP-734); 8 earliest local (KIP-405)
//	9  latest tiered (KIP-1005); 10 the client's time-out (KIP-1075)
//
// Deviations from Apache Kafka: a replica id of 0 or above is refused on a client
// connection.

import (
	"errors"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) listOffsets(r *Request) (*Reply, Pending) {
	q := wire.NewListOffsetsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	if q.ReplicaID >= 0 {
		a.fail(r)
		return dropReply(), nil
	}
	out := wire.NewListOffsetsResponse()
	for i := range q.Topics {
		t := wire.ListOffsetsResponseTopic{Topic: q.Topics[i].Topic}
		for j := range q.Topics[i].Partitions {
			t.Partitions = append(t.Partitions, a.listOffset(r, t.Topic, &q.Topics[i].Partitions[j], q.IsolationLevel == 1))
		}
		out.Topics = append(out.Topics, t)
	}
	return respond(r, &out), nil
}

func (a *API) listOffset(r *Request, topic string, in *wire.ListOffsetsRequestTopicPartition, committed bool) wire.ListOffsetsResponseTopicPartition {
	out := wire.NewListOffsetsResponseTopicPartition()
	out.Partition = in.Partition
	part, code := a.byName(topic, in.Partition)
	switch {
	case code != kafka.ErrNone:
	case !a.authorize(r.Conn.Principal, opDescribe, topicResource(topic)):
		code = kafka.ErrTopicAuthorizationFailed
	case in.Timestamp < int64(kafka.TimestampLatestTiered):
		code = kafka.ErrUnsupportedVersion
	}
	if code != kafka.ErrNone {
		out.ErrorCode = int16(code)
		return out
	}
	at, found, err := part.LookUp(kafka.Timestamp(in.Timestamp), kafka.LeaderEpoch(in.CurrentLeaderEpoch), committed)
	switch {
	case errors.As(err, &code):
		out.ErrorCode = int16(code)
	case err != nil:
		a.o.Log.Error("look-up by timestamp failed", "topic", topic, "partition", in.Partition, "error", err)
		out.ErrorCode = int16(kafka.ErrKafkaStorageError)
	case found:
		out.Timestamp, out.Offset, out.LeaderEpoch = int64(at.Timestamp), int64(at.Offset), int32(at.Epoch)
	}
	return out
}
