package api

// OffsetCommit, key 8, versions 2 to 10.
//
//	5 no retention time; 6 leader epoch (KIP-320); 7 static members (KIP-345)
//	8 flexible; 9 member epoch of the new protocol (KIP-848); 10 topic ids
//
// Behaviours: it is answered when the offsets are as durable as any acknowledged
// record. Partitions that do not exist are refused one by one.

import (
	"holdfast/internal/coord"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/wire"
)

func (a *API) offsetCommit(r *Request) (*Reply, Pending) {
	q := wire.NewOffsetCommitRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	if !a.mayUseGroup(r, opRead, q.Group) {
		return respond(r, newCommitting(a, r, &q).response(kafka.ErrGroupAuthorizationFailed, nil)), nil
	}
	c := newCommitting(a, r, &q)
	if len(c.known) == 0 {
		return respond(r, c.response(kafka.ErrNone, nil)), nil
	}
	accepted := q
	accepted.Topics = c.known
	g := a.newGrouped(r, 1, a.settings().OffsetsCommitTimeout)
	return g.await(func(parts []coord.Outcome) wire.Message {
		if parts[0].Code != kafka.ErrNone {
			return c.response(parts[0].Code, nil)
		}
		return c.response(kafka.ErrNone, parts[0].Value.(*wire.OffsetCommitResponse))
	}, a.o.Coord.Commit(g.waiter, r.Header.Version, &accepted))
}

// committing is an OffsetCommit with what is wrong about its partitions.
type committing struct {
	q       *wire.OffsetCommitRequest
	names   []string                    // by topic of the request, empty where there is none
	refused []map[int32]kafka.ErrorCode // by topic of the request
	known   []wire.OffsetCommitRequestTopic
}

func newCommitting(a *API, r *Request, q *wire.OffsetCommitRequest) *committing {
	c := &committing{q: q, names: make([]string, len(q.Topics)), refused: make([]map[int32]kafka.ErrorCode, len(q.Topics))}
	image := a.o.Quorum.Image()
	for i := range q.Topics {
		in := &q.Topics[i]
		t, code := a.topicOf(r, image, in.Topic, in.TopicID, r.Header.Version >= 10)
		out := wire.OffsetCommitRequestTopic{}
		if t != nil {
			out.Topic, out.TopicID = t.Name, t.ID
			c.names[i] = t.Name
		}
		c.refused[i] = map[int32]kafka.ErrorCode{}
		for _, p := range in.Partitions {
			switch {
			case code != kafka.ErrNone:
				c.refused[i][p.Partition] = code
			case p.Partition < 0 || int(p.Partition) >= len(t.Partitions):
				c.refused[i][p.Partition] = kafka.ErrUnknownTopicOrPartition
			default:
				out.Partitions = append(out.Partitions, p)
			}
		}
		if len(out.Partitions) > 0 {
			c.known = append(c.known, out)
		}
	}
	return c
}

// topicOf finds a topic by id or by name and asks whether the client may read it.
func (a *API) topicOf(r *Request, image *meta.Image, name string, id [16]byte, byID bool) (*meta.Topic, kafka.ErrorCode) {
	t, unknown := image.TopicByName(name), kafka.ErrUnknownTopicOrPartition
	if byID {
		t, unknown = image.TopicByID(id), kafka.ErrUnknownTopicID
	}
	switch {
	case t == nil:
		return nil, unknown
	case !a.authorize(r.Conn.Principal, opRead, topicResource(t.Name)):
		return nil, kafka.ErrTopicAuthorizationFailed
	}
	return t, kafka.ErrNone
}

// response answers every partition of the request, in its order: with what is
// wrong about it, with code, or with what the coordinator said.
func (c *committing) response(code kafka.ErrorCode, from *wire.OffsetCommitResponse) *wire.OffsetCommitResponse {
	type place struct {
		topic string
		index int32
	}
	said := map[place]int16{}
	if from != nil {
		for _, t := range from.Topics {
			for _, p := range t.Partitions {
				said[place{t.Topic, p.Partition}] = p.ErrorCode
			}
		}
	}
	out := wire.NewOffsetCommitResponse()
	for i := range c.q.Topics {
		in := &c.q.Topics[i]
		t := wire.OffsetCommitResponseTopic{Topic: in.Topic, TopicID: in.TopicID}
		for _, p := range in.Partitions {
			answer := wire.OffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: int16(code)}
			if refusal, bad := c.refused[i][p.Partition]; bad && code == kafka.ErrNone {
				answer.ErrorCode = int16(refusal)
			} else if from != nil {
				answer.ErrorCode = said[place{c.names[i], p.Partition}]
			}
			t.Partitions = append(t.Partitions, answer)
		}
		out.Topics = append(out.Topics, t)
	}
	return &out
}
