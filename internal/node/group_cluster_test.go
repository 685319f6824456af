package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestCluster_GroupsSurviveTheirCoordinators: a group reads while the broker that
// coordinates it is killed again and again. What was committed never goes back, and
// no record is skipped.
func TestCluster_GroupsSurviveTheirCoordinators(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const rounds, each = 6, 20
		f := newFlock(t, 5, 3, "offsets.topic.num.partitions", "5", "group.initial.rebalance.delay.ms", "0")
		f.startAll()
		defer f.stopAll()
		c := f.client()
		defer c.Close()
		f.createTopic(c, "orders", 1, 3)
		reader := f.client(kgo.ConsumerGroup("readers"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(10*time.Second), kgo.RebalanceTimeout(10*time.Second))
		defer reader.Close()
		committed := int64(0)
		for round := range rounds {
			f.produce(c, "orders", 0, round*each, (round+1)*each)
			committed = f.readAndCommit(reader, committed, int64((round+1)*each))
			dead := f.coordinator(c, "readers")
			dead.kill(uint64(round) + 50)
			if next := f.coordinator(c, "readers"); next == dead {
				t.Errorf("round %d: broker %d is dead and coordinates", round, dead.id)
			}
			if now := f.committed("readers", "orders"); now < committed {
				t.Fatalf("round %d: offset %d was committed, and after the death of broker %d it is %d", round, committed, dead.id, now)
			}
			if err := dead.start(context.Background()); err != nil {
				t.Fatal(err)
			}
			f.awaitISR(c, "orders", 0, 3)
			for p := range int32(5) {
				f.awaitISR(c, "__consumer_offsets", p, 3)
			}
		}
	})
}

// readAndCommit reads on to an offset and commits it. Every record has the value of
// its offset, so that one that was skipped or came twice shows.
func (f *flock) readAndCommit(reader *kgo.Client, next, end int64) int64 {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for next < end {
		got := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			f.t.Fatalf("the group has read %d of %d", next, end)
		}
		got.EachRecord(func(r *kgo.Record) {
			switch {
			case r.Offset > next || string(r.Value) != fmt.Sprint(r.Offset):
				f.t.Fatalf("offset %d with value %q where %d was to come", r.Offset, r.Value, next)
			case r.Offset == next: // below it: read again after a rebalance
				next++
			}
		})
	}
	for ctx.Err() == nil {
		if err := f.commit(ctx, reader, end); err == nil {
			return end
		}
		<-time.After(50 * time.Millisecond)
	}
	f.t.Fatalf("offset %d cannot be committed", end)
	return 0
}

func (f *flock) commit(ctx context.Context, reader *kgo.Client, end int64) (err error) {
	offsets := map[string]map[int32]kgo.EpochOffset{"orders": {0: {Epoch: -1, Offset: end}}}
	reader.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, p *kmsg.OffsetCommitResponse, sent error) {
		if err = sent; err == nil {
			err = kerr.ErrorForCode(p.Topics[0].Partitions[0].ErrorCode)
		}
	})
	return err
}

// coordinator is the box that coordinates a group.
func (f *flock) coordinator(c *kgo.Client, group string) *box {
	f.t.Helper()
	for range 400 {
		q := kmsg.NewPtrFindCoordinatorRequest()
		q.CoordinatorKey, q.CoordinatorKeys = group, []string{group}
		if p, err := q.RequestWith(context.Background(), c); err == nil && len(p.Coordinators) == 1 && p.Coordinators[0].ErrorCode == 0 {
			if b := f.boxes[p.Coordinators[0].NodeID-1]; b.node != nil {
				return b
			}
		}
		<-time.After(50 * time.Millisecond)
	}
	f.t.Fatalf("group %s has no coordinator", group)
	return nil
}

// committed is the offset that the group has committed.
func (f *flock) committed(group, topic string) int64 {
	f.t.Helper()
	c := f.client() // one that knows no coordinator yet
	defer c.Close()
	var last error
	for range 400 {
		got, err := kadm.NewClient(c).FetchOffsets(context.Background(), group)
		if last = err; err == nil {
			o, _ := got.Lookup(topic, 0)
			if o.Err == nil {
				return o.At
			}
			last = o.Err
		}
		<-time.After(50 * time.Millisecond)
	}
	f.t.Fatalf("the offsets of group %s cannot be fetched: %v", group, last)
	return 0
}
