package node_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/auth"
	"holdfast/internal/config"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/node"
)

// flock is a cluster of brokers in one bubble, each on a machine of its own.
type flock struct {
	t      *testing.T
	world  *env.Test
	secret auth.Secret
	extra  []config.Setting
	boxes  []*box
}

// box is one broker's machine.
type box struct {
	f      *flock
	id     kafka.BrokerID
	host   string
	ground *env.Test
	node   *node.Node
	alone  bool // started without the addresses of others
}

func newFlock(t *testing.T, seed uint64, n int, extra ...string) *flock {
	f := &flock{t: t, world: env.NewTest(seed)}
	f.secret = auth.NewSecret(f.world.Rand)
	for i := 0; i < len(extra); i += 2 {
		f.extra = append(f.extra, setting(extra[i], extra[i+1]))
	}
	for i := range n {
		host := fmt.Sprintf("broker%d", i+1)
		f.boxes = append(f.boxes, &box{f: f, id: kafka.BrokerID(i + 1), host: host, ground: f.world.Host(host, seed+uint64(i)+10)})
	}
	return f
}

func (f *flock) addresses() string {
	var list []string
	for _, b := range f.boxes {
		list = append(list, b.address())
	}
	return strings.Join(list, ",")
}

func (b *box) address() string { return b.host + ":9092" }

func (b *box) start(ctx context.Context) error {
	flags := append([]config.Setting{setting("listeners", "PLAINTEXT://"+b.address()), setting("admin.listen", ""), setting("node.id", fmt.Sprint(b.id)),
		setting("broker.network.trusted", "true")}, b.f.extra...)
	if !b.alone {
		flags = append(flags, setting("bootstrap", b.f.addresses()))
	}
	c, _, err := config.Load(config.Sources{Flags: flags, Hostname: b.host})
	if err != nil {
		return err
	}
	b.node, err = node.Start(ctx, node.Options{Env: b.ground.Env, Config: c, DataDir: dataDir, Version: "test", Secret: b.f.secret, Log: quietLog().With("box", b.id)})
	return err
}

// startAll starts every broker that does not run, side by side.
func (f *flock) startAll() {
	f.t.Helper()
	errs := make(chan error)
	n := 0
	for _, b := range f.boxes {
		if b.node == nil {
			n++
			go func() { errs <- b.start(context.Background()) }()
		}
	}
	for range n {
		if err := <-errs; err != nil {
			f.t.Fatalf("start: %v", err)
		}
	}
}

func (b *box) stop() error {
	if b.node == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := b.node.Stop(ctx)
	b.node = nil
	return err
}

func (f *flock) stopAll() {
	errs := make(chan error)
	for _, b := range f.boxes {
		go func() { errs <- b.stop() }()
	}
	for range f.boxes {
		if err := <-errs; err != nil {
			f.t.Logf("stop: %v", err)
		}
	}
}

// kill ends the process as kill -9 does.
func (b *box) kill(seed uint64) { b.end(b.ground.Kill(seed)) }

// powerCut takes what was not synced as well.
func (b *box) powerCut(seed uint64) { b.end(b.ground.Crash(seed)) }

func (b *box) end(next *env.Test) {
	b.f.world.Network.Kill(b.host)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = b.node.Stop(ended) // its disk is gone: only its goroutines are left to end
	b.node, b.ground = nil, next
}

func (f *flock) client(opts ...kgo.Opt) *kgo.Client {
	f.t.Helper()
	host := f.world.Network.Host("client")
	all := append([]kgo.Opt{
		kgo.SeedBrokers(strings.Split(f.addresses(), ",")...),
		kgo.Dialer(func(_ context.Context, _, to string) (net.Conn, error) { return host.Dial(to, time.Second) }),
		kgo.DisableClientMetrics(),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, opts...)
	c, err := kgo.NewClient(all...)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (f *flock) createTopic(c *kgo.Client, name string, partitions int32, replicas int16) {
	f.t.Helper()
	if _, err := kadm.NewClient(c).CreateTopic(context.Background(), partitions, replicas, nil, name); err != nil {
		f.t.Fatalf("create %s: %v", name, err)
	}
}

// leader is the box that leads a partition.
func (f *flock) leader(c *kgo.Client, topic string, partition int32) *box {
	f.t.Helper()
	for range 200 {
		m, err := kadm.NewClient(c).Metadata(context.Background(), topic)
		if err == nil {
			if p, ok := m.Topics[topic].Partitions[partition]; ok && p.Leader > 0 {
				return f.boxes[p.Leader-1]
			}
		}
		<-time.After(50 * time.Millisecond)
	}
	f.t.Fatalf("%s-%d has no leader", topic, partition)
	return nil
}

// produce writes numbers [from, to) into a partition, each acknowledged.
func (f *flock) produce(c *kgo.Client, topic string, partition int32, from, to int) (slowest time.Duration) {
	f.t.Helper()
	for i := from; i < to; i++ {
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err := c.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: partition, Value: fmt.Append(nil, i)}).FirstErr()
		cancel()
		if err != nil {
			f.t.Fatalf("produce %d: %v", i, err)
		}
		slowest = max(slowest, time.Since(began))
	}
	return slowest
}

