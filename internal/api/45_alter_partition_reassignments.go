package api

// AlterPartitionReassignments, key 45, versions 0 and 1 (KIP-455).
//
//	1 whether the replication factor may change (KIP-860)
//
// Behaviours: one broker has nowhere to move a replica to. Asking for the
// replicas that a partition has is answered as done; other brokers do not exist.

import (
	"slices"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/wire"
)

func (a *API) alterReassignments(r *Request) (*Reply, Pending) {
	q := wire.NewAlterPartitionAssignmentsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewAlterPartitionAssignmentsResponse()
	out.AllowReplicationFactorChange = q.AllowReplicationFactorChange
	if !a.authorize(r.Conn.Principal, opAlter, clusterResource()) {
		why := "not authorised"
		out.ErrorCode, out.ErrorMessage = int16(kafka.ErrClusterAuthorizationFailed), &why
		return respond(r, &out), nil
	}
	if len(q.Topics) == 0 {
		out.ErrorMessage = new(string) // as Kafka
	}
	image := a.o.Quorum.Image()
	for _, in := range q.Topics {
		t := wire.AlterPartitionAssignmentsResponseTopic{Topic: in.Topic}
		known := image.TopicByName(in.Topic)
		for _, p := range in.Partitions {
			code, why := reassign(image, known, p.Partition, p.Replicas)
			w := wire.AlterPartitionAssignmentsResponseTopicPartition{Partition: p.Partition, ErrorCode: int16(code)}
			if why != "" {
				w.ErrorMessage = &why
			}
			t.Partitions = append(t.Partitions, w)
		}
		out.Topics = append(out.Topics, t)
	}
	return respond(r, &out), nil
}

// reassign says what comes of moving a partition to other replicas; nil cancels.
func reassign(image *meta.Image, t *meta.Topic, index int32, replicas []int32) (kafka.ErrorCode, string) {
	if t == nil {
		return kafka.ErrUnknownTopicOrPartition, "there is no such topic"
	}
	p, ok := t.Partition(kafka.PartitionIndex(index))
	if !ok {
		return kafka.ErrUnknownTopicOrPartition, "the topic has no such partition"
	}
	if replicas == nil {
		return kafka.ErrNoReassignmentInProgress, ""
	}
	if len(replicas) == 0 {
		return kafka.ErrInvalidReplicaAssignment, "a partition needs a replica"
	}
	sorted := slices.Sorted(slices.Values(replicas))
	for i, id := range sorted {
		if i > 0 && sorted[i-1] == id {
			return kafka.ErrInvalidReplicaAssignment, "a broker is named twice"
		}
		if image.Broker(kafka.BrokerID(id)) == nil {
			return kafka.ErrInvalidReplicaAssignment, "a broker of that id is not registered"
		}
	}
	if !slices.Equal(ids(replicas), p.Replicas) {
		return kafka.ErrInvalidReplicaAssignment, "moving replicas between brokers is not supported yet"
	}
	return kafka.ErrNone, ""
}
