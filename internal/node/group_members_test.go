package node_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	memberPartitions = 4
	memberRecords    = 40 // per partition and cycle
)

// membersPlan is one run of a group that consumes and commits while its broker
// is killed and its members come and go.
type membersPlan struct {
	seed    uint64
	cycles  int
	members int
	faults  string
}

// reading is what the members of a group saw and were told.
type reading struct {
	mu        sync.Mutex
	seen      [memberPartitions]map[int64]bool
	acked     [memberPartitions]int64 // the largest offset whose commit was acknowledged
	tried     [memberPartitions]int64
	assigned  int
	resetBack error // a member began below what was acknowledged

	topic       [16]byte
	cooperative bool
}

// run is one life of the group, and what was wrong about it.
func (p membersPlan) run(t *testing.T) (rebalances int, err error) {
	r := newRig(t, p.seed, "offsets.topic.num.partitions", "2", "group.initial.rebalance.delay.ms", "100")
	r.faults = p.faults
	r.slowDisk(p.seed)
	dice := rand.New(rand.NewPCG(p.seed, 5))
	r.mustStart()
	defer func() { _ = r.stop() }()
	producer := r.client()
	defer producer.Close()
	r.createTopic(producer, "t", memberPartitions)
	g := &reading{cooperative: p.seed%2 == 0}
	topics, err := kadm.NewClient(producer).ListTopics(context.Background(), "t")
	if err != nil {
		return 0, err
	}
	g.topic = topics["t"].ID
	for i := range g.seen {
		g.seen[i] = map[int64]bool{}
	}
	crew := make([]*worker, p.members)
	for i := range crew {
		crew[i] = g.hire(r, i)
	}
	defer func() {
		for _, w := range crew {
			w.quit()
		}
	}()
	for cycle := range p.cycles {
		p.produce(r, producer)
		<-time.After(time.Duration(200+dice.IntN(400)) * time.Millisecond)
		if i := dice.IntN(p.members + 1); i < p.members { // one is restarted, leaving politely or not
			crew[i].quit()
			crew[i] = g.hire(r, i)
			<-time.After(time.Duration(dice.IntN(500)) * time.Millisecond)
		}
		if dice.IntN(2) == 0 {
			r.ground.Disk.CrashAfter(dice.IntN(100))
			<-time.After(time.Duration(dice.IntN(50)) * time.Millisecond)
		}
		if dice.IntN(2) == 0 {
			r.powerCut(dice.Uint64())
		} else {
			r.kill(dice.Uint64())
		}
		if err := r.start(); err != nil {
			return 0, fmt.Errorf("start after a crash: %w", err)
		}
		if err := g.judge(r); err != nil {
			return 0, fmt.Errorf("cycle %d: %w", cycle, err)
		}
	}
	return g.assigned, g.await(r, int64(p.cycles*memberRecords))
}

// produce writes the records of one cycle; the broker is up.
func (p membersPlan) produce(r *rig, c *kgo.Client) {
	r.t.Helper()
	var batch []*kgo.Record
	for i := range memberPartitions {
		for range memberRecords {
			batch = append(batch, &kgo.Record{Topic: "t", Partition: int32(i), Value: []byte("x")})
		}
	}
	if err := c.ProduceSync(context.Background(), batch...).FirstErr(); err != nil {
		r.t.Fatalf("produce: %v", err)
	}
}

// worker is one member.
type worker struct {
	client *kgo.Client
	cancel context.CancelFunc
	done   chan struct{}
	polite bool

	instance *string // of a static member
}

// hire starts a member. Every third is a static one; some say goodbye.
func (g *reading) hire(r *rig, i int) *worker {
	ctx, cancel := context.WithCancel(context.Background())
	host := r.world.Network.Host(fmt.Sprint("member-", i))
	opts := []kgo.Opt{kgo.Dialer(func(_ context.Context, _, to string) (net.Conn, error) {
		conn, err := host.Dial(to, time.Second)
		return farConn{conn}, err
	}), kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(200 * time.Millisecond), kgo.RebalanceTimeout(5 * time.Second),
		kgo.BlockRebalanceOnPoll(), kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) {
			g.mu.Lock()
			g.assigned++
			g.mu.Unlock()
		}),
		kgo.AdjustFetchOffsetsFn(func(_ context.Context, at map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			g.begin(at["t"])
			return at, nil
		})}
	var instance *string
	if i%3 == 1 {
		name := fmt.Sprint("static-", i)
		instance = &name
		opts = append(opts, kgo.InstanceID(name))
	}
	if g.cooperative {
		opts = append(opts, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	} else {
		opts = append(opts, kgo.Balancers(kgo.RangeBalancer()))
	}
	w := &worker{client: r.member(opts...), cancel: cancel, done: make(chan struct{}), polite: i%2 == 0, instance: instance}
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			g.step(ctx, w)
		}
	}()
	return w
}

// farConn takes its time. This client asks again at once when its leader epoch
// is old, until its metadata are new: without any time between, they never are.
type farConn struct{ net.Conn }