// readAll reads a partition from its start to its high watermark.
func (f *flock) readAll(topic string, partition int32, want int) (records []*kgo.Record) {
	f.t.Helper()
	c := f.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for len(records) < want {
		got := c.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			f.t.Fatalf("read %s-%d: %d records of %d: %v", topic, partition, len(records), want, err)
		}
		got.EachRecord(func(rec *kgo.Record) { records = append(records, rec) })
	}
	return records
}

// TestCluster_LeaderDies: three brokers found a cluster, a topic with three replicas
// is written to with acks=all, its leader is killed, writing goes on, and everything
// that was acknowledged is read, once.
func TestCluster_LeaderDies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFlock(t, 1, 3)
		began := time.Now()
		f.startAll()
		defer f.stopAll()
		t.Logf("three brokers are ready after %v", time.Since(began))
		c := f.client()
		defer c.Close()
		f.createTopic(c, "orders", 1, 3)
		f.produce(c, "orders", 0, 0, 50)
		dead := f.leader(c, "orders", 0)
		dead.kill(7)
		gap := f.produce(c, "orders", 0, 50, 100)
		t.Logf("broker %d led and was killed; the longest wait for an acknowledgement: %v", dead.id, gap)
		if next := f.leader(c, "orders", 0); next == dead {
			t.Errorf("broker %d is dead and leads", dead.id)
		}
		wantValues(t, f.readAll("orders", 0, 100), numbers(0, 100))
	})
}

// awaitISR waits until a partition has so many in-sync replicas and a leader.
func (f *flock) awaitISR(c *kgo.Client, topic string, partition int32, size int) {
	f.t.Helper()
	began := time.Now()
	var last kadm.PartitionDetail
	for time.Since(began) < 30*time.Second {
		if m, err := kadm.NewClient(c).Metadata(context.Background(), topic); err == nil {
			last = m.Topics[topic].Partitions[partition]
			if last.Leader > 0 && len(last.ISR) == size {
				return
			}
		}
		<-time.After(20 * time.Millisecond)
	}
	f.t.Fatalf("%s-%d has leader %d and the ISR %v, want %d members", topic, partition, last.Leader, last.ISR, size)
}

// TestCluster_ReturnsAfterAKill: each broker in turn is killed while records are
// written, comes back, and is in sync again before the next one is killed.
func TestCluster_ReturnsAfterAKill(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFlock(t, 2, 3)
		f.startAll()
		defer f.stopAll()
		c := f.client()
		defer c.Close()
		f.createTopic(c, "orders", 2, 3)
		n := 0
		for round, b := range append(f.boxes, f.boxes...) {
			f.produce(c, "orders", 0, n, n+20)
			if round%2 == 0 {
				b.kill(uint64(round))
			} else {
				b.powerCut(uint64(round))
			}
			gap := f.produce(c, "orders", 0, n+20, n+40)
			began := time.Now()
			f.startAll()
			f.awaitISR(c, "orders", 0, 3)
			t.Logf("broker %d gone: longest wait %v; back in sync %v after its start", b.id, gap, time.Since(began))
			n += 40
		}
		wantValues(t, f.readAll("orders", 0, n), numbers(0, n))
	})
}

