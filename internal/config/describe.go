package config

import (
	"fmt"
)

// Source is where a value comes from. The numbers are those of DescribeConfigs.
type Source int8

// The sources.
const (
	SourceTopic          Source = 1 // set on the topic
	SourceDynamicBroker  Source = 2 // set on this broker, over the wire
	SourceDynamicCluster Source = 3 // set on every broker, over the wire
	SourceStatic         Source = 4 // flags, environment or file
	SourceDefault        Source = 5
)

// Described is one setting as DescribeConfigs answers it.
type Described struct {
	Key      Key
	Value    *string // nil: unset, or sensitive
	Source   Source
	ReadOnly bool
	// Synonyms are all values that compete for the setting, the one in force first.
	Synonyms []Competing
}

// Competing is one of several values for a setting.
type Competing struct {
	Name   string
	Value  *string
	Source Source
}

// DescribeTopic describes every setting of a topic with these overrides and
// replication factor, sorted by name. Deprecated settings appear where they are set.
func (b *Broker) DescribeTopic(overrides map[string]string, replicationFactor int) []Described {
	derived := map[string]string{"min.insync.replicas": fmt.Sprint(Topic{}.EffectiveMinISR(replicationFactor))}
	var list []Described
	for _, k := range topicIndex.keys {
		var competing []Competing
		if text, ok := overrides[k.Name]; ok {
			competing = append(competing, Competing{Name: k.Name, Value: &text, Source: SourceTopic})
		}
		for _, s := range k.Broker {
			competing = append(competing, b.competing(s.Name)...)
		}
		if k.Deprecated && len(competing) == 0 {
			continue
		}
		if text, ok := k.fallback(derived); ok {
			name := k.Name
			if len(k.Broker) > 0 {
				name = k.Broker[len(k.Broker)-1].Name
				text = unscaled(name, text)
			}
			competing = append(competing, Competing{Name: name, Value: &text, Source: SourceDefault})
		}
		d := k.describe(competing, false)
		if len(k.Broker) != 1 {
			d.Synonyms = withoutDefault(d.Synonyms)
		}
		list = append(list, d)
	}
	return list
}

// withoutDefault leaves the default out where nobody has set a broker setting.
// Kafka does so for settings that no broker setting stands behind, and for those
// with several, of which the last one has the default.
func withoutDefault(list []Competing) []Competing {
	n := len(list)
	if n == 0 || list[n-1].Source != SourceDefault || n > 1 && list[n-2].Source != SourceTopic {
		return list
	}
	return list[:n-1]
}

// DescribeBroker describes every setting of the broker in a cluster of that many
// brokers, sorted by name.
func (b *Broker) DescribeBroker(brokers int) []Described {
	factor := TopicDefaults{}.EffectiveReplicationFactor(brokers)
	derived := map[string]string{"default.replication.factor": fmt.Sprint(factor), "min.insync.replicas": fmt.Sprint(Topic{}.EffectiveMinISR(factor))}
	if b.NodeID >= 0 {
		derived["node.id"], derived["broker.id"] = fmt.Sprint(b.NodeID), fmt.Sprint(b.NodeID)
	}
	var list []Described
	for _, k := range brokerIndex.keys {
		competing := b.competing(k.Name)
		if k.Deprecated && len(competing) == 0 {
			continue
		}
		if text, ok := k.fallback(derived); ok {
			competing = append(competing, Competing{Name: k.Name, Value: &text, Source: SourceDefault})
		}
		list = append(list, k.describe(competing, !k.Dynamic))
	}
	return list
}

// fallback is the value when nobody has set one.
func (k Key) fallback(derived map[string]string) (string, bool) {
	if k.Derived != "" {
		text, ok := derived[k.Name]
		return text, ok
	}
	return k.Default, !k.NoDefault
}

func (k Key) describe(competing []Competing, readOnly bool) Described {
	d := Described{Key: k, Source: SourceDefault, ReadOnly: readOnly, Synonyms: competing}
	if len(competing) > 0 {
		first := competing[0]
		d.Source, d.Value = first.Source, first.Value
		if first.Value != nil {
			text := rescaled(k, first.Name, *first.Value)
			d.Value = &text
		}
	}
	if k.Sensitive {
		d.Value = nil
		for i := range d.Synonyms {
			d.Synonyms[i].Value = nil
		}
	}
	return d
}

// competing lists what was set for a broker setting, the strongest first.
func (b *Broker) competing(name string) []Competing {
	if b == nil {
		return nil
	}
	var list []Competing
	for _, layer := range []struct {
		settings map[string]string
		source   Source
	}{{b.layers.own, SourceDynamicBroker}, {b.layers.cluster, SourceDynamicCluster}, {b.layers.static, SourceStatic}} {
		if text, ok := layer.settings[name]; ok {
			list = append(list, Competing{Name: name, Value: &text, Source: layer.source})
		}
	}
	return list
}

// rescaled is the text of a broker synonym in the topic setting's unit.
func rescaled(k Key, name, text string) string {
	for _, s := range k.Broker {
		if s.Name == name {
			return scaled(text, s.Unit)
		}
	}
	return text
}

// unscaled is the default of a topic setting in the unit of its synonym.
func unscaled(synonym, text string) string {
	if k, ok := brokerIndex.find(synonym); ok && !k.NoDefault && k.Derived == "" {
		return k.Default
	}
	return text
}
