package fetcher

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/partition"
)

// What is written at the leader is at the follower, byte for byte, and is
// acknowledged as soon as both have it on stable storage. The answers are read into
// one buffer again and again.
func TestFollow_WritesAreAcknowledged(t *testing.T) {
	inBubble(t, 3, func(r *rig) {
		for i := range 3 {
			r.follow(i)
		}
		for n := range 50 {
			var writes []*write
			for i := range 3 {
				writes = append(writes, r.produce(i, fmt.Sprintf("%d of %d %s", n, i, strings.Repeat("x", n*7%100))))
			}
			for _, w := range writes {
				w.acked(20 * time.Millisecond)
			}
		}
		for i := range 3 {
			r.same(i)
		}
		synctest.Wait()
		o := r.follower.partitions[1].Offsets()
		if o.HighWatermark != 50 || o.Durable != 50 {
			t.Errorf("the follower has high watermark %d and durable end %d, want 50", o.HighWatermark, o.Durable)
		}
	})
}

// Without news the fetch is parked: two a second, and they name no partition.
func TestFollow_IdleFetchesAreParked(t *testing.T) {
	inBubble(t, 20, func(r *rig) {
		for i := range 20 {
			r.follow(i)
		}
		<-time.After(time.Second)
		r.door.asked()
		<-time.After(10 * time.Second)
		synctest.Wait()
		list := r.door.asked()
		if len(list) < 19 || len(list) > 21 {
			t.Errorf("%d fetches in 10 s, want one every 500 ms", len(list))
		}
		for _, f := range list {
			if f.id == 0 || len(f.partitions) > 0 {
				t.Errorf("an idle fetch of session %d names %v", f.id, f.partitions)
			}
		}
		// One partition of twenty has news: the others are not named.
		w := r.produce(3, "x")
		w.acked(20 * time.Millisecond)
		<-time.After(100 * time.Millisecond)
		for _, f := range r.door.asked() {
			if len(f.partitions) > 1 {
				t.Errorf("a fetch after one write names %v", f.partitions)
			}
		}
	})
}

// A partition that comes while the session's fetch is parked is fetched at once, and
// the session takes it over.
func TestFollow_NewcomersDoNotWaitForTheParkedFetch(t *testing.T) {
	inBubble(t, 2, func(r *rig) {
		r.follow(0)
		<-time.After(700 * time.Millisecond) // the parked fetch returns at 1 s
		synctest.Wait()
		w := r.produce(1, "x")
		r.follow(1)
		w.acked(20 * time.Millisecond)
		r.produce(1, "y").acked(20 * time.Millisecond)
		<-time.After(2 * time.Second)
		synctest.Wait()
		if d := r.fetcher.Describe(); len(d) != 1 || d[0].InSession != 2 || d[0].Partitions != 2 {
			t.Errorf("%+v, want both partitions in the session", d)
		}
		r.door.asked()
		<-time.After(5 * time.Second)
		if n := len(r.door.asked()); n > 11 {
			t.Errorf("%d fetches in 5 s: the newcomer is still fetched beside the session", n)
		}
	})
}

// One partition that is refused does not disturb the others, is asked for less and
// less often, and comes back.
func TestFollow_RefusedPartitionsStepAside(t *testing.T) {
	for _, code := range []kafka.ErrorCode{kafka.ErrNotLeaderOrFollower, kafka.ErrUnknownTopicID, kafka.ErrUnknownLeaderEpoch, kafka.ErrKafkaStorageError} {
		t.Run(code.String(), func(t *testing.T) {
			inBubble(t, 2, func(r *rig) {
				r.door.set(func() { r.door.refuse[1] = code })
				r.follow(0)
				r.follow(1)
				for n := range 20 {
					r.produce(0, fmt.Sprint(n)).acked(20 * time.Millisecond)
					<-time.After(100 * time.Millisecond)
				}
				r.door.asked()
				<-time.After(10 * time.Second)
				if n := len(r.door.asked()); n > 70 {
					t.Errorf("%d fetches in 10 s for a partition that is refused", n)
				}
				r.door.set(func() { delete(r.door.refuse, 1) })
				r.produce(1, "x").acked(backoffMost + 20*time.Millisecond)
			})
		})
	}
}

// An epoch that begins is matched anew, also where nothing has changed: without the
// follower's word on what is durable the leader could commit nothing.
func TestFollow_EveryEpochIsMatched(t *testing.T) {
	for _, leaderFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("leader_first=%v", leaderFirst), func(t *testing.T) {
			inBubble(t, 2, func(r *rig) {
				r.follow(0)
				r.follow(1)
				r.produce(0, "x").acked(20 * time.Millisecond)
				for range 5 {
					<-time.After(730 * time.Millisecond)
					synctest.Wait()
					r.door.told()
					r.epoch++
					steps := []func(){func() { r.lead(0) }, func() { r.follow(0) }}
					if !leaderFirst {
						steps[0], steps[1] = steps[1], steps[0]
					}
					steps[0]()
					<-time.After(30 * time.Millisecond)
					steps[1]()
					<-time.After(50 * time.Millisecond)
					synctest.Wait()
					p, ok := r.follower.partitions[0].Progress()
					if !ok || p.Epoch != r.epoch {
						t.Fatalf("epoch %d is not matched after 50 ms: %+v %v", r.epoch, p, ok)
					}
					if !toldOf(r, 0, r.epoch) {
						t.Errorf("epoch %d: nothing was reported", r.epoch)
					}
					r.produce(0, "y").acked(20 * time.Millisecond)
				}
				r.same(0)
			})
		})
	}
}