// TestCluster_RollingRestart: each broker stops in order and comes back while
// records are written. No write fails or waits long, and leaders are back where they
// were preferred.
func TestCluster_RollingRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFlock(t, 3, 3)
		f.startAll()
		defer f.stopAll()
		c := f.client()
		defer c.Close()
		f.createTopic(c, "orders", 3, 3)
		f.produce(c, "orders", 0, 0, 10)
		stop, written := make(chan struct{}), make(chan int)
		go func() {
			n := 10
			var slowest time.Duration
			for ; ; n++ {
				select {
				case <-stop:
					t.Logf("the longest wait for an acknowledgement: %v", slowest)
					written <- n
					return
				default:
				}
				slowest = max(slowest, f.produce(c, "orders", int32(n%3), n, n+1))
				<-time.After(time.Millisecond)
			}
		}()
		for _, b := range f.boxes {
			began := time.Now()
			if err := b.stop(); err != nil {
				t.Errorf("stop broker %d: %v", b.id, err)
			}
			stopped := time.Since(began)
			<-time.After(100 * time.Millisecond)
			f.startAll()
			for p := range int32(3) {
				f.awaitISR(c, "orders", p, 3)
			}
			t.Logf("broker %d stopped in %v", b.id, stopped)
		}
		close(stop)
		n := <-written
		got := map[string]int{}
		for p := range int32(3) {
			want := 0
			for i := 10; i < n; i++ {
				if int32(i%3) == p {
					want++
				}
			}
			if p == 0 {
				want += 10
			}
			for _, v := range values(f.readAll("orders", p, want)) {
				got[v]++
			}
		}
		for i := range n {
			if got[fmt.Sprint(i)] != 1 {
				t.Errorf("record %d is there %d times", i, got[fmt.Sprint(i)])
			}
		}
	})
}

// TestCluster_PowerCutOfAll: all three lose power in one moment, and everything that
// was acknowledged is there when they are back.
func TestCluster_PowerCutOfAll(t *testing.T) {
	for seed := range uint64(5) {
		bubble(t, func(t *testing.T) {
			f := newFlock(t, 100+seed, 3)
			f.startAll()
			defer f.stopAll()
			c := f.client()
			f.createTopic(c, "orders", 1, 3)
			f.produce(c, "orders", 0, 0, 30)
			for i, b := range f.boxes {
				b.powerCut(seed + uint64(i))
			}
			c.Close()
			f.startAll()
			c = f.client()
			defer c.Close()
			f.produce(c, "orders", 0, 30, 40)
			wantValues(t, f.readAll("orders", 0, 40), numbers(0, 40))
		})
	}
}

// TestCluster_WipedBrokerComesBack: a broker whose directory is gone joins the
// cluster that it was of, gets its vote back, and fetches everything.
func TestCluster_WipedBrokerComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFlock(t, 4, 3)
		f.startAll()
		defer f.stopAll()
		c := f.client()
		defer c.Close()
		f.createTopic(c, "orders", 1, 3)
		f.produce(c, "orders", 0, 0, 30)
		cluster := f.boxes[0].node.Identity().ClusterID
		for round, b := range f.boxes {
			b.kill(uint64(round))
			b.ground = f.world.Host(b.host, uint64(round)+50) // a new disk
			f.startAll()
			if got := b.node.Identity().ClusterID; got != cluster {
				t.Fatalf("broker %d came into cluster %s, not %s", b.id, got, cluster)
			}
			f.awaitISR(c, "orders", 0, 3)
			f.awaitVoters(c, 3, b.node.Identity().DirectoryID)
			f.produce(c, "orders", 0, 30+round*10, 40+round*10)
		}
		wantValues(t, f.readAll("orders", 0, 60), numbers(0, 60))
	})
}

// awaitVoters waits until the quorum has so many voters, one of them the directory.
func (f *flock) awaitVoters(c *kgo.Client, size int, with kafka.DirectoryID) {
	f.t.Helper()
	last := ""
	for range 1500 {
		q := kmsg.NewDescribeQuorumRequest()
		q.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: "__cluster_metadata", Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{}}}}
		got, err := q.RequestWith(context.Background(), c)
		if err == nil && len(got.Topics) > 0 && len(got.Topics[0].Partitions) > 0 {
			voters, has := got.Topics[0].Partitions[0].CurrentVoters, false
			for _, v := range voters {
				has = has || kafka.DirectoryID(v.ReplicaDirectoryID) == with
			}
			if last = fmt.Sprint(voters); len(voters) == size && has {
				return
			}
		}
		<-time.After(20 * time.Millisecond)
	}
	f.t.Fatalf("the voters are %s, want %d with directory %s", last, size, with)
}

