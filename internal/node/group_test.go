package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// member makes a client that is a member of group "g" and reads topic "t".
func (r *rig) member(opts ...kgo.Opt) *kgo.Client {
	r.t.Helper()
	return r.client(append([]kgo.Opt{kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, opts...)...)
}

// committed is the offset that group "g" has committed for a partition of "t",
// -1 without one.
func (r *rig) committed(partition int32) int64 {
	r.t.Helper()
	c := r.client()
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	all, err := kadm.NewClient(c).FetchOffsets(ctx, "g")
	if err != nil {
		r.t.Fatalf("fetch offsets: %v", err)
	}
	o, ok := all.Lookup("t", partition)
	if !ok {
		return -1
	}
	return o.At
}

// TestNode_AGroupConsumesAndCommits walks a group through what it does in a day:
// join, commit, power cut, a second member, goodbye.
func TestNode_AGroupConsumesAndCommits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.slowDisk(1)
		r.mustStart()
		p := r.client()
		defer p.Close()
		r.createTopic(p, "t", 2)
		r.produceN(p, "t", 0, 10)

		one := r.member()
		defer one.Close()
		poll(t, one, 10)
		if err := one.CommitUncommittedOffsets(context.Background()); err != nil {
			t.Fatalf("commit: %v", err)
		}
		r.powerCut(1)
		r.mustStart()
		if got := r.committed(0); got != 10 {
			t.Errorf("after a power cut the committed offset is %d, want 10", got)
		}
		r.produceN(p, "t", 10, 5)
		poll(t, one, 5)
		if err := one.CommitUncommittedOffsets(context.Background()); err != nil {
			t.Fatalf("commit after the power cut: %v", err)
		}
		if got := r.committed(0); got != 15 {
			t.Errorf("committed %d, want 15", got)
		}

		two := r.member()
		defer two.Close()
		admin := kadm.NewClient(p)
		r.until("two members hold one partition each", func() error {
			got, err := admin.DescribeGroups(context.Background(), "g")
			if err != nil {
				return err
			}
			g := got["g"]
			if g.State != "Stable" || len(g.Members) != 2 || len(g.AssignedPartitions()["t"]) != 2 {
				return fmt.Errorf("state %q, %d members, %v", g.State, len(g.Members), g.AssignedPartitions())
			}
			return nil
		})
		one.Close()
		two.Close()
		r.until("the group is empty", func() error {
			got, err := admin.ListGroups(context.Background())
			if err != nil || got["g"].State != "Empty" {
				return fmt.Errorf("%+v, %v", got, err)
			}
			return nil
		})
		if deleted, err := admin.DeleteGroups(context.Background(), "g"); err != nil || deleted["g"].Err != nil {
			t.Errorf("delete: %+v, %v", deleted, err)
		}
		if got := r.committed(0); got != -1 {
			t.Errorf("a deleted group has committed %d", got)
		}
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}

// poll reads n records.
func poll(t *testing.T, c *kgo.Client, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for got := 0; got < n; {
		f := c.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("%d of %d records: %v", got, n, err)
		}
		got += f.NumRecords()
	}
}

// until repeats a look until it finds no fault.
func (r *rig) until(what string, look func() error) {
	r.t.Helper()
	var err error
	for range 600 {
		if err = look(); err == nil {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	r.t.Fatalf("%s: not within a minute: %v", what, err)
}