// toldOf reports whether a report named the partition in the epoch.
func toldOf(r *rig, i int32, epoch kafka.LeaderEpoch) bool {
	for _, q := range r.door.told() {
		for _, row := range q.Topics {
			for _, p := range row.Partitions {
				if p.Partition == i && p.LeaderEpoch == int32(epoch) {
					return true
				}
			}
		}
	}
	return false
}

// diverge gives the follower of partition 0 two records that the leader never had:
// it led epoch 1 alone, and broker 1 leads epoch 2.
func (r *rig) diverge() {
	p := r.follower.partitions[0]
	both := []kafka.BrokerID{leads, follows}
	p.Lead(partition.Leadership{Epoch: 1, PartitionEpoch: 1, Replicas: both, ISR: both, MinISR: 2})
	for range 2 {
		if res := p.Append(partition.AppendRequest{Records: batch(r.t, "mine"), Asked: -1, Wait: partition.WaitNone}); res.Code != kafka.ErrNone {
			r.t.Fatal(res.Code)
		}
	}
	synctest.Wait()
	r.epoch = 2
	r.lead(0)
}

// A suffix that the leader does not have is cut, and what the leader has is fetched.
// While the disk holds the cut up, other partitions go on.
func TestFollow_CutsBesideTheSession(t *testing.T) {
	inBubble(t, 2, func(r *rig) {
		r.diverge()
		r.follower.cutting = make(chan struct{})
		r.follow(0)
		r.epoch = 1
		r.follow(1)
		r.epoch = 2
		w := r.produce(0, "theirs")
		for n := range 10 {
			r.produce(1, fmt.Sprint(n)).acked(20 * time.Millisecond)
		}
		if w.isAcked() || r.follower.partitions[0].Log().End() != 2 {
			t.Fatal("the cut was not held up")
		}
		close(r.follower.cutting)
		w.acked(20 * time.Millisecond)
		r.same(0)
		r.same(1)
		if c := r.follower.partitions[0].Counts(); c.OffsetsCut != 2 {
			t.Errorf("%d offsets cut, want 2", c.OffsetsCut)
		}
	})
}

// A leader that lacks what is known to be committed is not followed: the replica is
// offline, its bytes stay, and nothing more is asked for.
func TestFollow_RefusesToCutCommittedRecords(t *testing.T) {
	inBubble(t, 2, func(r *rig) {
		p := r.follower.partitions[0]
		p.Lead(partition.Leadership{Epoch: 1, PartitionEpoch: 1, ISR: []kafka.BrokerID{follows}, MinISR: 1})
		if res := p.Append(partition.AppendRequest{Records: batch(t, "mine"), Asked: -1, Wait: partition.WaitNone}); res.Code != kafka.ErrNone {
			t.Fatal(res.Code)
		}
		synctest.Wait()
		if p.Offsets().HighWatermark != 1 {
			t.Fatal("the record is not committed")
		}
		before := string(content(t, p))
		r.epoch = 2
		r.lead(0)
		r.follow(0)
		r.epoch = 1
		r.follow(1)
		<-time.After(time.Second)
		synctest.Wait()
		diverged, ok := errors.AsType[*partition.DivergedBelowHighWatermarkError](p.Err())
		if !ok || string(content(t, p)) != before {
			t.Errorf("error %v (%v), bytes kept: %v", p.Err(), diverged, string(content(t, p)) == before)
		}
		if d := r.fetcher.Describe(); d[0].Offline != 1 || d[0].InSession != 1 {
			t.Errorf("%+v, want one offline and one in the session", d)
		}
		r.door.asked()
		<-time.After(5 * time.Second)
		for _, f := range r.door.asked() {
			for _, i := range f.partitions {
				if i == 0 {
					t.Error("a partition that is offline is fetched")
				}
			}
		}
		r.produce(1, "x").acked(20 * time.Millisecond)
	})
}

