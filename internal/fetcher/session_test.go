package fetcher

import (
	"testing"
	"testing/synctest"

	"holdfast/internal/kafka"
	"holdfast/internal/partition"
)

// A partition that enters an epoch while the session is not parked would go on in it:
// the leader's side remembers what it told in the epoch before, and would leave the
// first answer out. The session is opened anew instead. The lane runs step by step.
func TestSession_IsOpenedAnewForAnEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		defer func() { _ = r.leader.dir.Close() }()
		defer func() { _ = r.follower.dir.Close() }()
		defer r.fetcher.Close()
		l := newLeader(r.fetcher, leads)
		p := r.follower.partitions[0]
		n := &follower{p: p, id: p.ID(), leader: l, place: waiting}
		s := &session{l: l}
		step := func() int32 {
			t.Helper()
			if _, ok := s.compose(); !ok {
				t.Fatal("nothing to fetch")
			}
			epoch := s.request.SessionEpoch
			code, err := s.call(t.Context())
			if !s.settle(code, err) {
				t.Fatal(code, err)
			}
			return epoch
		}
		p.Follow(partition.Following{Epoch: r.epoch, Leader: leads})
		l.add(n)
		for want := range int32(3) {
			if got := step(); got != want {
				t.Errorf("session epoch %d, want %d", got, want)
			}
		}
		for _, lateNews := range []bool{false, true} {
			if lateNews { // the partition is told before this package is, and was just answered
				r.produce(0, "x")
				step()
			}
			r.epoch++
			r.lead(0)
			p.Follow(partition.Following{Epoch: r.epoch, Leader: leads})
			if !lateNews {
				l.renew(n)
			}
			if got := step(); got != 0 {
				t.Errorf("the session goes on at %d in epoch %d", got, r.epoch)
			}
			if got, ok := p.Progress(); !ok || got.Epoch != r.epoch {
				t.Errorf("epoch %d is not matched: %+v %v", r.epoch, got, ok)
			}
			l.renew(n)
			if n.place != inSession {
				t.Error("the news that came late took the partition out of the session")
			}
		}
	})
}

// Session epochs wrap past the largest value to 1.
func TestSession_NextEpoch(t *testing.T) {
	for from, want := range map[int32]int32{0: 1, 1: 2, 1<<31 - 2: 1<<31 - 1, 1<<31 - 1: 1} {
		if got := kafka.NextSessionEpoch(from); got != want {
			t.Errorf("after %d comes %d, want %d", from, got, want)
		}
	}
}

// A large buffer goes when it is not needed any more.
func TestBuffer_Shrinks(t *testing.T) {
	var u buffer
	big := make([]byte, 8<<20)
	u.give(big)
	for n := range bufferIdle {
		b := u.take()
		if n < bufferIdle-1 && cap(b) != cap(big) {
			t.Fatalf("the buffer went after %d small answers", n)
		}
		u.give(b[:100])
	}
	if b := u.take(); cap(b) != bufferFirst {
		t.Errorf("after %d small answers the buffer has %d bytes", bufferIdle, cap(b))
	}
}

// The pause after an error grows, and not for ever.
func TestBackoff(t *testing.T) {
	last := backoff(1)
	if last != backoffFirst {
		t.Errorf("first pause %s", last)
	}
	for n := 2; n < 100; n++ {
		if d := backoff(n); d < last || d > backoffMost {
			t.Fatalf("pause %s after %s", d, last)
		} else {
			last = d
		}
	}
}
