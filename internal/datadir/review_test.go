package datadir

import (
	"bytes"
	"context"
	"errors"
	"syscall"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

// reviewAside makes a directory where log 1 was put aside by an earlier start and
// log 0 has acknowledged records that are in the ring only; then the power fails.
func reviewAside(t *testing.T, seed uint64) *fixture {
	f := newFixture(t)
	f.append(1, 1, 800)
	f.barrier()
	f.ground = f.ground.Crash(1)
	_ = f.d.Close()
	fsys := f.ground.Env.FS
	f.must(fsys.RemoveAll("/data/topic1-0")) // somebody removed it: its log does not open
	f.must(fsys.SyncDir("/data"))
	f.o.Env = f.ground.Env
	var err error
	f.d, err = Open(f.o)
	f.must(err)
	topic, id := topicOf(0)
	f.logs[0], _, err = f.d.OpenLog(topic, id, smallConfig())
	f.must(err)
	other, otherID := topicOf(1)
	if _, _, err := f.d.OpenLog(other, otherID, smallConfig()); err == nil {
		t.Fatal("the log without a directory opens")
	}
	f.d.Settle() // log 1's entries are put aside
	for n := range 5 {
		f.append(0, n, 800)
	}
	f.barrier() // acknowledged
	f.ground = f.ground.Crash(seed)
	_ = f.d.Close()
	f.o.Env = f.ground.Env
	return f
}

func (f *fixture) reviewOpenFirst() {
	f.t.Helper()
	topic, id := topicOf(0)
	var err error
	f.logs[0], _, err = f.d.OpenLog(topic, id, smallConfig())
	f.must(err)
	end, _ := f.told[0].promise()
	if f.logs[0].End() < end {
		f.t.Fatalf("LOST: log 0 ends at %d, acknowledged up to %d", f.logs[0].End(), end)
	}
	f.verify(0)
}

// A start that ends before the logs are opened (a port in use) after an earlier
// start has put entries of another log aside.
func TestReview_AsideAndAFailedStart(t *testing.T) {
	for seed := range uint64(10) {
		reviewFailedStart(t, 2+seed)
	}
}

func reviewFailedStart(t *testing.T, seed uint64) {
	f := reviewAside(t, seed)
	var err error
	f.d, err = Open(f.o)
	f.must(err)
	f.must(f.d.Close()) // the start failed: nothing was opened
	f.d, err = Open(f.o)
	f.must(err)
	defer func() { f.d.Close() }()
	f.reviewOpenFirst()
}

// A checkpoint that runs while the logs are still being opened.
func TestReview_AsideAndACheckpointDuringTheStart(t *testing.T) {
	for seed := range uint64(10) {
		reviewEarlyCheckpoint(t, 2+seed)
	}
}

func reviewEarlyCheckpoint(t *testing.T, seed uint64) {
	f := reviewAside(t, seed)
	var err error
	f.d, err = Open(f.o)
	f.must(err)
	f.must(f.d.Checkpoint(context.Background())) // what the timer does after 30 s
	f.ground = f.ground.Crash(3)
	_ = f.d.Close()
	f.o.Env = f.ground.Env
	f.d, err = Open(f.o)
	f.must(err)
	defer func() { f.d.Close() }()
	f.reviewOpenFirst()
}

// The clean mark after a start that opened no log: the torn tail of the crash
// before it is taken for rot.
func TestReview_CleanMarkAfterAFailedStart(t *testing.T) {
	for seed := range uint64(20) {
		f := newFixture(t)
		f.append(0, 1, 800)
		f.barrier()
		f.must(f.d.Checkpoint(context.Background()))
		// An append that was in the page cache when the power failed: never acknowledged.
		b := record.NewBuilder(record.Options{})
		b.Append(2000, nil, bytes.Repeat([]byte("x"), 6000))
		data, err := b.Build(nil)
		f.must(err)
		record.SetBase(data, f.logs[0].End(), 0)
		h, err := record.ParseHeader(data)
		f.must(err)
		_, err = f.logs[0].Append(data, []record.Header{h}, kafka.Timestamp(2000))
		f.must(err)
		f.ground = f.ground.Crash(seed)
		_ = f.d.Close()
		f.o.Env = f.ground.Env
		f.d, err = Open(f.o)
		f.must(err)
		f.must(f.d.Close()) // the start failed: a port in use
		f.d, err = Open(f.o)
		f.must(err)
		topic, id := topicOf(0)
		_, _, err = f.d.OpenLog(topic, id, smallConfig())
		f.d.Close()
		var bad *log.CorruptionError
		if errors.As(err, &bad) {
			t.Fatalf("seed %d: an unacknowledged torn tail makes the partition offline: %v", seed, err)
		}
		f.must(err)
	}
}

// A removal that fails half-way must not keep the ring from being given back.
func TestReview_FailedRemovalKeepsTheRing(t *testing.T) {
	f := newFixture(t)
	defer func() { f.d.Close() }()
	f.append(1, 1, 800)
	f.barrier()
	f.ground.Disk.Inject(vfs.Fault{Op: vfs.OpRemove, Path: "*", Times: 1})
	err := f.d.RemoveLog(context.Background(), f.logs[1])
	t.Logf("remove: %v, directory: %v", err, f.d.Err())
	f.ground.Disk.Heal()
	for round := range 5 {
		f.append(0, round, 800)
		f.barrier()
		f.must(f.d.Checkpoint(context.Background()))
	}
	if u := f.d.Usage(); u.Oldest != u.Next {
		t.Errorf("everything is in its segments and rounds [%d, %d) are not given back", u.Oldest, u.Next)
	}
}

// One moment without a file descriptor is no broken disk.
func TestReview_NoDescriptorStopsTheDirectory(t *testing.T) {
	f := newFixture(t)
	defer func() { f.d.Close() }()
	f.append(0, 1, 800)
	f.barrier()
	f.ground.Disk.Inject(vfs.Fault{Op: vfs.OpCreate | vfs.OpOpen, Path: "*holdfast.points*", Times: 1, Err: syscall.EMFILE})
	_ = f.d.Checkpoint(context.Background())
	if err := f.d.Err(); err != nil {
		t.Errorf("stopped for good: %v", err)
	}
}

// Extents of one group cost memory, and nothing bounds a group while the disk
// stands still: producers with acks=0 never wait.
func TestReview_GroupGrowsWithoutBound(t *testing.T) {
	f := newFixture(t)
	d := &Dir{o: f.d.o} // nobody flushes
	d.kick = make(chan struct{}, 1)
	d.mu.fill, d.mu.spare = &group{}, &group{}
	d.mu.logs = map[*log.Log]*logState{f.logs[0]: {log: f.logs[0], key: f.logs[0].Key()}}
	defer func() { f.d.Close() }()
	const n = 50_000
	span := log.Span{Segment: reviewSegment(f), Length: 70}
	for i := range n {
		span.Base, span.End = kafka.Offset(i), kafka.Offset(i+1)
		d.Submit(f.told[0], f.logs[0], span, make([]byte, 70), 0)
	}
	if k := len(d.mu.fill.slots[0].later); k > n/2 {
		t.Logf("%d spans of 70 bytes wait in memory, and more would", k)
	}
}

func reviewSegment(f *fixture) *log.Segment {
	f.append(0, 1, 800)
	f.barrier()
	r, err := f.logs[0].Read(0, 1, 1<<20, true)
	f.must(err)
	return r.Source
}
