package api

// ListPartitionReassignments, key 46, version 0 (KIP-455): the moves under way, of
// the partitions asked for or, with null, of all.

import (
	"slices"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/wire"
)

func (a *API) listReassignments(r *Request) (*Reply, Pending) {
	q := wire.NewListPartitionReassignmentsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewListPartitionReassignmentsResponse()
	if !a.authorize(r.Conn.Principal, opDescribe, clusterResource()) {
		why := "not authorised"
		out.ErrorCode, out.ErrorMessage = int16(kafka.ErrClusterAuthorizationFailed), &why
		return respond(r, &out), nil
	}
	image := a.o.Quorum.Image()
	if q.Topics == nil {
		for _, t := range image.Topics() {
			out.Topics = appendMoves(out.Topics, t, nil)
		}
		return respond(r, &out), nil
	}
	asked := make(map[string][]int32, len(q.Topics))
	var names []string
	for _, t := range q.Topics {
		if _, again := asked[t.Topic]; !again {
			names = append(names, t.Topic)
		}
		asked[t.Topic] = append(asked[t.Topic], t.Partitions...)
	}
	for _, name := range names {
		if t := image.TopicByName(name); t != nil {
			out.Topics = appendMoves(out.Topics, t, append([]int32{}, asked[name]...))
		}
	}
	return respond(r, &out), nil
}

// appendMoves adds what moves of a topic; nil wants everything.
func appendMoves(dst []wire.ListPartitionReassignmentsResponseTopic, t *meta.Topic, wanted []int32) []wire.ListPartitionReassignmentsResponseTopic {
	out := wire.ListPartitionReassignmentsResponseTopic{Topic: t.Name}
	for _, p := range t.Partitions {
		if !p.IsReassigning() || wanted != nil && !slices.Contains(wanted, int32(p.Index)) {
			continue
		}
		out.Partitions = append(out.Partitions, wire.ListPartitionReassignmentsResponseTopicPartition{Partition: int32(p.Index),
			Replicas: brokerIDs(p.Replicas), AddingReplicas: brokerIDs(p.Adding), RemovingReplicas: brokerIDs(p.Removing)})
	}
	if len(out.Partitions) == 0 {
		return dst
	}
	return append(dst, out)
}
