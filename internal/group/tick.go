package group

import (
	"slices"

	"holdfast/internal/kafka"
)

// sweep walks over all groups to delete offsets, as many batches as it takes. The
// groups that it has not reached are deleted from later.
type sweep struct {
	names  []string
	next   int
	expire bool
	doomed map[string][]TopicRef
}

// Next is the time at which Tick has something to do, if ever. It may be too
// early, never too late.
func (m *Machine) Next() (deadline kafka.Timestamp, ok bool) {
	if m.sweep != nil || len(m.doomed) > 0 {
		return 0, true
	}
	at, ok := m.timers.next()
	if m.loaded && (!ok || m.nextCheck < at) {
		return m.nextCheck, true
	}
	return at, ok
}

// Tick does what is due at now: sessions and rebalances that ran out, the initial
// delay, expired offsets. What does not fit into one batch is left: call again
// until Next is later than now.
func (m *Machine) Tick(now kafka.Timestamp) Effects {
	o := m.begin(now)
	for !o.half() {
		t := o.timers.pop(now)
		if t == nil {
			break
		}
		o.fire(t)
	}
	o.runSweep()
	return o.finish()
}

// half leaves room for the largest thing that one timer writes.
func (o *operation) half() bool { return o.bytes*2 > o.settings.MaxBatchBytes }

func (o *operation) fire(t *timer) {
	switch {
	case t.member != nil:
		o.sessionEnds(t.group, t.member)
	case t.pending != "":
		o.pendingEnds(t.group, t.pending)
	default:
		o.phaseEnds(t.group)
	}
}

// DeleteTopics drops the offsets of topics that are gone. A ref with an id drops
// the offsets committed under that id or without one, so that a topic which was
// created again keeps what was committed to it; a zero id drops all of the name.
// What does not fit into one batch is done by Tick. After a crash the shell
// compares Topics with the metadata and calls this again.
func (m *Machine) DeleteTopics(now kafka.Timestamp, topics []TopicRef) Effects {
	o := m.begin(now)
	m.doomed = append(m.doomed, topics...)
	o.runSweep()
	return o.finish()
}

// runSweep goes on with the sweep, or starts the one that is due.
func (o *operation) runSweep() {
	if o.sweep == nil {
		due := o.now >= o.nextCheck
		if !due && len(o.doomed) == 0 {
			return
		}
		o.sweep = &sweep{names: o.names(), expire: due, doomed: map[string][]TopicRef{}}
		for _, t := range o.doomed {
			o.sweep.doomed[t.Name] = append(o.sweep.doomed[t.Name], t)
		}
		o.doomed = nil
		if due {
			o.nextCheck = o.now + millis(o.settings.RetentionCheck)
		}
	}
	for o.sweep.next < len(o.sweep.names) {
		g := o.groups[o.sweep.names[o.sweep.next]]
		if g != nil && !o.sweepGroup(g) {
			return
		}
		o.sweep.next++
	}
	o.sweep = nil
}

// sweepGroup reports false when the batch is full before the group is done.
func (o *operation) sweepGroup(g *group) bool {
	for _, tp := range g.partitions() {
		if o.full() {
			return false
		}
		c := g.offsets[tp.Topic].partitions[tp.Partition]
		if isDoomed(o.sweep.doomed[tp.Topic], c) || o.sweep.expire && o.expired(g, c) {
			o.tombstone(g, tp)
		}
	}
	if o.sweep.expire && g.phase == empty && len(g.offsets)+len(g.pending) == 0 {
		o.bury(g)
	}
	o.settle(g)
	return true
}

func isDoomed(refs []TopicRef, c committed) bool {
	return slices.ContainsFunc(refs, func(t TopicRef) bool { return !otherTopic(t.ID, c.topicID) })
}

// expired is the retention of KIP-211. While a group has members nothing expires.
// Without, what counts is the later of the last commit and the time at which the
// last member left; a group that never had members has only the former.
func (o *operation) expired(g *group, c committed) bool {
	if g.phase != empty {
		return false
	}
	if c.expires != kafka.NoTimestamp {
		return o.wall >= c.expires
	}
	from := c.at
	if g.protocolType != "" {
		from = max(from, g.since)
	}
	return o.wall-from >= millis(o.settings.OffsetRetention)
}
