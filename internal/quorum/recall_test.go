package quorum

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// TestRecall_ARestoredDirectoryGetsNoVote: a voter's directory is copied while it
// runs, and the copy comes back later. It is refused in plain words, the others go on,
// and a new directory takes its place.
func TestRecall_ARestoredDirectoryGetsNoVote(t *testing.T) {
	for seed := range 6 {
		synctest.Test(t, func(t *testing.T) {
			w := newTeam(t, uint64(seed)*100)
			w.found(1, 2, 3)
			l := w.leader(2 * time.Second)
			l.must(register(1))
			w.agree(1, 2, 3)
			old := w.seats[kafka.BrokerID(1+seed%3)]
			backup := old.ground.Disk.CrashClone(vfs.CrashOptions{Kind: vfs.CrashKeep})
			for n := range 5 {
				l.must(create(fmt.Sprint("t", n), 1))
			}
			w.agree(1, 2, 3)
			w.kill(old.id)
			other := w.seats[w.living()[0]]
			other.must(create("meanwhile", 1))
			old.ground.FS, old.ground.Disk = backup, backup
			m := w.open(old.id, nil)
			w.until(5*time.Second, "the copy runs", func(m *mate) bool { return m.Err() != nil }, m.id)
			if err := m.Err(); !errors.Is(err, errRolledBack) || !isCorrupt(err) {
				t.Errorf("stopped by %v", err)
			}
			t.Log(m.Err())
			m.alive.Store(false)
			m.retire()
			other.must(create("after", 1))
		})
	}
}

// TestRecall_AStartThatIsNoMore: the counter of starts tells a copy of a directory
// whose term and entries are those of now.
func TestRecall_AStartThatIsNoMore(t *testing.T) {
	for _, c := range []struct {
		starts uint64
		older  bool
	}{{0, false}, {6, true}, {7, false}, {8, false}} {
		has := recollection{term: 3, last: 9, starts: c.starts}
		if got := has.isOlder(recollection{term: 3, last: 9, starts: 7}); got != c.older {
			t.Errorf("start %d: older %v", c.starts, got)
		}
	}
	if (recollection{term: 3, last: 9}).isOlder(recollection{}) {
		t.Error("nobody recalls anything")
	}
}

// mutantForgetful leaves out both ways in which a copy is found.
const mutantForgetful = "a member votes before it has asked what others recall"

// runRestored is a life of the cluster in which one member's disk is an older copy
// from some point on. The others are up when it comes back: without a witness nobody
// can tell.
func runRestored(t *testing.T, seed uint64, mutant string) (c *cluster, err error) {
	cryptotest.SetGlobalRandom(t, seed)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	c = newCluster(t, seed, nil)
	c.mutant = mutant
	steps := func(n int) error {
		for range n {
			if err := errors.Join(c.step(false), c.harvest()); err != nil {
				return err
			}
		}
		return nil
	}
	if err := steps(1000); err != nil {
		return c, err
	}
	c.quiet = true
	for _, s := range c.members {
		s.g.Disk.CrashAfter(-1)
		s.down = 0
	}
	if err := steps(500); err != nil {
		return c, err
	}
	// What is committed from here on is in the leader and in the copied member only.
	at := slices.IndexFunc(c.members, func(x *seat) bool { return x.core.leading })
	if at < 0 {
		return c, c.live(100)
	}
	leader, s := c.members[at], c.members[(at+1)%clusterSize]
	c.cut = c.members[(at+2)%clusterSize]
	backup := s.g.Disk.CrashClone(vfs.CrashOptions{Kind: vfs.CrashKeep})
	if err := steps(600); err != nil {
		return c, err
	}
	s.core.failWaiting(ErrClosed)
	s.core = nil
	c.ground(s, backup, seed)
	if err := c.start(s); err != nil {
		return c, err
	}
	c.dead, s.core.memory.proven = s, mutant == mutantForgetful
	if err := steps(300); err != nil {
		return c, err
	}
	c.cut = nil
	if leader.core.leading {
		c.crash(leader)
		leader.down = 400
	}
	if err := steps(600); err != nil {
		return c, err
	}
	if s.core != nil {
		c.faults["older copy not found"]++
		s.core = nil
	}
	return c, c.live(1000)
}

func TestRecall_NoCopyCostsAnAnswer(t *testing.T) {
	seeds := 20
	if text := os.Getenv("HOLDFAST_SEEDS"); text != "" {
		seeds, _ = strconv.Atoi(text)
	}
	faults := map[string]int{}
	for seed := range seeds {
		c, err := runRestored(t, uint64(seed), "")
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		for k, v := range c.faults {
			faults[k] += v
		}
	}
	t.Logf("%d seeds, %v", seeds, faults)
	if faults["older copy found"] < seeds/2 {
		t.Error("too few copies were found out")
	}
}

func TestRecall_MutantIsCaught(t *testing.T) {
	const seeds = 60
	for seed := range seeds {
		if _, err := runRestored(t, uint64(seed), mutantForgetful); err != nil {
			t.Logf("mutant %q, seed %d: %.200v", mutantForgetful, seed, err)
			return
		}
	}
	t.Errorf("mutant %q survived %d seeds", mutantForgetful, seeds)
}
