package controller

import (
	"slices"

	"holdfast/internal/config"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// transition takes one partition to its next state. Decisions say what happens
// to its replicas; settle draws the consequences in one place and emits the
// difference as one record.
//
// What settle keeps true (KAFKA.md's rules R8, R9 and DESIGN 9 in one place):
//
//   - While the ISR is smaller than min ISR, the high watermark stands still. So
//     whoever leaves it then, and whoever was in the ELR before, has every
//     committed record: these are the ELR. An ISR that is large enough, or
//     another min ISR, ends it.
//   - A leader comes from the ISR; where nobody of it is live, from the ELR,
//     which is then the ISR. Nobody else leads without a recovery.
//   - The lowest min ISR starts anew while the ISR holds every replica.
//   - A reassignment is done when its whole target is in the ISR, not before; min
//     ISR moves in the same record.
type transition struct {
	d     *decision
	topic *meta.Topic
	old   *meta.PartitionRecord
	next  meta.PartitionRecord // lists are replaced, never changed
	// renew begins a new leadership even if the leader stays: its log may have
	// been recovered.
	renew bool
	// dropped: replicas left before a reassignment was done.
	dropped bool
	// isolated: what counts from here on is known to be on the ISR alone.
	isolated bool
}

// transition begins one. A decision makes at most one of each partition.
func (d *decision) transition(t *meta.Topic, p meta.Partition) *transition {
	return &transition{d: d, topic: t, old: p.PartitionRecord, next: *p.PartitionRecord}
}

// leave takes the broker out of the ISR, unless it is the last one there: an
// empty ISR would not say who has everything.
func (x *transition) leave(id kafka.BrokerID) {
	if isr := without(x.next.ISR, id); len(isr) > 0 {
		x.next.ISR = isr
	}
}

// lose marks a replica whose records are gone.
func (x *transition) lose(id kafka.BrokerID) {
	if !slices.Contains(x.next.Replicas, id) || slices.Contains(x.next.Lost, id) {
		return
	}
	x.next.Lost = append(slices.Clone(x.next.Lost), id)
	x.next.ISR = without(x.next.ISR, id)
	x.next.ELR = without(x.next.ELR, id)
}

// setISR is what a leader proposed, in the order of the replicas.
func (x *transition) setISR(isr []kafka.BrokerID) {
	x.next.ISR = inOrder(x.next.Replicas, func(id kafka.BrokerID) bool { return slices.Contains(isr, id) })
	x.next.Lost = inOrder(x.next.Lost, func(id kafka.BrokerID) bool { return !slices.Contains(isr, id) })
}

// become makes one replica the ISR and its leader: a recovery.
func (x *transition) become(id kafka.BrokerID) {
	x.setISR([]kafka.BrokerID{id})
	x.lead(id)
}

func (x *transition) lead(id kafka.BrokerID) {
	if x.next.Leader != id {
		x.next.Leader, x.next.LeaderEpoch = id, x.old.LeaderEpoch+1
	}
}

// applySettings gives the partition the min ISR that the settings ask for. Under
// another one the ELR is no longer sure (KIP-966).
func (x *transition) applySettings(settings config.Topic) {
	x.next.MinISR = settings.EffectiveMinISR(x.next.TargetReplicas)
}

// settle draws the consequences and emits what changed, if anything did.
func (x *transition) settle() {
	x.complete()
	if x.next.MinISR != x.old.MinISR {
		x.next.ELR = nil
	}
	x.elect()
	x.settleELR()
	x.settleLowest()
	x.settleDirectories()
	if x.renew && x.next.Leader == x.old.Leader && x.next.Leader != kafka.NoBroker {
		x.next.LeaderEpoch = x.old.LeaderEpoch + 1
	}
	x.emit()
}

// complete ends a reassignment whose whole target is in the ISR.
func (x *transition) complete() {
	if !x.next.IsReassigning() {
		return
	}
	target := x.target()
	if !isSubset(target, x.next.ISR) {
		return
	}
	x.retain(target)
	x.next.Adding, x.next.Removing = nil, nil
	x.next.TargetReplicas = len(target)
	if settings, err := x.d.topicSettings(x.topic); err == nil { // otherwise min ISR stays as it was
		x.applySettings(settings)
	}
}

// target are the replicas that stay when the reassignment is done.
func (x *transition) target() []kafka.BrokerID {
	return inOrder(x.next.Replicas, func(id kafka.BrokerID) bool { return !slices.Contains(x.next.Removing, id) })
}

// retain makes these the replicas, in this order. All of them were it before.
func (x *transition) retain(replicas []kafka.BrokerID) {
	stays := func(id kafka.BrokerID) bool { return slices.Contains(replicas, id) }
	directories := make([]kafka.DirectoryID, len(replicas))
	for n, id := range replicas {
		directories[n] = x.next.Directories[slices.Index(x.next.Replicas, id)]
	}
	x.next.Replicas, x.next.Directories = replicas, directories
	x.next.ISR = inOrder(replicas, func(id kafka.BrokerID) bool { return slices.Contains(x.next.ISR, id) })
	x.next.ELR, x.next.Lost = inOrder(x.next.ELR, stays), inOrder(x.next.Lost, stays)
}

// elect keeps a leader that may go on and finds one otherwise.
func (x *transition) elect() {
	isr := func(id kafka.BrokerID) bool { return slices.Contains(x.next.ISR, id) }
	elr := func(id kafka.BrokerID) bool { return slices.Contains(x.next.ELR, id) }
	leader := x.next.Leader
	if leader != kafka.NoBroker && isr(leader) && x.d.isLive(leader) {
		return
	}
	if id := x.firstLive(isr); id != kafka.NoBroker {
		x.lead(id)
		return
	}
	// Nobody can follow a leader that shuts down: it stays until it is fenced.
	if b := x.d.broker(leader); isr(leader) && b != nil && !b.Fenced {
		return
	}
	if id := x.firstLive(elr); id != kafka.NoBroker {
		x.next.ISR = []kafka.BrokerID{id}
		x.lead(id)
		return
	}
	x.lead(kafka.NoBroker)
}

func (x *transition) firstLive(in func(kafka.BrokerID) bool) kafka.BrokerID {
	for _, id := range x.next.Replicas {
		if in(id) && x.d.isLive(id) {
			return id
		}
	}
	return kafka.NoBroker
}

func (x *transition) settleELR() {
	if len(x.next.ISR) >= x.next.MinISR {
		x.next.ELR = nil
		return
	}
	x.next.ELR = inOrder(x.next.Replicas, func(id kafka.BrokerID) bool {
		complete := x.old.InSync(id) || slices.Contains(x.next.ELR, id)
		return complete && !x.isolated && !slices.Contains(x.next.ISR, id) && !slices.Contains(x.next.Lost, id)
	})
}

// settleLowest keeps the smallest min ISR in force since the ISR last held every
// replica. What was committed so far is on every member of the ISR: where
// replicas leave the partition early, or are given up, it may be on no more than
// these.
func (x *transition) settleLowest() {
	shrunk := x.dropped || x.isolated
	full := len(x.next.ISR) == len(x.next.Replicas) || !shrunk && len(x.old.ISR) == len(x.old.Replicas)
	switch {
	case full:
		x.next.LowestMinISR = x.next.MinISR
	case shrunk:
		x.next.LowestMinISR = max(1, min(x.next.LowestMinISR, x.next.MinISR, len(x.next.ISR)))
	default:
		x.next.LowestMinISR = min(x.next.LowestMinISR, x.next.MinISR)
	}
}

// settleDirectories notes the directories of those who joined the ISR.
func (x *transition) settleDirectories() {
	for n, id := range x.next.Replicas {
		if !slices.Contains(x.next.ISR, id) || x.old.InSync(id) {
			continue
		}
		if directory := x.d.directory(id, x.next.Directories[n]); directory != x.next.Directories[n] {
			x.next.Directories = slices.Clone(x.next.Directories)
			x.next.Directories[n] = directory
		}
	}
}

// emit emits the fields that differ.
func (x *transition) emit() {
	c := changeOf(x.old)
	set := func(differs bool, field meta.PartitionFields, copied func()) {
		if differs {
			c.Fields |= field
			copied()
		}
	}
	old, next := x.old, &x.next
	set(!slices.Equal(old.Replicas, next.Replicas), meta.SetReplicas, func() { c.Replicas = next.Replicas })
	set(!slices.Equal(old.Directories, next.Directories), meta.SetDirectories, func() { c.Directories = next.Directories })
	set(!slices.Equal(old.ISR, next.ISR), meta.SetISR, func() { c.ISR = next.ISR })
	set(!slices.Equal(old.ELR, next.ELR), meta.SetELR, func() { c.ELR = next.ELR })
	set(!slices.Equal(old.Lost, next.Lost), meta.SetLost, func() { c.Lost = next.Lost })
	set(old.Leader != next.Leader || old.LeaderEpoch != next.LeaderEpoch, meta.SetLeader, func() { c.Leader, c.LeaderEpoch = next.Leader, next.LeaderEpoch })
	set(old.MinISR != next.MinISR || old.LowestMinISR != next.LowestMinISR, meta.SetMinISR, func() { c.MinISR, c.LowestMinISR = next.MinISR, next.LowestMinISR })
	set(old.TargetReplicas != next.TargetReplicas, meta.SetTargetReplicas, func() { c.TargetReplicas = next.TargetReplicas })
	set(!slices.Equal(old.Adding, next.Adding) || !slices.Equal(old.Removing, next.Removing), meta.SetReassignment,
		func() { c.Adding, c.Removing = next.Adding, next.Removing })
	set(old.Forced != next.Forced, meta.SetForced, func() { c.Forced = next.Forced })
	if c.Fields != 0 {
		x.d.emit(c)
	}
}

// changeOf begins the next change of p.
func changeOf(p *meta.PartitionRecord) *meta.PartitionChange {
	c := &meta.PartitionChange{}
	c.TopicID, c.Index, c.PartitionEpoch = p.TopicID, p.Index, p.PartitionEpoch+1
	return c
}

// inOrder returns those of the ids that are wanted, nil when none is.
func inOrder(ids []kafka.BrokerID, wanted func(kafka.BrokerID) bool) (out []kafka.BrokerID) {
	for _, id := range ids {
		if wanted(id) {
			out = append(out, id)
		}
	}
	return out
}

func without(ids []kafka.BrokerID, id kafka.BrokerID) []kafka.BrokerID {
	return inOrder(ids, func(x kafka.BrokerID) bool { return x != id })
}

func isSubset(of, in []kafka.BrokerID) bool {
	return !slices.ContainsFunc(of, func(id kafka.BrokerID) bool { return !slices.Contains(in, id) })
}

// The rest is what a decision knows about brokers: the image, and what its own
// records have changed so far.

// putBroker emits a registration.
func (d *decision) putBroker(b *meta.Broker) {
	d.emit(b)
	d.brokers = map[kafka.BrokerID]*meta.Broker{b.ID: b} // no command changes two
}

// broker returns the registration, nil when there is none.
func (d *decision) broker(id kafka.BrokerID) *meta.Broker {
	if b, ok := d.brokers[id]; ok {
		return b
	}
	return d.image.Broker(id)
}

// isLive reports whether the broker may lead and be admitted to an ISR.
func (d *decision) isLive(id kafka.BrokerID) bool { return d.broker(id).IsLive() }

// directory is where the broker keeps a replica: where it was known to be, as
// long as the broker still has that directory.
func (d *decision) directory(id kafka.BrokerID, known kafka.DirectoryID) kafka.DirectoryID {
	b := d.broker(id)
	switch {
	case b == nil || len(b.Directories) == 0:
		return known
	case !known.IsZero() && b.HasDirectory(known):
		return known
	}
	return b.Directories[0]
}

// incarnation finds the broker that a command speaks for.
func (d *decision) incarnation(id kafka.BrokerID, epoch kafka.BrokerEpoch) (*meta.Broker, *Error) {
	b := d.image.Broker(id)
	switch {
	case b == nil:
		return nil, refuse(kafka.ErrBrokerIDNotRegistered, "broker %d is not registered", id)
	case b.Epoch != epoch:
		return nil, refuse(kafka.ErrStaleBrokerEpoch, "broker %d is registered with epoch %d, not %d", id, b.Epoch, epoch)
	}
	return b, nil
}

// needLevel refuses what an older program in the cluster could not read.
func (d *decision) needLevel(what string) *Error {
	if level := d.image.FeatureLevel(); level < meta.LevelReplication {
		return refuse(kafka.ErrUnsupportedVersion, "%s needs feature level %d, and the cluster is at %d: a registered broker runs an older version",
			what, meta.LevelReplication, level)
	}
	return nil
}

// topicSettings are the settings of a topic in force.
func (d *decision) topicSettings(t *meta.Topic) (config.Topic, error) {
	if len(t.Configs) > 0 {
		return config.ResolveTopic(d.settings(), t.Configs)
	}
	if d.defaults == nil {
		settings, err := config.ResolveTopic(d.settings(), nil)
		d.defaults = &settings
		d.defaultsErr = err
	}
	return *d.defaults, d.defaultsErr
}

// hosted calls do for every partition that has a replica on the broker, in the
// order of topic names and indexes.
func (d *decision) hosted(id kafka.BrokerID, do func(*meta.Topic, meta.Partition)) {
	for _, t := range d.image.Topics() {
		for _, p := range t.Partitions {
			if p.HasReplica(id) {
				do(t, p)
			}
		}
	}
}
