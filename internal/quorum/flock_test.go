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

	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// The cluster of cluster_test.go with members that come and go: one founds alone,
// four join by pulling, and whoever leads is asked again and again for other voters,
// among loss, repetition, crashes at any write and snapshots. Whoever observes
// pulls from anybody who is up.

const flockSize = 5

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
	kind := "pulled entries"
	if answer.Snapshot != nil {
		kind = "pulled snapshot"
	}
	c.faults[kind]++
	return c.act(s, func() error {
		err := s.core.takePulled(p.from, answer)
		if errors.Is(err, errPulled) && len(answer.Entries) == 0 {
			return nil // who joins itself was asked
		}
		return err
	})
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

func runFlock(t *testing.T, seed uint64) (c *cluster, err error) {
	cryptotest.SetGlobalRandom(t, seed)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	c = newFlock(t, seed)
	return c, c.live(6000)
}

func TestFlock_AgreesWhileMembersComeAndGo(t *testing.T) {
	seeds := 15
	if text := os.Getenv("HOLDFAST_SEEDS"); text != "" {
		seeds, _ = strconv.Atoi(text)
	}
	faults, answered := map[string]int{}, 0
	for seed := range seeds {
		c, err := runFlock(t, uint64(seed))
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			continue
		}
		answered += len(c.topics)
		for k, v := range c.faults {
			faults[k] += v
		}
		for _, s := range c.members {
			if n := len(s.core.store.membership.members); n != clusterSize {
				t.Errorf("seed %d: member %d knows %d members", seed, s.id, n)
			}
		}
	}
	t.Logf("%d seeds, %d topics answered, %v", seeds, answered, faults)
	if answered == 0 || faults["pulled snapshot"] == 0 || faults["change asked"] == 0 {
		t.Error("nothing was shown")
	}
}
