package broker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/internal/controller"
	"holdfast/internal/datadir"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/meta"
	"holdfast/internal/partition"
)

// damage is what is wrong with a replica here that has lost records. The controller
// is told first: a replica that is marked counts as an empty one until it is in the
// ISR again, and is neither elected nor believed.
type damage struct {
	err    error
	repair bool // make it anew from the leader's copy, once it is marked
	// tell: the controller is to know. Of a damaged log that may be the last copy it
	// is not: the replica would count for nothing, and could still be read.
	tell  bool
	told  bool // the controller has it
	epoch kafka.LeaderEpoch
}

// LostError says that a log was found to end below what was known to be committed.
type LostError struct {
	HighWatermark, End kafka.Offset
}

// Error says how much is missing.
func (e *LostError) Error() string {
	return fmt.Sprintf("the log ends at %d, though its high watermark was %d: acknowledged records are missing here; it follows as one that has nothing", e.End, e.HighWatermark)
}

func compareIDs(x, y kafka.TopicIDPartition) int {
	if c := bytes.Compare(x.TopicID[:], y.TopicID[:]); c != 0 {
		return c
	}
	return cmp.Compare(x.Partition, y.Partition)
}

// noteLost looks whether a log has lost its tail. A replica without others is left
// as it is: nobody could take its place.
func (b *Broker) noteLost(p *partition.Partition, state meta.Partition) {
	high, lost := p.Lost()
	if !lost || len(state.Replicas) < 2 || b.o.Controller == nil {
		return
	}
	err := &LostError{HighWatermark: high, End: p.Log().End()}
	b.o.Log.Error("a replica has lost records", "topic", p.Topic(), "partition", p.ID().Partition, "error", err)
	b.noteDamage(p.ID(), &damage{err: err, tell: true, epoch: state.LeaderEpoch})
}

// noteFailed keeps why a log did not open. One that is damaged is made anew where
// others have its records.
func (b *Broker) noteFailed(id kafka.TopicIDPartition, state meta.Partition, err error) {
	b.mu.Lock()
	b.mu.failed[id] = err
	b.mu.Unlock()
	if _, rot := errors.AsType[*log.CorruptionError](err); rot {
		b.noteRepair(id, state, err)
	}
}

// noteRepair notes a damaged log. What is to be done about it depends on the others,
// and is looked at again with each change of the metadata.
func (b *Broker) noteRepair(id kafka.TopicIDPartition, state meta.Partition, err error) {
	if len(state.Replicas) > 1 && b.o.Controller != nil {
		b.noteDamage(id, &damage{err: err, repair: true, tell: b.othersInSync(state), epoch: state.LeaderEpoch})
	}
}

// noteRot has a replica with a corrupt segment step aside and made anew, where
// others have its records.
func (b *Broker) noteRot(p *partition.Partition, err error) {
	b.mu.Lock()
	image := b.mu.last
	b.mu.Unlock()
	if image == nil {
		return
	}
	if state, ok := image.Partition(p.ID()); ok {
		b.noteRepair(p.ID(), state, err)
	}
}

// othersInSync reports whether enough others have every committed record.
func (b *Broker) othersInSync(state meta.Partition) bool {
	others := 0
	for _, id := range state.ISR {
		if id != b.o.Self {
			others++
		}
	}
	return others > 0 && others >= state.MinISR
}

func (b *Broker) noteDamage(id kafka.TopicIDPartition, d *damage) {
	b.mu.Lock()
	if old := b.mu.damaged[id]; old == nil || !old.repair && d.repair {
		b.mu.damaged[id] = d
	}
	b.mu.Unlock()
	b.proposals.poke() // the same goroutine tells
}

// mayNotLead reports whether the partition must not be led here: it has lost
// records, and the controller did not know when it chose.
func (b *Broker) mayNotLead(id kafka.TopicIDPartition, state meta.Partition) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.mu.damaged[id]
	_, lost := damageOf[*LostError](d)
	return lost && state.LeaderEpoch <= d.epoch
}

func damageOf[E error](d *damage) (e E, ok bool) {
	if d == nil {
		return e, false
	}
	return errors.AsType[E](d.err)
}

// Damaged lists the replicas here that have lost records and are not whole again,
// with what is wrong.
func (b *Broker) Damaged() map[kafka.TopicIDPartition]error {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[kafka.TopicIDPartition]error, len(b.mu.damaged))
	for id, d := range b.mu.damaged {
		out[id] = d.err
	}
	return out
}

