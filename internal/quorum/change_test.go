package quorum

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/kafka"
)

// TestObserver_FollowsAndComesBack: a node joins a cluster of one, has everything a
// moment later, forwards commands, survives kills, and gets a snapshot where the
// entries are gone.
func TestObserver_FollowsAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeam(t, 1)
		w.open(1, nil)
		w.seats[1].must(register(1))
		w.seats[1].must(create("a", 3))
		w.join(2, 7, 1) // node 7 does not exist
		w.agree(1, 2)
		w.seats[2].must(create("b", 3))
		w.agree(1, 2)
		if w.seats[2].Leader() != 1 || len(w.seats[2].Describe().Voters) != 1 {
			t.Errorf("%+v", w.seats[2].Describe())
		}
		w.kill(2)
		for n := range entriesKept + 200 {
			w.seats[1].must(create(fmt.Sprint("t", n), 1))
		}
		must(t, w.seats[1].call(t.Context(), func(c *core) { must(t, c.takeSnapshot()) }))
		w.open(2, nil)
		w.agree(1, 2)
		w.kill(2)
		w.open(2, nil)
		if w.seats[2].Image().TopicCount() == 0 {
			t.Error("nothing was kept")
		}
		w.agree(1, 2)
		w.kill(1)
		w.seats[1].ground.Clock.Sleep(3 * time.Second)
		w.open(1, nil)
		w.seats[2].must(create("late", 1))
		w.agree(1, 2)
	})
}

// TestChange_OneToThree: two nodes join a cluster of one, and one call makes all
// three voters, under a stream of commands. Then any one can be killed.
func TestChange_OneToThree(t *testing.T) {
	for seed := range 5 {
		synctest.Test(t, func(t *testing.T) {
			w := newTeam(t, uint64(seed)*1000)
			w.open(1, nil)
			w.seats[1].must(register(1))
			for n := range 30 {
				w.seats[1].must(create(fmt.Sprint("before", n), 1))
			}
			w.join(2, 1)
			w.join(3, 1)
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			made := 0
			wg.Go(func() {
				for ; ctx.Err() == nil; made++ {
					w.seats[2].must(create(fmt.Sprint("during", made), 1))
				}
			})
			w.seats[1].ground.Clock.Sleep(20 * time.Millisecond)
			began := time.Now()
			must(t, w.seats[1].ChangeVoters(t.Context(), w.voters(1, 2, 3)))
			took := time.Since(began)
			w.seats[1].ground.Clock.Sleep(20 * time.Millisecond)
			cancel()
			wg.Wait()
			w.agree(1, 2, 3)
			for id, m := range w.seats {
				if d := m.Describe(); len(d.Voters) != 3 || len(d.Observers) != 0 {
					t.Errorf("node %d: %+v", id, d)
				}
			}
			if got := w.seats[3].Image().TopicCount(); got != 30+made || made < 5 {
				t.Errorf("%d topics, made %d", got, made)
			}
			t.Logf("took %v, %d commands meanwhile", took, made)
			for n := range 3 {
				l := w.leader(3 * time.Second)
				w.kill(l.id)
				w.seats[w.living()[0]].must(create(fmt.Sprint("after", n), 1))
				w.open(l.id, nil)
				w.agree(1, 2, 3)
			}
		})
	}
}

// TestChange_NewcomerThatIsDown: a voter that does not catch up gets no vote, the
// cluster goes on, and the same call later succeeds.
func TestChange_NewcomerThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeam(t, 1)
		w.open(1, nil)
		w.seats[1].must(register(1))
		w.join(2, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := w.seats[1].ChangeVoters(ctx, w.voters(1, 2, 3)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		w.seats[1].must(create("a", 1))
		if d := w.seats[1].Describe(); len(d.Voters) != 1 {
			t.Errorf("%+v", d)
		}
		w.join(3, 1)
		must(t, w.seats[1].ChangeVoters(t.Context(), w.voters(1, 2, 3)))
		w.agree(1, 2, 3)
	})
}

// TestChange_ReplaceAndRemove: a controller whose disk is gone is replaced by one
// with the same node id and another directory; then the leader is removed and goes
// on as an observer.
func TestChange_ReplaceAndRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeam(t, 1)
		w.found(1, 2, 3)
		w.leader(2 * time.Second)
		w.seats[1].must(register(1))
		w.kill(3)
		delete(w.seats, 3)
		fresh := kafka.DirectoryID{0xee, 3}
		w.open(3, func(o *Options) { o.Join, o.Sources, o.DirectoryID = true, []kafka.BrokerID{1, 2}, fresh })
		w.agree(1, 2, 3)
		change := func(voters []Voter) {
			t.Helper()
			for range 20 {
				err := w.leader(3*time.Second).ChangeVoters(t.Context(), voters)
				if err == nil {
					return
				}
				if _, moved := errors.AsType[*NotLeaderError](err); !moved {
					t.Fatal(err)
				}
				w.seats[1].ground.Clock.Sleep(200 * time.Millisecond)
			}
			t.Fatal("the change does not succeed")
		}
		change(append(w.voters(1, 2), Voter{3, fresh}))
		w.seats[2].must(create("a", 1))
		w.agree(1, 2, 3)

		l := w.leader(time.Second)
		var rest []Voter
		for _, v := range w.seats[1].Describe().Voters {
			if v.Node != l.id {
				rest = append(rest, Voter{v.Node, v.Directory})
			}
		}
		change(rest)
		if now := w.leader(3 * time.Second); now.id == l.id || len(now.Describe().Voters) != 2 {
			t.Errorf("%+v", now.Describe())
		}
		l.must(create("by-an-observer", 1))
		w.agree(1, 2, 3)
	})
}

func TestChange_RefusesWhatIsNoQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeam(t, 1)
		w.open(1, nil)
		w.seats[1].must(register(1))
		for name, list := range map[string][]Voter{
			"nobody": {}, "one twice": w.voters(1, 2, 2), "no directory": {{1, w.directory(1)}, {2, kafka.DirectoryID{}}},
			"two of one node": {{1, w.directory(1)}, {1, w.directory(2)}}, "too many": w.voters(1, 2, 3, 4, 5, 6, 7, 8),
		} {
			if err := w.seats[1].ChangeVoters(t.Context(), list); !errors.Is(err, ErrVoters) {
				t.Errorf("%s: %v", name, err)
			}
		}
		m := w.join(2, 1)
		w.agree(1, 2)
		if err := m.ChangeVoters(t.Context(), w.voters(1, 2)); !errors.Is(err, kafka.ErrNotController) {
			t.Error(err)
		}
	})
}
