package group

import (
	"bytes"
	"math"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// From these versions on a client must come back with the id that it was given
// (KIP-394), and a static leader can be told to skip the assignment (KIP-814).
const (
	joinNeedsID = 4
	joinSkips   = 9
)

// Join handles JoinGroup; no bytes of r are kept, strings may be. The call may be parked until all members have joined.
func (m *Machine) Join(now kafka.Timestamp, call CallID, r JoinRequest) Effects {
	o := m.begin(now)
	o.join(call, &r)
	return o.finish()
}

func (o *operation) join(call CallID, r *JoinRequest) {
	if code := o.checkJoin(r); code != kafka.ErrNone {
		o.refuseJoin(call, r.MemberID, code)
		return
	}
	g := o.groups[r.Group]
	if g == nil && r.MemberID != "" {
		o.refuseJoin(call, r.MemberID, kafka.ErrUnknownMemberID)
		return
	}
	if code := o.weighJoin(g, r); code != kafka.ErrNone {
		o.refuseJoin(call, r.MemberID, code)
		return
	}
	if g == nil {
		g = o.make(r.Group)
	}
	switch {
	case !o.accepts(g, r.MemberID):
		o.expel(g, r.MemberID)
		o.refuseJoin(call, "", kafka.ErrGroupMaxSizeReached)
	case !g.supports(r.ProtocolType, r.Protocols):
		o.refuseJoin(call, r.MemberID, kafka.ErrInconsistentGroupProtocol)
	case r.MemberID == "":
		o.joinUnknown(g, call, r)
	default:
		o.joinKnown(g, call, r)
	}
	o.settle(g)
}

// checkJoin looks at what does not need the group. Strings that the records
// cannot carry are refused: cut, they would name someone else.
func (o *operation) checkJoin(r *JoinRequest) kafka.ErrorCode {
	if !validGroup(r.Group) {
		return kafka.ErrInvalidGroupID
	}
	session := kafka.Timestamp(r.SessionTimeoutMillis)
	if session < millis(o.settings.MinSession) || session > millis(o.settings.MaxSession) {
		return kafka.ErrInvalidSessionTimeout
	}
	long := max(len(r.MemberID), len(r.NewMemberID), len(r.ProtocolType), len(r.Caller.ClientID), len(r.Caller.Host))
	if r.InstanceID != nil {
		long = max(long, len(*r.InstanceID))
	}
	for _, p := range r.Protocols {
		long = max(long, len(p.Name))
	}
	if long > math.MaxInt16 {
		return kafka.ErrInvalidRequest
	}
	return kafka.ErrNone
}

// validGroup reports whether members can have such a group, and a record its name.
func validGroup(name string) bool { return name != "" && len(name) <= math.MaxInt16 }

func (o *operation) refuseJoin(call CallID, id string, code kafka.ErrorCode) {
	r := wire.NewJoinGroupResponse()
	r.MemberID, r.ErrorCode = id, int16(code)
	o.reply(call, &r)
}

// accepts keeps a group within group.max.size. While members gather, those that
// have arrived count, so that the last to come are turned away.
func (o *operation) accepts(g *group, id string) bool {
	m := g.members[id]
	switch g.phase {
	case empty:
		return true
	case preparing:
		return m != nil && m.join.set || g.joining < o.settings.MaxSize
	default:
		return m != nil || len(g.members) < o.settings.MaxSize
	}
}

// expel removes whoever has the id, without a new rebalance: one is under way, or
// the id is nobody's.
func (o *operation) expel(g *group, id string) {
	if m := g.members[id]; m != nil {
		o.remove(g, m)
	}
	o.withdraw(g, id)
}

func (o *operation) joinUnknown(g *group, call CallID, r *JoinRequest) {
	switch {
	case r.InstanceID != nil && g.static[*r.InstanceID] != nil:
		o.replaceStatic(g, call, r)
	case r.InstanceID == nil && r.Version >= joinNeedsID:
		t := &timer{group: g, pending: r.NewMemberID}
		g.pending[r.NewMemberID] = t
		g.weigh(pendingWeight+len(r.NewMemberID), 0)
		o.timers.set(t, o.now+kafka.Timestamp(r.SessionTimeoutMillis))
		o.refuseJoin(call, r.NewMemberID, kafka.ErrMemberIDRequired)
	default:
		o.admit(g, r.NewMemberID, call, r)
	}
}

func (o *operation) joinKnown(g *group, call CallID, r *JoinRequest) {
	if g.pending[r.MemberID] != nil {
		if r.InstanceID != nil { // an id that was handed out is never a static member's
			o.refuseJoin(call, r.MemberID, kafka.ErrUnknownServerError)
			return
		}
		o.admit(g, r.MemberID, call, r)
		return
	}
	m, code := g.validate(r.MemberID, r.InstanceID)
	if code != kafka.ErrNone {
		o.refuseJoin(call, r.MemberID, code)
		return
	}
	// A member that asks for what it has, because it missed the reply or wants to
	// sync again, gets the generation that runs. The leader of a stable group asks
	// because something else has changed, so that a new generation is due.
	same := m.matches(r.Protocols)
	if same && (g.phase == completing || g.phase == stable && !g.isLeader(m)) {
		o.reply(call, o.joined(g, m, g.phase == completing))
		return
	}
	o.update(g, m, call, r)
	o.rebalanceOrComplete(g)
}

// admit makes a new member.
func (o *operation) admit(g *group, id string, call CallID, r *JoinRequest) {
	o.withdraw(g, id)
	if len(g.members) == 0 {
		g.protocolType = r.ProtocolType
	}
	if g.phase == preparing && g.initial {
		g.joinedMore = true
	}
	m := &member{id: id, instance: clonePointer(r.InstanceID), caller: r.Caller, fresh: true, protocols: cloneProtocols(r.Protocols)}
	m.sessionTimeout, m.rebalanceTimeout = r.SessionTimeoutMillis, rebalanceTimeoutOf(r)
	g.add(m)
	g.parkJoin(m, call)
	// It has no id yet with which it could send heartbeats; if its connection is
	// gone, nobody will tell us.
	o.timers.set(&m.session, o.now+millis(o.settings.NewMemberTimeout))
	o.rebalanceOrComplete(g)
}

// update parks the call of a member and takes over what it supports.
func (o *operation) update(g *group, m *member, call CallID, r *JoinRequest) {
	o.answerJoin(g, m, kafka.ErrRebalanceInProgress) // an older call of the same member
	g.setProtocols(m, cloneProtocols(r.Protocols))
	m.sessionTimeout, m.rebalanceTimeout = r.SessionTimeoutMillis, rebalanceTimeoutOf(r)
	g.parkJoin(m, call)
}

// replaceStatic gives the place of a static member to its new incarnation
// (KIP-345) and fences the old one.
func (o *operation) replaceStatic(g *group, call CallID, r *JoinRequest) {
	m := g.static[*r.InstanceID]
	o.answerJoin(g, m, kafka.ErrFencedInstanceID)
	o.answerSync(g, m, kafka.ErrFencedInstanceID)
	leader := g.leader
	g.rename(m, r.NewMemberID)
	m.fresh = false
	g.setProtocols(m, cloneProtocols(r.Protocols))
	m.sessionTimeout, m.rebalanceTimeout = r.SessionTimeoutMillis, rebalanceTimeoutOf(r)
	o.renew(m)

	if g.phase == stable && g.protocol != nil && g.selectProtocol() == *g.protocol && o.save(g) {
		// The assignment stands, and the log knows the new id.
		response := o.joined(g, m, r.Version >= joinSkips)
		response.SkipAssignment = r.Version >= joinSkips && g.isLeader(m)
		if r.Version < joinSkips {
			// It must not believe that it leads: it would compute an assignment
			// that nobody waits for.
			response.LeaderID = leader
		}
		o.reply(call, response)
		return
	}
	g.parkJoin(m, call)
	o.rebalanceOrComplete(g)
}

// joined is the answer that names the generation. Only the leader gets the list
// of members, and only if it is to use it.
func (o *operation) joined(g *group, m *member, list bool) *wire.JoinGroupResponse {
	r := wire.NewJoinGroupResponse()
	protocolType := g.protocolType
	r.Generation, r.ProtocolType, r.Protocol = g.generation, &protocolType, g.protocol
	r.LeaderID, r.MemberID = g.leader, m.id
	if list && g.isLeader(m) {
		r.Members = make([]wire.JoinGroupResponseMember, 0, len(g.members))
		for each := g.first; each != nil; each = each.next {
			r.Members = append(r.Members, wire.JoinGroupResponseMember{
				MemberID: each.id, InstanceID: each.instance, ProtocolMetadata: g.metadata(each),
			})
		}
	}
	return &r
}

// rebalanceTimeoutOf: version 0 has no such field, its session stands for it.
func rebalanceTimeoutOf(r *JoinRequest) int32 {
	if r.Version == 0 || r.RebalanceTimeoutMillis < 0 {
		return r.SessionTimeoutMillis
	}
	return r.RebalanceTimeoutMillis
}

// cloneProtocols copies what refers to the request's frame, and drops a name that
// comes twice: it would count as two votes.
func cloneProtocols(from []wire.JoinGroupRequestProtocol) []wire.JoinGroupRequestProtocol {
	seen := make(map[string]bool, len(from))
	to := make([]wire.JoinGroupRequestProtocol, 0, len(from))
	for _, p := range from {
		if !seen[p.Name] {
			seen[p.Name] = true
			to = append(to, wire.JoinGroupRequestProtocol{Name: p.Name, Metadata: bytes.Clone(p.Metadata)})
		}
	}
	return to
}

func clonePointer(s *string) *string {
	if s == nil {
		return nil
	}
	c := *s
	return &c
}
