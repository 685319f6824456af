package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// commitPlan is one run of commits under crashes.
type commitPlan struct {
	seed   uint64
	cycles int
	faults string
}

// commits is what a committer of one group was told.
type commits struct {
	group        string
	tried, acked int64
}

// run commits under crashes and returns what was wrong.
func (p commitPlan) run(t *testing.T) error {
	r := newRig(t, p.seed, "offsets.topic.num.partitions", "2")
	r.faults = p.faults
	r.slowDisk(p.seed)
	dice := rand.New(rand.NewPCG(p.seed, 4))
	r.mustStart()
	defer func() { _ = r.stop() }()
	c := r.client()
	r.createTopic(c, "t", 1)
	c.Close()
	groups := []*commits{{group: "a"}, {group: "b"}, {group: "c"}}
	for cycle := range p.cycles {
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for _, g := range groups {
			client := r.client()
			wg.Go(func() { g.run(ctx, client) })
		}
		if dice.IntN(2) == 0 {
			r.ground.Disk.CrashAfter(dice.IntN(200))
		}
		<-time.After(time.Duration(50+dice.IntN(200)) * time.Millisecond)
		r.powerCut(dice.Uint64())
		cancel()
		wg.Wait()
		if err := r.start(); err != nil {
			return fmt.Errorf("start after a crash: %w", err)
		}
		for _, g := range groups {
			if err := g.judge(r); err != nil {
				return fmt.Errorf("cycle %d: %w", cycle, err)
			}
		}
	}
	t.Logf("seed %d: %+v %+v %+v", p.seed, *groups[0], *groups[1], *groups[2])
	return nil
}

// run commits ever larger offsets.
func (g *commits) run(ctx context.Context, c *kgo.Client) {
	defer c.Close()
	admin := kadm.NewClient(c)
	for ctx.Err() == nil {
		g.tried++
		var offsets kadm.Offsets
		offsets.Add(kadm.Offset{Topic: "t", Partition: 0, At: g.tried, LeaderEpoch: -1})
		got, err := admin.CommitOffsets(ctx, g.group, offsets)
		if err == nil {
			err = got.Error()
		}
		if err == nil {
			g.acked = g.tried
		}
		<-time.After(time.Millisecond) // a commit that costs no time at all would stop the bubble's clock
	}
}

// judge compares with the broker, which from now on knows no less.
func (g *commits) judge(r *rig) error {
	c := r.client()
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	got, err := kadm.NewClient(c).FetchOffsets(ctx, g.group)
	if err != nil {
		return fmt.Errorf("group %s: %w", g.group, err)
	}
	at := int64(0)
	if o, ok := got.Lookup("t", 0); ok {
		at = o.At
	}
	if at < g.acked || at > g.tried {
		return fmt.Errorf("group %s: %d acknowledged, %d tried, the broker says %d", g.group, g.acked, g.tried, at)
	}
	g.acked = at
	return nil
}

// TestNode_CommittedOffsetsOutlivePowerCuts: an offset whose commit was answered
// is there after any power cut, and none goes backwards.
func TestNode_CommittedOffsetsOutlivePowerCuts(t *testing.T) {
	for seed := range uint64(12) {
		bubble(t, func(t *testing.T) {
			if err := (commitPlan{seed: seed, cycles: 4}).run(t); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		})
	}
}