// TestCluster_TwoWipedBrokersFoundNothing while the third, which knows the cluster,
// is down; when it is back, they join it.
func TestCluster_TwoWipedBrokersFoundNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFlock(t, 5, 3)
		f.startAll()
		defer f.stopAll()
		cluster := f.boxes[0].node.Identity().ClusterID
		f.stopAll()
		for _, b := range f.boxes[:2] {
			b.ground = f.world.Host(b.host, uint64(b.id)+50)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		errs := make(chan error)
		for _, b := range f.boxes[:2] {
			go func() { errs <- b.start(ctx) }()
		}
		for range 2 {
			if err := <-errs; err == nil || !strings.Contains(err.Error(), "broker3:9092") {
				t.Errorf("start: %v, want one that names the silent address", err)
			}
		}
		for _, b := range f.boxes {
			b.node = nil
		}
		// Two of three voters are gone for good: the cluster cannot elect, and says so;
		// no second one is founded.
		ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, b := range f.boxes {
			go func() { errs <- b.start(ctx) }()
		}
		for range 3 {
			if err := <-errs; err == nil {
				t.Error("a broker is ready without a quorum")
			}
		}
		for _, b := range f.boxes {
			b.node = nil
		}
		_ = cluster
	})
}

// TestCluster_GrowsFromOne: a broker that began alone gets two others; nothing is
// restarted, it has three voters then, and topics can have three replicas.
func TestCluster_GrowsFromOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFlock(t, 6, 3)
		first := f.boxes[0]
		first.alone = true
		if err := first.start(context.Background()); err != nil {
			t.Fatal(err)
		}
		defer f.stopAll()
		c := f.client()
		defer c.Close()
		f.createTopic(c, "old", 1, 1)
		f.produce(c, "old", 0, 0, 10)
		if err := f.boxes[1].start(context.Background()); err != nil {
			t.Fatal(err)
		}
		f.produce(c, "old", 0, 10, 20)
		if err := f.boxes[2].start(context.Background()); err != nil {
			t.Fatal(err)
		}
		f.awaitVoters(c, 3, f.boxes[2].node.Identity().DirectoryID)
		f.createTopic(c, "new", 1, 3)
		f.produce(c, "new", 0, 0, 10)
		f.awaitISR(c, "new", 0, 3)
		dead := f.leader(c, "new", 0)
		dead.kill(3)
		f.produce(c, "new", 0, 10, 20)
		wantValues(t, f.readAll("new", 0, 20), numbers(0, 20))
		if err := dead.start(context.Background()); err != nil {
			t.Fatal(err)
		}
		f.awaitISR(c, "new", 0, 3)
		wantValues(t, f.readAll("old", 0, 20), numbers(0, 20))
	})
}

// TestCluster_SaysWhatItWaitsFor: a broker that cannot come into a cluster, or into
// the quorum, says on its health page what is missing.
func TestCluster_SaysWhatItWaitsFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFlock(t, 11, 3, "admin.listen", "broker1:9644")
		ctx, cancel := context.WithCancel(context.Background())
		started := make(chan error)
		go func() { started <- f.boxes[0].start(ctx) }()
		<-time.After(5 * time.Second)
		r := &rig{t: t, world: f.world}
		get := func(want string) {
			t.Helper()
			code, body := r.getFromAt("operator", "broker1:9644", "/readyz")
			if code != 503 || !strings.Contains(body, want) {
				t.Errorf("health: %d %s, want %q", code, body, want)
			}
		}
		get("broker2:9092")
		cancel()
		if err := <-started; err == nil || !strings.Contains(err.Error(), "broker2:9092") {
			t.Errorf("start: %v", err)
		}
		f.boxes[0].node = nil
		f.extra = nil
		f.startAll()
		f.stopAll()
		f.extra = []config.Setting{setting("admin.listen", "broker1:9644")}
		ctx, cancel = context.WithCancel(context.Background())
		go func() { started <- f.boxes[0].start(ctx) }()
		<-time.After(5 * time.Second)
		get("quorum")
		cancel()
		if err := <-started; err == nil {
			t.Error("a broker is ready without a quorum")
		}
		f.boxes[0].node = nil
	})
}
