package meta

import (
	"fmt"
	"maps"
	"slices"

	"holdfast/internal/kafka"
)

// Apply returns the image after the records of the entry at offset, and what
// they changed. It is the only way in which metadata changes, the same while the
// cluster runs and when a log is read again. i stays as it is.
//
// The records of one entry take effect together. An error is a *CorruptionError
// (records that cannot follow i) or a *VersionError, and means that the log is
// damaged or that whoever decided is broken: nothing may be believed after it.
// An entry without records only moves the offset.
func (i *Image) Apply(offset kafka.Offset, records []Record) (*Image, Delta, error) {
	if offset <= i.offset {
		return nil, Delta{}, &CorruptionError{Position: -1, Cause: fmt.Errorf("entry %d after %d: %w", offset, i.offset, errOrder)}
	}
	next := *i
	next.offset = offset
	a := applier{old: i, next: &next, topics: map[kafka.TopicID]*Topic{}, names: map[string]*Topic{},
		changed: map[kafka.TopicID][]kafka.PartitionIndex{}}
	for n, r := range records {
		if err := a.apply(r); err != nil {
			return nil, Delta{}, wrapApply(offset, n, r, err)
		}
	}
	if err := a.finish(); err != nil {
		return nil, Delta{}, &CorruptionError{Position: -1, Cause: fmt.Errorf("entry %d: %w", offset, err)}
	}
	return &next, a.delta(), nil
}

func wrapApply(offset kafka.Offset, n int, r Record, err error) error {
	if v, ok := err.(*VersionError); ok {
		return v
	}
	return &CorruptionError{Position: -1, Cause: fmt.Errorf("%s, record %d of entry %d: %w", r.Kind(), n, offset, err)}
}

// applier holds one entry on its way into an image. Topics are copied once, at
// their first change, and put into the maps at the end.
type applier struct {
	old, next *Image
	topics    map[kafka.TopicID]*Topic                 // changed ones; nil: removed
	names     map[string]*Topic                        // the same by name
	changed   map[kafka.TopicID][]kafka.PartitionIndex // of every touched topic; unsorted, may repeat
	brokers   []kafka.BrokerID
	configs   bool // of brokers: next.configs was copied
	cluster   bool
	ids       bool
}

func (a *applier) apply(r Record) error {
	if _, first := r.(*Cluster); !first && a.next.cluster.ID.IsZero() {
		return fmt.Errorf("record before the cluster's: %w", errOrder)
	}
	if r.version() > 1 || r.Kind() == KindRemoveBroker {
		if level := a.next.cluster.FeatureLevel; level < LevelReplication {
			return fmt.Errorf("at feature level %d: %w", level, errLevel)
		}
	}
	switch r := r.(type) {
	case *Cluster:
		return a.applyCluster(r)
	case *FeatureLevelRecord:
		return a.applyLevel(r.Level)
	case *Broker:
		return a.applyBroker(r)
	case *TopicRecord:
		return a.applyTopic(r)
	case *PartitionRecord:
		return a.applyPartition(r)
	case *PartitionChange:
		return a.applyPartitionChange(r)
	case *RemoveTopic:
		return a.applyRemoveTopic(r)
	case *Config:
		return a.applyConfig(r)
	case *ProducerIDs:
		return a.applyProducerIDs(r)
	case *RemoveBroker:
		return a.applyRemoveBroker(r)
	}
	return fmt.Errorf("record of type %T: %w", r, errUnknown)
}

func (a *applier) applyCluster(r *Cluster) error {
	if !a.next.cluster.ID.IsZero() {
		return fmt.Errorf("cluster %s: cluster %s: %w", r.ID, a.next.cluster.ID, errDuplicate)
	}
	if r.ID.IsZero() {
		return fmt.Errorf("cluster id of zeroes: %w", errValue)
	}
	a.next.cluster.ID = r.ID
	return a.applyLevel(r.FeatureLevel)
}

func (a *applier) applyLevel(level FeatureLevel) error {
	if level > FeatureLevelMax {
		return &VersionError{What: "feature level", Version: int(level), Known: int(FeatureLevelMax)}
	}
	if level < max(FeatureLevelMin, a.next.cluster.FeatureLevel) {
		return fmt.Errorf("feature level %d after %d: %w", level, a.next.cluster.FeatureLevel, errOrder)
	}
	a.next.cluster.FeatureLevel = level
	a.cluster = true
	return nil
}

