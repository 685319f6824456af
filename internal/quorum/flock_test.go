package quorum

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/cryptotest"

	"go.etcd.io/raft/v3"

	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// The cluster of cluster_test.go with members that come and go: one founds alone,
// four join by pulling, and whoever leads is asked again and again for other voters,
// among loss, repetition, crashes at any write and snapshots. Whoever observes
// pulls from anybody who is up.

const flockSize = 5

// The flock's mutants. Each is a rule of this package left out.
const (
	mutantUncommitted = "what is pulled need not be committed"
	mutantWiped       = "a wiped directory comes back as the member that it was"
	mutantReplaced    = "a pulled snapshot replaces entries that a leader has counted"
)

func newFlock(t *testing.T, seed uint64) *cluster {
	c := &cluster{flock: true, rng: rand.New(rand.NewPCG(seed, 7)), images: map[kafka.Offset]string{}, leaders: map[uint64]int{}, topics: map[string]string{}, faults: map[string]int{}}
	for id := range flockSize {
		s := &seat{id: id}
		c.ground(s, vfs.NewMem(seed+uint64(id)), seed+uint64(id))
		must(t, s.g.FS.MkdirAll("data"), s.g.FS.SyncDir("."))
		c.members = append(c.members, s)
		must(t, c.start(s))
	}
	return c
}

func (c *cluster) observes(s *seat) bool { return !s.core.leading && s.core.observing() }

// pull carries one question and one answer.
func (c *cluster) pull(s *seat) error {
	from := c.members[c.rng.IntN(len(c.members))]
	if from == s || from.core == nil {
		return nil
	}
	p := &pull{ctx: context.Background(), from: s.core.image.Offset() + 1, most: 1 + c.rng.IntN(3000), answer: make(chan Pulled, 1)}
	answer, err := from.core.pulled(p)
	if err != nil {
		return err
	}
	if store := from.core.store; c.mutant == mutantUncommitted && len(answer.Entries) == pulledHead && uint64(p.from) <= store.last() {
		entries, err := store.Entries(uint64(p.from), store.last()+1, 1<<20)
		if err != nil {
			return err
		}
		for _, x := range entries {
			if answer.Entries, _, err = appendBatch(answer.Entries, nil, x, 0); err != nil {
				return err
			}
		}
	}
	kind := "pulled entries"
	if answer.Snapshot != nil {
		kind = "pulled snapshot"
	}
	c.faults[kind]++
	return c.act(s, func() error {
		if c.mutant == mutantReplaced && answer.Snapshot != nil {
			return c.replace(s.core, answer.Snapshot)
		}
		err := s.core.takePulled(p.from, answer)
		if errors.Is(err, errPulled) && len(answer.Entries) == 0 {
			return nil // who joins itself was asked
		}
		return err
	})
}

// replace is the mutant's way to take a snapshot.
func (c *cluster) replace(x *core, b []byte) error {
	snap, err := decodeSnapshot(b)
	if err != nil || snap.index <= max(x.store.hard.commit, uint64(x.image.Offset())) {
		return err
	}
	if err := errors.Join(x.store.raiseTerm(snap.term), x.adopt(snap, b)); err != nil {
		return err
	}
	x.node, err = raft.NewRawNode(raftConfig(x.id, x.store, logger{x.o.Log}))
	x.noteRole(&raft.SoftState{RaftState: raft.StateFollower})
	return err
}

// regroup asks for other voters, sometimes for those that are there.
func (c *cluster) regroup(s *seat, calm bool) error {
	if n := len(c.giveUp); n > 0 && c.rng.IntN(2) == 0 {
		c.giveUp[n-1]()
		c.giveUp = c.giveUp[:n-1]
	}
	if !s.core.leading || s.core.change != nil || calm && len(s.core.store.membership.members) == clusterSize && !s.core.store.membership.isJoint() {
		return nil
	}
	ids := c.rng.Perm(len(c.members))[:1+2*c.rng.IntN(2)]
	if calm {
		ids = []int{0, 1, 2}
	}
	ch := &change{ctx: context.Background(), done: make(chan error, 1)}
	for _, id := range ids {
		x := member{raftID: RaftID(seatDirectory(id)), node: kafka.BrokerID(id + 1), directory: seatDirectory(id), roles: roleVoter}
		ch.target = append(ch.target, x)
	}
	sortMembers(ch.target)
	if err := checkVoters(ch.target); err != nil {
		return err
	}
	if !calm {
		// Some are given up in the middle.
		ctx, cancel := context.WithCancel(context.Background())
		ch.ctx, c.giveUp = ctx, append(c.giveUp, cancel)
	}
	c.faults["change asked"]++
	return c.act(s, func() error {
		s.core.startChange(ch)
		return nil
	})
}

func runFlock(t *testing.T, seed uint64, mutant string) (c *cluster, err error) {
	cryptotest.SetGlobalRandom(t, seed)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	c = newFlock(t, seed)
	c.mutant = mutant
	if err := c.live(6000); err != nil {
		return c, err
	}
	for _, s := range c.members {
		if n := len(s.core.store.membership.members); n != clusterSize {
			return c, fmt.Errorf("member %d knows %d members", s.id, n)
		}
	}
	return c, nil
}

func TestFlock_MutantsAreCaught(t *testing.T) {
	const seeds = 60
	for _, mutant := range []string{mutantUncommitted, mutantWiped, mutantReplaced} {
		var err error
		seed := 0
		for ; seed < seeds && err == nil; seed++ {
			_, err = runFlock(t, uint64(seed), mutant)
		}
		if err == nil {
			t.Errorf("mutant %q survived %d seeds", mutant, seeds)
			continue
		}
		t.Logf("mutant %q, seed %d: %.200v", mutant, seed-1, err)
	}
}

func TestFlock_AgreesWhileMembersComeAndGo(t *testing.T) {
	seeds := 15
	if text := os.Getenv("HOLDFAST_SEEDS"); text != "" {
		seeds, _ = strconv.Atoi(text)
	}
	faults, answered := map[string]int{}, 0
	for seed := range seeds {
		c, err := runFlock(t, uint64(seed), "")
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			continue
		}
		answered += len(c.topics)
		for k, v := range c.faults {
			faults[k] += v
		}
	}
	t.Logf("%d seeds, %d topics answered, %v", seeds, answered, faults)
	if answered == 0 || faults["pulled snapshot"] == 0 || faults["change asked"] == 0 {
		t.Error("nothing was shown")
	}
}
