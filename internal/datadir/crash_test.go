package datadir

// Goal: whatever was reported durable is there after a crash, byte for byte.
//
// Method: one workload of several logs with small and large appends, checkpoints
// and a deletion runs on a file system in memory that crashes at its k-th
// mutating operation, for k = 0, 1, 2, ... until a run ends by itself. After each
// crash the directory is opened again on what the disk kept, with several seeds
// for what it kept of the unsynced pages. Planted faults must be caught.

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/record"
)

// reported remembers what one log was told is durable, and what was appended.
type reported struct {
	mu      sync.Mutex
	durable kafka.Offset
	failed  error
	bytes   []byte // everything appended, in order
	ends    []kafka.Offset
	sizes   []int // len(bytes) at each end
}

func (r *reported) Flushed(end kafka.Offset) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.durable = max(r.durable, end)
}

func (r *reported) Failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = err
}

// told is the durable end that was reported last.
func (r *reported) told() kafka.Offset {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.durable
}

func (r *reported) promise() (kafka.Offset, []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, end := range r.ends {
		if end == r.durable {
			return r.durable, r.bytes[:r.sizes[i]]
		}
	}
	return 0, nil
}

const crashLogs = 3

func topicOf(i int) (string, kafka.TopicIDPartition) {
	return fmt.Sprintf("topic%d", i), kafka.TopicIDPartition{TopicID: kafka.TopicID{byte(i + 1)}}
}

func smallConfig() log.Config {
	c := log.DefaultConfig()
	c.SegmentBytes = 300 << 10
	return c
}

// appendTo writes one batch of about size bytes and submits it.
func appendTo(d *Dir, l *log.Log, r *reported, number, size int) error {
	b := record.NewBuilder(record.Options{})
	for n := 0; n < size; n += 1000 {
		b.Append(kafka.Timestamp(1000+number), nil, bytes.Repeat([]byte{byte(number), byte(n >> 10)}, 500))
	}
	data, err := b.Build(nil)
	if err != nil {
		return err
	}
	record.SetBase(data, l.End(), 0)
	h, err := record.ParseHeader(data)
	if err != nil {
		return err
	}
	span, err := l.Append(data, []record.Header{h}, kafka.Timestamp(1000+number))
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.bytes = append(r.bytes, data...)
	r.ends, r.sizes = append(r.ends, span.End), append(r.sizes, len(r.bytes))
	r.mu.Unlock()
	d.Submit(r, l, span, data, 0)
	return nil
}

// workload runs until it is done or the disk is gone. What was promised is in
// logs; removed says that the last log was being deleted.
func workload(ground *env.Test, m mutant) (logs [crashLogs]*reported, removed bool) {
	for i := range logs {
		logs[i] = &reported{}
	}
	d, err := Open(Options{Env: ground.Env, Dir: "/data", NodeID: kafka.NoBroker, Log: slog.New(slog.DiscardHandler), mutant: m})
	if err != nil {
		return logs, false
	}
	defer d.Close()
	var open [crashLogs]*log.Log
	for i := range open {
		topic, id := topicOf(i)
		if open[i], _, err = d.OpenLog(topic, id, smallConfig()); err != nil {
			return logs, false
		}
	}
	ctx := d.ctx
	for step := range 14 {
		for i := range open {
			size := 800
			if (step+i)%4 == 3 {
				size = 100 << 10 // larger than directPerLog
			}
			if appendTo(d, open[i], logs[i], step, size) != nil {
				return logs, false
			}
		}
		if step%3 == 0 && d.Barrier(ctx) != nil {
			return logs, false
		}
		if step == 7 {
			_ = d.Checkpoint(ctx)
		}
	}
	if d.Barrier(ctx) != nil {
		return logs, false
	}
	d.RemoveLog(ctx, open[crashLogs-1])
	return logs, true
}

// verifyPromises opens the directory again and compares.
func verifyPromises(ground *env.Test, logs [crashLogs]*reported, removed bool) error {
	d, err := Open(Options{Env: ground.Env, Dir: "/data", NodeID: kafka.NoBroker, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("open after the crash: %w", err)
	}
	defer d.Close()
	for i, r := range logs {
		end, want := r.promise()
		if end == 0 || removed && i == crashLogs-1 {
			continue
		}
		topic, id := topicOf(i)
		l, _, err := d.OpenLog(topic, id, smallConfig())
		if err != nil {
			return fmt.Errorf("%s, durable up to %d: %w", topic, end, err)
		}
		if l.End() < end {
			return fmt.Errorf("%s ends at %d, was durable up to %d", topic, l.End(), end)
		}
		got, err := readAll(l, end)
		if err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s: %d bytes below %d, want %d equal ones", topic, len(got), end, len(want))
		}
	}
	return nil
}

