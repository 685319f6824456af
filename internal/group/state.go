package group

import (
	"slices"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// phase is the state of a group; the names are what clients see.
type phase uint8

const (
	empty phase = iota
	preparing
	completing
	stable
)

var phaseNames = [...]string{empty: "Empty", preparing: "PreparingRebalance", completing: "CompletingRebalance", stable: "Stable"}

// dead is the state that is shown for a group that does not exist.
const dead = "Dead"

func (p phase) String() string { return phaseNames[p] }

// group is one consumer group. It exists while it has a saved state, offsets,
// members, or ids that were handed out.
type group struct {
	name  string
	phase phase
	// initial is set while the members of a group that was empty gather.
	initial    bool
	joinedMore bool            // a member came during the initial delay
	delayLeft  kafka.Timestamp // ms by which the initial delay may still grow
	delayStep  kafka.Timestamp // ms of the delay that runs

	saved        bool // the log has a record of it
	generation   int32
	protocolType string // "" for a group that never had members
	protocol     *string
	leader       string
	since        kafka.Timestamp // when the phase began, by the wall clock

	members     map[string]*member
	first, last *member             // in the order of joining
	static      map[string]*member  // by instance id
	pending     map[string]*timer   // ids handed out and not used yet
	supported   map[string]int      // members by protocol name
	subscribed  map[string]struct{} // nil: not known
	joining     int                 // members with a parked JoinGroup
	syncing     int                 // members that owe a SyncGroup of this generation
	deadline    timer               // of the phase

	offsets map[string]*topicOffsets

	held   int     // bytes that its members hold
	weight *Weight // of the machine; of nobody while the group is in none
}

// topicOffsets are the offsets of one topic.
type topicOffsets struct {
	partitions map[kafka.PartitionIndex]committed
}

// member is one member of a group.
type member struct {
	id               string
	instance         *string
	caller           Caller
	rebalanceTimeout int32 // ms
	sessionTimeout   int32 // ms
	protocols        []wire.JoinGroupRequestProtocol
	assignment       []byte

	fresh    bool // has not been part of a generation yet
	owesSync bool
	join     parked
	sync     parked
	session  timer

	next, prev *member
}

// parked is a call that waits.
type parked struct {
	call CallID
	set  bool
}

func newGroup(name string) *group {
	g := &group{
		name: name, since: kafka.NoTimestamp,
		members: map[string]*member{}, static: map[string]*member{}, pending: map[string]*timer{}, weight: &Weight{},
		supported: map[string]int{}, offsets: map[string]*topicOffsets{},
	}
	g.deadline.group = g
	return g
}

// add makes m the newest member.
func (g *group) add(m *member) {
	g.weighMembers(memberBytes(m))
	_, twice := g.members[m.id]
	invariant.Check(!twice, "group %s: member %s is added twice", g.name, m.id)
	g.members[m.id] = m
	m.session.group, m.session.member = g, m
	m.prev = g.last
	if g.last == nil {
		g.first = m
	} else {
		g.last.next = m
	}
	g.last = m
	if m.instance != nil {
		g.static[*m.instance] = m
	}
	if g.leader == "" {
		g.leader = m.id
	}
	g.count(m, 1)
}

// drop takes m out. Its parked calls must have been answered.
func (g *group) drop(m *member) {
	invariant.Check(!m.join.set && !m.sync.set, "group %s: member %s is dropped with a parked call", g.name, m.id)
	g.weighMembers(-memberBytes(m))
	delete(g.members, m.id)
	if m.instance != nil {
		delete(g.static, *m.instance)
	}
	if m.prev == nil {
		g.first = m.next
	} else {
		m.prev.next = m.next
	}
	if m.next == nil {
		g.last = m.prev
	} else {
		m.next.prev = m.prev
	}
	g.count(m, -1)
	g.setOwesSync(m, false)
	if g.leader != m.id {
		return
	}
	g.leader = ""
	if g.first != nil {
		g.leader = g.first.id
	}
}

// rename gives a member another id and keeps its place.
func (g *group) rename(m *member, id string) {
	delete(g.members, m.id)
	if g.leader == m.id {
		g.leader = id
	}
	g.change(m, func() { m.id = id })
	g.members[id] = m
}

func (g *group) count(m *member, by int) {
	for _, p := range m.protocols {
		g.supported[p.Name] += by
		if g.supported[p.Name] == 0 {
			delete(g.supported, p.Name)
		}
	}
}

// setProtocols replaces what m supports.
func (g *group) setProtocols(m *member, protocols []wire.JoinGroupRequestProtocol) {
	g.count(m, -1)
	g.change(m, func() { m.protocols = protocols })
	g.count(m, 1)
}

func (g *group) parkJoin(m *member, call CallID) {
	invariant.Check(!m.join.set, "group %s: member %s already waits in JoinGroup", g.name, m.id)
	m.join = parked{call, true}
	g.joining++
}

func (g *group) unparkJoin(m *member) {
	m.join = parked{}
	g.joining--
}

func (g *group) setOwesSync(m *member, owes bool) {
	if m.owesSync == owes {
		return
	}
	m.owesSync = owes
	if owes {
		g.syncing++
	} else {
		g.syncing--
	}
}

func (g *group) allJoined() bool { return g.joining == len(g.members) && len(g.pending) == 0 }

func (g *group) isLeader(m *member) bool { return g.leader == m.id }

func (g *group) enter(p phase, wall kafka.Timestamp) {
	g.phase = p
	g.since = wall
}

// rebalanceTimeout is the longest of the members', in ms.
func (g *group) rebalanceTimeout() kafka.Timestamp {
	longest := int32(0)
	for m := g.first; m != nil; m = m.next {
		longest = max(longest, m.rebalanceTimeout)
	}
	return kafka.Timestamp(longest)
}

// supports reports whether a member with these protocols can join.
func (g *group) supports(protocolType string, protocols []wire.JoinGroupRequestProtocol) bool {
	if g.phase == empty {
		return protocolType != "" && len(protocols) > 0
	}
	if g.protocolType != protocolType {
		return false
	}
	return slices.ContainsFunc(protocols, func(p wire.JoinGroupRequestProtocol) bool {
		return g.supported[p.Name] == len(g.members)
	})
}

// selectProtocol lets every member vote for the first of its protocols that all
// support. Most votes win, then the lesser name.
func (g *group) selectProtocol() string {
	votes := map[string]int{}
	best := ""
	for m := g.first; m != nil; m = m.next {
		i := slices.IndexFunc(m.protocols, func(p wire.JoinGroupRequestProtocol) bool {
			return g.supported[p.Name] == len(g.members)
		})
		invariant.Check(i >= 0, "group %s: member %s supports no protocol that all support", g.name, m.id)
		votes[m.protocols[i].Name]++
	}
	for m := g.first; m != nil; m = m.next {
		for _, p := range m.protocols {
			n := votes[p.Name]
			if n > votes[best] || n == votes[best] && n > 0 && p.Name < best {
				best = p.Name
			}
		}
	}
	return best
}

// metadata is what m sent along with the protocol that was chosen.
func (g *group) metadata(m *member) []byte {
	if g.protocol != nil {
		for i := range m.protocols {
			if m.protocols[i].Name == *g.protocol {
				return m.protocols[i].Metadata
			}
		}
	}
	return nil
}

// matches reports whether m would support exactly what it does now.
func (m *member) matches(protocols []wire.JoinGroupRequestProtocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b wire.JoinGroupRequestProtocol) bool {
		return a.Name == b.Name && string(a.Metadata) == string(b.Metadata)
	})
}

// validate is the check that every call of a member starts with.
func (g *group) validate(id string, instance *string) (*member, kafka.ErrorCode) {
	if instance != nil {
		owner := g.static[*instance]
		if owner == nil {
			return nil, kafka.ErrUnknownMemberID
		}
		if owner.id != id {
			return nil, kafka.ErrFencedInstanceID
		}
	}
	m := g.members[id]
	if m == nil {
		return nil, kafka.ErrUnknownMemberID
	}
	return m, kafka.ErrNone
}

// save is the group as it goes to the log.
func (g *group) save() *saved {
	s := &saved{protocolType: g.protocolType, generation: g.generation, protocol: g.protocol, since: g.since}
	if g.leader != "" {
		leader := g.leader
		s.leader = &leader
	}
	s.members = make([]savedMember, 0, len(g.members))
	for m := g.first; m != nil; m = m.next {
		s.members = append(s.members, savedMember{
			id: m.id, instance: m.instance, clientID: m.caller.ClientID, host: m.caller.Host,
			rebalanceTimeout: m.rebalanceTimeout, sessionTimeout: m.sessionTimeout,
			subscription: g.metadata(m), assignment: m.assignment,
		})
	}
	return s
}
