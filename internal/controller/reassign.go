package controller

import (
	"slices"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

func (c AlterReassignments) decide(d *decision) (Reply, error) {
	if refusal := d.needLevel("a reassignment"); refusal != nil {
		return Reply{}, refusal
	}
	var reply Reply
	seen := map[kafka.TopicPartition]bool{}
	for i := range c.Reassignments {
		r := &c.Reassignments[i]
		t, p, result := d.named(kafka.TopicPartition{Topic: r.Topic, Partition: r.Partition}, seen)
		switch {
		case t == nil:
		case r.Replicas == nil:
			result = resultOf(t, p, d.cancelReassignment(t, p))
		default:
			result = resultOf(t, p, d.reassign(t, p, r.Replicas, c.KeepFactor))
		}
		reply.Partitions = append(reply.Partitions, result)
	}
	return reply, nil
}

func (c CancelReassignments) decide(d *decision) (Reply, error) {
	var reply Reply
	if c.Partitions == nil {
		d.everyPartition(func(t *meta.Topic, p meta.Partition) {
			if p.IsReassigning() {
				reply.Partitions = append(reply.Partitions, resultOf(t, p, d.cancelReassignment(t, p)))
			}
		})
		return reply, nil
	}
	seen := map[kafka.TopicPartition]bool{}
	for _, tp := range c.Partitions {
		t, p, result := d.named(tp, seen)
		if t != nil {
			result = resultOf(t, p, d.cancelReassignment(t, p))
		}
		reply.Partitions = append(reply.Partitions, result)
	}
	return reply, nil
}

// reassign begins the move to other replicas, or replaces the one under way.
//
// The replicas of before stay until every one of the target is in the ISR. Those
// that an earlier target was adding, and that nobody wants any more, leave at
// once: that is the only way in which a replica of the ISR may leave a partition
// early, and somebody of the ISR has to remain.
func (d *decision) reassign(t *meta.Topic, p meta.Partition, target []kafka.BrokerID, keepFactor bool) *Error {
	if err := d.checkAssignment(target); err != nil {
		return err
	}
	before := originals(p)
	settings, err := d.topicSettings(t)
	switch {
	case keepFactor && len(target) != len(before):
		return refuse(kafka.ErrInvalidReplicationFactor, "%d replicas for a partition of %d", len(target), len(before))
	case err != nil:
		return refuse(kafka.ErrInvalidConfig, "%v", err)
	}
	if err := settings.CheckReplication(len(target)); err != nil {
		return refuse(kafka.ErrInvalidReplicaAssignment, "%v", err)
	}
	x := d.transition(t, p)
	removing := inOrder(before, func(id kafka.BrokerID) bool { return !slices.Contains(target, id) })
	return x.aim(append(slices.Clone(target), removing...), removing)
}

// cancelReassignment goes back to the replicas from before the reassignment.
func (d *decision) cancelReassignment(t *meta.Topic, p meta.Partition) *Error {
	if !p.IsReassigning() {
		return refuse(kafka.ErrNoReassignmentInProgress, "no reassignment of the partition is under way")
	}
	x := d.transition(t, p)
	return x.aim(originals(p), nil)
}

// originals are the replicas from before the reassignment, if there is one.
func originals(p meta.Partition) []kafka.BrokerID {
	return inOrder(p.Replicas, func(id kafka.BrokerID) bool { return !slices.Contains(p.Adding, id) })
}

// aim makes these the replicas, with some to be removed in the end.
func (x *transition) aim(replicas, removing []kafka.BrokerID) *Error {
	before := originals(meta.Partition{PartitionRecord: x.old})
	stays := inOrder(x.old.Replicas, func(id kafka.BrokerID) bool { return slices.Contains(replicas, id) })
	if len(stays) < len(x.old.Replicas) {
		x.dropped = true
		remains := func(id kafka.BrokerID) bool { return slices.Contains(replicas, id) && x.d.isLive(id) }
		if !slices.ContainsFunc(x.old.ISR, remains) {
			return refuse(kafka.ErrEligibleLeadersNotAvailable, "of the in-sync replicas %v none would remain that can lead: wait until one of %v is in sync", x.old.ISR, replicas)
		}
		x.retain(stays)
	}
	x.extend(replicas)
	x.next.Adding = inOrder(replicas, func(id kafka.BrokerID) bool { return !slices.Contains(before, id) })
	x.next.Removing = removing
	x.settle()
	return nil
}

// extend makes these the replicas; all present ones are among them.
func (x *transition) extend(replicas []kafka.BrokerID) {
	directories := make([]kafka.DirectoryID, len(replicas))
	for n, id := range replicas {
		if at := slices.Index(x.next.Replicas, id); at >= 0 {
			directories[n] = x.next.Directories[at]
		} else {
			directories[n] = x.d.directory(id, kafka.DirectoryID{})
		}
	}
	x.next.Replicas, x.next.Directories = replicas, directories
}

func (c EnsureReplication) decide(d *decision) (Reply, error) {
	var reply Reply
	if d.image.FeatureLevel() < meta.LevelReplication {
		return reply, nil
	}
	live := 0
	for _, b := range d.image.Brokers() {
		if b.IsLive() {
			live++
		}
	}
	const enough = 3 // with two, min ISR would be two: either of them could stop every write
	if live < enough {
		return reply, nil
	}
	left := movesMax(c.Max)
	var short []func()
	d.everyPartition(func(t *meta.Topic, p meta.Partition) {
		want := d.internalFactor(t.Name, live)
		switch {
		case !internal(t.Name):
		case p.IsReassigning():
			left--
		case len(p.Replicas) < want && p.Leader != kafka.NoBroker:
			short = append(short, func() {
				target := d.placement().extend(p.Replicas, want)
				reply.Partitions = append(reply.Partitions, resultOf(t, p, d.reassign(t, p, target, false)))
			})
		}
	})
	for _, begin := range short[:max(0, min(left, len(short)))] {
		begin()
	}
	return reply, nil
}

// internalFactor is the replication factor that an internal topic should have.
func (d *decision) internalFactor(topic string, live int) int {
	if n := d.settings().OffsetsReplicationFactor; topic == "__consumer_offsets" && n > 0 {
		return min(n, live)
	}
	return min(d.settings().EffectiveReplicationFactor(live), live)
}
