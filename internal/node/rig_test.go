package node_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/clock"
	"holdfast/internal/config"
	"holdfast/internal/env"
	"holdfast/internal/node"
	"holdfast/internal/vfs"
)

const (
	address = "broker:9092"
	dataDir = "/data"
)

// rig is one broker on a ground in memory, and whoever talks to it. It lives in
// one test bubble: its time is the bubble's.
type rig struct {
	t      *testing.T
	world  *env.Test
	ground *env.Test // the broker's
	node   *node.Node
	flags  []config.Setting
	faults string // planted ones, in a build with the tag "faults"
}

// newRig makes a ground whose disk takes its time, so that crashes find
// operations under way. extra are settings as KEY, VALUE.
func newRig(t *testing.T, seed uint64, extra ...string) *rig {
	world := env.NewTest(seed)
	r := &rig{t: t, world: world, ground: world.Host("broker", seed+1)}
	all := append([]string{"listeners", "PLAINTEXT://" + address, "admin.listen", ""}, extra...)
	for i := 0; i < len(all); i += 2 {
		r.flags = append(r.flags, setting(all[i], all[i+1]))
	}
	return r
}

func setting(key, value string) config.Setting {
	return config.Setting{Key: key, Value: value, Origin: "test"}
}

// slowDisk gives the disk the times of a fast drive, by seed.
func (r *rig) slowDisk(seed uint64) {
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(seed, 1))
	r.ground.Disk.SetLatency(clock.Real{}, func(op vfs.Op, name string, _ int) time.Duration {
		if op&(vfs.OpSync|vfs.OpSyncDir) == 0 && !(op == vfs.OpWrite && name == dataDir+"/holdfast.journal") {
			return 0
		}
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(100+dice.IntN(2000)) * time.Microsecond
	})
}

func quietLog() *slog.Logger {
	if os.Getenv("HOLDFAST_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}

// start starts the broker on the ground as it is.
func (r *rig) start() error {
	c, _, err := config.Load(config.Sources{Flags: r.flags, Hostname: "broker"})
	if err != nil {
		return err
	}
	r.node, err = node.Start(context.Background(), node.Options{Env: r.ground.Env, Config: c, DataDir: dataDir, Version: "test", Log: quietLog(), Faults: r.faults})
	return err
}

func (r *rig) mustStart() {
	r.t.Helper()
	if err := r.start(); err != nil {
		r.t.Fatalf("start: %v", err)
	}
}

// stop ends the broker in order. A broker that never started has nothing to end.
func (r *rig) stop() error {
	if r.node == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return r.node.Stop(ctx)
}

// kill ends the process as kill -9 does: the page cache stays. The disk dies
// before the network, so that no acknowledgement is lost that was true.
func (r *rig) kill(seed uint64) { r.end(r.ground.Kill(seed)) }

// powerCut takes what was not synced as well.
func (r *rig) powerCut(seed uint64) { r.end(r.ground.Crash(seed)) }

func (r *rig) end(next *env.Test) {
	r.world.Network.Kill("broker")
	_ = r.stop() // its disk is gone: only its goroutines are left to end
	r.ground = next
}

// client makes a client. It is closed at the end of the test.
func (r *rig) client(opts ...kgo.Opt) *kgo.Client {
	r.t.Helper()
	host := r.world.Network.Host("client")
	all := append([]kgo.Opt{
		kgo.SeedBrokers(address),
		kgo.Dialer(func(_ context.Context, _, to string) (net.Conn, error) { return host.Dial(to, time.Second) }),
		kgo.DisableClientMetrics(),
		kgo.ProducerBatchCompression(kgo.NoCompression()), // sizes are what the tests say
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, opts...)
	c, err := kgo.NewClient(all...)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// createTopic creates a topic with settings as KEY, VALUE.
func (r *rig) createTopic(c *kgo.Client, name string, partitions int32, settings ...string) {
	r.t.Helper()
	configs := map[string]*string{}
	for i := 0; i < len(settings); i += 2 {
		configs[settings[i]] = &settings[i+1]
	}
	if _, err := kadm.NewClient(c).CreateTopic(context.Background(), partitions, 1, configs, name); err != nil {
		r.t.Fatalf("create %s: %v", name, err)
	}
}

// readAll reads a partition from its log start to the high watermark that it had
// when the reading began.
func (r *rig) readAll(topic string, partition int32) (records []*kgo.Record, err error) {
	c := r.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ends, err := kadm.NewClient(c).ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	end, _ := ends.Lookup(topic, partition)
	if end.Err != nil {
		return nil, end.Err
	}
	starts, err := kadm.NewClient(c).ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	start, _ := starts.Lookup(topic, partition)
	for next := start.Offset; next < end.Offset; {
		got := c.PollFetches(ctx)
		if err := got.Err(); err != nil {
			return records, fmt.Errorf("reading %s-%d at %d: %w", topic, partition, next, err)
		}
		got.EachRecord(func(rec *kgo.Record) { records, next = append(records, rec), rec.Offset+1 })
	}
	return records, nil
}

// values are the values of records.
func values(records []*kgo.Record) (out []string) {
	for _, rec := range records {
		out = append(out, string(rec.Value))
	}
	return out
}

// produceN produces n records into partition 0 and demands that all are
// acknowledged.
func (r *rig) produceN(c *kgo.Client, topic string, from, n int) {
	r.t.Helper()
	for i := from; i < from+n; i++ {
		if err := c.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			r.t.Fatalf("produce %d: %v", i, err)
		}
	}
}

// numbers is "from", ..., "to-1" as text.
func numbers(from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

func wantValues(t *testing.T, got []*kgo.Record, want []string) {
	t.Helper()
	if have := values(got); !slices.Equal(have, want) {
		t.Errorf("records %v, want %v", have, want)
	}
}

// bubble runs a test in a bubble of its own.
func bubble(t *testing.T, test func(*testing.T)) { synctest.Test(t, test) }

// codeOf is Kafka's code of a client error, 0 when it has none.
func codeOf(err error) int16 {
	var k *kerr.Error
	if errors.As(err, &k) {
		return k.Code
	}
	return 0
}

// request sends one raw request.
func request[T kmsg.Response](t *testing.T, c *kgo.Client, q kmsg.Request) T {
	t.Helper()
	got, err := c.Request(context.Background(), q)
	if err != nil {
		t.Fatalf("%T: %v", q, err)
	}
	return got.(T)
}
