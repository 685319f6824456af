package quorum

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/kafka"
)

// TestElection_KilledLeaderIsReplaced: three voters; the leader is killed, again
// and again, with a proof of death; commands given to any node go on.
func TestElection_KilledLeaderIsReplaced(t *testing.T) {
	var gaps []time.Duration
	for seed := range 5 {
		synctest.Test(t, func(t *testing.T) {
			w := newTeam(t, uint64(seed)*100)
			w.found(1, 2, 3)
			w.leader(2 * time.Second)
			w.seats[2].must(register(1))
			for n := range 4 {
				l := w.leader(3 * time.Second)
				began := time.Now()
				w.kill(l.id)
				other := w.living()[0]
				w.seats[other].must(create(fmt.Sprint("t", n), 1))
				gaps = append(gaps, time.Since(began))
				w.open(l.id, nil)
				w.agree(1, 2, 3)
			}
			if w.seats[1].Image().TopicCount() != 4 {
				t.Errorf("%s", w.seats[1].Image())
			}
			w.close()
		})
	}
	slices.Sort(gaps)
	t.Logf("%d kills, gap median %v, largest %v", len(gaps), gaps[len(gaps)/2], gaps[len(gaps)-1])
	if gaps[len(gaps)-1] > 600*time.Millisecond {
		t.Errorf("gaps %v", gaps)
	}
}

// TestElection_SilentLeaderIsReplaced: cut off, without any proof.
func TestElection_SilentLeaderIsReplaced(t *testing.T) {
	var gaps []time.Duration
	for seed := range 5 {
		synctest.Test(t, func(t *testing.T) {
			w := newTeam(t, uint64(seed)*100)
			w.found(1, 2, 3)
			l := w.leader(2 * time.Second)
			w.seats[2].must(register(1))
			w.agree(1, 2, 3)
			var others []kafka.BrokerID
			for id := range w.seats {
				if id != l.id {
					others = append(others, id)
				}
			}
			w.isolate(l.id)
			began := time.Now()
			w.seats[others[0]].must(create("after", 1))
			gaps = append(gaps, time.Since(began))
			w.until(5*time.Second, "the old leader leads alone", func(m *mate) bool { return !m.role.Load().leading }, l.id)
			w.heal()
			w.agree(1, 2, 3)
			w.close()
		})
	}
	slices.Sort(gaps)
	t.Logf("gap median %v, largest %v", gaps[len(gaps)/2], gaps[len(gaps)-1])
	if gaps[len(gaps)-1] > 2500*time.Millisecond || gaps[0] < time.Second {
		t.Errorf("gaps %v", gaps)
	}
}

// TestElection_StarvedNodeCausesNone: for a minute every message from and to one
// node is up to 800 ms late, whether it leads or follows. Nobody else leads after.
func TestElection_StarvedNodeCausesNone(t *testing.T) {
	for _, leads := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newTeam(t, 1)
			w.found(1, 2, 3)
			l := w.leader(2 * time.Second)
			l.must(register(1))
			term := l.Describe().Term
			slow := l.id
			if !leads {
				slow = l.id%3 + 1
			}
			for n := range 120 {
				w.mu.Lock()
				w.late[slow] = time.Duration(n*37%9) * 100 * time.Millisecond
				w.mu.Unlock()
				l.ground.Clock.Sleep(500 * time.Millisecond)
			}
			w.heal()
			w.agree(1, 2, 3)
			if now := w.leader(time.Second); now != l || l.Describe().Term != term {
				t.Errorf("starved %d: node %d leads in term %d, before %d in %d", slow, now.id, now.Describe().Term, l.id, term)
			}
			w.close()
		})
	}
}

// TestElection_AWrongProofCostsNothing: one node is told that the leader is dead,
// which it is not.
func TestElection_AWrongProofCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeam(t, 1)
		w.found(1, 2, 3)
		l := w.leader(2 * time.Second)
		l.must(register(1))
		term := l.Describe().Term
		other := w.seats[l.id%3+1]
		for range 10 {
			must(t, other.LeaderDead(t.Context(), l.id))
			l.ground.Clock.Sleep(700 * time.Millisecond)
		}
		l.ground.Clock.Sleep(3 * time.Second)
		if other.Leader() != l.id || l.Describe().Term != term {
			t.Errorf("node %d knows %d as the leader, term %d after %d", other.id, other.Leader(), l.Describe().Term, term)
		}
		w.close()
	})
}

// TestElection_ResignIsImmediate: a leader that stops in order is replaced without
// a timeout, and every member hears of its own leaderships as begun and ended.
func TestElection_ResignIsImmediate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeam(t, 1)
		w.found(1, 2, 3)
		l := w.leader(2 * time.Second)
		w.seats[1].must(register(1))
		began := time.Now()
		w.stop(l.id)
		other := w.seats[w.living()[0]]
		other.must(create("t", 1))
		took := time.Since(began)
		t.Logf("took %v", took)
		if took > 100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if len(l.led) != 2 || l.led[0][:4] != "true" || l.led[1][:5] != "false" || l.led[0][4:] != l.led[1][5:] {
			t.Errorf("node %d was told %v", l.id, l.led)
		}
		w.close()
		for _, m := range w.seats {
			if len(m.led)%2 != 0 {
				t.Errorf("node %d was told %v", m.id, m.led)
			}
		}
	})
}

// TestSubmit_WaitsForALeader: without a majority nothing is answered, and what could
// be done late is not.
func TestSubmit_WaitsForALeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeam(t, 1)
		w.found(1, 2, 3)
		w.leader(2 * time.Second)
		w.seats[1].must(register(1))
		w.kill(2)
		w.kill(3)
		w.seats[1].ground.Clock.Sleep(5 * time.Second)
		if _, err := w.seats[1].ask(2*time.Second, create("never", 1)); err == nil {
			t.Error("answered without a majority")
		}
		w.open(2, nil)
		w.seats[2].must(create("later", 1))
		w.agree(1, 2)
		if w.seats[1].Image().TopicByName("never") != nil {
			t.Error("what was given up was done late")
		}
		w.close()
	})
}
