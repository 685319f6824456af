package controller

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"holdfast/internal/config"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

func (c AlterConfigs) decide(d *decision) (Reply, error) {
	asked := map[meta.Resource]int{}
	for _, r := range c.Resources {
		asked[r.Resource]++
	}
	var reply Reply
	for _, r := range c.Resources {
		result := ConfigResult{Resource: r.Resource}
		err := d.alter(r, c.Replace, asked[r.Resource] > 1)
		if err != nil {
			result.Code, result.Message = err.Code, err.Message
		} else {
			result.Warning = d.warnOf(r)
		}
		reply.Configs = append(reply.Configs, result)
	}
	if c.ValidateOnly {
		d.records = nil
	}
	return reply, nil
}

// warnOf is what the operator should know about a topic whose min ISR was set.
func (d *decision) warnOf(r ResourceChange) string {
	t := d.image.TopicByName(r.Resource.Name)
	if r.Resource.Type != meta.ResourceTopic || t == nil {
		return ""
	}
	for _, c := range r.Changes {
		if c.Key == minISRKey && c.Op == ConfigSet && c.Value != nil && *c.Value == "1" {
			return warnOfMinISR(config.Topic{MinISR: 1}, t.Partitions[0].TargetReplicas)
		}
	}
	return ""
}

// alter decides on one resource.
func (d *decision) alter(r ResourceChange, replace, twice bool) *Error {
	if twice {
		return refuse(kafka.ErrInvalidRequest, "%s is named twice", clip(r.Resource.String()))
	}
	if err := d.checkResource(r.Resource); err != nil {
		return err
	}
	before := d.image.Config(r.Resource)
	after, err := changed(r, before, replace)
	if err != nil {
		return err
	}
	if len(after) > SettingsMax {
		return refuse(kafka.ErrInvalidConfig, "%d settings, at most %d", len(after), SettingsMax)
	}
	if r.Resource.Type == meta.ResourceTopic {
		return d.alterTopic(r.Resource, before, after)
	}
	return d.alterBroker(r.Resource, before, after)
}

func (d *decision) checkResource(r meta.Resource) *Error {
	switch r.Type {
	case meta.ResourceTopic:
		if d.image.TopicByName(r.Name) == nil {
			return refuse(kafka.ErrUnknownTopicOrPartition, "there is no topic %s", clip(r.Name))
		}
		return nil
	case meta.ResourceBroker:
		if r.IsCluster() {
			return nil
		}
		id, err := strconv.ParseInt(r.Name, 10, 32)
		if err != nil || meta.BrokerResource(kafka.BrokerID(id)) != r {
			return refuse(kafka.ErrInvalidRequest, "%q is not the id of a broker", clip(r.Name))
		}
		if d.image.Broker(kafka.BrokerID(id)) == nil {
			return refuse(kafka.ErrBrokerIDNotRegistered, "broker %d is not registered", id)
		}
		return nil
	}
	return refuse(kafka.ErrInvalidRequest, "resources of type %d have no settings here", r.Type)
}

// changed returns the settings of the resource after its changes.
func changed(r ResourceChange, before map[string]string, replace bool) (map[string]string, *Error) {
	after := maps.Clone(before)
	if after == nil || replace {
		after = map[string]string{}
	}
	seen := map[string]bool{}
	for _, c := range r.Changes {
		if seen[c.Key] {
			return nil, refuse(kafka.ErrInvalidRequest, "%s is changed twice", clip(c.Key))
		}
		seen[c.Key] = true
		if replace && c.Op != ConfigSet {
			return nil, refuse(kafka.ErrInvalidRequest, "only whole values can replace settings")
		}
		if err := c.apply(r.Resource.Type, after); err != nil {
			return nil, err
		}
	}
	return after, nil
}

func (c ConfigChange) apply(t meta.ResourceType, settings map[string]string) *Error {
	if c.Op == ConfigDelete {
		delete(settings, c.Key)
		return nil
	}
	switch {
	case c.Value == nil:
		return refuse(kafka.ErrInvalidRequest, "%s: the operation needs a value", clip(c.Key))
	case len(*c.Value) > ValueBytesMax:
		return refuse(kafka.ErrInvalidConfig, "%s: the value has %d bytes, at most %d", clip(c.Key), len(*c.Value), ValueBytesMax)
	}
	switch c.Op {
	case ConfigSet:
		settings[c.Key] = *c.Value
		return nil
	case ConfigAppend, ConfigSubtract:
		return c.applyToList(t, settings)
	}
	return refuse(kafka.ErrInvalidRequest, "%s: unknown operation %d", clip(c.Key), c.Op)
}

