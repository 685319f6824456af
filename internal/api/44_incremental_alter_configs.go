package api

// IncrementalAlterConfigs, key 44, versions 0 and 1 (KIP-339).
//
// Deviations from Apache Kafka: broker loggers are not configured over the wire;
// settings that name files, classes or addresses are read-only.

import (
	"context"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/wire"
)

func (a *API) incrementalAlterConfigs(r *Request) (*Reply, Pending) {
	q := wire.NewIncrementalAlterConfigsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	command := controller.AlterConfigs{ValidateOnly: q.ValidateOnly}
	out := wire.NewIncrementalAlterConfigsResponse()
	var asked []int // places in the response of what goes to the controller
	for i := range q.Resources {
		in := &q.Resources[i]
		res := wire.IncrementalAlterConfigsResponseResource{ResourceType: in.ResourceType, ResourceName: in.ResourceName}
		change, code, why := a.configChange(r.Conn, in)
		if code == kafka.ErrNone {
			command.Resources = append(command.Resources, change)
			asked = append(asked, i)
		} else {
			res.ErrorCode, res.ErrorMessage = int16(code), &why
		}
		out.Resources = append(out.Resources, res)
	}
	if len(asked) == 0 {
		return respond(r, &out), nil
	}
	return nil, a.later(r, 0, func(ctx context.Context) wire.Message {
		reply, err := a.submit(ctx, command)
		for n, i := range asked {
			code, why := codeOf(err), ""
			if err != nil {
				why = err.Error()
			} else {
				code, why = reply.Configs[n].Code, reply.Configs[n].Message
			}
			out.Resources[i].ErrorCode = int16(code)
			if code != kafka.ErrNone {
				out.Resources[i].ErrorMessage = &why
			}
		}
		return &out
	})
}

func (a *API) configChange(c *Conn, in *wire.IncrementalAlterConfigsRequestResource) (change controller.ResourceChange, code kafka.ErrorCode, why string) {
	change.Resource = meta.Resource{Type: meta.ResourceType(in.ResourceType), Name: in.ResourceName}
	if in.ResourceType != wire.ConfigResourceTypeTopic && in.ResourceType != wire.ConfigResourceTypeBroker {
		return change, kafka.ErrInvalidRequest, "only topics and brokers have settings here"
	}
	if !a.authorize(c.Principal, opAlterConfigs, configResource(in.ResourceType, in.ResourceName)) {
		return change, kafka.ErrTopicAuthorizationFailed, "not authorised"
	}
	for i := range in.Configs {
		op := in.Configs[i].Op
		if op < wire.IncrementalAlterConfigOpSet || op > wire.IncrementalAlterConfigOpSubtract {
			return change, kafka.ErrInvalidRequest, "unknown operation"
		}
		change.Changes = append(change.Changes, controller.ConfigChange{Key: in.Configs[i].Name, Op: controller.ConfigOp(op), Value: in.Configs[i].Value})
	}
	return change, kafka.ErrNone, ""
}

func configResource(t wire.ConfigResourceType, name string) resource {
	if t == wire.ConfigResourceTypeTopic {
		return topicResource(name)
	}
	return clusterResource()
}
