package broker

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/config"
	"holdfast/internal/datadir"
	"holdfast/internal/isr"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/meta"
	"holdfast/internal/partition"
	"holdfast/internal/vfs"
)

// opensAtOnce bounds how many logs are opened side by side.
const opensAtOnce = 8

// appliedWaiter waits until the image of an offset is reconciled.
type appliedWaiter struct {
	offset kafka.Offset
	done   chan struct{}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// Changed tells that the metadata has moved to image. It only notes what changed
// and never waits; the work happens in Run.
func (b *Broker) Changed(delta meta.Delta, image *meta.Image) {
	b.mu.Lock()
	b.mu.next = image
	for _, id := range delta.TopicIDs() {
		b.mu.changed[id] = struct{}{}
	}
	b.noteDeletedLocked(delta, image)
	b.noteDroppedLocked(delta, image)
	b.mu.candidates = b.mu.candidates || len(delta.Brokers()) > 0
	b.mu.all = b.mu.all || delta.ConfigsOfBrokers()
	b.mu.Unlock()
	b.poke()
}

// poke has Run reconcile.
func (b *Broker) poke() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// againLocked has topics looked at once more, though the metadata has not moved.
func (b *Broker) againLocked(ids []kafka.TopicIDPartition) {
	for _, id := range ids {
		b.mu.changed[id.TopicID] = struct{}{}
	}
	if b.mu.next == nil {
		b.mu.next = b.mu.last
	}
}

// Start reconciles the first image before the doors open: every topic.
func (b *Broker) Start(ctx context.Context, image *meta.Image) {
	b.mu.Lock()
	// The metadata may have moved on since the caller looked.
	if b.mu.next == nil || b.mu.next.Offset() < image.Offset() {
		b.mu.next = image
	}
	b.mu.all = true
	b.mu.Unlock()
	b.reconcile(ctx)
	b.reportStrays()
}

// AwaitApplied waits until the partitions here are what the metadata at offset
// says, or ctx ends.
func (b *Broker) AwaitApplied(ctx context.Context, offset kafka.Offset) error {
	b.mu.Lock()
	if b.mu.done >= offset {
		b.mu.Unlock()
		return nil
	}
	w := appliedWaiter{offset: offset, done: make(chan struct{})}
	b.mu.waiting = append(b.mu.waiting, w)
	b.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reconcile makes the partitions here what the newest image says.
func (b *Broker) reconcile(ctx context.Context) {
	b.mu.Lock()
	image, changed, all, deleted := b.mu.next, b.mu.changed, b.mu.all, b.mu.deleted
	dropped, candidates := b.mu.dropped, b.mu.candidates
	if image == nil {
		b.mu.Unlock()
		return
	}
	first := b.mu.last == nil
	b.mu.next, b.mu.changed, b.mu.all, b.mu.candidates = nil, make(map[kafka.TopicID]struct{}), false, false
	b.mu.deleted = make(map[kafka.TopicID]deletedTopic)
	b.mu.dropped = make(map[kafka.TopicIDPartition]string)
	b.mu.Unlock()
	b.repairAll(ctx, image, changed)
	old := b.table.Load()
	next := old.clone()
	if all {
		b.resettle(image)
		for id := range old.byID {
			changed[id] = struct{}{}
		}
		for _, t := range image.Topics() {
			changed[t.ID] = struct{}{}
		}
	}
	ids := slices.SortedFunc(maps.Keys(changed), func(x, y kafka.TopicID) int { return slices.Compare(x[:], y[:]) })
	removed := b.removeTopics(next, image, ids)
	b.table.Store(next) // deleted topics are gone before their logs are
	openings := b.beginTopics(image, ids, all)
	for _, o := range openings {
		for _, id := range o.leaving {
			dropped[id] = o.topic.Name
		}
	}
	// Who leads from now on is not held up by what others wait for the disk for.
	b.assumeAll(openings)
	if candidates {
		b.refreshCandidates(image, changed)
	}
	b.deleteAll(ctx, removed, deleted)
	b.dropAll(ctx, next.clone(), image, dropped)
	b.openTopics(ctx, openings)
	if first {
		// Before this broker counts as caught up: who elects must know what is missing.
		b.reportDamage(ctx)
	}
	b.finishReconcile(image)
}

// resettle takes the dynamic broker settings over.
func (b *Broker) resettle(image *meta.Image) {
	next, err := b.o.Config.WithDynamic(image.Config(meta.ClusterResource()), image.Config(meta.BrokerResource(b.o.Self)))
	if err != nil {
		b.o.Log.Error("dynamic broker settings do not load; the ones before stay", "error", err)
		return
	}
	b.settings.Store(next)
}

// removeTopics takes topics that no longer exist out of the table.
func (b *Broker) removeTopics(next *table, image *meta.Image, ids []kafka.TopicID) (removed []*topic) {
	for _, id := range ids {
		t := next.byID[id]
		if t == nil || image.TopicByID(id) != nil {
			continue
		}
		delete(next.byID, id)
		if next.byName[t.name] == t {
			delete(next.byName, t.name)
		}
		removed = append(removed, t)
		b.forgetFailures(t)
	}
	return removed
}

func (b *Broker) forgetFailure(id kafka.TopicIDPartition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.mu.failed, id)
	delete(b.mu.damaged, id)
}

// forgetFailures drops what was noted about the logs of a deleted topic.
func (b *Broker) forgetFailures(t *topic) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range t.partitions {
		id := kafka.TopicIDPartition{TopicID: t.id, Partition: kafka.PartitionIndex(i)}
		delete(b.mu.failed, id)
		delete(b.mu.damaged, id)
	}
}

