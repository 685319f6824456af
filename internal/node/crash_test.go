package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/internal/vfs"
)

// history is what clients were told: the acknowledged records by partition, with
// their offsets, in the order they were produced in.
type history struct {
	mu    sync.Mutex
	made  []int              // records produced, by partition
	acked []map[string]int64 // value to offset, by partition
	// inFlight counts the records without an answer at each crash.
	inFlight []int
	fail     error // the first record that its client gave up
}

func newHistory(partitions int) *history {
	h := &history{made: make([]int, partitions)}
	for range partitions {
		h.acked = append(h.acked, map[string]int64{})
	}
	return h
}

// produce sends the next record of a partition without waiting.
func (h *history) produce(c *kgo.Client, topic string, partition int, pad []byte) {
	h.mu.Lock()
	value := fmt.Sprint(h.made[partition])
	h.made[partition]++
	h.mu.Unlock()
	rec := &kgo.Record{Topic: topic, Partition: int32(partition), Value: []byte(value), Key: pad}
	c.Produce(context.Background(), rec, func(rec *kgo.Record, err error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if err != nil && h.fail == nil {
			h.fail = fmt.Errorf("record %s of partition %d: %w", value, partition, err)
		}
		if err == nil {
			h.acked[partition][value] = rec.Offset
		}
	})
}

func (h *history) noteCrash() {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for i := range h.made {
		n += h.made[i] - len(h.acked[i])
	}
	h.inFlight = append(h.inFlight, n)
}

// judge compares a partition with what was promised: every acknowledged record
// at its offset, every record at most once, in the order of production.
func (h *history) judge(partition int, got []*kgo.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := map[string]int64{}
	last := -1
	for _, rec := range got {
		value := string(rec.Value)
		var n int
		if _, err := fmt.Sscan(value, &n); err != nil || n >= h.made[partition] {
			return fmt.Errorf("partition %d offset %d holds %q, which nobody wrote", partition, rec.Offset, value)
		}
		if _, twice := at[value]; twice {
			return fmt.Errorf("partition %d holds record %s twice", partition, value)
		}
		if n < last {
			return fmt.Errorf("partition %d: record %d after record %d", partition, n, last)
		}
		at[value], last = rec.Offset, n
	}
	for value, offset := range h.acked[partition] {
		if have, ok := at[value]; !ok || have != offset {
			return fmt.Errorf("partition %d: record %s was acknowledged at %d, found at %d (%v)", partition, value, offset, have, ok)
		}
	}
	return nil
}

// crashPlan is one run of the crash test.
type crashPlan struct {
	seed   uint64
	cycles int
	lie    bool // the disk says that it synced what it did not
	power  bool // only power cuts
	faults string
}

const crashPartitions = 3

