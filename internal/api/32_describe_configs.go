package api

// DescribeConfigs, key 32, versions 1 to 4.
//
//	1 sources and synonyms (KIP-226); 3 types and documentation (KIP-569)
//	4 flexible
//
// Behaviours: every setting is listed, with its default. Ours (acks.policy,
// durability) stand among Kafka's. The documentation of a setting that has no
// effect says so, and why.

import (
	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) describeConfigs(r *Request) (*Reply, Pending) {
	q := wire.NewDescribeConfigsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewDescribeConfigsResponse()
	for i := range q.Resources {
		out.Resources = append(out.Resources, a.describeResource(r.Conn, &q, &q.Resources[i]))
	}
	return respond(r, &out), nil
}

func (a *API) describeResource(c *Conn, q *wire.DescribeConfigsRequest, in *wire.DescribeConfigsRequestResource) wire.DescribeConfigsResponseResource {
	out := wire.DescribeConfigsResponseResource{ResourceType: in.ResourceType, ResourceName: in.ResourceName}
	refuse := func(code kafka.ErrorCode, why string) wire.DescribeConfigsResponseResource {
		out.ErrorCode, out.ErrorMessage = int16(code), &why
		return out
	}
	none := ""
	out.ErrorMessage = &none
	if !a.authorize(c.Principal, opDescribeConfigs, configResource(in.ResourceType, in.ResourceName)) {
		return refuse(kafka.ErrTopicAuthorizationFailed, "not authorised")
	}
	image := a.o.Quorum.Image()
	var list []config.Described
	switch in.ResourceType {
	case wire.ConfigResourceTypeTopic:
		if err := controller.ValidateTopicName(in.ResourceName); err != nil {
			return refuse(codeOf(err), err.Error())
		}
		t := image.TopicByName(in.ResourceName)
		if t == nil {
			return refuse(kafka.ErrUnknownTopicOrPartition, "no such topic")
		}
		factor := 1
		if len(t.Partitions) > 0 {
			factor = len(t.Partitions[0].Replicas)
		}
		list = a.settings().DescribeTopic(image.TopicConfig(t.Name), factor)
	case wire.ConfigResourceTypeBroker:
		if in.ResourceName != "" {
			if code, why := a.thisBroker(in.ResourceName); code != kafka.ErrNone {
				return refuse(code, why)
			}
		}
		list = a.settings().DescribeBroker(len(image.Brokers()))
		if in.ResourceName == "" {
			list = clusterDefaults(list)
		}
	case wire.ConfigResourceTypeBrokerLogger:
		if code, why := a.thisBroker(in.ResourceName); code != kafka.ErrNone {
			return refuse(code, why)
		}
		return out // the level of the log is a flag of the program
	case wire.ConfigResourceTypeClientMetrics, wire.ConfigResourceTypeGroupConfig:
		if in.ResourceName == "" {
			return refuse(kafka.ErrInvalidRequest, "the name is missing")
		}
		return out // nobody has set anything
	default:
		return refuse(kafka.ErrInvalidRequest, "resources of this type have no settings here")
	}
	for _, d := range list {
		if wanted(in.ConfigNames, d.Key.Name) {
			out.Configs = append(out.Configs, describedConfig(q, d))
		}
	}
	return out
}

// clusterDefaults keeps what was set for every broker, which is what the empty
// broker name stands for.
func clusterDefaults(in []config.Described) (out []config.Described) {
	for _, d := range in {
		for _, s := range d.Synonyms {
			if s.Source == config.SourceDynamicCluster {
				out = append(out, config.Described{Key: d.Key, Value: s.Value, Source: s.Source, Synonyms: []config.Competing{s}})
				break
			}
		}
	}
	return out
}

func wanted(names []string, name string) bool {
	if len(names) == 0 {
		return true
	}
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

func describedConfig(q *wire.DescribeConfigsRequest, d config.Described) wire.DescribeConfigsResponseResourceConfig {
	out := wire.NewDescribeConfigsResponseResourceConfig()
	out.Name, out.Value, out.ReadOnly, out.IsSensitive = d.Key.Name, d.Value, d.ReadOnly, d.Key.Sensitive
	out.Source, out.IsDefault = wire.ConfigSource(d.Source), d.Source == config.SourceDefault
	out.ConfigType = configTypeOf(d.Key.Type)
	if q.IncludeSynonyms {
		for _, s := range d.Synonyms {
			out.ConfigSynonyms = append(out.ConfigSynonyms, wire.DescribeConfigsResponseResourceConfigConfigSynonym{Name: s.Name, Value: s.Value, Source: wire.ConfigSource(s.Source)})
		}
	}
	if q.IncludeDocumentation {
		text := d.Key.Doc
		if d.Key.Ignored != "" {
			text += " Accepted without effect: " + d.Key.Ignored + "."
		}
		out.Documentation = &text
	}
	return out
}

// configTypeOf is the number of a type on the wire, which config's type carries.
func configTypeOf(t config.Type) wire.ConfigType { return wire.ConfigType(t) }
