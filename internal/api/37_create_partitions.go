package api

// CreatePartitions, key 37, versions 0 to 3 (KIP-195).

import (
	"context"
	"time"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) createPartitions(r *Request) (*Reply, Pending) {
	q := wire.NewCreatePartitionsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	command := controller.CreatePartitions{ValidateOnly: q.ValidateOnly}
	for i := range q.Topics {
		t := &q.Topics[i]
		more := controller.MorePartitions{Topic: t.Topic, Count: int(t.Count)}
		for _, as := range t.Assignment {
			more.Assignments = append(more.Assignments, ids(as.Replicas))
		}
		command.Topics = append(command.Topics, more)
	}
	refuse := func(code kafka.ErrorCode, why string) *wire.CreatePartitionsResponse {
		out := wire.NewCreatePartitionsResponse()
		for i := range q.Topics {
			out.Topics = append(out.Topics, wire.CreatePartitionsResponseTopic{Topic: q.Topics[i].Topic, ErrorCode: int16(code), ErrorMessage: &why})
		}
		return &out
	}
	if !a.authorize(r.Conn.Principal, opAlter, clusterResource()) {
		return respond(r, refuse(kafka.ErrClusterAuthorizationFailed, "not authorised")), nil
	}
	return nil, a.later(r, time.Duration(q.TimeoutMillis)*time.Millisecond, func(ctx context.Context) wire.Message {
		reply, err := a.submit(ctx, command)
		if err != nil {
			return refuse(codeOf(err), err.Error())
		}
		out := wire.NewCreatePartitionsResponse()
		for i := range reply.Topics {
			t := &reply.Topics[i]
			w := wire.CreatePartitionsResponseTopic{Topic: t.Name, ErrorCode: int16(t.Code)}
			if t.Code != kafka.ErrNone {
				w.ErrorMessage = &t.Message
			}
			out.Topics = append(out.Topics, w)
		}
		return &out
	})
}
