package api

// DeleteTopics, key 20, versions 1 to 6.
//
//	4 flexible; 5 messages; 6 by id or by name (KIP-516)

import (
	"context"
	"time"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) deleteTopics(r *Request) (*Reply, Pending) {
	q := wire.NewDeleteTopicsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	var command controller.DeleteTopics
	for _, name := range q.TopicNames {
		command.Topics = append(command.Topics, controller.TopicRef{Name: name})
	}
	for _, t := range q.Topics {
		switch {
		case t.Topic != nil && t.TopicID == [16]byte{}:
			command.Topics = append(command.Topics, controller.TopicRef{Name: *t.Topic})
		case t.Topic == nil && t.TopicID != [16]byte{}:
			command.Topics = append(command.Topics, controller.TopicRef{ID: t.TopicID})
		default:
			return respond(r, deleteRefused(&q, kafka.ErrInvalidRequest, "name a topic by name or by id")), nil
		}
	}
	if !a.authorize(r.Conn.Principal, opDelete, clusterResource()) {
		return respond(r, deleteRefused(&q, kafka.ErrClusterAuthorizationFailed, "not authorised")), nil
	}
	if !a.settings().DeleteTopics {
		return respond(r, deleteRefused(&q, kafka.ErrTopicDeletionDisabled, "delete.topic.enable is false")), nil
	}
	return nil, a.later(r, time.Duration(q.TimeoutMillis)*time.Millisecond, func(ctx context.Context) wire.Message {
		reply, err := a.submit(ctx, command)
		if err != nil {
			return deleteRefused(&q, codeOf(err), err.Error())
		}
		out := wire.NewDeleteTopicsResponse()
		for i := range reply.Topics {
			t := &reply.Topics[i]
			w := wire.DeleteTopicsResponseTopic{TopicID: t.ID, ErrorCode: int16(t.Code)}
			if t.Name != "" {
				w.Topic = &t.Name
			}
			if t.Code != kafka.ErrNone {
				w.ErrorMessage = &t.Message
			}
			out.Topics = append(out.Topics, w)
		}
		return &out
	})
}

func deleteRefused(q *wire.DeleteTopicsRequest, code kafka.ErrorCode, why string) *wire.DeleteTopicsResponse {
	out := wire.NewDeleteTopicsResponse()
	for i := range q.TopicNames {
		out.Topics = append(out.Topics, wire.DeleteTopicsResponseTopic{Topic: &q.TopicNames[i], ErrorCode: int16(code), ErrorMessage: &why})
	}
	for i := range q.Topics {
		out.Topics = append(out.Topics, wire.DeleteTopicsResponseTopic{Topic: q.Topics[i].Topic, TopicID: q.Topics[i].TopicID, ErrorCode: int16(code), ErrorMessage: &why})
	}
	return &out
}
