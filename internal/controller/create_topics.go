package controller

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"holdfast/internal/config"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

func (c CreateTopics) decide(d *decision) (Reply, error) {
	n := naming{taken: map[string]bool{}, asked: map[string]int{}}
	for _, t := range c.Topics {
		n.asked[t.Name]++
	}
	var reply Reply
	for i := range c.Topics {
		t := &c.Topics[i]
		result := TopicResult{Name: t.Name}
		if err := d.createTopic(t, &n, &result); err != nil {
			result = TopicResult{Name: t.Name, Code: err.Code, Message: err.Message}
		}
		if c.ValidateOnly {
			result.ID = kafka.TopicID{}
		}
		reply.Topics = append(reply.Topics, result)
	}
	if c.ValidateOnly {
		d.records = nil
	}
	return reply, nil
}

// naming knows the names that a new topic collides with.
type naming struct {
	asked  map[string]int  // how often the command asks for a name
	taken  map[string]bool // names that this command makes
	folded map[string]string
}

// check refuses a name that is not free.
func (n *naming) check(image *meta.Image, name string) *Error {
	if err := checkTopicName(name); err != nil {
		return err
	}
	if n.asked[name] > 1 {
		return refuse(kafka.ErrInvalidRequest, "topic %s is asked for twice", name)
	}
	if image.TopicByName(name) != nil {
		return refuse(kafka.ErrTopicAlreadyExists, "topic %s exists already", name)
	}
	if !strings.ContainsAny(name, "._") {
		return nil
	}
	if n.folded == nil {
		n.folded = map[string]string{}
		for _, t := range image.Topics() {
			n.folded[folded(t.Name)] = t.Name
		}
		for made := range n.taken {
			n.folded[folded(made)] = made
		}
	}
	if other, ok := n.folded[folded(name)]; ok {
		return refuse(kafka.ErrInvalidTopicException, "%s and the topic %s differ only in '.' and '_', which metrics cannot tell apart", name, other)
	}
	return nil
}

func (n *naming) take(name string) {
	n.taken[name] = true
	if n.folded != nil {
		n.folded[folded(name)] = name
	}
}

// createTopic decides on one topic and fills the result.
func (d *decision) createTopic(t *NewTopic, n *naming, result *TopicResult) *Error {
	if err := n.check(d.image, t.Name); err != nil {
		return err
	}
	overrides, err := overridesOf(t.Configs)
	if err != nil {
		return err
	}
	settings, resolveErr := config.ResolveTopic(d.settings(), overrides)
	if resolveErr != nil {
		return refuse(kafka.ErrInvalidConfig, "%v", resolveErr)
	}
	if err := checkInternal(t.Name, settings); err != nil {
		return err
	}
	plan, err := d.plan(t)
	if err != nil {
		return err
	}
	if err := checkReplication(settings, overrides, plan.factor); err != nil {
		return err
	}
	id, err := d.newTopicID()
	if err != nil {
		return err
	}
	n.take(t.Name)
	d.emit(&meta.TopicRecord{ID: id, Name: t.Name})
	for index := range plan.partitions {
		d.emit(d.newPartition(id, index, plan.replicas(d, index), settings.EffectiveMinISR(plan.factor)))
	}
	d.emitSettings(meta.TopicResource(t.Name), overrides)
	d.added += plan.partitions
	result.ID, result.Partitions, result.ReplicationFactor, result.Configs = id, plan.partitions, plan.factor, overrides
	result.Warning = warnOfMinISR(settings, plan.factor)
	return nil
}

// checkReplication refuses a min ISR that no ISR could reach.
func checkReplication(settings config.Topic, overrides map[string]string, factor int) *Error {
	err := settings.CheckReplication(factor)
	if err == nil {
		return nil
	}
	if _, own := overrides[minISRKey]; own {
		return refuse(kafka.ErrInvalidConfig, "%v", err)
	}
	return refuse(kafka.ErrInvalidReplicationFactor, "the default of this cluster, %v", err)
}

