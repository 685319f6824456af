//go:build rig

package badinput_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/tests/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

const topic = "victim"

// broker is a running broker with a neighbour that writes to it all the time.
type broker struct {
	place rig.Place
	proc  *rig.Process
	adm   *kadm.Client

	mu      sync.Mutex
	writes  int
	slowest time.Duration
	failure error
}

func start(t *testing.T) *broker {
	t.Helper()
	target := rig.DefaultTarget(t)
	b := &broker{place: rig.NewPlace(t, rig.TempDir(t))}
	b.proc = rig.RunBroker(t, target, b.place)
	cl := rig.NewClient(t, b.place.Addr)
	b.adm = kadm.NewClient(cl)
	rig.CreateTopics(t, cl, rig.Topic{Name: topic, Partitions: 2}, rig.Topic{Name: "compacted", Partitions: 1, Configs: map[string]string{"cleanup.policy": "compact"}},
		rig.Topic{Name: "neighbour", Partitions: 1})
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { b.neighbour(ctx, rig.NewClient(t, b.place.Addr, kgo.DefaultProduceTopic("neighbour"))) })
	t.Cleanup(func() { cancel(); done.Wait() })
	return b
}

// neighbour writes one record after another and remembers the worst.
func (b *broker) neighbour(ctx context.Context, cl *kgo.Client) {
	for ctx.Err() == nil {
		began := time.Now()
		err := cl.ProduceSync(ctx, kgo.StringRecord("as before")).FirstErr()
		b.mu.Lock()
		if ctx.Err() == nil {
			b.writes++
			b.slowest = max(b.slowest, time.Since(began))
			if err != nil {
				b.failure = err
			}
		}
		b.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
}

// unharmed demands that the broker lives, the neighbour moves on, and the
// victim holds nothing.
func (b *broker) unharmed(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	before := b.writes
	b.mu.Unlock()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		moved, failure := b.writes > before, b.failure
		b.mu.Unlock()
		if !b.proc.Alive() {
			t.Fatalf("the broker died:\n%s", b.proc.Tail(4000))
		}
		if failure != nil {
			t.Fatalf("the neighbour's write failed: %v", failure)
		}
		if moved {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the neighbour's writes stand still")
		}
	}
	b.empty(t)
}

// empty demands that nothing was stored in the topics under attack.
func (b *broker) empty(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ends, err := b.adm.ListEndOffsets(ctx, topic, "compacted")
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatalf("end offsets: %v", err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset != 0 {
			t.Errorf("%s-%d ends at %d: something was stored", o.Topic, o.Partition, o.Offset)
		}
	})
}

// noPanic looks for one in what the broker printed.
func (b *broker) noPanic(t *testing.T) {
	t.Helper()
	if out := b.proc.Tail(10 << 20); strings.Contains(out, "panic") || strings.Contains(out, "goroutine ") {
		t.Errorf("the broker panicked:\n%s", b.proc.Tail(4000))
	}
}
