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
		setting("bootstrap", b.f.addresses()), setting("broker.network.trusted", "true")}, b.f.extra...)
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
