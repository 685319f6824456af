package group

import (
	"strings"
	"testing"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func TestJoin_NeedsAnID(t *testing.T) {
	r := newRig(t, testSettings())
	q := joinRequest("")
	c := r.join(q)
	a := answer[*wire.JoinGroupResponse](r, c)
	r.want("code", kafka.ErrorCode(a.ErrorCode), kafka.ErrMemberIDRequired)
	r.want("id", a.MemberID, "client-x")
	r.want("state", r.state(), "Empty")

	second := r.join(joinRequest("client-x"))
	r.want("state", r.state(), "PreparingRebalance")
	if answer[*wire.JoinGroupResponse](r, second) != nil {
		t.Fatal("answered before the initial delay")
	}
	r.advance(3 * time.Second)
	a = answer[*wire.JoinGroupResponse](r, second)
	r.want("generation", a.Generation, 1)
	r.want("leader", a.LeaderID, "client-x")
	r.want("protocol", *a.Protocol, "range")
	r.want("type", *a.ProtocolType, "consumer")
	r.want("members", len(a.Members), 1)
}

func TestJoin_AnUnusedIDIsForgotten(t *testing.T) {
	r := newRig(t, testSettings())
	r.join(joinRequest(""))
	r.advance(11 * time.Second)
	r.want("groups", len(r.m.groups), 0)
	r.want("records", len(r.log), 0)
	a := answer[*wire.JoinGroupResponse](r, r.join(joinRequest("client-x")))
	r.want("code", kafka.ErrorCode(a.ErrorCode), kafka.ErrUnknownMemberID)
}

func TestJoin_Refusals(t *testing.T) {
	long := strings.Repeat("x", 1<<15)
	for name, c := range map[string]struct {
		change func(q *JoinRequest)
		want   kafka.ErrorCode
	}{
		"no group":           {func(q *JoinRequest) { q.Group = "" }, kafka.ErrInvalidGroupID},
		"group too long":     {func(q *JoinRequest) { q.Group = long }, kafka.ErrInvalidGroupID},
		"session too short":  {func(q *JoinRequest) { q.SessionTimeoutMillis = 5999 }, kafka.ErrInvalidSessionTimeout},
		"session too long":   {func(q *JoinRequest) { q.SessionTimeoutMillis = 1_800_001 }, kafka.ErrInvalidSessionTimeout},
		"no protocol":        {func(q *JoinRequest) { q.Protocols = nil }, kafka.ErrInconsistentGroupProtocol},
		"no type":            {func(q *JoinRequest) { q.ProtocolType = "" }, kafka.ErrInconsistentGroupProtocol},
		"instance too long":  {func(q *JoinRequest) { q.InstanceID = &long }, kafka.ErrInvalidRequest},
		"member of nothing":  {func(q *JoinRequest) { q.MemberID = "who" }, kafka.ErrUnknownMemberID},
		"client id too long": {func(q *JoinRequest) { q.Caller.ClientID = long }, kafka.ErrInvalidRequest},
	} {
		r := newRig(t, testSettings())
		q := joinRequest("")
		c.change(&q)
		a := answer[*wire.JoinGroupResponse](r, r.join(q))
		r.want(name, kafka.ErrorCode(a.ErrorCode), c.want)
		r.want(name+": groups left", len(r.m.groups), 0)
	}
}

func TestJoin_OtherProtocols(t *testing.T) {
	r := stableOf(t, testSettings(), "a", "b")
	q := joinRequest("")
	q.Protocols = protocols("sticky", "")
	a := answer[*wire.JoinGroupResponse](r, r.join(q))
	r.want("nothing in common", kafka.ErrorCode(a.ErrorCode), kafka.ErrInconsistentGroupProtocol)
	q = joinRequest("")
	q.ProtocolType = "connect"
	a = answer[*wire.JoinGroupResponse](r, r.join(q))
	r.want("other type", kafka.ErrorCode(a.ErrorCode), kafka.ErrInconsistentGroupProtocol)
	r.want("state", r.state(), "Stable")
}

func TestJoin_ProtocolVotes(t *testing.T) {
	r := newRig(t, testSettings())
	for id, p := range map[string][]wire.JoinGroupRequestProtocol{
		"a": protocols("x", "", "y", "ya", "z", "", "y", "twice"),
		"b": protocols("y", "yb", "z", ""),
		"c": protocols("z", "", "y", "yc"),
	} {
		q := joinRequest("")
		q.Version, q.NewMemberID, q.Protocols = 3, id, p
		r.join(q)
	}
	r.advance(9 * time.Second)
	r.want("protocol", *r.m.groups["g"].protocol, "y") // a and b vote for it: x is not everybody's
}

func TestJoin_InitialDelayGrowsWithNewMembers(t *testing.T) {
	r := newRig(t, testSettings())
	first := r.enter("a")
	r.advance(2 * time.Second)
	r.enter("b")
	r.advance(2 * time.Second)
	if answer[*wire.JoinGroupResponse](r, first) != nil {
		t.Fatal("the delay did not grow")
	}
	r.advance(2 * time.Second)
	a := answer[*wire.JoinGroupResponse](r, first)
	r.want("members", len(a.Members), 2)
}

func TestJoin_InitialDelayEndsAtTheRebalanceTimeout(t *testing.T) {
	r := newRig(t, testSettings())
	first := r.enter("a")
	for i := range 70 { // a new one each second, for ever
		if answer[*wire.JoinGroupResponse](r, first) != nil {
			if i < 57 || i > 66 {
				t.Fatalf("answered after %d s", i)
			}
			return
		}
		r.enter("m" + string(rune('A'+i)))
		r.advance(time.Second)
	}
	t.Fatal("never answered")
}

func TestJoin_MaxSize(t *testing.T) {
	s := testSettings()
	s.MaxSize = 2
	r := stableOf(t, s, "a", "b")
	a := answer[*wire.JoinGroupResponse](r, r.enter("c"))
	r.want("code", kafka.ErrorCode(a.ErrorCode), kafka.ErrGroupMaxSizeReached)
	r.want("state", r.state(), "Stable")

	s.MaxSize = 1 // after a restart
	r.m.settings = s
	r.reload()
	r.want("state", r.state(), "PreparingRebalance")
	r.join(joinRequest("a"))
	a = answer[*wire.JoinGroupResponse](r, r.join(joinRequest("b")))
	r.want("the last to come", kafka.ErrorCode(a.ErrorCode), kafka.ErrGroupMaxSizeReached)
}

func TestRebalance_WholeCycle(t *testing.T) {
	r := stableOf(t, testSettings(), "a", "b")
	r.want("heartbeat", r.heartbeat("a", 1), kafka.ErrNone)
	r.want("other generation", r.heartbeat("a", 0), kafka.ErrIllegalGeneration)
	r.want("unknown", r.heartbeat("z", 1), kafka.ErrUnknownMemberID)

	c := r.enter("c")
	r.want("state", r.state(), "PreparingRebalance")
	r.want("heartbeat", r.heartbeat("a", 1), kafka.ErrRebalanceInProgress)
	r.want("sync", kafka.ErrorCode(answer[*wire.SyncGroupResponse](r, r.sync("a", 1)).ErrorCode), kafka.ErrRebalanceInProgress)
	r.want("commits go on", commitCode(r, r.commit(commitRequest("a", 1, 7))), kafka.ErrNone)
	a := r.join(joinRequest("a"))
	b := r.join(joinRequest("b"))
	for _, call := range []CallID{a, b, c} {
		r.want("generation", answer[*wire.JoinGroupResponse](r, call).Generation, 2)
	}
	r.want("commit in between", commitCode(r, r.commit(commitRequest("a", 2, 8))), kafka.ErrRebalanceInProgress)
	r.want("commit of the past", commitCode(r, r.commit(commitRequest("a", 1, 8))), kafka.ErrIllegalGeneration)
	r.want("heartbeat", r.heartbeat("a", 2), kafka.ErrNone)

	wait := r.sync("b", 2)
	if answer[*wire.SyncGroupResponse](r, wait) != nil {
		t.Fatal("SyncGroup answered without the leader")
	}
	r.hold = true
	lead := r.sync("a", 2, "a", "2/a", "b", "2/b", "stranger", "2/s")
	if answer[*wire.SyncGroupResponse](r, lead) != nil || answer[*wire.SyncGroupResponse](r, wait) != nil {
		t.Fatal("SyncGroup answered before the assignment is committed")
	}
	late := r.sync("c", 2)
	if answer[*wire.SyncGroupResponse](r, late) != nil {
		t.Fatal("a late SyncGroup answered before the assignment is committed")
	}
	r.flush()
	r.want("b", string(answer[*wire.SyncGroupResponse](r, wait).MemberAssignment), "2/b")
	r.want("c, forgotten by the leader", string(answer[*wire.SyncGroupResponse](r, late).MemberAssignment), "")
	r.want("state", r.state(), "Stable")
}

func TestRebalance_TheSilentAreRemoved(t *testing.T) {
	r := stableOf(t, testSettings(), "a", "b", "c")
	q := joinRequest("c")
	q.Protocols = protocols("range", "other")
	c := r.join(q)
	r.want("state", r.state(), "PreparingRebalance")
	for range 12 {
		r.advance(5 * time.Second)
		r.heartbeat("a", 1) // alive, and does not join
		r.heartbeat("b", 1)
	}
	r.advance(time.Second)
	a := answer[*wire.JoinGroupResponse](r, c)
	r.want("leader", a.LeaderID, "c")
	r.want("members", len(a.Members), 1)
}

func TestSession_Ends(t *testing.T) {
	r := stableOf(t, testSettings(), "a", "b")
	for range 3 {
		r.advance(4 * time.Second)
		r.want("heartbeat", r.heartbeat("a", 1) == kafka.ErrNone || r.state() != "Stable", true)
	}
	r.want("state", r.state(), "PreparingRebalance")
	r.want("b", r.heartbeat("b", 1), kafka.ErrUnknownMemberID)
	r.advance(time.Minute)
	r.want("state", r.state(), "Empty")
	last := r.log[len(r.log)-1]
	s, _, err := decodeGroup(last.Value)
	if err != nil || len(s.members) != 0 || s.generation != 2 || s.protocolType != "consumer" || s.protocol != nil || s.leader != nil {
		t.Fatalf("last record %+v, %v", s, err)
	}
}

func TestSync_TheSilentAreRemoved(t *testing.T) {
	r := newRig(t, testSettings())
	r.enter("a")
	r.enter("b")
	r.advance(6 * time.Second)
	r.sync("a", 1, "a", "1/a", "b", "1/b")
	r.want("state", r.state(), "Stable")
	for range 13 {
		r.advance(5 * time.Second)
		r.heartbeat("a", 1)
		r.heartbeat("b", 1)
	}
	r.want("b never synced", r.heartbeat("b", 1), kafka.ErrUnknownMemberID)
	r.want("state", r.state(), "PreparingRebalance")
}

func TestSync_Checks(t *testing.T) {
	r := stableOf(t, testSettings(), "a")
	name, kind := "sticky", "connect"
	for what, c := range map[string]struct {
		change func(q *wire.SyncGroupRequest)
		want   kafka.ErrorCode
	}{
		"fine":           {func(q *wire.SyncGroupRequest) {}, kafka.ErrNone},
		"no group":       {func(q *wire.SyncGroupRequest) { q.Group = "" }, kafka.ErrInvalidGroupID},
		"other group":    {func(q *wire.SyncGroupRequest) { q.Group = "h" }, kafka.ErrUnknownMemberID},
		"other member":   {func(q *wire.SyncGroupRequest) { q.MemberID = "b" }, kafka.ErrUnknownMemberID},
		"generation":     {func(q *wire.SyncGroupRequest) { q.Generation = 2 }, kafka.ErrIllegalGeneration},
		"protocol":       {func(q *wire.SyncGroupRequest) { q.Protocol = &name }, kafka.ErrInconsistentGroupProtocol},
		"type":           {func(q *wire.SyncGroupRequest) { q.ProtocolType = &kind }, kafka.ErrInconsistentGroupProtocol},
		"other instance": {func(q *wire.SyncGroupRequest) { q.InstanceID = &name }, kafka.ErrUnknownMemberID},
	} {
		q := wire.NewSyncGroupRequest()
		q.Group, q.MemberID, q.Generation = "g", "a", 1
		c.change(&q)
		call := r.call()
		r.take(r.m.Sync(r.now, call, &q))
		r.want(what, kafka.ErrorCode(answer[*wire.SyncGroupResponse](r, call).ErrorCode), c.want)
	}
}

func TestSync_AnAssignmentThatNoLogTakes(t *testing.T) {
	r := newRig(t, testSettings())
	r.enter("a")
	r.advance(6 * time.Second)
	c := r.sync("a", 1, "a", strings.Repeat("x", 1<<20))
	r.want("code", kafka.ErrorCode(answer[*wire.SyncGroupResponse](r, c).ErrorCode), kafka.ErrUnknownServerError)
	r.want("state", r.state(), "PreparingRebalance")
	r.want("records", len(r.log), 0)
}

func TestLeave(t *testing.T) {
	r := stableOf(t, testSettings(), "a", "b")
	leave := func(version int16, members ...wire.LeaveGroupRequestMember) *wire.LeaveGroupResponse {
		q := wire.NewLeaveGroupRequest()
		q.Group, q.Members = "g", members
		if version < leaveBatched {
			q.MemberID, q.Members = members[0].MemberID, nil
		}
		c := r.call()
		r.take(r.m.Leave(r.now, c, version, &q))
		return answer[*wire.LeaveGroupResponse](r, c)
	}
	r.want("unknown, old", kafka.ErrorCode(leave(2, wire.LeaveGroupRequestMember{MemberID: "z"}).ErrorCode), kafka.ErrUnknownMemberID)
	a := leave(3, wire.LeaveGroupRequestMember{MemberID: "z"}, wire.LeaveGroupRequestMember{MemberID: "b"})
	r.want("top", a.ErrorCode, 0)
	r.want("z", kafka.ErrorCode(a.Members[0].ErrorCode), kafka.ErrUnknownMemberID)
	r.want("b", a.Members[1].ErrorCode, 0)
	r.want("state", r.state(), "PreparingRebalance")
	r.want("the last one", leave(1, wire.LeaveGroupRequestMember{MemberID: "a"}).ErrorCode, 0)
	r.want("state", r.state(), "Empty")
}

func TestLeave_AnswersWhatIsParked(t *testing.T) {
	r := newRig(t, testSettings())
	r.enter("a")
	r.enter("b")
	r.advance(6 * time.Second)
	parkedSync := r.sync("b", 1)
	q := wire.NewLeaveGroupRequest()
	q.Group, q.Members = "g", []wire.LeaveGroupRequestMember{{MemberID: "b"}}
	r.take(r.m.Leave(r.now, r.call(), 4, &q))
	r.want("code", kafka.ErrorCode(answer[*wire.SyncGroupResponse](r, parkedSync).ErrorCode), kafka.ErrUnknownMemberID)
}

func TestStatic_Replacement(t *testing.T) {
	for _, version := range []int16{5, 9} {
		r := newRig(t, testSettings())
		instance := "s"
		q := joinRequest("")
		q.InstanceID, q.NewMemberID, q.Version = &instance, "s-1", version
		r.join(q)
		r.enter("b")
		r.advance(6 * time.Second)
		r.sync("s-1", 1, "s-1", "1/s", "b", "1/b")
		r.sync("b", 1)
		r.want("state", r.state(), "Stable")

		q.NewMemberID = "s-2"
		r.hold = true
		c := r.join(q)
		if answer[*wire.JoinGroupResponse](r, c) != nil {
			t.Fatal("answered before the log knows the new id")
		}
		r.flush()
		a := answer[*wire.JoinGroupResponse](r, c)
		r.want("no rebalance", r.state(), "Stable")
		r.want("id", a.MemberID, "s-2")
		r.want("generation", a.Generation, 1)
		r.want("skip", a.SkipAssignment, version >= 9)
		if version >= 9 {
			r.want("leader", a.LeaderID, "s-2")
			r.want("members", len(a.Members), 2)
		} else {
			r.want("leader", a.LeaderID, "s-1")
			r.want("members", len(a.Members), 0)
		}
		r.want("assignment", string(answer[*wire.SyncGroupResponse](r, syncNow(r, "s-2", 1)).MemberAssignment), "1/s")

		fenced := commitRequest("s-1", 1, 5)
		fenced.InstanceID = &instance
		r.want("the old one", commitCode(r, commitNow(r, fenced)), kafka.ErrFencedInstanceID)
		hb := wire.NewHeartbeatRequest()
		hb.Group, hb.MemberID, hb.InstanceID, hb.Generation = "g", "s-1", &instance, 1
		call := r.call()
		r.take(r.m.Heartbeat(r.now, call, &hb))
		r.flush()
		r.want("the old one", kafka.ErrorCode(answer[*wire.HeartbeatResponse](r, call).ErrorCode), kafka.ErrFencedInstanceID)
		r.reload()
		r.want("after a restart", r.heartbeat("s-2", 1), kafka.ErrNone)
	}
}

func syncNow(r *rig, id string, generation int32) CallID {
	c := r.sync(id, generation)
	r.flush()
	return c
}

func commitNow(r *rig, q CommitRequest) CallID {
	c := r.commit(q)
	r.flush()
	return c
}

func TestStatic_ReplacementFencesParkedCalls(t *testing.T) {
	r := newRig(t, testSettings())
	instance := "s"
	q := joinRequest("")
	q.InstanceID, q.NewMemberID = &instance, "s-1"
	first := r.join(q)
	q.NewMemberID = "s-2"
	second := r.join(q)
	r.want("parked JoinGroup", kafka.ErrorCode(answer[*wire.JoinGroupResponse](r, first).ErrorCode), kafka.ErrFencedInstanceID)
	r.enter("b")
	r.advance(9 * time.Second)
	r.want("generation", answer[*wire.JoinGroupResponse](r, second).Generation, 1)
	wait := r.sync("s-2", 0)
	r.want("generation", kafka.ErrorCode(answer[*wire.SyncGroupResponse](r, wait).ErrorCode), kafka.ErrIllegalGeneration)
}

func TestStatic_ALeavingAdministratorNeedsNoID(t *testing.T) {
	r := newRig(t, testSettings())
	instance := "s"
	q := joinRequest("")
	q.InstanceID, q.NewMemberID = &instance, "s-1"
	r.join(q)
	r.advance(6 * time.Second)
	l := wire.NewLeaveGroupRequest()
	l.Group, l.Members = "g", []wire.LeaveGroupRequestMember{{InstanceID: &instance}, {InstanceID: &instance}}
	c := r.call()
	r.take(r.m.Leave(r.now, c, 4, &l))
	a := answer[*wire.LeaveGroupResponse](r, c)
	r.want("first", a.Members[0].ErrorCode, 0)
	r.want("second", kafka.ErrorCode(a.Members[1].ErrorCode), kafka.ErrUnknownMemberID)
}

func TestReload_MembersGoOn(t *testing.T) {
	r := stableOf(t, testSettings(), "a", "b")
	r.reload()
	r.want("state", r.state(), "Stable")
	r.want("a", r.heartbeat("a", 1), kafka.ErrNone)
	r.want("b", string(answer[*wire.SyncGroupResponse](r, r.sync("b", 1)).MemberAssignment), "1/b")
	r.advance(11 * time.Second)
	r.want("state", r.state(), "Empty")
}
