package api

// IncrementalAlterConfigs, key 44, versions 0 and 1 (KIP-339).
//
// Deviations from Apache Kafka: broker loggers are not configured over the wire;
// settings that name files, classes or addresses are read-only; a broker setting
// that nobody knows is refused rather than kept.

import (
	"context"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) incrementalAlterConfigs(r *Request) (*Reply, Pending) {
	q := wire.NewIncrementalAlterConfigsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	changes := configChanges{command: controller.AlterConfigs{ValidateOnly: q.ValidateOnly}}
	for i := range q.Resources {
		in := &q.Resources[i]
		change, ok := incrementalChange(in)
		if !ok {
			changes.results = append(changes.results, configOutcome{kafka.ErrInvalidRequest, "unknown operation"})
			continue
		}
		a.askFor(r.Conn, &changes, in.ResourceType, in.ResourceName, change)
	}
	answer := func() wire.Message {
		out := wire.NewIncrementalAlterConfigsResponse()
		for i, x := range changes.results {
			w := wire.IncrementalAlterConfigsResponseResource{ResourceType: q.Resources[i].ResourceType, ResourceName: q.Resources[i].ResourceName, ErrorCode: int16(x.code)}
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

// incrementalChange is false when an operation is unknown.
func incrementalChange(in *wire.IncrementalAlterConfigsRequestResource) (change controller.ResourceChange, ok bool) {
	for _, c := range in.Configs {
		if c.Op < wire.IncrementalAlterConfigOpSet || c.Op > wire.IncrementalAlterConfigOpSubtract {
			return change, false
		}
		change.Changes = append(change.Changes, controller.ConfigChange{Key: c.Name, Op: controller.ConfigOp(c.Op), Value: c.Value})
	}
	return change, true
}
