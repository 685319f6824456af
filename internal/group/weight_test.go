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

// reweigh counts what a machine holds from the start, and has nothing where a
// group has miscounted its share.
func reweigh(m *Machine) (w Weight) {
	for _, g := range m.groups {
		held := 0
		for each := g.first; each != nil; each = each.next {
			held += memberBytes(each)
		}
		if held != g.held {
			return Weight{Members: -1, Offsets: -1}
		}
		w.Members += int64(held)
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
	s := testSettings()
	s.MaxBatchBytes = 4 << 20 // the share of one group is more than the limit
	for _, c := range crowds() {
		m := New(s)
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

// TestJoin_HasBoundsForMemory: one group holds no more than its records could
// have, whatever the machine may; all groups together no more than the limit, also
// in ids that nobody uses; what was held is free again when they are gone.
func TestJoin_HasBoundsForMemory(t *testing.T) {
	s := testSettings()
	s.MaxBatchBytes = LeastBatchBytes
	r := newRig(t, s)
	code := func(group, id string, version int16, metadata int) kafka.ErrorCode {
		q := joinRequest("")
		q.Group, q.NewMemberID, q.Version = group, id, version
		q.Protocols = protocols("range", strings.Repeat("m", metadata))
		got := r.answers[r.join(q)]
		if got == nil {
			return kafka.ErrNone // parked
		}
		return refusal(got)
	}
	if got := code("g", "large", 3, LeastBatchBytes+1); got != kafka.ErrGroupMaxSizeReached || len(r.m.groups) > 0 {
		t.Errorf("a member larger than the record of its group: %v", got)
	}
	refused := 0
	for i := range 100 {
		if code("many", fmt.Sprint("m", i), 3, 100<<10) == kafka.ErrGroupMaxSizeReached {
			refused++
		}
	}
	if held := r.m.groups["many"].held; refused < 55 || refused > 65 || held > groupShare*LeastBatchBytes {
		t.Errorf("%d of 100 members of 100 KiB were refused, the group holds %d KiB", refused, held>>10)
	}
	if got := code("other", "m", 3, 100<<10); got != kafka.ErrNone {
		t.Errorf("a member of another group: %v", got)
	}
	r.advance(time.Hour)

	limit := int64(2 << 20)
	r.m.Limit(Weight{Members: limit, Offsets: limit})
	refused = 0
	for i := range 1000 {
		if got := code(fmt.Sprint("g", i), fmt.Sprint("m", i), 3, 200<<10); got == kafka.ErrCoordinatorLoadInProgress {
			refused++
		}
	}
	if w := r.m.Weight().Members; w > limit || refused < 980 || len(r.m.groups) > 20 {
		t.Errorf("%d bytes of %d, %d of 1000 refused, %d groups", w, limit, refused, len(r.m.groups))
	}
	r.advance(time.Hour)
	if w := r.m.Weight().Members; w != 0 {
		t.Errorf("%d bytes are held by members that are gone", w)
	}
	refused = 0
	for i := range 100_000 {
		if code("g", fmt.Sprint(strings.Repeat("c", 100), i), 9, 0) == kafka.ErrCoordinatorLoadInProgress {
			refused++
		}
	}
	if w := r.m.Weight().Members; w > limit || refused == 0 {
		t.Errorf("%d bytes of %d in ids that were handed out, %d refused", w, limit, refused)
	}
}

// TestSync_HasBoundsForMemory: assignments count too.
func TestSync_HasBoundsForMemory(t *testing.T) {
	const limit = 4 << 20
	r := newRig(t, testSettings())
	r.m.Limit(Weight{Members: limit, Offsets: limit})
	for i := range 20 {
		q := joinRequest("")
		q.Group, q.NewMemberID, q.Version = fmt.Sprint("g", i), fmt.Sprint("m", i), 3
		r.join(q)
	}
	r.advance(5 * time.Second)
	refused := 0
	for i := range 20 {
		sync := wire.NewSyncGroupRequest()
		sync.Group, sync.MemberID, sync.Generation = fmt.Sprint("g", i), fmt.Sprint("m", i), 1
		sync.GroupAssignment = []wire.SyncGroupRequestGroupAssignment{{MemberID: sync.MemberID, MemberAssignment: make([]byte, 900<<10)}}
		c := r.call()
		r.take(r.m.Sync(r.now, c, &sync))
		if got := r.answers[c].(*wire.SyncGroupResponse); kafka.ErrorCode(got.ErrorCode) == kafka.ErrCoordinatorLoadInProgress {
			refused++
		}
	}
	if w := r.m.Weight(); w.Members > limit || w != reweigh(r.m) || refused < 15 {
		t.Errorf("%+v of %d (%+v), %d of 20 refused", w, limit, reweigh(r.m), refused)
	}
}

// TestList_TakesLongFilters: a filter of a million states costs about a million
// comparisons, not as many for each group.
func TestList_TakesLongFilters(t *testing.T) {
	r := newRig(t, testSettings())
	for i := range 2000 {
		q := commitRequest("", -1, 1)
		q.Group = fmt.Sprint("g", i)
		r.commit(q)
	}
	q := wire.NewListGroupsRequest()
	for range 1_000_000 {
		q.StatesFilter = append(q.StatesFilter, "Dead?")
	}
	began := time.Now()
	if got := r.m.List(&q); len(got.Value) != 0 || time.Since(began) > 5*time.Second {
		t.Errorf("%d groups after %v", len(got.Value), time.Since(began))
	}
}
