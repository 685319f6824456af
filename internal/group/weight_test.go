package group

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// reweigh counts what a machine holds from the start.
func reweigh(m *Machine) (w Weight) {
	for _, g := range m.groups {
		for each := g.first; each != nil; each = each.next {
			w.Members += int64(memberBytes(each))
		}
		for id := range g.pending {
			w.Members += int64(pendingWeight + len(id))
		}
		for topic, offsets := range g.offsets {
			w.Offsets += int64(topicWeight + len(topic) + len(g.name))
			for _, c := range offsets.partitions {
				w.Offsets += int64(offsetBytes(c))
			}
		}
	}
	return w
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// crowd is one way to make a machine grow: one call, the same for no two numbers.
type crowd struct {
	name string
	call func(m *Machine, now kafka.Timestamp, i int) Effects
}

func crowdJoin(version int16, group, client string, metadata []byte) *JoinRequest {
	q := joinRequest("")
	q.Version, q.Group, q.NewMemberID, q.Caller = version, group, "member-"+client, Caller{ClientID: client, Host: "/127.0.0.1"}
	q.Protocols = []wire.JoinGroupRequestProtocol{{Name: "range", Metadata: metadata}}
	return &q
}

func crowds() []crowd {
	big := make([]byte, 1<<20)
	return []crowd{
		{"ids of 100,000 groups", func(m *Machine, now kafka.Timestamp, i int) Effects {
			return m.Join(now, CallID(i), *crowdJoin(9, fmt.Sprint("group-", i), fmt.Sprint("client-", i), nil))
		}},
		{"members of 100,000 groups", func(m *Machine, now kafka.Timestamp, i int) Effects {
			return m.Join(now, CallID(i), *crowdJoin(3, fmt.Sprint("group-", i), fmt.Sprint("client-", i), nil))
		}},
		{"members of one group", func(m *Machine, now kafka.Timestamp, i int) Effects {
			return m.Join(now, CallID(i), *crowdJoin(3, "g", fmt.Sprint("client-", i), nil))
		}},
		{"members with a megabyte", func(m *Machine, now kafka.Timestamp, i int) Effects {
			return m.Join(now, CallID(i), *crowdJoin(3, fmt.Sprint("group-", i%7), fmt.Sprint("client-", i), big))
		}},
		{"offsets of 100,000 groups", func(m *Machine, now kafka.Timestamp, i int) Effects {
			q := commitRequest("", -1, int64(i))
			q.Group = fmt.Sprint("group-", i)
			return m.Commit(now, CallID(i), q)
		}},
		{"offsets with long metadata", func(m *Machine, now kafka.Timestamp, i int) Effects {
			q := commitRequest("", -1, int64(i))
			text := strings.Repeat("x", 4000)
			q.Topics[0].Topic, q.Topics[0].Partitions[0].Metadata = fmt.Sprint("topic-", i), &text
			return m.Commit(now, CallID(i), q)
		}},
	}
}

// TestWeight_NoCrowdTakesMoreThanTheLimit: whatever hostile clients send, the
// heap stays below the limit, and at the limit they are told to come again.
func TestWeight_NoCrowdTakesMoreThanTheLimit(t *testing.T) {
	const limit = 16 << 20
	for _, c := range crowds() {
		m := New(testSettings())
		m.Loaded(1000)
		m.Limit(Weight{Members: limit, Offsets: limit})
		before := heap()
		refused := 0
		calls := 100_000
		if strings.Contains(c.name, "mega") {
			calls = 200
		}
		for i := 1; i <= calls; i++ {
			e := c.call(m, 1000, i)
			if len(e.Replies) == 1 && refusal(e.Replies[0].Response) == kafka.ErrCoordinatorLoadInProgress {
				refused++
			}
		}
		held := heap() - before
		w := m.Weight()
		if refused == 0 || refused != m.Crowded() || held > limit || max(w.Members, w.Offsets) > limit {
			t.Errorf("%s: %d bytes are held, %+v are counted, %d of %d turned away (%d counted)", c.name, held, w, refused, calls, m.Crowded())
		}
		if w != reweigh(m) {
			t.Errorf("%s: counted %+v, there are %+v", c.name, w, reweigh(m))
		}
		t.Logf("%s: %d KiB of heap, %d KiB counted, %d turned away", c.name, held>>10, max(w.Members, w.Offsets)>>10, refused)
		runtime.KeepAlive(m)
	}
}

func refusal(r wire.Response) kafka.ErrorCode {
	switch r := r.(type) {
	case *wire.JoinGroupResponse:
		return kafka.ErrorCode(r.ErrorCode)
	case *wire.SyncGroupResponse:
		return kafka.ErrorCode(r.ErrorCode)
	case *wire.OffsetCommitResponse:
		return kafka.ErrorCode(r.Topics[0].Partitions[0].ErrorCode)
	}
	return kafka.ErrNone
}

// TestWeight_WhoIsThereGoesOn: at the limit a group that exists rebalances,
// assigns and commits; a larger assignment waits; room that comes free is used.
func TestWeight_WhoIsThereGoesOn(t *testing.T) {
	r := newRig(t, testSettings())
	q := joinRequest("")
	q.Version, q.NewMemberID = 3, "m"
	r.join(q)
	r.advance(4 * time.Second)
	joined := r.answers[r.calls].(*wire.JoinGroupResponse)
	sync := func(assignment string) kafka.ErrorCode {
		s := wire.NewSyncGroupRequest()
		s.Group, s.MemberID, s.Generation = "g", "m", joined.Generation
		s.GroupAssignment = []wire.SyncGroupRequestGroupAssignment{{MemberID: "m", MemberAssignment: []byte(assignment)}}
		call := r.call()
		r.take(r.m.Sync(r.now, call, &s))
		return refusal(r.answers[call])
	}
	r.m.Limit(r.m.Weight())
	if code := sync("larger than nothing"); code != kafka.ErrCoordinatorLoadInProgress {
		t.Errorf("an assignment above the limit: %v", code)
	}
	r.m.Limit(NoLimit)
	if code := sync("assigned"); code != kafka.ErrNone {
		t.Fatal(code)
	}
	r.commit(commitRequest("m", joined.Generation, 1))
	r.m.Limit(r.m.Weight())

	q.MemberID = "m"
	r.join(q) // the leader of a stable group: a new generation
	joined = r.answers[r.calls].(*wire.JoinGroupResponse)
	if joined.ErrorCode != 0 {
		t.Fatalf("a member joins again: %v", kafka.ErrorCode(joined.ErrorCode))
	}
	if code := sync("assigned"); code != kafka.ErrNone {
		t.Errorf("the same assignment: %v", code)
	}
	r.commit(commitRequest("m", joined.Generation, 2))
	if code := refusal(r.answers[r.calls]); code != kafka.ErrNone {
		t.Errorf("a commit in place of one: %v", code)
	}
	more := commitRequest("m", joined.Generation, 2)
	more.Topics[0].Topic = "another"
	r.commit(more)
	if code := refusal(r.answers[r.calls]); code != kafka.ErrCoordinatorLoadInProgress {
		t.Errorf("a commit of something new: %v", code)
	}
	q.MemberID, q.NewMemberID = "", "n"
	r.join(q)
	if code := refusal(r.answers[r.calls]); code != kafka.ErrCoordinatorLoadInProgress {
		t.Errorf("a new member: %v", code)
	}
	leave := wire.NewLeaveGroupRequest()
	leave.Group, leave.Members = "g", []wire.LeaveGroupRequestMember{{MemberID: "m"}}
	r.take(r.m.Leave(r.now, r.call(), 3, &leave))
	r.join(q)
	r.advance(4 * time.Second)
	if code := refusal(r.answers[r.calls]); code != kafka.ErrNone {
		t.Errorf("a new member in the place of one: %v", code)
	}
	if w := r.m.Weight(); w != reweigh(r.m) {
		t.Errorf("counted %+v, there are %+v", w, reweigh(r.m))
	}
}
