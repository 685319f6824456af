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
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/wire"
)

// The kinds of elections.
const (
	electPreferred = 0
	electUnclean   = 1
)

func (a *API) electLeaders(r *Request) (*Reply, Pending) {
	q := wire.NewElectLeadersRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewElectLeadersResponse()
	code, why := kafka.ErrNone, ""
	switch {
	case !a.authorize(r.Conn.Principal, opAlter, clusterResource()):
		code, why = kafka.ErrClusterAuthorizationFailed, "not authorised"
	case q.ElectionType != electPreferred && q.ElectionType != electUnclean:
		code, why = kafka.ErrInvalidRequest, "unknown kind of election"
	}
	out.ErrorCode = int16(code)
	image := a.o.Quorum.Image()
	if q.Topics == nil && code == kafka.ErrNone {
		for _, t := range image.Topics() {
			out.Topics = append(out.Topics, electAll(t, q.ElectionType))
		}
		return respond(r, &out), nil
	}
	for _, in := range q.Topics {
		t := wire.ElectLeadersResponseTopic{Topic: in.Topic}
		known := image.TopicByName(in.Topic)
		for _, index := range in.Partitions {
			c, w := code, why
			if code == kafka.ErrNone {
				c, w = elect(known, kafka.PartitionIndex(index), q.ElectionType)
			}
			t.Partitions = append(t.Partitions, wire.ElectLeadersResponseTopicPartition{Partition: index, ErrorCode: int16(c), ErrorMessage: &w})
		}
		out.Topics = append(out.Topics, t)
	}
	return respond(r, &out), nil
}

// electAll names the partitions of a topic that an election would be for.
func electAll(t *meta.Topic, kind int8) wire.ElectLeadersResponseTopic {
	out := wire.ElectLeadersResponseTopic{Topic: t.Name}
	for i := range t.Partitions {
		if code, why := elect(t, kafka.PartitionIndex(i), kind); code != kafka.ErrElectionNotNeeded {
			out.Partitions = append(out.Partitions, wire.ElectLeadersResponseTopicPartition{Partition: int32(i), ErrorCode: int16(code), ErrorMessage: &why})
		}
	}
	return out
}

func elect(t *meta.Topic, index kafka.PartitionIndex, kind int8) (kafka.ErrorCode, string) {
	if t == nil {
		return kafka.ErrUnknownTopicOrPartition, "there is no such topic"
	}
	p, ok := t.Partition(index)
	switch {
	case !ok:
		return kafka.ErrUnknownTopicOrPartition, "the topic has no such partition"
	case kind == electUnclean && p.Leader != kafka.NoBroker:
		return kafka.ErrElectionNotNeeded, "the partition has a leader"
	case kind == electUnclean:
		return kafka.ErrEligibleLeadersNotAvailable, "a replica that lacks acknowledged records is never elected; bring back a replica that has them"
	case len(p.Replicas) > 0 && p.Leader == p.Replicas[0]:
		return kafka.ErrElectionNotNeeded, "the preferred replica leads"
	}
	return kafka.ErrPreferredLeaderNotAvailable, "the preferred replica cannot lead now"
}