// retryOpens looks again at the topics with a log that did not open because the
// disk was full, or because no file descriptor was left. Any other reason stays until somebody looks: a sync that failed
// must never be tried again.
func (b *Broker) retryOpens(ctx context.Context) {
	b.mu.Lock()
	for id, err := range b.mu.failed {
		if !errors.Is(err, vfs.ErrNoSpace) && !vfs.NoDescriptor(err) {
			continue
		}
		b.mu.changed[id.TopicID] = struct{}{}
		if b.mu.next == nil {
			b.mu.next = b.mu.last
		}
	}
	if len(b.mu.deleted)+len(b.mu.dropped) > 0 && b.mu.next == nil && b.o.Dir.Err() == nil {
		b.mu.next = b.mu.last // what could not be deleted the last time
	}
	b.mu.Unlock()
	b.reconcile(ctx)
}

// opening is a topic whose partitions here are being opened.
type opening struct {
	image    *meta.Image
	topic    *meta.Topic
	settings config.Topic
	entry    *topic
	leaving  []kafka.TopicIDPartition // open, and to be here no more
	// anew: its settings have changed, and every partition is told.
	anew bool
	// created are logs that were made just now, together.
	created map[kafka.TopicIDPartition]*log.Log
}

// beginTopics makes the table's entries of the topics that exist.
func (b *Broker) beginTopics(image *meta.Image, ids []kafka.TopicID, all bool) (openings []*opening) {
	for _, id := range ids {
		if t := image.TopicByID(id); t != nil {
			openings = append(openings, b.beginTopic(image, t, all))
		}
	}
	return openings
}

// beginTopic makes the table's entry for t with the partitions that are open.
func (b *Broker) beginTopic(image *meta.Image, t *meta.Topic, all bool) *opening {
	settings, err := config.ResolveTopic(b.Settings(), image.TopicConfig(t.Name))
	if err != nil {
		b.o.Log.Error("topic settings do not resolve; defaults are used", "topic", t.Name, "error", err)
		settings, _ = config.ResolveTopic(b.Settings(), nil)
	}
	n := len(t.Partitions)
	e := &topic{name: t.Name, id: t.ID, partitions: make([]*partition.Partition, n), hosted: make([]bool, n), states: make([]*meta.PartitionRecord, n), configs: t.Configs}
	o := &opening{image: image, topic: t, settings: settings, entry: e, anew: true}
	for i := range t.Partitions {
		e.hosted[i] = t.Partitions[i].HasReplica(b.o.Self)
	}
	old := b.table.Load().byID[t.ID]
	if old == nil {
		return o
	}
	o.anew = all || !maps.Equal(old.configs, e.configs)
	for i, p := range old.partitions {
		switch {
		case p == nil || i >= n:
		case e.hosted[i]:
			e.partitions[i], e.states[i] = p, old.states[i]
		default:
			o.leaving = append(o.leaving, p.ID())
		}
	}
	return o
}

// assumeAll brings the partitions that are open to what the metadata says.
func (b *Broker) assumeAll(openings []*opening) {
	for _, o := range openings {
		for i, p := range o.entry.partitions {
			if state := o.topic.Partitions[i]; p != nil && (o.anew || o.entry.states[i] != state.PartitionRecord) {
				b.adopt(p, state, o)
			}
		}
	}
}