// run produces under crashes and returns what was wrong in the end.
func (p crashPlan) run(t *testing.T) error {
	r := newRig(t, p.seed)
	r.faults = p.faults
	r.slowDisk(p.seed)
	dice := rand.New(rand.NewPCG(p.seed, 2))
	r.mustStart()
	defer func() { _ = r.stop() }()
	c := r.client(kgo.ProducerLinger(0), kgo.MaxBufferedRecords(100))
	defer c.Close()
	r.createTopic(c, "t", crashPartitions, "segment.bytes", "1048576")
	h := newHistory(crashPartitions)
	for range p.cycles {
		if err := p.cycle(r, c, h, dice); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := c.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if h.fail != nil {
		return fmt.Errorf("a client gave up: %w", h.fail)
	}
	for i := range crashPartitions {
		if n := len(h.acked[i]); n != h.made[i] {
			return fmt.Errorf("partition %d: %d of %d acknowledged", i, n, h.made[i])
		}
	}
	if err := r.check(h); err != nil {
		return err
	}
	t.Logf("records %v, in flight at the crashes %v", h.made, h.inFlight)
	return r.stop()
}

// check reads everything back.
func (r *rig) check(h *history) error {
	for i := range h.made {
		got, err := r.readAll("t", int32(i))
		if err == nil {
			err = h.judge(i, got)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// cycle crashes the broker under load, starts it again, and compares.
func (p crashPlan) cycle(r *rig, c *kgo.Client, h *history, dice *rand.Rand) error {
	if p.lie {
		r.ground.Disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: "*.log", Lie: true})
		r.ground.Disk.Inject(vfs.Fault{Op: vfs.OpWrite | vfs.OpSync, Path: "holdfast.journal", Lie: true})
	}
	if dice.IntN(2) == 0 {
		r.ground.Disk.CrashAfter(dice.IntN(100))
	}
	pads := [][]byte{nil, make([]byte, 100), make([]byte, 5000), make([]byte, 90_000)}
	end := time.Now().Add(time.Duration(1+dice.IntN(40)) * time.Millisecond)
	for time.Now().Before(end) {
		room := c.BufferedProduceRecords() < 90 // a client that waits for room would wait for this loop
		if room {
			h.produce(c, "t", dice.IntN(crashPartitions), pads[dice.IntN(len(pads))])
		}
		if !room || dice.IntN(3) == 0 {
			<-time.After(time.Duration(dice.IntN(1500)) * time.Microsecond)
		}
	}
	h.noteCrash()
	seed := dice.Uint64()
	if p.power || dice.IntN(2) == 0 {
		r.powerCut(seed)
	} else {
		r.kill(seed)
	}
	// A second blow while the broker recovers.
	if dice.IntN(3) == 0 {
		r.ground.Disk.CrashAfter(dice.IntN(60))
		if r.start() == nil {
			<-time.After(time.Duration(dice.IntN(20)) * time.Millisecond)
		}
		r.powerCut(seed + 1)
	}
	if err := r.start(); err != nil {
		return fmt.Errorf("start after a crash: %w", err)
	}
	return r.check(h)
}

// TestNode_AcknowledgedRecordsOutliveCrashes: kill -9 and power cuts at random
// moments, under load of an idempotent producer: every acknowledged record is
// there, once, in order.
func TestNode_AcknowledgedRecordsOutliveCrashes(t *testing.T) {
	seeds := uint64(120)
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				if err := (crashPlan{seed: seed, cycles: 3}).run(t); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			})
		})
	}
}

// TestNode_CrashTestSeesALyingDisk: the same test on a disk that does not keep
// what it said it had must fail, or it shows nothing.
func TestNode_CrashTestSeesALyingDisk(t *testing.T) {
	const seeds = 10
	var caught []uint64
	for seed := range uint64(seeds) {
		bubble(t, func(t *testing.T) {
			if err := (crashPlan{seed: seed, cycles: 2, lie: true, power: true}).run(t); err != nil {
				t.Logf("seed %d: %v", seed, err)
				caught = append(caught, seed)
			}
		})
	}
	if len(caught) < seeds/2 {
		t.Errorf("a lying disk was noticed in seeds %v only", caught)
	}
}

// TestHistory_JudgeFindsEveryKindOfWrong keeps the judge honest.
func TestHistory_JudgeFindsEveryKindOfWrong(t *testing.T) {
	rec := func(offset int64, value string) *kgo.Record { return &kgo.Record{Offset: offset, Value: []byte(value)} }
	good := []*kgo.Record{rec(0, "0"), rec(1, "1"), rec(2, "2")}
	h := &history{made: []int{3}, acked: []map[string]int64{{"0": 0, "1": 1}}}
	if err := h.judge(0, good); err != nil {
		t.Errorf("the right log: %v", err)
	}
	for name, bad := range map[string][]*kgo.Record{
		"lost":    {rec(0, "0")},
		"twice":   append(slices.Clone(good), rec(3, "2")),
		"order":   {rec(0, "0"), rec(1, "1"), rec(2, "2"), rec(3, "1")},
		"swapped": {rec(0, "1"), rec(1, "0")},
		"moved":   {rec(0, "0"), rec(4, "1")},
		"strange": append(slices.Clone(good), rec(3, "7")),
	} {
		if h.judge(0, bad) == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}
