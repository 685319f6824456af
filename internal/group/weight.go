package group

import (
	"math"
	"slices"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// Weight is what a machine holds in memory, in bytes, never less than it is by
// much: everything that clients decide the number or the size of.
type Weight struct {
	Members int64 // members with what they sent and were assigned, ids that were handed out
	Offsets int64 // committed offsets
}

// What one of a kind takes at most besides its strings, maps and timers included.
// A member, and an id that was handed out, may have a group to itself.
const (
	memberWeight  = 2048
	pendingWeight = 1536
	offsetWeight  = 256  // of one partition
	topicWeight   = 1280 // with its map, and perhaps a group to itself
)

// NoLimit is a limit of a machine that nothing reaches.
var NoLimit = Weight{Members: math.MaxInt64, Offsets: math.MaxInt64}

// Weight returns what the machine holds.
func (m *Machine) Weight() Weight { return m.weight }

// Limit sets what the machine may hold from now on. A call that would take it
// above is answered COORDINATOR_LOAD_IN_PROGRESS, which makes clients come again
// after a pause, and changes nothing. What needs no more than there is goes on:
// heartbeats, commits of what was committed before, members that join again.
func (m *Machine) Limit(w Weight) { m.limit = w }

// Crowded counts the calls that were turned away because of the limit.
func (m *Machine) Crowded() int { return m.crowded }

// crowds reports whether so much more, when there is more, is above the limit.
func (m *Machine) crowds(more Weight) bool {
	over := more.Members > 0 && m.weight.Members > m.limit.Members-more.Members ||
		more.Offsets > 0 && m.weight.Offsets > m.limit.Offsets-more.Offsets
	if over {
		m.crowded++
	}
	return over
}

func (g *group) weigh(members, offsets int) {
	g.weight.Members += int64(members)
	g.weight.Offsets += int64(offsets)
}

// memberBytes is what m weighs.
func memberBytes(m *member) int {
	n := memberWeight + len(m.id) + len(m.caller.ClientID) + len(m.caller.Host) + protocolBytes(m.protocols) + len(m.assignment)
	if m.instance != nil {
		n += len(*m.instance)
	}
	return n
}

func protocolBytes(protocols []wire.JoinGroupRequestProtocol) int {
	n := 0
	for i := range protocols {
		n += 128 + len(protocols[i].Name) + len(protocols[i].Metadata)
	}
	return n
}

func offsetBytes(c committed) int { return offsetWeight + len(c.metadata) }

// weighMembers counts what the members of g hold, for g and for the machine.
func (g *group) weighMembers(by int) {
	g.held += by
	g.weigh(by, 0)
}

// change does what changes the weight of m, which is in g.
func (g *group) change(m *member, do func()) {
	g.weighMembers(-memberBytes(m))
	do()
	g.weighMembers(memberBytes(m))
}

// groupShare is how many times the largest record the members of one group may
// hold. The record has what they sent along with one protocol; they may support
// several.
const groupShare = 16

// weighJoin refuses a JoinGroup that would take too much: for g, perhaps nil, what
// no record of it could have; for the machine, its limit. Only the latter passes.
func (o *operation) weighJoin(g *group, r *JoinRequest) kafka.ErrorCode {
	most, held := int64(o.settings.MaxBatchBytes), int64(0)
	if g != nil {
		held = int64(g.held)
	}
	more := o.joinWeight(r)
	tooLarge := slices.ContainsFunc(r.Protocols, func(p wire.JoinGroupRequestProtocol) bool { return int64(len(p.Metadata)) > most })
	switch {
	case tooLarge, more.Members > 0 && held+more.Members > groupShare*most:
		return kafka.ErrGroupMaxSizeReached
	case o.crowds(more):
		return kafka.ErrCoordinatorLoadInProgress
	}
	return kafka.ErrNone
}

// joinWeight is how much more than now a JoinGroup makes the machine hold.
func (m *Machine) joinWeight(r *JoinRequest) Weight {
	if g := m.groups[r.Group]; g != nil {
		old := g.members[r.MemberID]
		if r.MemberID == "" && r.InstanceID != nil {
			old = g.static[*r.InstanceID]
		}
		if old != nil {
			return Weight{Members: int64(protocolBytes(r.Protocols) - protocolBytes(old.protocols))}
		}
	}
	fresh := member{id: r.NewMemberID, instance: r.InstanceID, caller: r.Caller, protocols: r.Protocols}
	return Weight{Members: int64(memberBytes(&fresh))}
}

// syncWeight is how much more the assignment of a SyncGroup is than the one before.
func (g *group) syncWeight(r *wire.SyncGroupRequest) Weight {
	n := 0
	for m := g.first; m != nil; m = m.next {
		n -= len(m.assignment)
	}
	for i := range r.GroupAssignment {
		n += len(r.GroupAssignment[i].MemberAssignment)
	}
	return Weight{Members: int64(n)}
}

// commitWeight is how much more an OffsetCommit makes g hold.
func (g *group) commitWeight(r *CommitRequest) Weight {
	n := 0
	for i := range r.Topics {
		t := &r.Topics[i]
		old := g.offsets[t.Topic]
		if old == nil {
			n += topicWeight + len(t.Topic) + len(g.name)
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			n += offsetWeight
			if p.Metadata != nil {
				n += len(*p.Metadata)
			}
			if old == nil {
				continue
			}
			if c, there := old.partitions[kafka.PartitionIndex(p.Partition)]; there {
				n -= offsetBytes(c)
			}
		}
	}
	return Weight{Offsets: int64(n)}
}