// openTopics opens the partitions of the topics that are not, several logs at a
// time, and publishes every topic when all are whole.
func (b *Broker) openTopics(ctx context.Context, openings []*opening) {
	b.createAll(openings)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(opensAtOnce)
	var made []*topic
	for _, o := range openings {
		b.openTopic(group, o)
		made = append(made, o.entry)
	}
	_ = group.Wait() // opening notes its failures per partition
	if ctx.Err() != nil && len(made) == 0 {
		return
	}
	b.publish(made)
}

// createAll creates the logs that are not there yet, if they are many: together
// they cost two syncs. At a start nearly all are there.
func (b *Broker) createAll(openings []*opening) {
	b.mu.Lock()
	starting := b.mu.last == nil
	b.mu.Unlock()
	if starting {
		return
	}
	var list []datadir.NewLog
	for _, o := range openings {
		c := logConfig(&o.settings)
		for i := range o.topic.Partitions {
			if o.entry.partitions[i] == nil && o.entry.hosted[i] {
				list = append(list, datadir.NewLog{Topic: o.topic.Name, ID: o.id(i), Config: c})
			}
		}
	}
	created := b.o.Dir.CreateLogs(list)
	for _, o := range openings {
		o.created = created
	}
}

func (o *opening) id(i int) kafka.TopicIDPartition {
	return kafka.TopicIDPartition{TopicID: o.topic.ID, Partition: o.topic.Partitions[i].Index}
}

// openTopic opens the partitions that are not open, on the group.
func (b *Broker) openTopic(group *errgroup.Group, o *opening) {
	partitions := o.entry.partitions
	for i := range o.topic.Partitions {
		state := o.topic.Partitions[i]
		if !o.entry.hosted[i] || partitions[i] != nil {
			continue
		}
		if l := o.created[o.id(i)]; l != nil {
			partitions[i] = b.host(o, state, l)
		} else {
			run(group, func() { partitions[i] = b.open(o, state) })
		}
	}
}

// open opens one log and makes it what the metadata says. It returns nil when the log does not open;
// the reason is kept and shown.
func (b *Broker) open(o *opening, state meta.Partition) *partition.Partition {
	t, id := o.topic, kafka.TopicIDPartition{TopicID: o.topic.ID, Partition: state.Index}
	l, report, err := b.o.Dir.OpenLog(t.Name, id, logConfig(&o.settings))
	if err != nil {
		b.noteFailed(id, state, err)
		b.o.Log.Error("partition is offline: its log does not open", "topic", t.Name, "partition", state.Index, "error", err)
		return nil
	}
	if report.Rewritten+report.Cut > 0 || report.Dropped > 0 || len(report.Rebuilt) > 0 {
		b.o.Log.Info("log recovered", "topic", t.Name, "partition", state.Index, "case", report.Case, "action", report.Action,
			"end", report.End, "scanned_bytes", report.Scanned, "rewritten_bytes", report.Rewritten, "cut_bytes", report.Cut,
			"dropped_segments", report.Dropped, "rebuilt", report.Rebuilt)
	}
	return b.host(o, state, l)
}

// host makes a partition of an open log.
func (b *Broker) host(o *opening, state meta.Partition, l *log.Log) *partition.Partition {
	id := kafka.TopicIDPartition{TopicID: o.topic.ID, Partition: state.Index}
	b.mu.Lock()
	delete(b.mu.failed, id)
	b.mu.Unlock()
	p := partition.New(partition.Options{Topic: o.topic.Name, ID: id, Self: b.o.Self, Log: l, Storage: b.o.Dir,
		Clock: b.o.Env.Clock, Config: &o.settings, HighWatermark: b.o.Dir.HighWatermark(l.Key()), LagMax: b.Settings().ReplicaLagMax,
		ISR: b.propose, Progressed: b.o.Followers.Progressed, Faults: b.o.Faults})
	b.noteLost(p, state)
	b.adopt(p, state, o)
	return p
}

// adopt makes an open partition what the metadata says.
func (b *Broker) adopt(p *partition.Partition, state meta.Partition, o *opening) {
	p.Log().SetConfig(logConfig(&o.settings))
	p.SetConfig(&o.settings)
	o.entry.states[state.Index] = state.PartitionRecord
	b.assume(p, state, o.image)
}

