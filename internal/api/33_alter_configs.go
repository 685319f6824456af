package api

// AlterConfigs, key 33, versions 0 to 2: replaces all settings of a resource.
//
// Behaviours: settings that are not named are removed; each resource is decided
// by itself. IncrementalAlterConfigs (44) took its place in newer clients.

import (
	"context"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) alterConfigs(r *Request) (*Reply, Pending) {
	q := wire.NewAlterConfigsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	changes := configChanges{command: controller.AlterConfigs{Replace: true, ValidateOnly: q.ValidateOnly}}
	for i := range q.Resources {
		in := &q.Resources[i]
		change := controller.ResourceChange{}
		for _, c := range in.Configs {
			change.Changes = append(change.Changes, controller.ConfigChange{Key: c.Name, Op: controller.ConfigSet, Value: c.Value})
		}
		if in.ResourceType == wire.ConfigResourceTypeBrokerLogger {
			changes.results = append(changes.results, configOutcome{kafka.ErrInvalidRequest, "loggers are not configured over the wire"})
			continue
		}
		a.askFor(r.Conn, &changes, in.ResourceType, in.ResourceName, change)
	}
	answer := func() wire.Message {
		out := wire.NewAlterConfigsResponse()
		for i, x := range changes.results {
			w := wire.AlterConfigsResponseResource{ResourceType: q.Resources[i].ResourceType, ResourceName: q.Resources[i].ResourceName, ErrorCode: int16(x.code)}
			if x.code != kafka.ErrNone {
				w.ErrorMessage = &x.why
			}
			out.Resources = append(out.Resources, w)
		}
		return &out
	}
	if len(changes.asked) == 0 {
		return respond(r, answer()), nil
	}
	return nil, a.later(r, 0, func(ctx context.Context) wire.Message {
		a.change(ctx, &changes)
		return answer()
	})
}
