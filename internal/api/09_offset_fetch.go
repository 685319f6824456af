package api

// OffsetFetch, key 9, versions 1 to 10.
//
//	2 null topics ask for all; an error for the group; 5 leader epochs (KIP-320)
//	6 flexible; 7 stable offsets only (KIP-447); 8 several groups (KIP-709)
//	9 member epoch of the new protocol (KIP-848); 10 topic ids
//
// Behaviours: offsets are shown when they are committed; one that is being
// committed delays the answer.

import (
	"holdfast/internal/coord"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) offsetFetch(r *Request) (*Reply, Pending) {
	q := wire.NewOffsetFetchRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	if r.Header.Version < 8 {
		q.Groups = []wire.OffsetFetchRequestGroup{singleGroup(&q)}
	}
	v := r.Header.Version
	g := a.newGrouped(r, len(q.Groups), groupWait)
	names := make([]string, len(q.Groups))
	for i := range q.Groups {
		names[i] = q.Groups[i].Group
	}
	unknown := make([][]wire.OffsetFetchResponseGroupTopic, len(q.Groups))
	tickets := a.once(r, g.waiter, opDescribe, names, func(i int) *coord.Ticket {
		var asked wire.OffsetFetchRequestGroup
		asked, unknown[i] = a.namedTopics(r, q.Groups[i])
		return a.o.Coord.Fetch(g.waiter, asked, q.RequireStable)
	})
	return g.await(func(parts []coord.Outcome) wire.Message {
		groups := make([]wire.OffsetFetchResponseGroup, len(parts))
		for i, p := range parts {
			groups[i] = a.fetchedGroup(r, &q.Groups[i], p)
			if groups[i].ErrorCode == 0 {
				groups[i].Topics = append(groups[i].Topics, unknown[i]...)
			}
		}
		if v < 8 {
			return flatFetch(&q.Groups[0], &groups[0], v)
		}
		return &wire.OffsetFetchResponse{Groups: groups}
	}, tickets...)
}

// singleGroup is the request of versions below 8 in the form of later ones.
func singleGroup(q *wire.OffsetFetchRequest) wire.OffsetFetchRequestGroup {
	g := wire.OffsetFetchRequestGroup{Group: q.Group, MemberEpoch: -1}
	if q.Topics != nil {
		g.Topics = make([]wire.OffsetFetchRequestGroupTopic, len(q.Topics))
	}
	for i, t := range q.Topics {
		g.Topics[i] = wire.OffsetFetchRequestGroupTopic{Topic: t.Topic, Partitions: t.Partitions}
	}
	return g
}

// namedTopics gives every topic of the request its name and id, and answers for
// those that do not exist or may not be seen.
func (a *API) namedTopics(r *Request, q wire.OffsetFetchRequestGroup) (asked wire.OffsetFetchRequestGroup, refused []wire.OffsetFetchResponseGroupTopic) {
	asked = q
	if q.Topics == nil {
		return asked, nil
	}
	image := a.o.Quorum.Image()
	asked.Topics = make([]wire.OffsetFetchRequestGroupTopic, 0, len(q.Topics))
	for _, t := range q.Topics {
		known, code := a.topicOf(r, image, t.Topic, t.TopicID, r.Header.Version >= 10)
		switch {
		case known != nil:
			t.Topic, t.TopicID = known.Name, known.ID
		case code == kafka.ErrUnknownTopicOrPartition: // by name: there may be offsets left
		default:
			refused = append(refused, noOffsets(t, code))
			continue
		}
		asked.Topics = append(asked.Topics, t)
	}
	return asked, refused
}

func noOffsets(t wire.OffsetFetchRequestGroupTopic, code kafka.ErrorCode) wire.OffsetFetchResponseGroupTopic {
	out := wire.OffsetFetchResponseGroupTopic{Topic: t.Topic, TopicID: t.TopicID}
	none := ""
	for _, index := range t.Partitions {
		out.Partitions = append(out.Partitions, wire.OffsetFetchResponseGroupTopicPartition{
			Partition: index, Offset: -1, LeaderEpoch: -1, Metadata: &none, ErrorCode: int16(code)})
	}
	return out
}

// fetchedGroup is the answer for one group. Of an answer about every topic it
// leaves out what the client may not see or cannot name.
func (a *API) fetchedGroup(r *Request, q *wire.OffsetFetchRequestGroup, o coord.Outcome) wire.OffsetFetchResponseGroup {
	if o.Code != kafka.ErrNone {
		return wire.OffsetFetchResponseGroup{Group: q.Group, ErrorCode: int16(o.Code)}
	}
	out := o.Value.(wire.OffsetFetchResponseGroup)
	if q.Topics != nil {
		return out
	}
	image := a.o.Quorum.Image()
	var seen []wire.OffsetFetchResponseGroupTopic
	for _, t := range out.Topics {
		if !a.authorize(r.Conn.Principal, opDescribe, topicResource(t.Topic)) {
			continue
		}
		if t.TopicID == [16]byte{} && r.Header.Version >= 10 {
			known := image.TopicByName(t.Topic)
			if known == nil {
				continue
			}
			t.TopicID = known.ID
		}
		seen = append(seen, t)
	}
	out.Topics = seen
	return out
}

// flatFetch is the answer in the form of versions below 8. Version 1 has no place
// for an error of the group.
func flatFetch(q *wire.OffsetFetchRequestGroup, g *wire.OffsetFetchResponseGroup, version int16) *wire.OffsetFetchResponse {
	out := wire.NewOffsetFetchResponse()
	out.ErrorCode = g.ErrorCode
	topics := g.Topics
	if g.ErrorCode != 0 && version < 2 {
		topics = nil
		for _, t := range q.Topics {
			topics = append(topics, noOffsets(t, kafka.ErrorCode(g.ErrorCode)))
		}
	}
	for _, t := range topics {
		flat := wire.OffsetFetchResponseTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			flat.Partitions = append(flat.Partitions, wire.OffsetFetchResponseTopicPartition(p))
		}
		out.Topics = append(out.Topics, flat)
	}
	return &out
}