func (a *applier) applyBroker(r *Broker) error {
	if r.ID < 0 {
		return fmt.Errorf("broker id %d: %w", r.ID, errValue)
	}
	b := *r
	if b.Epoch == EpochOfEntry {
		b.Epoch = kafka.BrokerEpoch(a.next.offset)
	}
	if b.Epoch < 0 || b.Epoch > kafka.BrokerEpoch(a.next.offset) {
		return fmt.Errorf("broker %d, epoch %d in entry %d: %w", b.ID, b.Epoch, a.next.offset, errValue)
	}
	if old := a.next.Broker(b.ID); old != nil && b.Epoch < old.Epoch {
		return fmt.Errorf("broker %d, epoch %d after %d: %w", b.ID, b.Epoch, old.Epoch, errOrder)
	}
	a.next.brokers = a.next.brokers.set(b.ID, &b)
	a.brokers = append(a.brokers, b.ID)
	return nil
}

// applyRemoveBroker does not look for partitions that name the broker: whoever
// decided did, and an image does without.
func (a *applier) applyRemoveBroker(r *RemoveBroker) error {
	if a.next.Broker(r.ID) == nil {
		return fmt.Errorf("broker %d: %w", r.ID, errUnknown)
	}
	a.next.brokers = a.next.brokers.delete(r.ID)
	a.brokers = append(a.brokers, r.ID)
	return nil
}

func (a *applier) applyTopic(r *TopicRecord) error {
	if r.ID.IsZero() || r.Name == "" {
		return fmt.Errorf("topic %q with id %s: %w", r.Name, r.ID, errValue)
	}
	if a.topic(r.ID) != nil || a.topicNamed(r.Name) != nil {
		return fmt.Errorf("topic %q with id %s: %w", r.Name, r.ID, errDuplicate)
	}
	if _, removed := a.topics[r.ID]; removed {
		return fmt.Errorf("topic id %s of a removed topic: %w", r.ID, errDuplicate)
	}
	a.put(&Topic{ID: r.ID, Name: r.Name})
	return nil
}

func (a *applier) applyPartition(r *PartitionRecord) error {
	t := a.edit(r.TopicID)
	if t == nil {
		return fmt.Errorf("topic %s: %w", r.TopicID, errUnknown)
	}
	if int(r.Index) != len(t.Partitions) {
		return fmt.Errorf("partition %d of %s after %d partitions: %w", r.Index, t.Name, len(t.Partitions), errOrder)
	}
	if err := r.validate(); err != nil {
		return fmt.Errorf("partition %s-%d: %w", t.Name, r.Index, err)
	}
	t.Partitions = append(t.Partitions, Partition{r})
	a.next.partitions++
	a.note(r.TopicID, r.Index)
	return nil
}

// validate checks what holds for every partition at every time.
func (p *PartitionRecord) validate() error {
	switch {
	case len(p.Replicas) == 0 || hasTwice(p.Replicas):
		return fmt.Errorf("replicas %v: %w", p.Replicas, errValue)
	case len(p.Directories) != len(p.Replicas):
		return fmt.Errorf("%d directories for %d replicas: %w", len(p.Directories), len(p.Replicas), errValue)
	case !isSubset(p.ISR, p.Replicas) || hasTwice(p.ISR):
		return fmt.Errorf("isr %v of replicas %v: %w", p.ISR, p.Replicas, errValue)
	case !isSubset(p.ELR, p.Replicas) || hasTwice(p.ELR) || overlap(p.ELR, p.ISR):
		return fmt.Errorf("elr %v beside isr %v: %w", p.ELR, p.ISR, errValue)
	case !isSubset(p.Lost, p.Replicas) || hasTwice(p.Lost) || overlap(p.Lost, p.ISR) || overlap(p.Lost, p.ELR):
		return fmt.Errorf("lost replicas %v beside isr %v and elr %v: %w", p.Lost, p.ISR, p.ELR, errValue)
	case p.Leader != kafka.NoBroker && !p.InSync(p.Leader):
		return fmt.Errorf("leader %d outside isr %v: %w", p.Leader, p.ISR, errValue)
	case p.LowestMinISR < 1 || p.LowestMinISR > p.MinISR || p.TargetReplicas < 1:
		return fmt.Errorf("min isr %d, lowest %d, target %d: %w", p.MinISR, p.LowestMinISR, p.TargetReplicas, errValue)
	case !isSubset(p.Adding, p.Replicas) || hasTwice(p.Adding) || !isSubset(p.Removing, p.Replicas) || hasTwice(p.Removing) || overlap(p.Adding, p.Removing):
		return fmt.Errorf("adding %v and removing %v of replicas %v: %w", p.Adding, p.Removing, p.Replicas, errValue)
	case len(p.Removing) == len(p.Replicas):
		return fmt.Errorf("removing every replica: %w", errValue)
	case p.LeaderEpoch < 0 || p.PartitionEpoch < 0:
		return fmt.Errorf("leader epoch %d, partition epoch %d: %w", p.LeaderEpoch, p.PartitionEpoch, errValue)
	}
	return nil
}

