package api

import (
	"context"
	"strconv"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/wire"
)

// configChanges is a request to change settings on its way: what the controller
// is asked, and an outcome for each resource of the request.
type configChanges struct {
	command controller.AlterConfigs
	asked   []int // places in results of what goes to the controller
	results []configOutcome
}

type configOutcome struct {
	code kafka.ErrorCode
	why  string
}

// askFor adds the change of one resource, or its refusal.
func (a *API) askFor(c *Conn, changes *configChanges, kind wire.ConfigResourceType, name string, change controller.ResourceChange) {
	code, why := a.configTarget(kind, name)
	if code == kafka.ErrNone && !a.authorize(c.Principal, opAlterConfigs, configResource(kind, name)) {
		code, why = kafka.ErrTopicAuthorizationFailed, "not authorised"
	}
	if code == kafka.ErrNone {
		change.Resource = meta.Resource{Type: meta.ResourceType(kind), Name: name}
		changes.command.Resources = append(changes.command.Resources, change)
		changes.asked = append(changes.asked, len(changes.results))
	}
	changes.results = append(changes.results, configOutcome{code, why})
}

// configTarget refuses what has no settings that could be changed here.
func (a *API) configTarget(kind wire.ConfigResourceType, name string) (kafka.ErrorCode, string) {
	switch kind {
	case wire.ConfigResourceTypeTopic:
		if name == "" {
			return kafka.ErrInvalidRequest, "a topic's settings need the topic's name"
		}
		return kafka.ErrNone, ""
	case wire.ConfigResourceTypeBroker:
		if name == "" {
			return kafka.ErrNone, ""
		}
		return a.thisBroker(name)
	case wire.ConfigResourceTypeBrokerLogger:
		if code, why := a.thisBroker(name); code != kafka.ErrNone {
			return code, why
		}
		return kafka.ErrInvalidConfig, "loggers are not configured over the wire"
	case wire.ConfigResourceTypeClientMetrics:
		return kafka.ErrInvalidRequest, "clients are not asked for metrics here"
	case wire.ConfigResourceTypeGroupConfig:
		return kafka.ErrInvalidConfig, "groups have no settings of their own here"
	}
	return kafka.ErrInvalidRequest, "resources of this type have no settings"
}

// thisBroker refuses the name of another broker. Clients send requests about a
// broker's settings to that broker.
func (a *API) thisBroker(name string) (kafka.ErrorCode, string) {
	if name != strconv.Itoa(int(a.o.Self)) {
		return kafka.ErrInvalidRequest, "this broker is node " + strconv.Itoa(int(a.o.Self)) + "; ask the broker whose settings are meant"
	}
	return kafka.ErrNone, ""
}

// change submits what was asked and fills the outcomes in.
func (a *API) change(ctx context.Context, changes *configChanges) {
	reply, err := a.submit(ctx, changes.command)
	for n, i := range changes.asked {
		switch {
		case err != nil:
			changes.results[i] = configOutcome{codeOf(err), err.Error()}
		default:
			changes.results[i] = configOutcome{reply.Configs[n].Code, reply.Configs[n].Message}
		}
	}
}

func configResource(t wire.ConfigResourceType, name string) resource {
	if t == wire.ConfigResourceTypeTopic {
		return topicResource(name)
	}
	return clusterResource()
}