// Offline lists the replicas here that take nothing any more, with the reasons: logs
// that did not open or have failed, and logs that a leader wanted to be cut below
// their high watermark.
func (b *Broker) Offline() map[kafka.TopicIDPartition]error {
	out := b.Failed()
	for _, p := range b.Partitions() {
		if err := p.Err(); err != nil {
			out[p.ID()] = err
		}
	}
	return out
}

// untold lists the damage that the controller does not know of.
func (b *Broker) untold() (list []kafka.TopicIDPartition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, d := range b.mu.damaged {
		if d.tell && !d.told {
			list = append(list, id)
		}
	}
	slices.SortFunc(list, compareIDs)
	return list
}

// reportDamage tells the controller of all damage, and tries until it has taken
// the report or ctx ends.
func (b *Broker) reportDamage(ctx context.Context) {
	for b.tellDamage(ctx) {
		b.pause(ctx, proposalPause)
	}
}

// tellDamage tells the controller once. It reports whether there is something left
// to tell.
func (b *Broker) tellDamage(ctx context.Context) (again bool) {
	list := b.untold()
	if len(list) == 0 || b.o.Controller == nil || ctx.Err() != nil {
		return false
	}
	epoch := b.o.Epoch()
	if epoch < 0 {
		return true
	}
	limited, cancel := context.WithTimeout(ctx, proposalTimeout)
	defer cancel()
	_, err := b.o.Controller.Submit(limited, controller.ReportLost{Broker: b.o.Self, Epoch: epoch, Replicas: list})
	if err != nil {
		b.o.Log.Warn("cannot tell the controller which replicas have lost records; trying again", "replicas", len(list), "error", err)
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range list {
		if d := b.mu.damaged[id]; d != nil {
			d.told = true
		}
	}
	b.againLocked(list) // the metadata may have come before this answer
	b.poke()
	return false
}

// repairAll makes the replicas anew that are marked as lost: they are emptied, and
// fetch everything from their leaders. Those that are in sync again are well.
func (b *Broker) repairAll(ctx context.Context, image *meta.Image, changed map[kafka.TopicID]struct{}) {
	b.mu.Lock()
	var ready []kafka.TopicIDPartition
	for id, d := range b.mu.damaged {
		state, ok := image.Partition(id)
		if ok && d.repair && !d.told {
			if d.tell = b.othersInSync(state); d.tell {
				b.proposals.poke()
			}
		}
		switch {
		case !ok || !state.HasReplica(b.o.Self):
			delete(b.mu.damaged, id)
		case !d.told:
		case !d.repair && state.InSync(b.o.Self):
			delete(b.mu.damaged, id)
		case d.repair && slices.Contains(state.Lost, b.o.Self) && state.Leader != b.o.Self && state.Leader != kafka.NoBroker && b.othersInSync(state):
			ready = append(ready, id)
		}
	}
	b.mu.Unlock()
	slices.SortFunc(ready, compareIDs)
	for _, id := range ready {
		b.repair(ctx, image, id)
		changed[id.TopicID] = struct{}{}
	}
}

// repair deletes a damaged log, so that an empty one is opened next.
func (b *Broker) repair(ctx context.Context, image *meta.Image, id kafka.TopicIDPartition) {
	name := image.TopicByID(id.TopicID).Name
	r := datadir.Removal{Topic: name, ID: id}
	old := b.table.Load()
	if t := old.byID[id.TopicID]; t != nil && int(id.Partition) < len(t.partitions) && t.partitions[id.Partition] != nil {
		p := t.partitions[id.Partition]
		b.retire(p)
		r.Log = p.Log()
		next := old.clone()
		next.set(t, id.Partition, nil)
		b.table.Store(next)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeLimit)
	defer cancel()
	err := b.o.Dir.Remove(ctx, []datadir.Removal{r})
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.mu.failed[id] = err
		b.o.Log.Error("cannot empty a damaged replica", "topic", name, "partition", id.Partition, "error", err)
		return
	}
	d := b.mu.damaged[id]
	b.o.Log.Warn("a damaged replica is emptied and fetches everything from its leader", "topic", name, "partition", id.Partition, "error", d.err)
	// Empty, and marked as such: it is well when it is in sync again.
	b.mu.damaged[id] = &damage{err: d.err, tell: true, told: true, epoch: d.epoch}
	delete(b.mu.failed, id)
	for key := range b.mu.corrupt {
		if key.id == id {
			delete(b.mu.corrupt, key)
		}
	}
}