func readAll(l *log.Log, end kafka.Offset) ([]byte, error) {
	var out []byte
	for from := kafka.Offset(0); from < end; {
		rng, err := l.Read(from, end, 1<<20, true)
		if err != nil {
			return nil, err
		}
		part := make([]byte, rng.Length)
		_, err = rng.Source.ReadAt(part, rng.Position)
		rng.Source.Release()
		if err != nil {
			return nil, err
		}
		out, from = append(out, part...), rng.End
	}
	return out, nil
}

// crashEverywhere runs the workload with a crash at every operation and returns
// the first broken promise.
func crashEverywhere(m mutant, seeds uint64, stride int) (runs int, err error) {
	for k := 0; ; k += stride {
		ground := env.NewTest(1)
		ground.Disk.CrashAfter(k)
		logs, removed := workload(ground, m)
		crashed := ground.Disk.Crashed()
		for seed := range seeds {
			next := ground.Crash(uint64(k)*31 + seed)
			if err := verifyPromises(next, logs, removed); err != nil {
				return runs, fmt.Errorf("crash at operation %d, seed %d: %w", k, seed, err)
			}
			runs++
		}
		if !crashed {
			return runs, nil
		}
	}
}

func TestDir_CrashAtEveryWrite(t *testing.T) {
	stride := 1
	if testing.Short() {
		stride = 7
	}
	runs, err := crashEverywhere(mutantNone, 3, stride)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d crashes, no promise broken", runs)
}

func TestDir_MutantsAreCaught(t *testing.T) {
	for name, m := range map[string]mutant{
		"report before the commit":   mutantAckFirst,
		"release without checkpoint": mutantReleaseUnsynced,
		"extent without sync":        mutantSkipDirectSync,
	} {
		if _, err := crashEverywhere(m, 3, 3); err == nil {
			t.Errorf("mutant %q was not caught", name)
		} else {
			t.Logf("mutant %q: %v", name, err)
		}
	}
}

func TestDir_RefusesWhatIsNotItsOwn(t *testing.T) {
	ground := env.NewTest(3)
	open := func(o Options) (*Dir, error) {
		o.Env, o.Dir, o.Log = ground.Env, "/data", slog.New(slog.DiscardHandler)
		return Open(o)
	}
	d, err := open(Options{NodeID: 7})
	if err != nil {
		t.Fatal(err)
	}
	id := d.Identity()
	if _, err := open(Options{NodeID: 7}); err == nil {
		t.Error("two holders of one directory")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(Options{NodeID: 8}); !errors.As(err, new(*IdentityError)) {
		t.Errorf("another node id: %v", err)
	}
	if _, err := open(Options{NodeID: kafka.NoBroker, ClusterID: kafka.ClusterID{9}}); !errors.As(err, new(*IdentityError)) {
		t.Errorf("another cluster: %v", err)
	}
	d, err = open(Options{NodeID: kafka.NoBroker})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Identity(); got.NodeID != 7 || got.ClusterID != id.ClusterID || got.DirectoryID != id.DirectoryID || got.Starts != id.Starts+1 {
		t.Errorf("identity %+v, was %+v", got, id)
	}
	if !d.WasClean() {
		t.Error("closed in order, and found unclean")
	}
	d.Close()
	if err := ground.Disk.FlipBit("/data/meta.properties", 20); err != nil {
		t.Fatal(err)
	}
	if _, err := open(Options{NodeID: kafka.NoBroker}); err == nil {
		t.Error("a damaged identity was believed")
	}
	ground.Disk.Remove("/data/meta.properties")
	if _, err := open(Options{NodeID: kafka.NoBroker}); !errors.As(err, new(*IdentityError)) {
		t.Errorf("a lost identity was founded anew: %v", err)
	}
}

func TestIdentity_NewerFormatIsRefusedInPlainWords(t *testing.T) {
	b := Identity{NodeID: 1}.encode()
	newer := bytes.Replace(b, []byte("holdfast.format=1"), []byte("holdfast.format=2"), 1)
	if _, err := decodeIdentity(newer); !errors.Is(err, ErrNewer) {
		t.Errorf("format 2: %v", err)
	}
}

func FuzzDecodeIdentity(f *testing.F) {
	f.Add(Identity{NodeID: 3, Starts: 9}.encode())
	f.Add([]byte("version=1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := decodeIdentity(b); err == nil {
			if again, err := decodeIdentity(id.encode()); err != nil || again != id {
				t.Errorf("%+v became %+v, %v", id, again, err)
			}
		}
	})
}