func hasTwice(ids []kafka.BrokerID) bool {
	for n, id := range ids {
		if id < 0 || slices.Contains(ids[:n], id) {
			return true
		}
	}
	return false
}

func isSubset(of, in []kafka.BrokerID) bool {
	return !slices.ContainsFunc(of, func(id kafka.BrokerID) bool { return !slices.Contains(in, id) })
}

func overlap(x, y []kafka.BrokerID) bool {
	return slices.ContainsFunc(x, func(id kafka.BrokerID) bool { return slices.Contains(y, id) })
}

func (a *applier) applyPartitionChange(r *PartitionChange) error {
	t := a.edit(r.TopicID)
	if t == nil {
		return fmt.Errorf("topic %s: %w", r.TopicID, errUnknown)
	}
	old, ok := t.Partition(r.Index)
	if !ok {
		return fmt.Errorf("partition %s-%d: %w", t.Name, r.Index, errUnknown)
	}
	p := r.over(old.PartitionRecord)
	if p.PartitionEpoch != old.PartitionEpoch+1 {
		return fmt.Errorf("partition %s-%d: partition epoch %d after %d: %w", t.Name, r.Index, p.PartitionEpoch, old.PartitionEpoch, errOrder)
	}
	if p.LeaderEpoch < old.LeaderEpoch || (p.Leader != old.Leader && p.LeaderEpoch == old.LeaderEpoch) {
		return fmt.Errorf("partition %s-%d: leader %d in epoch %d after leader %d in epoch %d: %w",
			t.Name, r.Index, p.Leader, p.LeaderEpoch, old.Leader, old.LeaderEpoch, errOrder)
	}
	if err := p.validate(); err != nil {
		return fmt.Errorf("partition %s-%d: %w", t.Name, r.Index, err)
	}
	t.Partitions[r.Index] = Partition{p}
	a.note(r.TopicID, r.Index)
	return nil
}

// over returns old with the fields that the change sets.
func (c *PartitionChange) over(old *PartitionRecord) *PartitionRecord {
	p := *old
	p.PartitionEpoch = c.PartitionEpoch
	if c.Fields&SetReplicas != 0 {
		p.Replicas = c.Replicas
	}
	if c.Fields&SetDirectories != 0 {
		p.Directories = c.Directories
	}
	if c.Fields&SetISR != 0 {
		p.ISR = c.ISR
	}
	if c.Fields&SetELR != 0 {
		p.ELR = c.ELR
	}
	if c.Fields&SetLost != 0 {
		p.Lost = c.Lost
	}
	if c.Fields&SetLeader != 0 {
		p.Leader, p.LeaderEpoch = c.Leader, c.LeaderEpoch
	}
	if c.Fields&SetMinISR != 0 {
		p.MinISR, p.LowestMinISR = c.MinISR, c.LowestMinISR
	}
	if c.Fields&SetTargetReplicas != 0 {
		p.TargetReplicas = c.TargetReplicas
	}
	if c.Fields&SetReassignment != 0 {
		p.Adding, p.Removing = c.Adding, c.Removing
	}
	if c.Fields&SetForced != 0 {
		p.Forced = c.Forced
	}
	return &p
}

func (a *applier) applyRemoveTopic(r *RemoveTopic) error {
	t := a.topic(r.ID)
	if t == nil {
		return fmt.Errorf("topic %s: %w", r.ID, errUnknown)
	}
	for n := range t.Partitions {
		a.note(r.ID, kafka.PartitionIndex(n))
	}
	a.next.partitions -= len(t.Partitions)
	a.topics[r.ID] = nil
	a.names[t.Name] = nil
	return nil
}