func (c farConn) Write(b []byte) (int, error) {
	<-time.After(100 * time.Microsecond)
	return c.Conn.Write(b)
}

// quit ends a member: with a goodbye, or as if its process had died.
func (w *worker) quit() {
	w.cancel()
	<-w.done
	w.client.AllowRebalance()
	if w.polite {
		w.client.Close()
		return
	}
	w.client.CloseAllowingRebalance()
}

// begin checks where a member starts to read. What was acknowledged before it
// asked is known by now.
func (g *reading) begin(at map[int32]kgo.Offset) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p, o := range at {
		from := o.EpochOffset().Offset
		if from == -2 { // the start: nothing was committed
			from = 0
		}
		if from < g.acked[p] && g.resetBack == nil {
			g.resetBack = fmt.Errorf("partition %d: a member begins at %d, and %d was acknowledged", p, from, g.acked[p])
		}
	}
}

// step reads a little and commits what it has read.
func (g *reading) step(ctx context.Context, w *worker) {
	poll, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	got := w.client.PollRecords(poll, 3)
	defer w.client.AllowRebalance()
	ends := map[int32]int64{}
	g.mu.Lock()
	got.EachRecord(func(rec *kgo.Record) {
		g.seen[rec.Partition][rec.Offset] = true
		ends[rec.Partition] = rec.Offset + 1
		g.tried[rec.Partition] = max(g.tried[rec.Partition], rec.Offset+1)
	})
	g.mu.Unlock()
	if len(ends) > 0 {
		g.commit(ctx, w, ends)
	}
	<-time.After(5 * time.Millisecond) // slow enough to be at work when the broker dies
}

// commit commits as the member that w is. The client's own way to do it holds a
// lock while it joins, which a bubble takes for work and keeps its clock.
func (g *reading) commit(ctx context.Context, w *worker, ends map[int32]int64) {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Group, q.InstanceID = "g", w.instance
	q.MemberID, q.Generation = w.client.GroupMetadata()
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.TopicID = "t", g.topic
	for p, end := range ends {
		one := kmsg.NewOffsetCommitRequestTopicPartition()
		one.Partition, one.Offset = p, end
		t.Partitions = append(t.Partitions, one)
	}
	q.Topics = append(q.Topics, t)
	got, err := q.RequestWith(ctx, w.client)
	if err == nil {
		g.committed(q, got)
	}
}

// committed notes what the broker has acknowledged.
func (g *reading) committed(q *kmsg.OffsetCommitRequest, p *kmsg.OffsetCommitResponse) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, t := range q.Topics {
		for j, part := range t.Partitions {
			if p.Topics[i].Partitions[j].ErrorCode == 0 {
				g.acked[part.Partition] = max(g.acked[part.Partition], part.Offset)
			}
		}
	}
}

// judge compares what the broker says is committed with what it has acknowledged
// and with what was read: nothing lost, nothing skipped.
func (g *reading) judge(r *rig) error {
	g.mu.Lock()
	acked := g.acked
	g.mu.Unlock()
	c := r.client()
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	got, err := kadm.NewClient(c).FetchOffsets(ctx, "g")
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for p := range g.seen {
		at := int64(0)
		if o, ok := got.Lookup("t", int32(p)); ok && o.At >= 0 {
			at = o.At
		}
		if at < acked[p] || at > g.tried[p] {
			return fmt.Errorf("partition %d: %d acknowledged, %d tried, the broker says %d", p, acked[p], g.tried[p], at)
		}
		for o := range at {
			if !g.seen[p][o] {
				return fmt.Errorf("partition %d: %d is committed, and nobody has seen record %d", p, at, o)
			}
		}
	}
	return g.resetBack
}

// await waits until the group has read and committed everything.
func (g *reading) await(r *rig, each int64) error {
	var err error
	for range 600 {
		if err = g.judge(r); err != nil {
			return err
		}
		g.mu.Lock()
		for p := range g.acked {
			if g.acked[p] < each {
				err = fmt.Errorf("partition %d: %d of %d records are committed", p, g.acked[p], each)
			}
		}
		g.mu.Unlock()
		if err == nil {
			return nil
		}
		<-time.After(200 * time.Millisecond)
	}
	return errors.Join(errors.New("the group does not come to an end"), err)
}

// TestNode_AGroupOutlivesCrashes: kills and power cuts while two or three members
// consume, commit, come and go: no committed offset is lost or goes backwards, no
// record is skipped.
func TestNode_AGroupOutlivesCrashes(t *testing.T) {
	rebalances := 0
	for seed := range uint64(16) {
		bubble(t, func(t *testing.T) {
			n, err := membersPlan{seed: seed, cycles: 4, members: 2 + int(seed/2%2)}.run(t)
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			rebalances += n
		})
	}
	if rebalances < 50 {
		t.Errorf("%d assignments: nothing was rebalanced", rebalances)
	}
	t.Logf("%d assignments", rebalances)
}
