package fetcher

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/kafka"
)

// Reports are coalesced: one is under way, and the next one has all that came
// meanwhile.
func TestProgress_OneReportIsUnderWay(t *testing.T) {
	inBubble(t, 10, func(r *rig) {
		for i := range 10 {
			r.follow(i)
		}
		<-time.After(50 * time.Millisecond)
		synctest.Wait()
		r.door.told()
		r.door.set(func() { r.door.slow = 10 * time.Millisecond })
		var writes []*write
		for n := range 30 {
			for i := range 10 {
				writes = append(writes, r.produce(i, fmt.Sprint(n)))
			}
			<-time.After(time.Millisecond)
		}
		for _, w := range writes {
			w.acked(40 * time.Millisecond)
		}
		synctest.Wait()
		if n := len(r.door.told()); n > 8 {
			t.Errorf("%d reports for 300 writes within 30 ms, with 10 ms for a report", n)
		}
	})
}

// A leader that is not ready to hear is told again, one that is ahead is not: the
// next epoch is told by itself.
func TestProgress_RefusedReports(t *testing.T) {
	cases := map[kafka.ErrorCode]bool{kafka.ErrUnknownLeaderEpoch: true, kafka.ErrNotLeaderOrFollower: true, kafka.ErrUnknownTopicID: true, kafka.ErrFencedLeaderEpoch: false}
	for code, again := range cases {
		t.Run(code.String(), func(t *testing.T) {
			inBubble(t, 1, func(r *rig) {
				r.follow(0)
				r.produce(0, "x").acked(20 * time.Millisecond)
				synctest.Wait()
				r.door.told()
				r.door.set(func() { r.door.deaf = code })
				w := r.produce(0, "y")
				<-time.After(time.Second)
				n := len(r.door.told())
				if again && (n < 2 || n > 60) || !again && n != 1 {
					t.Errorf("%d reports in a second", n)
				}
				r.door.set(func() { r.door.deaf = kafka.ErrNone })
				<-time.After(time.Second)
				if w.isAcked() != again {
					t.Errorf("acknowledged: %v", w.isAcked())
				}
			})
		})
	}
}

// A flush that ends while the fetch is parked is told at once: an answer to the
// fetch that could carry it may be half a second away.
func TestProgress_DoesNotTravelOnTheFetch(t *testing.T) {
	inBubble(t, 1, func(r *rig) {
		r.follow(0)
		<-time.After(650 * time.Millisecond)
		for n := range 20 {
			began := time.Now()
			r.produce(0, fmt.Sprint(n)).acked(20 * time.Millisecond)
			if d := time.Since(began); d > 5*time.Millisecond {
				t.Errorf("write %d took %s", n, d)
			}
			<-time.After(37 * time.Millisecond)
		}
	})
}