// After the connection was lost everything goes on, in a new session, and what is
// durable is told again though nothing has changed.
func TestFollow_GoesOnAfterALoss(t *testing.T) {
	inBubble(t, 3, func(r *rig) {
		for i := range 3 {
			r.follow(i)
			r.produce(i, "x").acked(20 * time.Millisecond)
		}
		r.door.lose(errLost)
		<-time.After(5 * time.Second)
		synctest.Wait()
		if d := r.fetcher.Describe(); d[0].Err == nil {
			t.Error("nobody says that the leader is not reached")
		}
		lost := r.fetcher.Stats().Lost.Load()
		if lost > 30 {
			t.Errorf("%d attempts in 5 s", lost)
		}
		w := r.produce(1, "while it was down")
		r.door.told()
		r.door.back()
		w.acked(backoffMost + 20*time.Millisecond)
		<-time.After(2 * backoffMost)
		synctest.Wait()
		list := r.door.told()
		seen := map[int32]bool{}
		for _, q := range list {
			for _, row := range q.Topics {
				for _, p := range row.Partitions {
					seen[p.Partition] = true
				}
			}
		}
		if len(seen) != 3 {
			t.Errorf("after the loss only %v were told again", seen)
		}
		if d := r.fetcher.Describe(); d[0].Err != nil || d[0].InSession != 3 {
			t.Errorf("%+v, want all in the session", d)
		}
		r.same(1)
	})
}

// The leader forgets sessions when it likes.
func TestFollow_ForgottenSessionsAreOpenedAnew(t *testing.T) {
	inBubble(t, 2, func(r *rig) {
		r.follow(0)
		r.follow(1)
		for n := range 5 {
			r.produce(n%2, fmt.Sprint(n)).acked(20 * time.Millisecond)
			r.door.set(func() { r.door.sessions = map[int32]*fakeSession{} })
			r.produce(1-n%2, fmt.Sprint(n)).acked(600 * time.Millisecond)
		}
	})
}

// A leader that has deleted what the follower has not fetched yet is followed from
// its log start on.
func TestFollow_StartsAnewAboveItsEnd(t *testing.T) {
	inBubble(t, 2, func(r *rig) {
		r.follow(1)
		w := r.produce(1, "x")
		w.acked(20 * time.Millisecond)
		r.leader.partitions[0].Lead(partition.Leadership{Epoch: 1, PartitionEpoch: 100, ISR: []kafka.BrokerID{leads}, MinISR: 1,
			Replicas: []kafka.BrokerID{leads, follows}})
		for n := range 5 {
			r.produce(0, fmt.Sprint(n)).acked(20 * time.Millisecond)
		}
		if _, code := r.leader.partitions[0].DeleteRecords(4); code != kafka.ErrNone {
			t.Fatal(code)
		}
		r.follow(0)
		<-time.After(time.Second)
		synctest.Wait()
		if l := r.follower.partitions[0].Log(); l.Start() != 4 || l.End() != 5 {
			t.Errorf("the follower has [%d, %d), want [4, 5)", l.Start(), l.End())
		}
		// And a start that moves later is followed, too, beside the session.
		if _, code := r.leader.partitions[0].DeleteRecords(5); code != kafka.ErrNone {
			t.Fatal(code)
		}
		<-time.After(time.Second)
		synctest.Wait()
		if l := r.follower.partitions[0].Log(); l.Start() != 5 {
			t.Errorf("the follower starts at %d, want 5", l.Start())
		}
	})
}

// What is forgotten is not fetched, and leaves the session.
func TestForget(t *testing.T) {
	inBubble(t, 2, func(r *rig) {
		r.follow(0)
		r.follow(1)
		r.produce(0, "x").acked(20 * time.Millisecond)
		r.fetcher.Forget(r.follower.partitions[0])
		r.follower.partitions[0].Resign()
		r.door.asked()
		<-time.After(2 * time.Second)
		forgotten := false
		for _, f := range r.door.asked() {
			forgotten = forgotten || len(f.forgotten) == 1 && f.forgotten[0] == 0
		}
		if !forgotten {
			t.Error("the session still has the partition")
		}
		w := r.produce(0, "nobody fetches this")
		r.produce(1, "y").acked(20 * time.Millisecond)
		<-time.After(time.Second)
		if w.isAcked() || r.follower.partitions[0].Log().End() != 1 {
			t.Error("a forgotten partition was fetched")
		}
		r.fetcher.Forget(r.follower.partitions[1])
		synctest.Wait()
		if d := r.fetcher.Describe(); len(d) != 0 {
			t.Errorf("%+v, want nobody", d)
		}
		r.door.asked()
		<-time.After(5 * time.Second)
		if n := len(r.door.asked()); n != 0 {
			t.Errorf("%d fetches for nobody", n)
		}
		r.follow(1) // and back
		r.produce(1, "z").acked(20 * time.Millisecond)
	})
}

// A broker that is not registered fetches nothing: its leader could not tell what it
// is good for.
func TestFollow_WaitsForTheRegistration(t *testing.T) {
	inBubble(t, 1, func(r *rig) {
		var registered atomic.Int64
		registered.Store(-1)
		r.fetcher.o.Epoch = func() kafka.BrokerEpoch { return kafka.BrokerEpoch(registered.Load()) }
		r.follow(0)
		<-time.After(time.Second)
		if n := len(r.door.asked()); n != 0 {
			t.Errorf("%d fetches before the registration", n)
		}
		synctest.Wait()
		registered.Store(int64(incarnation[follows]))
		r.produce(0, "x").acked(2 * unregistered)
	})
}
