package group

import (
	"fmt"
	"testing"
	"time"

	"holdfast/internal/kafka"
)

// converge brings n members into one group, through MEMBER_ID_REQUIRED, the
// initial delay, one rebalance because of a late member, and their assignments.
// With all timers virtual, what it takes is the machine's own work.
func converge(t testing.TB, n int) *rig {
	r := newRig(t, testSettings())
	ids := make([]string, n)
	for i := range n {
		q := joinRequest("")
		ids[i] = fmt.Sprint("member-", i)
		q.NewMemberID = ids[i]
		r.join(q)
		r.join(joinRequest(ids[i]))
	}
	r.advance(9 * time.Second)
	syncAll(r, ids, 1)
	late := joinRequest("")
	late.NewMemberID, late.Version = "late", 3
	r.join(late)
	for _, id := range ids {
		if got := r.heartbeat(id, 1); got != kafka.ErrRebalanceInProgress {
			t.Fatal(got)
		}
		r.join(joinRequest(id))
	}
	syncAll(r, append(ids, "late"), 2)
	if r.state() != "Stable" {
		t.Fatal(r.state())
	}
	return r
}

func syncAll(r *rig, ids []string, generation int32) {
	assignments := make([]string, 0, 2*len(ids))
	for _, id := range ids {
		assignments = append(assignments, id, "1234567890123456789012345678901234567890")
	}
	for _, id := range ids {
		if r.m.groups["g"].leader == id {
			r.sync(id, generation, assignments...)
		} else {
			r.sync(id, generation)
		}
	}
}

func BenchmarkConverge(b *testing.B) {
	for _, n := range []int{100, 1000, 4000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				converge(b, n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/member")
		})
	}
}

func BenchmarkHeartbeat(b *testing.B) {
	r := converge(b, 1000)
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = fmt.Sprint("member-", i)
	}
	i := 0
	for b.Loop() {
		r.heartbeat(ids[i%1000], 2)
		delete(r.answers, r.calls)
		i++
	}
}

// TestConverge_WorkGrowsWithTheMembers compares allocations, which unlike times
// are the same on every machine: four times the members may need five times.
func TestConverge_WorkGrowsWithTheMembers(t *testing.T) {
	small := testing.AllocsPerRun(1, func() { converge(t, 250) })
	large := testing.AllocsPerRun(1, func() { converge(t, 1000) })
	if large > 5*small {
		t.Errorf("250 members: %.0f allocations, 1000: %.0f", small, large)
	}
}