// assume gives a partition the role that the metadata says.
func (b *Broker) assume(p *partition.Partition, state meta.Partition, image *meta.Image) {
	b.proposals.settle(p.ID(), state)
	switch leader := state.Leader; {
	case leader == kafka.NoBroker, leader == b.o.Self && b.mayNotLead(p.ID(), state):
		b.o.Followers.Forget(p)
		p.Resign()
	case leader == b.o.Self:
		b.o.Followers.Forget(p)
		p.Lead(partition.Leadership{Epoch: state.LeaderEpoch, PartitionEpoch: state.PartitionEpoch, Replicas: state.Replicas,
			ISR: state.ISR, Candidates: candidates(image, state.Replicas), MinISR: state.MinISR})
		p.Suspend(b.isolated.Load() && len(state.ISR) > 1)
	default:
		p.Follow(partition.Following{Epoch: state.LeaderEpoch, Leader: leader, PartitionEpoch: state.PartitionEpoch})
		b.o.Followers.Follow(p, leader)
	}
}

// candidates are the replicas that may be in the ISR.
func candidates(image *meta.Image, replicas []kafka.BrokerID) []isr.Candidate {
	list := make([]isr.Candidate, 0, len(replicas))
	for _, id := range replicas {
		if r := image.Broker(id); r.IsLive() {
			list = append(list, isr.Candidate{ID: id, Epoch: r.Epoch})
		}
	}
	return list
}

// refreshCandidates tells the partitions that are led here who may be in sync now.
// Those of changed topics know.
func (b *Broker) refreshCandidates(image *meta.Image, changed map[kafka.TopicID]struct{}) {
	for id, t := range b.table.Load().byID {
		meant := image.TopicByID(id)
		if _, knows := changed[id]; knows || meant == nil {
			continue
		}
		for i, p := range t.partitions {
			if p != nil && i < len(meant.Partitions) && meant.Partitions[i].Leader == b.o.Self {
				b.assume(p, meant.Partitions[i], image)
			}
		}
	}
}

func (t *table) clone() *table {
	return &table{byName: maps.Clone(t.byName), byID: maps.Clone(t.byID)}
}

// set puts p, or nil, in the place of a topic's partition. The table is not
// published yet.
func (t *table) set(of *topic, index kafka.PartitionIndex, p *partition.Partition) {
	n := &topic{name: of.name, id: of.id, partitions: slices.Clone(of.partitions), hosted: slices.Clone(of.hosted),
		states: slices.Clone(of.states), configs: of.configs}
	n.gone.Store(of.gone.Load())
	n.partitions[index], n.hosted[index], n.states[index] = p, p != nil, nil
	t.byID[n.id] = n
	if t.byName[n.name] == of {
		t.byName[n.name] = n
	}
}

func (b *Broker) publish(made []*topic) {
	next := b.table.Load().clone()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range made {
		next.byName[t.name], next.byID[t.id] = t, t
		if _, deleted := b.mu.deleted[t.id]; deleted { // while it was being opened
			t.gone.Store(true)
		}
	}
	b.table.Store(next)
}

func (b *Broker) finishReconcile(image *meta.Image) {
	b.mu.Lock()
	b.mu.last = image
	b.mu.done = max(b.mu.done, image.Offset())
	rest := b.mu.waiting[:0]
	for _, w := range b.mu.waiting {
		if w.offset <= b.mu.done {
			close(w.done)
		} else {
			rest = append(rest, w)
		}
	}
	b.mu.waiting = rest
	b.mu.Unlock()
	if b.o.Reconciled != nil {
		b.o.Reconciled()
	}
}

// logConfig is the part of a topic's settings that its logs obey.
func logConfig(c *config.Topic) log.Config {
	retention := c.RetentionMs
	bytes := c.RetentionBytes
	if !c.Delete {
		// Compacted only: nothing is deleted by age or size. Until the cleaner
		// exists everything is kept (docs/DIFFERENCES.md).
		retention, bytes = -1, -1
	}
	return log.Config{SegmentBytes: c.SegmentBytes, SegmentMs: c.SegmentMs, SegmentIndexBytes: c.SegmentIndexBytes,
		IndexIntervalBytes: c.IndexIntervalBytes, RetentionMs: retention, RetentionBytes: bytes, FileDeleteDelay: c.FileDeleteDelay}
}