func (a *applier) applyConfig(r *Config) error {
	if r.Key == "" {
		return fmt.Errorf("setting without a name: %w", errValue)
	}
	if r.Resource.Type == ResourceTopic {
		t := a.topicNamed(r.Resource.Name)
		if t == nil {
			return fmt.Errorf("settings of topic %q: %w", r.Resource.Name, errUnknown)
		}
		t = a.edit(t.ID)
		t.Configs = withSetting(t.Configs, r)
		return nil
	}
	if !a.configs {
		a.configs = true
		a.next.configs = maps.Clone(a.next.configs)
		if a.next.configs == nil {
			a.next.configs = map[string]map[string]string{}
		}
	}
	settings := withSetting(a.next.configs[r.Resource.Name], r)
	if settings == nil {
		delete(a.next.configs, r.Resource.Name)
	} else {
		a.next.configs[r.Resource.Name] = settings
	}
	return nil
}

// withSetting returns a copy of settings with one changed; nil when none is left.
func withSetting(settings map[string]string, r *Config) map[string]string {
	out := maps.Clone(settings)
	if r.Value == nil {
		delete(out, r.Key)
	} else {
		if out == nil {
			out = map[string]string{}
		}
		out[r.Key] = *r.Value
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func (a *applier) applyProducerIDs(r *ProducerIDs) error {
	if r.Next <= a.next.producers.Next {
		return fmt.Errorf("producer ids up to %d after %d: %w", r.Next, a.next.producers.Next, errOrder)
	}
	a.next.producers = *r
	a.ids = true
	return nil
}

// topic returns the topic as the records so far have left it.
func (a *applier) topic(id kafka.TopicID) *Topic {
	if t, ok := a.topics[id]; ok {
		return t
	}
	return a.old.TopicByID(id)
}

func (a *applier) topicNamed(name string) *Topic {
	if t, ok := a.names[name]; ok {
		return t
	}
	return a.old.TopicByName(name)
}

// edit returns a copy of the topic that may be changed, nil when there is none.
func (a *applier) edit(id kafka.TopicID) *Topic {
	if t, ok := a.topics[id]; ok {
		return t
	}
	old := a.old.TopicByID(id)
	if old == nil {
		return nil
	}
	t := *old
	t.Partitions = slices.Clone(old.Partitions)
	a.put(&t)
	return &t
}

func (a *applier) put(t *Topic) {
	a.topics[t.ID], a.names[t.Name] = t, t
	if _, ok := a.changed[t.ID]; !ok {
		a.changed[t.ID] = nil // touched, even if no partition changes
	}
}

func (a *applier) note(id kafka.TopicID, index kafka.PartitionIndex) {
	a.changed[id] = append(a.changed[id], index)
}

// finish puts the changed topics into the maps. The order does not matter: every
// topic is another key.
func (a *applier) finish() error {
	byID := make([]change[kafka.TopicID, *Topic], 0, len(a.topics))
	for id, t := range a.topics {
		if t != nil && len(t.Partitions) == 0 {
			return fmt.Errorf("topic %s without partitions: %w", t.Name, errValue)
		}
		byID = append(byID, change[kafka.TopicID, *Topic]{entry[kafka.TopicID, *Topic]{id, t}, t == nil})
	}
	byName := make([]change[string, *Topic], 0, len(a.names))
	for name, t := range a.names {
		byName = append(byName, change[string, *Topic]{entry[string, *Topic]{name, t}, t == nil})
	}
	a.next.topicsByID = a.next.topicsByID.with(byID)
	a.next.topics = a.next.topics.with(byName)
	return nil
}

func (a *applier) delta() Delta {
	d := Delta{from: a.old, to: a.next, configs: a.configs, cluster: a.cluster, producerIDs: a.ids}
	d.topics = slices.SortedFunc(maps.Keys(a.changed), compareTopicIDs)
	for _, id := range d.topics {
		list := a.changed[id]
		slices.Sort(list)
		for _, index := range slices.Compact(list) {
			d.partitions = append(d.partitions, kafka.TopicIDPartition{TopicID: id, Partition: index})
		}
	}
	slices.Sort(a.brokers)
	d.brokers = slices.Compact(a.brokers)
	return d
}
