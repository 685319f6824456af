package group

import (
	"math"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// postponed is how long the end of a rebalance waits at least when nobody of a
// group has joined: its members are static ones whose sessions still run.
const postponed = kafka.Timestamp(1000)

// rebalanceOrComplete starts a rebalance, or lets the one that runs go on.
func (o *operation) rebalanceOrComplete(g *group) {
	if g.phase != preparing {
		o.rebalance(g)
		return
	}
	o.tryComplete(g)
}

// tryComplete ends the gathering if everybody is there, unless the group was
// empty before: then the initial delay decides.
func (o *operation) tryComplete(g *group) {
	if g.phase == preparing && !g.initial && g.allJoined() {
		o.complete(g)
	}
}

// rebalance asks all members to join again. Those that wait for their assignment
// are told now, the others by their heartbeats.
func (o *operation) rebalance(g *group) {
	for m := g.first; m != nil; m = m.next {
		if g.phase == completing {
			g.change(m, func() { m.assignment = nil })
			o.answerSync(g, m, kafka.ErrRebalanceInProgress)
		}
		g.setOwesSync(m, false)
	}
	o.timers.cancel(&g.deadline)
	g.initial = g.phase == empty
	g.joinedMore = false
	g.enter(preparing, o.wall)
	timeout := g.rebalanceTimeout()
	switch {
	case g.initial:
		g.delayStep = millis(o.settings.InitialDelay)
		g.delayLeft = max(timeout-g.delayStep, 0)
		o.timers.set(&g.deadline, o.now+g.delayStep)
	case g.allJoined():
		o.complete(g)
	default:
		o.timers.set(&g.deadline, o.now+timeout)
	}
}

// phaseEnds is called when the deadline of g's phase has come.
func (o *operation) phaseEnds(g *group) {
	switch {
	case g.phase == preparing && g.initial && g.joinedMore && g.delayLeft > 0:
		// Members keep coming: wait for more of them, up to the rebalance timeout.
		g.joinedMore = false
		step := min(millis(o.settings.InitialDelay), g.delayLeft)
		g.delayLeft = max(g.delayLeft-g.delayStep, 0)
		g.delayStep = step
		o.timers.set(&g.deadline, o.now+step)
	case g.phase == preparing:
		o.complete(g)
	case g.syncing > 0:
		for m, next := g.first, (*member)(nil); m != nil; m = next {
			next = m.next
			if m.owesSync {
				o.remove(g, m)
			}
		}
		o.rebalance(g)
	}
}

// complete ends the gathering: dynamic members that did not come are out, and the
// next generation begins.
func (o *operation) complete(g *group) {
	o.timers.cancel(&g.deadline)
	for m, next := g.first, (*member)(nil); m != nil && g.joining < len(g.members); m = next {
		next = m.next
		if !m.join.set && m.instance == nil {
			o.remove(g, m)
		}
	}
	if !g.electJoined() {
		o.timers.set(&g.deadline, o.now+max(g.rebalanceTimeout(), postponed))
		return
	}
	g.initial = false
	if g.generation == math.MaxInt32 {
		g.generation = 0
	}
	g.generation++
	if len(g.members) == 0 {
		o.becomeEmpty(g)
		return
	}
	protocol := g.selectProtocol()
	g.protocol = &protocol
	g.subscribed = g.subscription()
	g.enter(completing, o.wall)
	for m := g.first; m != nil; m = m.next {
		if m.join.set {
			o.reply(m.join.call, o.joined(g, m, true))
			g.unparkJoin(m)
		}
		o.renew(m)
		m.fresh = false
		g.setOwesSync(m, true)
	}
	o.timers.set(&g.deadline, o.now+g.rebalanceTimeout())
}

func (o *operation) becomeEmpty(g *group) {
	g.protocol, g.leader = nil, ""
	g.subscribed = g.subscription()
	g.enter(empty, o.wall)
	o.save(g)
}

// electJoined makes sure that the leader is one of those who joined. It fails if
// there are members and none has.
func (g *group) electJoined() bool {
	if len(g.members) == 0 {
		return true
	}
	if m := g.members[g.leader]; m != nil && m.join.set {
		return true
	}
	for m := g.first; m != nil; m = m.next {
		if m.join.set {
			g.leader = m.id
			return true
		}
	}
	return false
}

// save writes the group as it is. It reports false, and writes nothing, if the
// record would be larger than what the log takes.
func (o *operation) save(g *group) bool {
	k, v := encodeGroupKey(g.name), encodeGroup(g.save())
	if o.bytes+len(k)+len(v)+recordOverhead > o.settings.MaxBatchBytes {
		return false
	}
	o.record(k, v)
	g.saved = true
	return true
}

// renew starts the session of m again.
func (o *operation) renew(m *member) {
	o.timers.set(&m.session, o.now+kafka.Timestamp(m.sessionTimeout))
}

// remove takes m out of the group; calls that it waits with learn that it is
// unknown, so that a client which is still there joins anew.
func (o *operation) remove(g *group, m *member) {
	if m.join.set {
		call := m.join.call
		g.unparkJoin(m)
		o.refuseJoin(call, "", kafka.ErrUnknownMemberID)
	}
	o.answerSync(g, m, kafka.ErrUnknownMemberID)
	o.timers.cancel(&m.session)
	g.drop(m)
}

// withdraw forgets an id that was handed out.
func (o *operation) withdraw(g *group, id string) bool {
	t := g.pending[id]
	if t == nil {
		return false
	}
	o.timers.cancel(t)
	delete(g.pending, id)
	g.weigh(-pendingWeight-len(id), 0)
	return true
}

// answerJoin ends a parked JoinGroup with an error.
func (o *operation) answerJoin(g *group, m *member, code kafka.ErrorCode) {
	if m.join.set {
		call := m.join.call
		g.unparkJoin(m)
		o.refuseJoin(call, m.id, code)
	}
}

// answerSync ends a parked SyncGroup: with the assignment, or with an error.
func (o *operation) answerSync(g *group, m *member, code kafka.ErrorCode) {
	if !m.sync.set {
		return
	}
	call := m.sync.call
	m.sync = parked{}
	o.reply(call, g.synced(m, code))
	o.renew(m) // its session may have run out while it waited
}

// synced is the answer to SyncGroup.
func (g *group) synced(m *member, code kafka.ErrorCode) *wire.SyncGroupResponse {
	r := wire.NewSyncGroupResponse()
	r.ErrorCode = int16(code)
	r.MemberAssignment = []byte{}
	if code == kafka.ErrNone {
		protocolType := g.protocolType
		r.ProtocolType, r.Protocol = &protocolType, g.protocol
		if m.assignment != nil {
			r.MemberAssignment = m.assignment
		}
	}
	return &r
}

// sessionEnds is called when the time of a member is over.
func (o *operation) sessionEnds(g *group, m *member) {
	if !m.fresh && (m.join.set || m.sync.set) {
		return // it waits for us; its session begins anew with the reply
	}
	o.remove(g, m)
	switch {
	case g.phase == stable || g.phase == completing:
		o.rebalance(g)
	case g.phase == preparing && g.allJoined():
		o.complete(g)
	}
}

// pendingEnds is called when nobody came with an id that was handed out.
func (o *operation) pendingEnds(g *group, id string) {
	o.withdraw(g, id)
	if g.phase == preparing && g.allJoined() {
		o.complete(g)
	}
	o.settle(g)
}
