package api

// OffsetForLeaderEpoch, key 23, versions 2 to 4: where a leader epoch ends, so
// that a client can notice that its position was cut off (KIP-101, KIP-279,
// KIP-320).
//
// Deviations from Apache Kafka: a replica id of 0 or above is refused on a client
// connection.

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) offsetForLeaderEpoch(r *Request) (*Reply, Pending) {
	q := wire.NewOffsetForLeaderEpochRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	if r.Header.Version >= 3 && q.ReplicaID >= 0 {
		a.fail(r)
		return dropReply(), nil
	}
	out := wire.NewOffsetForLeaderEpochResponse()
	for i := range q.Topics {
		t := wire.OffsetForLeaderEpochResponseTopic{Topic: q.Topics[i].Topic}
		for j := range q.Topics[i].Partitions {
			in := &q.Topics[i].Partitions[j]
			p := wire.NewOffsetForLeaderEpochResponseTopicPartition()
			p.Partition = in.Partition
			part, code := a.byName(t.Topic, in.Partition)
			if code == kafka.ErrNone && !a.authorize(r.Conn.Principal, opDescribe, topicResource(t.Topic)) {
				code = kafka.ErrTopicAuthorizationFailed
			}
			if code == kafka.ErrNone {
				end, c := part.EndOfEpoch(kafka.LeaderEpoch(in.LeaderEpoch), kafka.LeaderEpoch(in.CurrentLeaderEpoch))
				code = c
				if code == kafka.ErrNone {
					p.LeaderEpoch, p.EndOffset = int32(end.Epoch), int64(end.End)
				}
			}
			p.ErrorCode = int16(code)
			t.Partitions = append(t.Partitions, p)
		}
		out.Topics = append(out.Topics, t)
	}
	return respond(r, &out), nil
}
