package group

import (
	"maps"
	"slices"
	"time"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// Replay applies one committed record of the log, in log order, before Loaded.
// It never fails for what compaction may leave, nor for kinds and versions that
// it does not know (those are skipped and counted, see Skipped). A record that is
// damaged gives a *CorruptionError and changes nothing. A nil value is a
// tombstone. timestamp is the record's own. Nothing of key and value is kept.
//
// The state is, for every key, what the last record of that key says, and nothing
// else: no record needs another one before it. That is why every compaction of
// the log gives the same state.
func (m *Machine) Replay(key, value []byte, timestamp kafka.Timestamp) error {
	invariant.Check(!m.loaded, "group: replay after Loaded")
	k, err := decodeKey(key)
	if err != nil {
		return err
	}
	if !k.known {
		m.skipped++
		return nil
	}
	if k.offset {
		return m.replayOffset(k, value)
	}
	return m.replayGroup(k, value, timestamp)
}

func (m *Machine) replayOffset(k key, value []byte) error {
	tp := kafka.TopicPartition{Topic: k.topic, Partition: k.partition}
	if value == nil {
		if g := m.groups[k.group]; g != nil {
			g.forget(tp)
			m.settle(g)
		}
		return nil
	}
	c, known, err := decodeOffset(value)
	if err != nil {
		return err
	}
	if !known {
		m.skipped++
		return nil
	}
	m.make(k.group).keep(tp, c)
	return nil
}

func (m *Machine) replayGroup(k key, value []byte, timestamp kafka.Timestamp) error {
	if value == nil {
		if g := m.groups[k.group]; g != nil {
			g.restore(&saved{since: kafka.NoTimestamp})
			g.saved = false
			m.settle(g)
		}
		return nil
	}
	s, known, err := decodeGroup(value)
	if err != nil {
		return err
	}
	if !known {
		m.skipped++
		return nil
	}
	if s.since == kafka.NoTimestamp {
		s.since = timestamp
	}
	m.make(k.group).restore(&s)
	return nil
}

// restore makes g what the log says, offsets apart.
func (g *group) restore(s *saved) {
	g.weighMembers(-g.held)
	offsets, weight := g.offsets, g.weight
	*g = *newGroup(g.name)
	g.deadline.group = g
	g.offsets, g.weight = offsets, weight
	g.saved = true
	g.generation, g.protocolType, g.protocol, g.since = s.generation, s.protocolType, s.protocol, s.since
	for i := range s.members {
		g.restoreMember(s, &s.members[i])
	}
	g.leader = ""
	if g.first != nil {
		g.phase = stable
		g.leader = g.first.id
	}
	if s.leader != nil && g.members[*s.leader] != nil {
		g.leader = *s.leader
	}
	g.subscribed = g.subscription()
}

func (g *group) restoreMember(s *saved, from *savedMember) {
	if g.members[from.id] != nil || from.instance != nil && g.static[*from.instance] != nil {
		return // nobody writes that; the first one counts
	}
	m := &member{
		id: from.id, instance: from.instance, caller: Caller{ClientID: from.clientID, Host: from.host},
		rebalanceTimeout: from.rebalanceTimeout, sessionTimeout: from.sessionTimeout, assignment: from.assignment,
	}
	if m.rebalanceTimeout < 0 {
		m.rebalanceTimeout = m.sessionTimeout
	}
	name := ""
	if s.protocol != nil {
		name = *s.protocol
	}
	m.protocols = []wire.JoinGroupRequestProtocol{{Name: name, Metadata: from.subscription}}
	g.add(m)
}

// Loaded ends the replay: members get a fresh session from now, and a group that
// is larger than is allowed now has to rebalance.
func (m *Machine) Loaded(now kafka.Timestamp) Effects {
	invariant.Check(!m.loaded, "group: loaded twice")
	m.loaded = true
	m.nextCheck = now + millis(m.settings.RetentionCheck)
	o := m.begin(now)
	for _, name := range m.names() {
		g := m.groups[name]
		for member := g.first; member != nil; member = member.next {
			o.renew(member)
		}
		if len(g.members) > m.settings.MaxSize {
			o.rebalance(g)
		}
	}
	return o.finish()
}

// Skipped is the number of replayed records whose kind or version is unknown.
func (m *Machine) Skipped() int { return m.skipped }

// make returns the group, which exists from now on.
func (m *Machine) make(name string) *group {
	g := m.groups[name]
	if g == nil {
		g = m.newGroup(name)
		m.groups[name] = g
	}
	return g
}

// newGroup makes a group that is not one of the machine's yet.
func (m *Machine) newGroup(name string) *group {
	g := newGroup(name)
	g.weight = &m.weight
	return g
}

// settle drops a group of which nothing is left.
func (m *Machine) settle(g *group) {
	if g.saved || g.phase != empty || len(g.members)+len(g.pending)+len(g.offsets) > 0 {
		return
	}
	m.timers.cancel(&g.deadline)
	delete(m.groups, g.name)
}

// names are the groups in a fixed order.
func (m *Machine) names() []string { return slices.Sorted(maps.Keys(m.groups)) }

func (g *group) keep(tp kafka.TopicPartition, c committed) {
	t := g.offsets[tp.Topic]
	if t == nil {
		t = &topicOffsets{partitions: map[kafka.PartitionIndex]committed{}}
		g.offsets[tp.Topic] = t
		g.weigh(0, topicWeight+len(tp.Topic)+len(g.name))
	}
	if old, there := t.partitions[tp.Partition]; there {
		g.weigh(0, -offsetBytes(old))
	}
	t.partitions[tp.Partition] = c
	g.weigh(0, offsetBytes(c))
}

func (g *group) forget(tp kafka.TopicPartition) {
	t := g.offsets[tp.Topic]
	if t == nil {
		return
	}
	if old, there := t.partitions[tp.Partition]; there {
		g.weigh(0, -offsetBytes(old))
	}
	delete(t.partitions, tp.Partition)
	if len(t.partitions) == 0 {
		delete(g.offsets, tp.Topic)
		g.weigh(0, -topicWeight-len(tp.Topic)-len(g.name))
	}
}

func millis(d time.Duration) kafka.Timestamp { return kafka.Timestamp(d.Milliseconds()) }
