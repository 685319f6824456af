package log

import (
	"bytes"
	"syscall"
	"testing"

	"holdfast/internal/clock"
	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

func reviewLog(t *testing.T, m *vfs.Mem, segment int64) *Log {
	t.Helper()
	_ = m.MkdirAll("/d")
	c := DefaultConfig()
	c.SegmentBytes = segment
	l, err := Create(Options{FS: m, Clock: clock.Real{}, Dir: "/d/t-0", Topic: "t", Key: journal.Key{TopicID: kafka.TopicID{1}}, Config: c})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func reviewAppend(t *testing.T, l *Log, size int) error {
	t.Helper()
	b := record.NewBuilder(record.Options{})
	b.Append(1000, nil, bytes.Repeat([]byte("x"), size))
	data, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	record.SetBase(data, l.End(), 0)
	h, err := record.ParseHeader(data)
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Append(data, []record.Header{h}, 1000)
	return err
}

// One moment without a file descriptor while a segment rolls.
func TestReview_NoDescriptorAtARoll(t *testing.T) {
	m := vfs.NewMem(1)
	l := reviewLog(t, m, 4096)
	heal := m.Inject(vfs.Fault{Op: vfs.OpCreate | vfs.OpOpen, Path: "*.log", Err: syscall.EMFILE})
	var err error
	for i := 0; i < 10 && err == nil; i++ {
		err = reviewAppend(t, l, 1000)
	}
	heal()
	if l.Err() != nil {
		t.Errorf("the log is offline until a restart: %v", l.Err())
	}
}

// A read that was under way when its segment was cut to nothing must not leave
// a place behind that the next batches of the same offsets are looked up with.
func TestReview_StaleCursorAfterACut(t *testing.T) {
	m := vfs.NewMem(1)
	l := reviewLog(t, m, 1<<20)
	for range 3 {
		if err := reviewAppend(t, l, 1000); err != nil {
			t.Fatal(err)
		}
	}
	r, err := l.beginRead(0, 2) // a reader has begun ...
	if err != nil {
		t.Fatal(err)
	}
	// What read computes; it is interrupted before its last step, remember.
	start, base, err := r.first()
	if err != nil {
		t.Fatal(err)
	}
	stop, end, known := r.last()
	if !known || start != 0 || base != 0 || end != 2 {
		t.Fatalf("%d %d %d %d %v", start, base, stop, end, known)
	}
	if _, err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := l.TruncateSuffix(0); err != nil { // ... the log is cut ...
		t.Fatal(err)
	}
	r.remember(place{offset: end, base: r.s.base, position: stop}) // ... and the reader goes on
	r.s.Release()
	for range 100 {
		if err := reviewAppend(t, l, 100); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.Read(2, 50, 1<<20, true)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, got.Length)
	if err := vfs.ReadFull(got.Source, b, got.Position); err != nil {
		t.Fatal(err)
	}
	h, err := record.ParseHeader(b)
	if err != nil || h.BaseOffset != 2 {
		t.Errorf("read at 2 gives bytes from position %d, header %+v, %v", got.Position, h, err)
	}
}

// The same moment during a checkpoint that seals segments.
func TestReview_NoDescriptorAtACheckpoint(t *testing.T) {
	m := vfs.NewMem(1)
	l := reviewLog(t, m, 4096)
	for i := range 12 {
		if err := reviewAppend(t, l, 1000); err != nil {
			t.Fatal(err)
		}
		heal := m.Inject(vfs.Fault{Op: vfs.OpCreate | vfs.OpOpen, After: i, Err: syscall.EMFILE})
		_, err := l.Checkpoint()
		heal()
		if l.Err() != nil {
			t.Fatalf("the log is offline until a restart: %v, %v", err, l.Err())
		}
		if _, err := l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Check(m, "/d/t-0", func(f Finding) { t.Error(f) }); err != nil {
		t.Fatal(err)
	}
}

// A sync that could not open the directory of a new segment was not begun.
func TestReview_NoDescriptorForTheDirectoryOfANewSegment(t *testing.T) {
	m := vfs.NewMem(1)
	l := reviewLog(t, m, 4096)
	for range 5 {
		if err := reviewAppend(t, l, 1000); err != nil {
			t.Fatal(err)
		}
	}
	heal := m.Inject(vfs.Fault{Op: vfs.OpOpen, Path: "/d/t-0", Err: syscall.EMFILE})
	err := l.active().SyncData()
	if !vfs.NoDescriptor(err) {
		t.Fatalf("sync of a new segment: %v", err)
	}
	if _, err := l.Checkpoint(); !vfs.NoDescriptor(err) {
		t.Errorf("checkpoint: %v", err)
	}
	heal()
	if l.Err() != nil {
		t.Errorf("the log is offline until a restart: %v", l.Err())
	}
	point, err := l.Checkpoint()
	if err != nil || point != l.End() {
		t.Errorf("checkpoint at %d of %d, %v", point, l.End(), err)
	}
	// A sync that did fail stays final.
	if err := reviewAppend(t, l, 1000); err != nil {
		t.Fatal(err)
	}
	m.Inject(vfs.Fault{Op: vfs.OpSync, Path: "*.log", Times: 1})
	_, _ = l.Checkpoint()
	if _, err := l.Checkpoint(); err == nil || l.Err() == nil {
		t.Errorf("after a failed sync: %v, %v", err, l.Err())
	}
}
