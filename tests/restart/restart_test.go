//go:build rig

package restart_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/tests/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// The demands. A start may wobble by slack; beyond that a log that is ten times
// as long may not take longer.
const (
	readyMax = 3 * time.Second
	slack    = 300 * time.Millisecond
)

// TestRestartTime fills a broker in two steps, kills it after each, and times
// three starts: the tail is dirty in every partition each time.
func TestRestartTime(t *testing.T) {
	partitions, total := int32(200), int64(1<<30)
	if rig.Full() {
		partitions, total = 1000, 10<<30
	}
	began := time.Now()
	target := rig.DefaultTarget(t)
	place := rig.NewPlace(t, rig.TempDir(t))
	proc := rig.RunBroker(t, target, place)
	wide := rig.Topic{Name: "wide", Partitions: partitions}
	deep := rig.Topic{Name: "deep", Partitions: 4}
	rig.CreateTopics(t, rig.NewClient(t, place.Addr), wide, deep)

	fill(t, place.Addr, deep, total/10)
	proc, short := restarts(t, target, place, proc, wide)
	fill(t, place.Addr, deep, total-total/10)
	proc, long := restarts(t, target, place, proc, wide)
	if err := proc.Terminate(30 * time.Second); err != nil {
		t.Error(err)
	}
	if long > readyMax {
		t.Errorf("%v from start to ready with %d partitions and %d MiB, want under %v", long, partitions, total>>20, readyMax)
	}
	if long > short+short/2+slack {
		t.Errorf("the start grows with the log: %v with %d MiB, %v with %d MiB", short, total/10>>20, long, total>>20)
	}
	rig.Record(t, rig.Result{
		What:    fmt.Sprintf("start after kill -9 with %d partitions and %d MiB of log", partitions+4, total>>20),
		Figures: fmt.Sprintf("slowest of three to ready: %v with a tenth of the log, %v with all of it", short.Round(time.Millisecond), long.Round(time.Millisecond)),
		Rounds:  6, Seconds: time.Since(began).Seconds(),
	})
}

// restarts kills and starts three times and returns the slowest start.
func restarts(t *testing.T, target rig.Target, place rig.Place, proc *rig.Process, wide rig.Topic) (*rig.Process, time.Duration) {
	t.Helper()
	var worst time.Duration
	for range 3 {
		touch(t, place.Addr, wide)
		proc.Kill()
		began := time.Now()
		proc = rig.StartBroker(t, target, place)
		if err := rig.WaitReady(target, place, proc, time.Minute); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		t.Logf("ready after %v", took.Round(time.Millisecond))
		worst = max(worst, took)
	}
	return proc, worst
}

// touch writes one record to every partition.
func touch(t *testing.T, addr string, topic rig.Topic) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := rig.NewClient(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	var records []*kgo.Record
	for p := range topic.Partitions {
		records = append(records, &kgo.Record{Topic: topic.Name, Partition: p, Value: []byte("dirty tail")})
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("write to %d partitions: %v", topic.Partitions, err)
	}
}

// fill writes bytes in batches of about a megabyte.
func fill(t *testing.T, addr string, topic rig.Topic, bytes int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cl := rig.NewClient(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(1000), kgo.ProducerLinger(2*time.Millisecond))
	defer cl.Close()
	value := make([]byte, 100<<10)
	for i := range value {
		value[i] = byte(i * i >> 5)
	}
	for i := int64(0); i*int64(len(value)) < bytes; i++ {
		cl.Produce(ctx, &kgo.Record{Topic: topic.Name, Partition: int32(i) % topic.Partitions, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("fill %s: %v", topic.Name, err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatalf("fill %s: %v", topic.Name, err)
	}
}