// applyToList adds to or takes from a list. Where nothing was set, the list is
// the default.
func (c ConfigChange) applyToList(t meta.ResourceType, settings map[string]string) *Error {
	key, ok := config.TopicKey(c.Key)
	if t == meta.ResourceBroker {
		key, ok = config.BrokerKey(c.Key)
	}
	if !ok || key.Type != config.List {
		return refuse(kafka.ErrInvalidConfig, "%s is not a list: nothing can be added to it or taken from it", clip(c.Key))
	}
	text, set := settings[c.Key]
	if !set {
		text = key.Default
	}
	items := subtracted(listOf(text), listOf(*c.Value))
	if c.Op == ConfigAppend {
		items = appended(listOf(text), listOf(*c.Value))
	}
	text = strings.Join(items, ",")
	if len(text) > ValueBytesMax {
		return refuse(kafka.ErrInvalidConfig, "%s: the value would have %d bytes, at most %d", clip(c.Key), len(text), ValueBytesMax)
	}
	settings[c.Key] = text
	return nil
}

// appended returns the items with those of more that are not among them. It
// counts through a map, because a stranger chooses how long the lists are.
func appended(items, more []string) []string {
	has := make(map[string]bool, len(items))
	for _, item := range items {
		has[item] = true
	}
	for _, item := range more {
		if !has[item] {
			has[item] = true
			items = append(items, item)
		}
	}
	return items
}

// subtracted returns the items without one occurrence for each of less.
func subtracted(items, less []string) []string {
	times := make(map[string]int, len(less))
	for _, item := range less {
		times[item]++
	}
	return slices.DeleteFunc(items, func(item string) bool {
		times[item]--
		return times[item] >= 0
	})
}

func listOf(text string) []string {
	v, _ := config.ParseValue(config.List, text) // a list has no wrong value
	return v.List
}

func (d *decision) alterTopic(r meta.Resource, before, after map[string]string) *Error {
	t := d.image.TopicByName(r.Name)
	settings, err := config.ResolveTopic(d.settings(), after)
	if err != nil {
		return refusedSetting(err)
	}
	if err := checkInternal(r.Name, settings); err != nil {
		return err
	}
	if before[minISRKey] != after[minISRKey] {
		if err := checkTopicReplication(t, settings); err != nil {
			return err
		}
	}
	d.emitDifference(r, before, after)
	d.emitMinISR(t, settings)
	return nil
}

func (d *decision) alterBroker(r meta.Resource, before, after map[string]string) *Error {
	if err := config.ValidateBroker(after); err != nil {
		return refusedSetting(err)
	}
	if before[minISRKey] == after[minISRKey] {
		d.emitDifference(r, before, after)
		return nil
	}
	if !r.IsCluster() {
		return refuse(kafka.ErrInvalidConfig, "%s of a single broker would change with the leader; set it for the topic or for all brokers", minISRKey)
	}
	return d.alterClusterMinISR(r, before, after)
}

// alterClusterMinISR changes the cluster's default of min ISR, and with it every
// topic that has no value of its own.
func (d *decision) alterClusterMinISR(r meta.Resource, before, after map[string]string) *Error {
	// Of all settings of a topic only min ISR counts here, and the topics that are
	// looked at have none of their own: one resolution serves them all.
	settings, err := config.ResolveTopic(d.settingsWith(after), nil)
	if err != nil {
		return refusedSetting(err)
	}
	var topics []*meta.Topic
	for _, t := range d.image.Topics() {
		if _, own := t.Configs[minISRKey]; own {
			continue
		}
		if err := checkTopicReplication(t, settings); err != nil {
			return err
		}
		topics = append(topics, t)
	}
	d.emitDifference(r, before, after)
	for _, t := range topics {
		d.emitMinISR(t, settings)
	}
	return nil
}

// refusedSetting keeps the reason that config gave.
func refusedSetting(err error) *Error {
	var v *config.ValueError
	if errors.As(err, &v) && v.ReadOnly {
		return refuse(kafka.ErrInvalidRequest, "%v", v)
	}
	if errors.As(err, &v) {
		return refuse(kafka.ErrInvalidConfig, "%v", v)
	}
	return refuse(kafka.ErrInvalidConfig, "%v", err)
}

// emitDifference emits the settings that were set, changed or removed, in the
// order of their names.
func (d *decision) emitDifference(r meta.Resource, before, after map[string]string) {
	keys := map[string]bool{}
	for k := range before {
		keys[k] = true
	}
	for k := range after {
		keys[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		old, was := before[k]
		value, is := after[k]
		switch {
		case !is:
			d.emit(&meta.Config{Resource: r, Key: k})
		case !was || old != value:
			d.emit(&meta.Config{Resource: r, Key: k, Value: &value})
		}
	}
}