func (d *decision) emitSettings(r meta.Resource, settings map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		value := settings[key]
		d.emit(&meta.Config{Resource: r, Key: key, Value: &value})
	}
}

// overridesOf turns the settings of a new topic into a map; the last of several
// values for one name counts, as in Kafka.
func overridesOf(list []Setting) (map[string]string, *Error) {
	if len(list) > SettingsMax {
		return nil, refuse(kafka.ErrInvalidConfig, "%d settings, at most %d", len(list), SettingsMax)
	}
	out := map[string]string{}
	for _, s := range list {
		switch {
		case s.Value == nil:
			return nil, refuse(kafka.ErrInvalidConfig, "%s: a setting of a new topic needs a value", clip(s.Key))
		case len(*s.Value) > ValueBytesMax:
			return nil, refuse(kafka.ErrInvalidConfig, "%s: the value has %d bytes, at most %d", clip(s.Key), len(*s.Value), ValueBytesMax)
		}
		out[s.Key] = *s.Value
	}
	return out, nil
}

// plan is how many partitions with how many replicas, and where when somebody
// else has decided that.
type plan struct {
	partitions, factor int
	manual             []Assignment
}

// replicas returns the brokers of a partition and counts them.
func (p plan) replicas(d *decision, index int) []kafka.BrokerID {
	if p.manual == nil {
		return d.placement().place(p.factor)
	}
	replicas := slices.Clone(p.manual[index].Brokers)
	d.placement().noteManual(replicas)
	return replicas
}

func (d *decision) plan(t *NewTopic) (plan, *Error) {
	if len(t.Assignments) > 0 {
		return d.manualPlan(t)
	}
	p := plan{partitions: t.Partitions, factor: t.ReplicationFactor}
	usable := d.placement().usable()
	if p.partitions == Default {
		p.partitions = d.settings().Partitions
	}
	if p.factor == Default {
		p.factor = d.settings().EffectiveReplicationFactor(usable)
	}
	switch {
	case p.partitions < 1:
		return p, refuse(kafka.ErrInvalidPartitions, "%d partitions; at least 1, or -1 for the default", p.partitions)
	case p.factor < 1:
		return p, refuse(kafka.ErrInvalidReplicationFactor, "replication factor %d; at least 1, or -1 for the default", p.factor)
	case p.factor > usable || p.factor > ReplicasMax:
		return p, refuse(kafka.ErrInvalidReplicationFactor, "replication factor %d is larger than the number of brokers, %d", p.factor, usable)
	case p.partitions > config.PartitionsMax:
		return p, refuse(kafka.ErrInvalidPartitions, "%d partitions, at most %d", p.partitions, config.PartitionsMax)
	}
	return p, d.checkCount(p.partitions)
}

func (d *decision) manualPlan(t *NewTopic) (plan, *Error) {
	p := plan{partitions: len(t.Assignments), manual: slices.Clone(t.Assignments)}
	if t.Partitions != Default || t.ReplicationFactor != Default {
		return p, refuse(kafka.ErrInvalidRequest, "with assignments, the numbers of partitions and replicas must be -1")
	}
	if err := d.checkCount(p.partitions); err != nil {
		return p, err
	}
	slices.SortStableFunc(p.manual, func(a, b Assignment) int { return cmp.Compare(a.Partition, b.Partition) })
	p.factor = len(p.manual[0].Brokers)
	for i, a := range p.manual {
		if int(a.Partition) != i {
			return p, refuse(kafka.ErrInvalidReplicaAssignment, "assignments must be for the partitions 0 to %d, each once", p.partitions-1)
		}
		if err := d.checkAssignment(a.Brokers); err != nil {
			return p, err
		}
		if len(a.Brokers) != p.factor {
			return p, refuse(kafka.ErrInvalidReplicaAssignment, "partition %d has %d replicas and partition 0 has %d", i, len(a.Brokers), p.factor)
		}
	}
	return p, nil
}
