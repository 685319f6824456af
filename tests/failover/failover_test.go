//go:build rig

package failover_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/internal/kafka"
	"holdfast/tests/cluster"
	"holdfast/tests/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

const (
	topic      = "gaps"
	partitions = 6 // so that there is a leader that is the controller, and one that is not
	perSecond  = 1000
)

// row is one kind of accident with its bounds; 0 is no bound.
type row struct {
	name     string
	p50, p99 time.Duration
	links    bool
	// leads picks the partition's leader by whether it is the controller too.
	leads func(leaderIsController bool) bool
	// strike does it to the broker and mend undoes it; the victim is the leader
	// unless follower is set.
	follower     bool
	strike, mend func(*cluster.Cluster, *cluster.Node) error
}

func rows() []row {
	any, alone, both := func(bool) bool { return true }, func(both bool) bool { return !both }, func(both bool) bool { return both }
	hold := func(_ *cluster.Cluster, n *cluster.Node) error { return n.Pause() }
	release := func(_ *cluster.Cluster, n *cluster.Node) error { n.Resume(); return nil }
	isolate := func(c *cluster.Cluster, n *cluster.Node) error { return c.Isolate(n.ID) }
	heal := func(c *cluster.Cluster, _ *cluster.Node) error { return c.Heal() }
	kill := func(_ *cluster.Cluster, n *cluster.Node) error { n.Kill(); return nil }
	start := func(c *cluster.Cluster, _ *cluster.Node) error { return c.Start() }
	return []row{
		{name: "leader killed", p50: 500 * time.Millisecond, p99: 1500 * time.Millisecond, leads: alone, strike: kill, mend: start},
		{name: "leader that is the controller killed", p50: 500 * time.Millisecond, p99: 1500 * time.Millisecond, leads: both, strike: kill, mend: start},
		{name: "leader paused", p99: 3 * time.Second, leads: alone, strike: hold, mend: release},
		{name: "leader that is the controller paused", p99: 3 * time.Second, leads: both, strike: hold, mend: release},
		{name: "leader cut off", p99: 3 * time.Second, leads: alone, links: true, strike: isolate, mend: heal},
		{name: "leader that is the controller cut off", p99: 3 * time.Second, leads: both, links: true, strike: isolate, mend: heal},
		{name: "follower killed", p99: 500 * time.Millisecond, leads: any, follower: true, strike: kill, mend: start},
		{name: "leader stopped in order", p99: 100 * time.Millisecond, leads: any, strike: func(_ *cluster.Cluster, n *cluster.Node) error { return n.Stop(30 * time.Second) }, mend: start},
	}
}

// TestGaps measures every row.
func TestGaps(t *testing.T) {
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) { measure(t, r, rig.Rounds(t, 3, 30)) })
	}
}

