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

	"holdfast/internal/env"
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

func TestRecall_MessageComesBack(t *testing.T) {
	q := recall{kind: recallAnswer, to: 1 << 60, from: 7, node: 3, life: 9, has: recollection{1, 2, 3}}
	m, err := decodeMail(q.encode())
	if err != nil || m.raft != nil || *m.recall != q {
		t.Errorf("%+v became %+v, %v", q, m.recall, err)
	}
}

// FuzzDecodeMail: whatever another broker sends is refused or is a message, and a
// member takes it without harm.
func FuzzDecodeMail(f *testing.F) {
	f.Add(recall{kind: recallAsk, to: RaftID(testDirectory), from: 7, node: 3}.encode())
	f.Add(recall{kind: recallAnswer, to: RaftID(testDirectory), from: 7, node: 3}.encode())
	f.Add([]byte{recallMark})
	f.Add([]byte{0x08, 0x08})
	g := env.NewTest(1)
	if err := g.FS.MkdirAll("data"); err != nil {
		f.Fatal(err)
	}
	o := testOptions(g)
	o.Transport, o.Config = NoTransport{}, defaultConfig
	c, err := openCore(&o)
	if err == nil {
		err = c.campaign()
	}
	if err == nil {
		err = c.drain()
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMail(b)
		if err != nil {
			return
		}
		if r := m.recall; r != nil {
			if string(r.encode()) != string(b) {
				t.Errorf("%x became %x", b, r.encode())
			}
			c.take(m)
			if c.failed != nil || !c.leading {
				t.Errorf("%x stopped a member: %v", b, c.failed)
			}
		}
	})
}

// restoredAmongRestarted copies a voter's directory while it runs, has it and one
// other acknowledge what the third lacks, restarts everybody, the copied one from its
// copy, and returns why that one stopped, nil where it did not.
func restoredAmongRestarted(t *testing.T, seed int, forget bool) error {
	w := newTeam(t, uint64(seed)*100)
	w.found(1, 2, 3)
	l := w.leader(2 * time.Second)
	l.must(register(1))
	w.agree(1, 2, 3)
	old := w.seats[kafka.BrokerID(1+seed%3)]
	absent := kafka.BrokerID(1 + (seed+1)%3)
	backup := old.ground.Disk.CrashClone(vfs.CrashOptions{Kind: vfs.CrashKeep})
	w.kill(absent)
	w.leader(5 * time.Second).must(create("meanwhile", 1))
	old.ground.Env.Clock.Sleep(2 * witnessTicks * tickInterval)
	for _, id := range w.living() {
		w.kill(id)
	}
	old.ground.FS, old.ground.Disk = backup, backup
	for _, id := range []kafka.BrokerID{1, 2, 3} {
		if m := w.seats[id]; forget {
			_ = m.ground.FS.Remove("data/" + StateDirectory + "/" + memoryName)
		}
	}
	// The worst order: who recalls nothing is there first.
	m := w.open(old.id, nil)
	w.open(absent, nil)
	w.open(6-old.id-absent, nil)
	m.ground.Env.Clock.Sleep(5 * time.Second)
	err := m.Err()
	if err != nil {
		m.alive.Store(false)
		m.retire()
		w.leader(5 * time.Second).must(create("after", 1))
	}
	return err
}

// TestRecall_WitnessesThatHaveStartedSince: what voters recall of each other survives
// their own restart. Without that, a voter that is a copy of itself votes for one that
// lacks what the two had committed.
func TestRecall_WitnessesThatHaveStartedSince(t *testing.T) {
	for seed := range 6 {
		synctest.Test(t, func(t *testing.T) {
			if err := restoredAmongRestarted(t, seed, false); !errors.Is(err, errRolledBack) {
				t.Errorf("seed %d: the copy was not found out: %v", seed, err)
			}
		})
	}
	missed := 0
	for seed := range 6 {
		synctest.Test(t, func(t *testing.T) {
			if err := restoredAmongRestarted(t, seed, true); err == nil {
				missed++
			}
		})
	}
	if missed == 0 {
		t.Error("the mutant \"memory is lost at a restart\" is not caught")
	}
	t.Logf("mutant \"memory is lost at a restart\": %d of 6 copies not found out", missed)
}

func TestMemory_ComesBack(t *testing.T) {
	of := map[uint64]recollection{7: {term: 3, last: 9}, 9: {term: 4}}
	b := encodeMemory(5, of)
	got, err := decodeMemory(5, b)
	if err != nil || len(got) != 2 || got[7] != of[7] || got[9] != of[9] {
		t.Errorf("%v became %v, %v", of, got, err)
	}
	if _, err := decodeMemory(6, b); err == nil {
		t.Error("another member's is taken")
	}
	for i := range b {
		bad := slices.Clone(b)
		bad[i] ^= 1
		if _, err := decodeMemory(5, bad); err == nil {
			t.Errorf("bit flip at %d is taken", i)
		}
	}
}
