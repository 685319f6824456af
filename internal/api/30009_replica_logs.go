package api

// ReplicaLogs, key 30009: what replicas here hold, asked before a recovery election.
// It does not wait.

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) replicaLogs(r *Request, q *wire.ReplicaLogsRequest) *Reply {
	return respond(r, a.ReplicaLogs(q))
}

// ReplicaLogs tells what replicas here hold, each with the leader epoch in which it
// was read. Nothing is told while the partitions are not yet what the metadata says:
// one without a leader there may still have one here.
func (a *API) ReplicaLogs(q *wire.ReplicaLogsRequest) *wire.ReplicaLogsResponse {
	out := wire.NewReplicaLogsResponse()
	out.BrokerID, out.BrokerEpoch = int32(a.o.Self), int64(a.o.BrokerEpoch)
	image := a.o.Quorum.Image()
	applied := a.o.Broker.Applied() >= image.Offset()
	if b := image.Broker(a.o.Self); b != nil && len(b.Directories) > 0 {
		out.DirectoryID = b.Directories[0]
	}
	for _, t := range q.Topics {
		w := wire.ReplicaLogsResponseTopic{TopicID: t.TopicID}
		for _, index := range t.Partitions {
			id := kafka.TopicIDPartition{TopicID: t.TopicID, Partition: kafka.PartitionIndex(index)}
			state, known := image.Partition(id)
			p := wire.NewReplicaLogsResponseTopicPartition()
			p.Partition = index
			part, code := a.byID(t.TopicID, index)
			if code == kafka.ErrNone && (!known || !applied) {
				code = kafka.ErrBrokerNotAvailable
			}
			if p.ErrorCode = int16(code); code == kafka.ErrNone {
				p.LeaderEpoch = int32(state.LeaderEpoch)
				o := part.Offsets()
				p.LogStart, p.LogEnd, p.DurableEnd, p.HighWatermark = int64(o.LogStart), int64(o.LogEnd), int64(o.Durable), int64(o.HighWatermark)
				p.LastEpoch = int32(part.Log().LastEpoch())
			}
			w.Partitions = append(w.Partitions, p)
		}
		out.Topics = append(out.Topics, w)
	}
	return &out
}
