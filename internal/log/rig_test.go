package log_test

import (
	"errors"
	"hash/crc32"
	"io"
	"path"
	"testing"

	"holdfast/internal/clock"
	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

const testDir = "/data/t-0"

var testKey = journal.Key{TopicID: kafka.TopicID{1, 2, 3}, Partition: 0, Generation: 7}

func testOptions(fsys vfs.FS) log.Options {
	c := log.DefaultConfig()
	c.SegmentBytes = 1 << 20
	return log.Options{FS: fsys, Clock: clock.Real{}, Dir: testDir, Key: testKey, Topic: "t", Config: c}
}

func newMem(seed uint64) *vfs.Mem {
	m := vfs.NewMem(seed)
	if err := errors.Join(m.MkdirAll("/data"), m.SyncDir("/")); err != nil {
		panic(err)
	}
	return m
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustCreate and mustOpen close the log and check its directory when the test
// ends, so that every test that touches a log also verifies it.
func mustCreate(t testing.TB, o log.Options) *log.Log {
	t.Helper()
	l, err := log.Create(o)
	must(t, err)
	checkAtEnd(t, o, l)
	return l
}

func mustOpen(t testing.TB, o log.Options, replay log.Replay) (*log.Log, log.Report) {
	t.Helper()
	l, report, err := log.Open(o, replay)
	if err != nil {
		t.Fatalf("%v\nreport: %+v", err, report)
	}
	checkAtEnd(t, o, l)
	return l, report
}

func checkAtEnd(t testing.TB, o log.Options, l *log.Log) {
	t.Cleanup(func() {
		t.Helper()
		if m, ok := o.FS.(*vfs.Mem); ok && (m.Crashed() || l.Err() != nil) {
			return
		}
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if !t.Failed() {
			mustCheck(t, o.FS, o.Dir)
		}
	})
}

// mustCheck fails the test for every fault that Check finds.
func mustCheck(t testing.TB, fsys vfs.FS, dir string) {
	t.Helper()
	must(t, log.Check(fsys, dir, func(f log.Finding) {
		if f.Severity >= log.Fault {
			t.Errorf("check: %v", f)
		}
	}))
}

// batchOf makes a batch of n records of size bytes each, timestamps from ts on.
func batchOf(base kafka.Offset, epoch kafka.LeaderEpoch, n, size int, ts kafka.Timestamp, p *record.Producer) []byte {
	b := record.NewBuilder(record.Options{BaseOffset: base, LeaderEpoch: epoch, Producer: p})
	for i := range n {
		value := make([]byte, size)
		for j := range value {
			value[j] = byte(int(base) + i + j)
		}
		b.Append(ts+kafka.Timestamp(i), nil, value)
	}
	out, err := b.Build(nil)
	if err != nil {
		panic(err)
	}
	return out
}

func headerOf(b []byte) record.Header {
	h, err := record.ParseHeader(b)
	if err != nil {
		panic(err)
	}
	return h
}

func headersOf(b []byte) []record.Header { return []record.Header{headerOf(b)} }

// appendBatch appends n records at the end of l.
func appendBatch(t testing.TB, l *log.Log, n, size int, ts kafka.Timestamp) (log.Span, []byte) {
	t.Helper()
	data := batchOf(l.End(), max(l.LastEpoch(), 0), n, size, ts, nil)
	span, err := l.Append(data, []record.Header{headerOf(data)}, ts)
	must(t, err)
	return span, data
}

// readAll returns the bytes of [from, end) of the log.
func readAll(t testing.TB, l *log.Log, from kafka.Offset) []byte {
	t.Helper()
	var out []byte
	for from < l.End() {
		r, err := l.Read(from, l.End(), 1<<20, true)
		must(t, err)
		if r.Length == 0 {
			t.Fatalf("nothing to read at %d of %d", from, l.End())
		}
		p := make([]byte, r.Length)
		if _, err := r.Source.ReadAt(p, r.Position); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		r.Source.Release()
		out = append(out, p...)
		from = r.End
	}
	return out
}

// dataEntry is what a flush round would put into the journal for a small append.
func dataEntry(s log.Span, data []byte) journal.Entry {
	return journal.Entry{Kind: journal.Data, Key: testKey, LeaderEpoch: s.Epoch, Base: s.Base, End: s.End,
		SegmentBase: s.Segment.Base(), Position: s.Position, Length: s.Length, Payload: append([]byte(nil), data...),
		Checksum: crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)), HighWatermark: s.Base}
}

// extentEntry is what it would put there for one that was synced in place.
func extentEntry(s log.Span, data []byte) journal.Entry {
	e := dataEntry(s, data)
	e.Kind, e.Payload = journal.Extent, nil
	return e
}

func segmentFile(base kafka.Offset, suffix string) string {
	return path.Join(testDir, log.FileName(base, suffix))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
