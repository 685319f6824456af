package api

// OffsetDelete, key 47, version 0 (KIP-496).

import (
	"holdfast/internal/coord"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) offsetDelete(r *Request) (*Reply, Pending) {
	q := wire.NewOffsetDeleteRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	if !a.mayUseGroup(r, opDelete, q.Group) {
		return respond(r, &wire.OffsetDeleteResponse{ErrorCode: int16(kafka.ErrGroupAuthorizationFailed)}), nil
	}
	known, refused := a.deletableOffsets(r, &q)
	g := a.newGrouped(r, 1, groupWait)
	return g.await(func(parts []coord.Outcome) wire.Message {
		if parts[0].Code != kafka.ErrNone {
			return &wire.OffsetDeleteResponse{ErrorCode: int16(parts[0].Code)}
		}
		out := parts[0].Value.(*wire.OffsetDeleteResponse)
		if out.ErrorCode == 0 {
			out.Topics = append(out.Topics, refused...)
		}
		return out
	}, a.o.Coord.DeleteOffsets(g.waiter, known))
}

// deletableOffsets parts the request into what the coordinator decides on and
// what does not exist or may not be touched.
func (a *API) deletableOffsets(r *Request, q *wire.OffsetDeleteRequest) (known *wire.OffsetDeleteRequest, refused []wire.OffsetDeleteResponseTopic) {
	known = &wire.OffsetDeleteRequest{Group: q.Group}
	image := a.o.Quorum.Image()
	for _, t := range q.Topics {
		topic, code := a.topicOf(r, image, t.Topic, [16]byte{}, false)
		if code != kafka.ErrNone {
			out := wire.OffsetDeleteResponseTopic{Topic: t.Topic}
			for _, p := range t.Partitions {
				out.Partitions = append(out.Partitions, wire.OffsetDeleteResponseTopicPartition{Partition: p.Partition, ErrorCode: int16(code)})
			}
			refused = append(refused, out)
			continue
		}
		t.Topic = topic.Name
		known.Topics = append(known.Topics, t)
	}
	return known, refused
}
