package broker

import (
	"context"
	"maps"
	"time"

	"holdfast/internal/datadir"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/partition"
	"holdfast/internal/quorum"
)

// deletedTopic is what a topic was when the metadata log deleted it.
type deletedTopic struct {
	name       string
	partitions int
}

// noteDroppedLocked remembers the replicas that an entry has taken away from this
// broker, though their topics stay: a reassignment is done.
func (b *Broker) noteDroppedLocked(delta meta.Delta, image *meta.Image) {
	for _, id := range delta.Partitions() {
		before, was := delta.From().Partition(id)
		after, is := image.Partition(id)
		if was && is && before.HasReplica(b.o.Self) && !after.HasReplica(b.o.Self) {
			b.mu.dropped[id] = image.TopicByID(id.TopicID).Name
		}
	}
}

// noteDeletedLocked remembers the topics that an entry of the metadata log has
// deleted: the only evidence that their directories may go. At a start the
// entries since the snapshot are told again, so that a crash before the
// directories went is made good.
func (b *Broker) noteDeletedLocked(delta meta.Delta, image *meta.Image) {
	for _, id := range delta.TopicIDs() {
		if image.TopicByID(id) != nil {
			continue
		}
		if t := delta.From().TopicByID(id); t != nil {
			b.mu.deleted[id] = deletedTopic{name: t.Name, partitions: len(t.Partitions)}
		}
		// Its name may be given again before the work here is done, and what is
		// acknowledged under it then must not go with the old topic.
		if t := b.table.Load().byID[id]; t != nil {
			t.gone.Store(true)
		}
	}
}

// removeLimit bounds how long a deletion waits for flush rounds, also when the
// broker is stopping.
const removeLimit = 30 * time.Second

// deleteAll deletes what is here of topics that are no more: logs that are open,
// and directories whose log never opened. What cannot be deleted now is tried
// again, with the next change or after a moment.
func (b *Broker) deleteAll(ctx context.Context, removed []*topic, deleted map[kafka.TopicID]deletedTopic) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeLimit)
	defer cancel()
	for _, t := range removed {
		for _, p := range t.partitions {
			if p != nil {
				b.retire(p)
			}
		}
		// A topic of the table is one of the metadata's, whatever was told.
		deleted[t.id] = deletedTopic{name: t.name, partitions: max(len(t.partitions), deleted[t.id].partitions)}
	}
	open := make(map[kafka.TopicID]*topic, len(removed))
	for _, t := range removed {
		open[t.id] = t
	}
	var list []datadir.Removal
	for id, was := range deleted {
		list = appendRemovals(list, id, was, open[id])
	}
	if len(list) == 0 {
		return
	}
	if err := b.o.Dir.Remove(ctx, list); err != nil {
		b.o.Log.Error("cannot delete directories of deleted topics; they stay until it can be done", "topics", len(deleted), "error", err)
		b.mu.Lock()
		maps.Copy(b.mu.deleted, deleted)
		b.mu.Unlock()
	}
}

func appendRemovals(list []datadir.Removal, id kafka.TopicID, was deletedTopic, t *topic) []datadir.Removal {
	for i := range was.partitions {
		r := datadir.Removal{Topic: was.name, ID: kafka.TopicIDPartition{TopicID: id, Partition: kafka.PartitionIndex(i)}}
		if t != nil && i < len(t.partitions) && t.partitions[i] != nil {
			r.Log = t.partitions[i].Log()
		}
		list = append(list, r)
	}
	return list
}

// retire ends everything that p does here.
func (b *Broker) retire(p *partition.Partition) {
	b.o.Followers.Forget(p)
	b.proposals.drop(p.ID())
	p.Resign()
}

// dropAll deletes what is here of replicas that this broker is to have no more. A
// replica that it has been given again meanwhile stays. What cannot be deleted now
// is tried again.
func (b *Broker) dropAll(ctx context.Context, next *table, image *meta.Image, dropped map[kafka.TopicIDPartition]string) {
	var list []datadir.Removal
	for id, name := range dropped {
		state, known := image.Partition(id)
		if !known || state.HasReplica(b.o.Self) {
			continue // deleted as a whole, or back
		}
		r := datadir.Removal{Topic: name, ID: id}
		if t := next.byID[id.TopicID]; t != nil && int(id.Partition) < len(t.partitions) && t.partitions[id.Partition] != nil {
			p := t.partitions[id.Partition]
			b.retire(p)
			r.Log = p.Log()
			next.set(t, id.Partition, nil)
		}
		b.forgetFailure(id)
		list = append(list, r)
	}
	if len(list) == 0 {
		return
	}
	b.table.Store(next)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeLimit)
	defer cancel()
	if err := b.o.Dir.Remove(ctx, list); err != nil {
		b.o.Log.Error("cannot delete directories of replicas that were moved away; they stay until it can be done", "replicas", len(list), "error", err)
		b.mu.Lock()
		for _, r := range list {
			b.mu.dropped[r.ID] = r.Topic
		}
		b.mu.Unlock()
		return
	}
	b.o.Log.Info("deleted replicas that were moved away", "replicas", len(list))
}

// reportStrays looks for directories of partitions that the metadata does not
// know, or that were set aside: nothing says that they may go, so they stay, and
// somebody has to look.
func (b *Broker) reportStrays() {
	b.mu.Lock()
	image := b.mu.last
	b.mu.Unlock()
	dirs, err := b.o.Dir.PartitionDirs()
	if err != nil {
		b.o.Log.Error("cannot look for directories of unknown topics", "error", err)
		return
	}
	strays := int64(0)
	for _, x := range dirs {
		if x.Dir == quorum.LogDirectory || !x.Aside && b.known(image, x.Name) {
			continue
		}
		strays++
		b.o.Log.Warn("a partition directory belongs to no replica that the metadata knows here; it stays, look at it with 'holdfast log dump' and remove it by hand",
			"dir", x.Dir, "topic", x.Name.Topic, "partition", x.Name.Partition, "set_aside", x.Aside)
	}
	b.strays.Store(strays)
}

func (b *Broker) known(image *meta.Image, name kafka.TopicPartition) bool {
	t := image.TopicByName(name.Topic)
	return t != nil && int(name.Partition) < len(t.Partitions) && t.Partitions[name.Partition].HasReplica(b.o.Self)
}

// Strays is how many directories of unknown topics the start has found.
func (b *Broker) Strays() int { return int(b.strays.Load()) }
