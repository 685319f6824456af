package api

// AlterPartitionReassignments, key 45, versions 0 and 1 (KIP-455).
//
//	1 whether the replication factor may change (KIP-860)
//
// Behaviours: a move begins at once and ends when every new replica is in sync; the
// old ones stay until then. Null replicas cancel. Asking for the replicas that a
// partition has is answered as done.

import (
	"context"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
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
		return respond(r, &out), nil
	}
	command := controller.AlterReassignments{KeepFactor: !q.AllowReplicationFactorChange}
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			one := controller.Reassignment{Topic: t.Topic, Partition: kafka.PartitionIndex(p.Partition)}
			if p.Replicas != nil {
				one.Replicas = ids(p.Replicas)
			}
			command.Reassignments = append(command.Reassignments, one)
		}
	}
	return nil, a.later(r, millis(q.TimeoutMillis), func(ctx context.Context) wire.Message {
		reply, err := a.submit(ctx, command)
		next := 0
		for _, t := range q.Topics {
			w := wire.AlterPartitionAssignmentsResponseTopic{Topic: t.Topic}
			for _, p := range t.Partitions {
				x := wire.AlterPartitionAssignmentsResponseTopicPartition{Partition: p.Partition}
				why := ""
				if err != nil {
					x.ErrorCode, why = int16(codeOf(err)), reasonOf(err)
				} else {
					x.ErrorCode, why = int16(reply.Partitions[next].Code), reply.Partitions[next].Message
				}
				if why != "" && x.ErrorCode != int16(kafka.ErrNoReassignmentInProgress) { // as Kafka
					x.ErrorMessage = &why
				}
				next++
				w.Partitions = append(w.Partitions, x)
			}
			out.Topics = append(out.Topics, w)
		}
		return &out
	})
}
