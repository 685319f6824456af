package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// committer commits offsets without being a member, and knows what it was told.
type committer struct {
	admin *kadm.Client
	acked map[string]int64 // by group
}

// commit commits an offset with a large metadata, so that the topic grows.
func (c *committer) commit(ctx context.Context, group string, at int64) error {
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: "t", Partition: 0, At: at, LeaderEpoch: -1, Metadata: strings.Repeat("m", 4000)})
	got, err := c.admin.CommitOffsets(ctx, group, offsets)
	if err == nil {
		err = got.Error()
	}
	if err == nil {
		c.acked[group] = at
	}
	return err
}

// TestNode_TheInternalTopicIsCleanedAndLosesNothing: old segments go, what they
// alone said stays, through power cuts at any moment.
func TestNode_TheInternalTopicIsCleanedAndLosesNothing(t *testing.T) {
	cleaned := 0
	for seed := range uint64(4) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, seed, "offsets.topic.segment.bytes", "1048576", "offsets.topic.num.partitions", "1", "log.retention.check.interval.ms", "300")
			r.slowDisk(seed)
			dice := rand.New(rand.NewPCG(seed, 3))
			r.mustStart()
			c := r.client()
			defer c.Close()
			r.createTopic(c, "t", 1)
			k := &committer{admin: kadm.NewClient(c), acked: map[string]int64{}}
			for round := range 4 {
				k.grow(r, round, dice)
				<-time.After(time.Duration(dice.IntN(400)) * time.Millisecond)
				if dice.IntN(2) == 0 {
					r.powerCut(dice.Uint64())
				} else {
					r.kill(dice.Uint64())
				}
				r.mustStart()
				k.check(r, seed, round)
			}
			<-time.After(10 * time.Second)
			start, err := k.admin.ListStartOffsets(context.Background(), "__consumer_offsets")
			if err != nil {
				t.Fatal(err)
			}
			if o, _ := start.Lookup("__consumer_offsets", 0); o.Offset > 0 {
				cleaned++
			}
			k.check(r, seed, 99)
			_ = r.stop()
		})
	}
	if cleaned == 0 {
		t.Error("nothing was ever cleaned")
	}
}

// grow commits for one group that will be silent from now on and again and again
// for another.
func (k *committer) grow(r *rig, round int, dice *rand.Rand) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := k.commit(ctx, fmt.Sprintf("still-%d", round), int64(round)+1); err != nil {
		r.t.Fatalf("commit: %v", err)
	}
	for i := range 300 + dice.IntN(200) {
		if err := k.commit(ctx, "busy", int64(1000*round+i)); err != nil {
			r.t.Fatalf("commit %d: %v", i, err)
		}
	}
}

func (k *committer) check(r *rig, seed uint64, round int) {
	r.t.Helper()
	for group, want := range k.acked {
		got, err := k.admin.FetchOffsets(context.Background(), group)
		if err != nil {
			r.t.Fatalf("seed %d round %d: fetch %s: %v", seed, round, group, err)
		}
		if o, ok := got.Lookup("t", 0); !ok || o.At != want || len(o.Metadata) != 4000 {
			r.t.Errorf("seed %d round %d: group %s committed %d, found %d (%v)", seed, round, group, want, o.At, ok)
		}
	}
}
