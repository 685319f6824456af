package group

import (
	"bytes"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// leaveBatched is the first version of LeaveGroup that names several members.
const leaveBatched = 3

// Sync handles SyncGroup; nothing of r is kept. The call is parked until the leader has brought the
// assignment, and its reply waits until the assignment is in the log.
func (m *Machine) Sync(now kafka.Timestamp, call CallID, r *wire.SyncGroupRequest) Effects {
	o := m.begin(now)
	if code := o.sync(call, r); code != kafka.ErrNone {
		response := wire.NewSyncGroupResponse()
		response.ErrorCode, response.MemberAssignment = int16(code), []byte{}
		o.reply(call, &response)
	}
	return o.finish()
}

func (o *operation) sync(call CallID, r *wire.SyncGroupRequest) kafka.ErrorCode {
	if !validGroup(r.Group) {
		return kafka.ErrInvalidGroupID
	}
	g := o.groups[r.Group]
	if g == nil || g.phase == empty {
		return kafka.ErrUnknownMemberID
	}
	m, code := g.validate(r.MemberID, r.InstanceID)
	switch {
	case code != kafka.ErrNone:
		return code
	case r.Generation != g.generation:
		return kafka.ErrIllegalGeneration
	case differs(r.ProtocolType, &g.protocolType), differs(r.Protocol, g.protocol):
		return kafka.ErrInconsistentGroupProtocol
	case g.phase == preparing:
		return kafka.ErrRebalanceInProgress
	case g.phase == completing && g.isLeader(m) && o.crowds(g.syncWeight(r)):
		return kafka.ErrCoordinatorLoadInProgress
	}
	g.setOwesSync(m, false)
	if g.syncing == 0 {
		o.timers.cancel(&g.deadline)
	}
	if g.phase == stable {
		o.reply(call, g.synced(m, kafka.ErrNone))
		return kafka.ErrNone
	}
	o.answerSync(g, m, kafka.ErrRebalanceInProgress) // an older call of the same member
	m.sync = parked{call, true}
	if g.isLeader(m) {
		o.assign(g, r.GroupAssignment)
	}
	return kafka.ErrNone
}

// differs compares a name of a request with the group's; who does not say cannot
// be wrong.
func differs(asked, is *string) bool { return asked != nil && is != nil && *asked != *is }

// assign makes the group stable with the leader's assignment. Members that it
// forgot get nothing, members that it invented are ignored.
func (o *operation) assign(g *group, assignments []wire.SyncGroupRequestGroupAssignment) {
	for m := g.first; m != nil; m = m.next {
		g.change(m, func() { m.assignment = nil })
	}
	for _, a := range assignments {
		if m := g.members[a.MemberID]; m != nil {
			g.change(m, func() { m.assignment = bytes.Clone(a.MemberAssignment) })
		}
	}
	since := g.since
	g.since = o.wall
	if !o.save(g) {
		// No log takes this record. Kafka answers the same and tries again.
		g.since = since
		for m := g.first; m != nil; m = m.next {
			o.answerSync(g, m, kafka.ErrUnknownServerError)
		}
		o.rebalance(g)
		return
	}
	g.enter(stable, o.wall)
	for m := g.first; m != nil; m = m.next {
		o.answerSync(g, m, kafka.ErrNone)
	}
}

// Heartbeat handles Heartbeat. Its reply says nothing that a crash could make
// untrue, so it never waits for the log: a stalled disk must not end sessions.
func (m *Machine) Heartbeat(now kafka.Timestamp, call CallID, r *wire.HeartbeatRequest) Effects {
	o := m.begin(now)
	response := wire.NewHeartbeatResponse()
	response.ErrorCode = int16(o.heartbeat(r))
	return Effects{Replies: []Reply{{Call: call, Response: &response}}}
}

func (o *operation) heartbeat(r *wire.HeartbeatRequest) kafka.ErrorCode {
	if !validGroup(r.Group) {
		return kafka.ErrInvalidGroupID
	}
	g := o.groups[r.Group]
	if g == nil {
		return kafka.ErrUnknownMemberID
	}
	m, code := g.validate(r.MemberID, r.InstanceID)
	if code != kafka.ErrNone {
		return code
	}
	if r.Generation != g.generation {
		return kafka.ErrIllegalGeneration
	}
	o.renew(m)
	if g.phase == preparing {
		return kafka.ErrRebalanceInProgress
	}
	return kafka.ErrNone
}

// Leave handles LeaveGroup of the version given.
func (m *Machine) Leave(now kafka.Timestamp, call CallID, version int16, r *wire.LeaveGroupRequest) Effects {
	o := m.begin(now)
	members := r.Members
	if version < leaveBatched {
		members = []wire.LeaveGroupRequestMember{{MemberID: r.MemberID}}
	}
	response := wire.NewLeaveGroupResponse()
	if validGroup(r.Group) {
		response.Members = o.leave(o.groups[r.Group], members)
	} else {
		response.ErrorCode = int16(kafka.ErrInvalidGroupID)
	}
	if version < leaveBatched && len(response.Members) == 1 {
		response.ErrorCode = response.Members[0].ErrorCode
	}
	o.reply(call, &response)
	return o.finish()
}

func (o *operation) leave(g *group, members []wire.LeaveGroupRequestMember) []wire.LeaveGroupResponseMember {
	left := 0
	answers := make([]wire.LeaveGroupResponseMember, 0, len(members))
	for i := range members {
		code := kafka.ErrUnknownMemberID
		if g != nil {
			code = o.leaveOne(g, &members[i])
		}
		if code == kafka.ErrNone {
			left++
		}
		answers = append(answers, wire.LeaveGroupResponseMember{
			MemberID: members[i].MemberID, InstanceID: members[i].InstanceID, ErrorCode: int16(code),
		})
	}
	if left > 0 {
		switch g.phase {
		case stable, completing:
			o.rebalance(g)
		case preparing:
			o.tryComplete(g)
		}
		o.settle(g)
	}
	return answers
}

func (o *operation) leaveOne(g *group, who *wire.LeaveGroupRequestMember) kafka.ErrorCode {
	if who.MemberID == "" {
		// An administrator removes a static member without knowing its id.
		if who.InstanceID == nil || g.static[*who.InstanceID] == nil {
			return kafka.ErrUnknownMemberID
		}
		o.remove(g, g.static[*who.InstanceID])
		return kafka.ErrNone
	}
	if o.withdraw(g, who.MemberID) {
		return kafka.ErrNone
	}
	m, code := g.validate(who.MemberID, who.InstanceID)
	if code == kafka.ErrNone {
		o.remove(g, m)
	}
	return code
}