func measure(t *testing.T, r row, rounds int) {
	began := time.Now()
	c := cluster.Run(t, cluster.Options{Dir: filepath.Join(rig.TempDir(t), "c"), Links: r.links})
	if err := c.CreateTopics(rig.Topic{Name: topic, Partitions: partitions, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	var gaps, elected []time.Duration
	var acked, failed int64
	for range rounds {
		gap, w, err := once(c, r)
		acked, failed = acked+w.acked, failed+w.failed
		if err != nil {
			t.Fatalf("after %d rounds: %v\n%s", len(gaps), err, c.Tails(2000))
		}
		gaps, elected = append(gaps, gap), append(elected, w.elected)
		t.Logf("gap %v, another leader after %v", gap, w.elected)
	}
	slices.Sort(elected)
	slices.Sort(gaps)
	p50, p99 := gaps[len(gaps)/2], gaps[min(len(gaps)-1, len(gaps)*99/100)]
	if failed > 0 {
		t.Errorf("%d records were refused for good", failed)
	}
	// A few rounds on a busy machine are no measurement: then only silence fails.
	slack := time.Duration(1)
	if !rig.Full() {
		slack = 5
	}
	if r.p50 > 0 && p50 > r.p50*slack {
		t.Errorf("p50 of the longest gap %v, want at most %v", p50, r.p50*slack)
	}
	if p99 > r.p99*slack {
		t.Errorf("p99 of the longest gap %v, want at most %v", p99, r.p99*slack)
	}
	rig.Record(t, rig.Result{What: "longest gap without an acknowledgement, 1,000 records/s, " + r.name, Rounds: len(gaps), Acknowledged: acked, Seconds: time.Since(began).Seconds(),
		Figures: fmt.Sprintf("p50 %v, p99 %v, worst %v; another leader is named after %v, worst %v", p50.Round(time.Millisecond), p99.Round(time.Millisecond), gaps[len(gaps)-1].Round(time.Millisecond),
			elected[len(elected)/2].Round(time.Millisecond), elected[len(elected)-1].Round(time.Millisecond))})
}

// once is one accident: everything in sync, a writer, the strike, writes again.
func once(c *cluster.Cluster, r row) (time.Duration, *writer, error) {
	w := &writer{}
	if err := c.WaitISR(60*time.Second, topic); err != nil {
		return 0, w, err
	}
	p, err := pick(c, r)
	if err != nil {
		return 0, w, err
	}
	victim := p.Leader
	if r.follower {
		victim = p.Follower()
	}
	if err := w.start(c.Addr(), p.Index); err != nil {
		return 0, w, err
	}
	defer w.stop()
	if err := w.await(time.Now(), 500, 20*time.Second); err != nil {
		return 0, w, fmt.Errorf("before the accident: %w", err)
	}
	struck := time.Now()
	if err := r.strike(c, c.Node(victim)); err != nil {
		return 0, w, err
	}
	const settle = 200 * time.Millisecond
	if r.follower {
		time.Sleep(settle)
	} else if err := w.awaitLeader(c, p, struck); err != nil {
		return 0, w, err
	}
	// Flowing again: many records that were sent after the strike.
	if err := w.await(time.Now(), 1000, 40*time.Second); err != nil {
		return 0, w, fmt.Errorf("after the accident: %w", err)
	}
	gap := w.longestGap(struck)
	w.stop()
	return gap, w, r.mend(c, c.Node(victim))
}

// awaitLeader notes when the other brokers name another leader: how much of the gap
// is the cluster's, and how much the client's.
func (w *writer) awaitLeader(c *cluster.Cluster, p cluster.Partition, struck time.Time) error {
	tp := kafka.TopicPartition{Topic: topic, Partition: kafka.PartitionIndex(p.Index)}
	_, err := c.WaitPartition(40*time.Second, tp, "another leader", func(q cluster.Partition) bool { return q.Leader > 0 && q.Leader != p.Leader }, c.Others(p.Leader)...)
	w.elected = time.Since(struck)
	return err
}

// pick finds a partition whose leader fits the row. Leaders move back to where they
// were by themselves, so that it may take a while; a topic is made anew until then.
func pick(c *cluster.Cluster, r row) (found cluster.Partition, err error) {
	err = c.Await(30*time.Second, func(ctx context.Context) error {
		boss, err := c.Controller(ctx)
		if err != nil {
			return err
		}
		list, err := c.Partitions(ctx, topic)
		if err != nil {
			return err
		}
		for _, p := range list {
			if p.Leader > 0 && r.leads(p.Leader == boss) {
				found = p
				return nil
			}
		}
		return fmt.Errorf("no partition of %s fits %q: the controller is broker %d", topic, r.name, boss)
	})
	return found, err
}

// writer sends a thousand records a second to one partition, whatever becomes of
// them, and notes when each is acknowledged.
type writer struct {
	mu     sync.Mutex
	acks   []time.Time // when it was acknowledged
	sent   []time.Time // when that record was sent
	acked  int64
	failed int64

	elected time.Duration // from the strike until another leader was named

	client *kgo.Client
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

func (w *writer) start(addr string, partition int32) error {
	// A broker that is paused or cut off never answers, and its connection stays: only
	// the client's own patience ends that. It is a quarter of a second here, and as
	// much for the broker.
	const patience = 250 * time.Millisecond
	cl, err := kgo.NewClient(rig.Options(addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(100_000),
		kgo.ProduceRequestTimeout(patience), kgo.RequestTimeoutOverhead(patience), kgo.DialTimeout(patience))...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.client, w.cancel = cl, cancel
	w.ended.Go(func() {
		value := make([]byte, 100)
		for next := time.Now(); ctx.Err() == nil; next = next.Add(time.Second / perSecond) {
			if wait := time.Until(next); wait > 0 {
				time.Sleep(wait)
			}
			sent := time.Now()
			cl.Produce(ctx, &kgo.Record{Topic: topic, Partition: partition, Value: value}, func(_ *kgo.Record, err error) {
				w.mu.Lock()
				defer w.mu.Unlock()
				switch {
				case err == nil:
					w.acks, w.sent = append(w.acks, time.Now()), append(w.sent, sent)
					w.acked++
				case ctx.Err() == nil:
					w.failed++
				}
			})
		}
	})
	return nil
}

// stop ends the writer. It may be called twice.
func (w *writer) stop() {
	w.cancel()
	w.client.Close()
	w.ended.Wait()
}

// await waits until n records that were sent after from are acknowledged.
func (w *writer) await(from time.Time, n int, limit time.Duration) error {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		have := 0
		for i := len(w.sent) - 1; i >= 0 && have < n && w.sent[i].After(from); i-- {
			have++
		}
		w.mu.Unlock()
		if have >= n {
			return nil
		}
	}
	return fmt.Errorf("no %d acknowledgements of new records within %v", n, limit)
}

// longestGap is the longest time between two acknowledgements of which the second
// came after the strike.
func (w *writer) longestGap(struck time.Time) (longest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.SortFunc(w.acks, func(a, b time.Time) int { return a.Compare(b) })
	for i := 1; i < len(w.acks); i++ {
		if w.acks[i].After(struck) {
			longest = max(longest, w.acks[i].Sub(w.acks[i-1]))
		}
	}
	return longest
}

// TestStarvedBrokerCausesNoElection lets each broker in its turn run for a tenth of
// the time only: no leader and no controller changes.
func TestStarvedBrokerCausesNoElection(t *testing.T) {
	starve := 4 * time.Second
	if rig.Full() {
		starve = time.Minute
	}
	began := time.Now()
	c := cluster.Run(t, cluster.Options{Dir: rig.TempDir(t)})
	if err := c.CreateTopics(rig.Topic{Name: topic, Partitions: partitions, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	look := func() (kafka.BrokerID, []cluster.Partition) {
		var boss kafka.BrokerID
		var list []cluster.Partition
		err := c.Await(20*time.Second, func(ctx context.Context) (err error) {
			if boss, err = c.Controller(ctx); err != nil {
				return err
			}
			list, err = c.Partitions(ctx, topic)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return boss, list
	}
	for _, n := range c.Nodes {
		boss, before := look()
		for end := time.Now().Add(starve); time.Now().Before(end); {
			n.Process().Signal(syscall.SIGSTOP)
			time.Sleep(90 * time.Millisecond)
			n.Process().Signal(syscall.SIGCONT)
			time.Sleep(10 * time.Millisecond)
		}
		afterBoss, after := look()
		if afterBoss != boss {
			t.Errorf("broker %d was starved: the controller moved from %d to %d", n.ID, boss, afterBoss)
		}
		for i := range after {
			if after[i].Epoch != before[i].Epoch {
				t.Errorf("broker %d was starved: partition %d went from %s to %s", n.ID, i, before[i], after[i])
			}
		}
	}
	rig.Record(t, rig.Result{What: fmt.Sprintf("each broker in turn at a tenth of its time for %v: no election", starve), Rounds: 3, Seconds: time.Since(began).Seconds()})
}
