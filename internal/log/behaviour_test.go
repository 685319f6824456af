package log_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

// model is a log with everything that was appended to it.
type model struct {
	l       *log.Log
	batches []appended
}

// newModel makes a log of several segments with batches of many sizes.
func newModel(t *testing.T, seed uint64, o log.Options, batches int) *model {
	r := rand.New(rand.NewPCG(seed, 1))
	m := &model{l: mustCreate(t, o)}
	for i := range batches {
		size := 10 + r.IntN(200)
		if r.IntN(12) == 0 {
			size = 2000 + r.IntN(9000)
		}
		ts := kafka.Timestamp(100_000 + i*10 + r.IntN(300))
		data := batchOf(m.l.End(), kafka.LeaderEpoch(i/40), 1+r.IntN(5), size, ts, nil)
		_, err := m.l.Append(data, headersOf(data), ts)
		must(t, err)
		h := headerOf(data)
		m.batches = append(m.batches, appended{h.BaseOffset, h.End(), data})
		if r.IntN(40) == 0 {
			_, err := m.l.Checkpoint()
			must(t, err)
		}
	}
	return m
}

// read is what Read must return, by walking over all batches.
func (m *model) read(from, upTo kafka.Offset, maxBytes int, minOne bool) []byte {
	var out []byte
	for _, b := range m.batches {
		switch {
		case b.end <= from:
			continue
		case b.end > upTo, from >= upTo:
			return out
		case len(out)+len(b.data) > maxBytes && !(minOne && len(out) == 0):
			return out
		}
		out = append(out, b.data...)
	}
	return out
}

func modelOptions(fsys vfs.FS) log.Options {
	o := testOptions(fsys)
	o.Config.SegmentBytes = 60_000
	o.Config.IndexIntervalBytes = 1000
	return o
}

func TestRead_ReturnsTheWholeBatchesThatFit(t *testing.T) {
	o := modelOptions(newMem(1))
	m := newModel(t, 7, o, 300)
	compare := func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 3))
		for range 3000 {
			from := kafka.Offset(r.Int64N(int64(m.l.End()) + 1))
			upTo := m.l.End()
			if r.IntN(2) == 0 {
				upTo = kafka.Offset(r.Int64N(int64(m.l.End()) + 10))
			}
			maxBytes, minOne := r.IntN(30_000), r.IntN(2) == 0
			rng, err := m.l.Read(from, upTo, maxBytes, minOne)
			must(t, err)
			want := m.read(from, min(upTo, m.l.End()), maxBytes, minOne)
			if rng.Length == 0 {
				if len(want) > 0 || rng.Source != nil || rng.Base != from || rng.End != from {
					t.Fatalf("Read(%d, %d, %d, %v) = %+v, want %d bytes", from, upTo, maxBytes, minOne, rng, len(want))
				}
				continue
			}
			got := make([]byte, rng.Length)
			must(t, vfs.ReadFull(rng.Source, got, rng.Position))
			next := rng.Source.Base()
			rng.Source.Release()
			// A range ends with its segment.
			if !bytes.HasPrefix(want, got) {
				t.Fatalf("Read(%d, %d, %d, %v): other bytes", from, upTo, maxBytes, minOne)
			}
			if first := headerOf(got).BaseOffset; rng.Base != first || rng.Base > from || next > first {
				t.Fatalf("Read(%d): base %d, first batch %d, segment %d", from, rng.Base, first, next)
			}
			if len(got) < len(want) {
				if after := headerOf(want[len(got):]).BaseOffset; after != rng.End || !m.isBase(after) {
					t.Fatalf("Read(%d, %d, %d, %v) ends at %d with %d of %d bytes", from, upTo, maxBytes, minOne, rng.End, len(got), len(want))
				}
			}
		}
	}
	t.Run("written here", compare)
	must(t, m.l.Close())
	l, _ := mustOpen(t, o, log.Replay{Clean: true})
	m.l = l
	t.Run("reopened", compare)
}

// isBase reports whether a segment begins at offset.
func (m *model) isBase(offset kafka.Offset) bool {
	r, err := m.l.Read(offset, offset+1<<40, 1, true)
	if err != nil || r.Source == nil {
		return false
	}
	defer r.Source.Release()
	return r.Source.Base() == offset
}

func TestRead_OutOfRange(t *testing.T) {
	l := mustCreate(t, testOptions(newMem(1)))
	for range 5 {
		appendBatch(t, l, 2, 10, 1)
	}
	must(t, l.SetStart(3))
	for _, from := range []kafka.Offset{-1, 0, 2, 11} {
		if _, err := l.Read(from, 100, 100, true); !errors.Is(err, log.ErrOffsetOutOfRange) {
			t.Errorf("Read(%d): %v", from, err)
		}
	}
	if r, err := l.Read(10, 100, 100, true); err != nil || r.Length != 0 {
		t.Errorf("Read at the end: %+v, %v", r, err)
	}
	r, err := l.Read(3, 100, 1, true)
	must(t, err)
	if r.Base != 2 || r.End != 4 {
		t.Errorf("Read(3) = %+v, want the batch [2, 4)", r)
	}
	r.Source.Release()
}

// first looks at one record after the other.
func (m *model) first(ts kafka.Timestamp, start, upTo kafka.Offset) (out log.TimestampOffset, ok bool) {
	for _, b := range m.batches {
		if b.end > upTo {
			break
		}
		check(record.Iterate(b.data, 0, func(r record.Record) error {
			if !ok && r.Offset >= start && r.Timestamp >= ts {
				out, ok = log.TimestampOffset{Timestamp: r.Timestamp, Offset: r.Offset}, true
			}
			return nil
		}))
	}
	return out, ok
}

func TestLookup_AgreesWithAScan(t *testing.T) {
	o := modelOptions(newMem(1))
	m := newModel(t, 9, o, 250)
	compare := func(t *testing.T, l *log.Log) {
		r := rand.New(rand.NewPCG(3, 3))
		for range 400 {
			ts := kafka.Timestamp(99_000 + r.IntN(6000))
			upTo := m.batches[r.IntN(len(m.batches))].end
			if upTo <= l.Start() {
				continue
			}
			got, found, err := l.OffsetForTimestamp(ts, upTo)
			must(t, err)
			want, wanted := m.first(ts, l.Start(), upTo)
			if found != wanted || got != want {
				t.Fatalf("OffsetForTimestamp(%d, %d) = %v %v, want %v %v", ts, upTo, got, found, want, wanted)
			}
			// The largest timestamp below upTo, found by trying.
			got, found, err = l.MaxTimestamp(upTo)
			must(t, err)
			higher, isHigher := m.first(got.Timestamp+1, l.Start(), upTo)
			same, _ := m.first(got.Timestamp, l.Start(), upTo)
			if !found || isHigher || same != got {
				t.Fatalf("MaxTimestamp(%d) = %v %v; first with it %v, one above it %v %v", upTo, got, found, same, higher, isHigher)
			}
		}
	}
	compare(t, m.l)
	must(t, m.l.SetStart(m.batches[40].base+1))
	compare(t, m.l)
	must(t, m.l.Close())
	l, _ := mustOpen(t, o, log.Replay{Clean: true})
	compare(t, l)
}

func TestTruncateSuffix_NeverReusesHeldBytes(t *testing.T) {
	for _, to := range []kafka.Offset{0, 2} {
		o := testOptions(newMem(1))
		l := mustCreate(t, o)
		for range 3 {
			appendBatch(t, l, 2, 500, 1)
		}
		held, err := l.Read(0, 6, 1<<20, true)
		must(t, err)
		before := make([]byte, held.Length)
		must(t, vfs.ReadFull(held.Source, before, held.Position))
		must(t, l.TruncateSuffix(to))
		if l.End() != to {
			t.Fatalf("end %d, want %d", l.End(), to)
		}
		fresh := batchOf(to, 3, 2, 500, 9, nil)
		_, err = l.Append(fresh, headersOf(fresh), 9)
		must(t, err)
		now := make([]byte, held.Length)
		n, err := held.Source.ReadAt(now, held.Position)
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if !bytes.Equal(now[:n], before[:n]) {
			t.Fatalf("truncated to %d: held bytes were replaced", to)
		}
		held.Source.Release()
		if got := readAll(t, l, to); !bytes.Equal(got, fresh) {
			t.Fatalf("truncated to %d: read %d bytes back, want %d", to, len(got), len(fresh))
		}
		must(t, l.Close())
		again, _ := mustOpen(t, o, log.Replay{Clean: true})
		if got := readAll(t, again, to); !bytes.Equal(got, fresh) {
			t.Fatalf("truncated to %d, reopened: other bytes", to)
		}
	}
}

func TestTruncateSuffix_IntoASealedSegment(t *testing.T) {
	o := modelOptions(newMem(1))
	m := newModel(t, 4, o, 200)
	_, err := m.l.Checkpoint()
	must(t, err)
	held, err := m.l.Read(m.batches[30].base, m.l.End(), 5000, true)
	must(t, err)
	b := m.batches[33]
	must(t, m.l.TruncateSuffix(b.base+kafka.Offset(1)%(b.end-b.base)))
	if m.l.End() > b.end {
		t.Fatalf("end %d", m.l.End())
	}
	held.Source.Release()
	var want []byte
	for _, b := range m.batches {
		if b.end <= m.l.End() {
			want = append(want, b.data...)
		}
	}
	for i := range 50 {
		_, data := appendBatch(t, m.l, 1, 400, kafka.Timestamp(i))
		want = append(want, data...)
	}
	if got := readAll(t, m.l, 0); !bytes.Equal(got, want) {
		t.Fatal("other bytes")
	}
	must(t, m.l.Close())
	l, _ := mustOpen(t, o, log.Replay{Clean: true})
	if got := readAll(t, l, 0); !bytes.Equal(got, want) {
		t.Fatal("other bytes after reopening")
	}
}

func TestTruncatePrefix(t *testing.T) {
	o := modelOptions(newMem(1))
	m := newModel(t, 4, o, 200)
	b := m.batches[120]
	must(t, m.l.TruncatePrefix(b.base))
	if m.l.Start() != b.base {
		t.Fatalf("start %d, want %d", m.l.Start(), b.base)
	}
	for _, to := range []kafka.Offset{b.base - 1, 0} {
		must(t, m.l.TruncatePrefix(to)) // changes nothing
	}
	// Beyond the end: everything goes, and the log begins anew.
	far := m.l.End() + 1000
	must(t, m.l.TruncatePrefix(far))
	if m.l.Start() != far || m.l.End() != far || m.l.Segments() != 1 || m.l.Size() != 0 {
		t.Fatalf("[%d, %d) in %d segments of %d bytes", m.l.Start(), m.l.End(), m.l.Segments(), m.l.Size())
	}
	_, data := appendBatch(t, m.l, 3, 50, 1)
	must(t, m.l.Close())
	l, _ := mustOpen(t, o, log.Replay{Clean: true})
	if got := readAll(t, l, far); !bytes.Equal(got, data) {
		t.Fatal("other bytes")
	}
}

func TestAppend_FullDiskLeavesTheLogAsItWas(t *testing.T) {
	m := newMem(1)
	o := testOptions(m)
	l := mustCreate(t, o)
	var want []byte
	m.SetCapacity(400 << 10)
	full := false
	for range 300 {
		data := batchOf(l.End(), 0, 1, 3000, 1, nil)
		_, err := l.Append(data, headersOf(data), 1)
		if errors.Is(err, log.ErrNoSpace) {
			full = true
			break
		}
		must(t, err)
		want = append(want, data...)
	}
	if !full {
		t.Fatal("the disk was never full")
	}
	if got := readAll(t, l, 0); !bytes.Equal(got, want) {
		t.Fatal("reads do not go on")
	}
	m.SetCapacity(0)
	_, data := appendBatch(t, l, 1, 3000, 1)
	if got := readAll(t, l, 0); !bytes.Equal(got, append(want, data...)) {
		t.Fatal("writes do not go on when there is space")
	}
}

func TestAppend_ShortWriteIsCutBack(t *testing.T) {
	m := newMem(1)
	l := mustCreate(t, testOptions(m))
	_, first := appendBatch(t, l, 2, 100, 1)
	heal := m.Inject(vfs.Fault{Op: vfs.OpWrite, Path: "*.log", Times: 1, Short: 700, Err: vfs.ErrNoSpace})
	data := batchOf(l.End(), 0, 2, 1000, 1, nil)
	if _, err := l.Append(data, headersOf(data), 1); !errors.Is(err, log.ErrNoSpace) {
		t.Fatal(err)
	}
	heal()
	info, err := m.Stat(segmentFile(0, ".log"))
	must(t, err)
	if info.Size != int64(len(first)) {
		t.Fatalf("%d bytes, want %d", info.Size, len(first))
	}
	appendBatch(t, l, 1, 100, 1)
}

func TestAppend_AnyOtherFailureIsForEver(t *testing.T) {
	faults := map[string]vfs.Fault{
		"write":         {Op: vfs.OpWrite, Path: "*.log", Times: 1, Short: 10},
		"write and cut": {Op: vfs.OpWrite | vfs.OpTruncate, Path: "*.log", Times: 2, Short: 10, Err: vfs.ErrNoSpace},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			m := newMem(1)
			l, err := log.Create(testOptions(m))
			must(t, err)
			_, first := appendBatch(t, l, 2, 100, 1)
			m.Inject(fault)
			for range 2 {
				data := batchOf(l.End(), 0, 2, 1000, 1, nil)
				if _, err := l.Append(data, headersOf(data), 1); err == nil {
					t.Fatal("appended")
				}
				m.Heal()
			}
			if !errors.Is(l.Err(), log.ErrOffline) {
				t.Fatalf("Err() = %v", l.Err())
			}
			if got := readAll(t, l, 0); !bytes.Equal(got, first) {
				t.Fatal("reads do not go on")
			}
			if _, err := l.Checkpoint(); !errors.Is(err, log.ErrOffline) {
				t.Fatalf("checkpoint: %v", err)
			}
		})
	}
}

func TestAppend_TooLarge(t *testing.T) {
	o := testOptions(newMem(1))
	o.Config.SegmentBytes = 5000
	l := mustCreate(t, o)
	data := batchOf(0, 0, 1, 6000, 1, nil)
	if _, err := l.Append(data, headersOf(data), 1); !errors.Is(err, log.ErrTooLarge) {
		t.Fatal(err)
	}
	appendBatch(t, l, 1, 10, 1)
}

func TestAppend_RollsBySizeAgeIndexAndOffset(t *testing.T) {
	base := testOptions(nil).Config
	cases := map[string]struct {
		set    func(*log.Config)
		append func(t *testing.T, l *log.Log, i int)
	}{
		"size": {func(c *log.Config) { c.SegmentBytes = 3000 }, func(t *testing.T, l *log.Log, i int) { appendBatch(t, l, 1, 1000, 1) }},
		"age": {func(c *log.Config) { c.SegmentMs = 1000 },
			func(t *testing.T, l *log.Log, i int) { appendBatch(t, l, 1, 10, kafka.Timestamp(i*600)) }},
		"index": {func(c *log.Config) { c.SegmentIndexBytes, c.IndexIntervalBytes = 40, 10 },
			func(t *testing.T, l *log.Log, i int) { appendBatch(t, l, 1, 100, kafka.Timestamp(i)) }},
		"offset": {func(*log.Config) {}, func(t *testing.T, l *log.Log, i int) {
			data := batchOf(l.End(), 0, 1, 10, 1, nil)
			if i == 1 { // as a compacted batch is: few records, many offsets
				data[23], data[24], data[25], data[26] = 0x7f, 0xff, 0xff, 0xfe
				record.SetLogAppendTime(data, 1) // a new checksum
			}
			_, err := l.Append(data, headersOf(data), 1)
			must(t, err)
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := testOptions(newMem(1))
			o.Config = base
			c.set(&o.Config)
			l := mustCreate(t, o)
			for i := range 8 {
				c.append(t, l, i)
			}
			if l.Segments() < 2 {
				t.Errorf("%d segments", l.Segments())
			}
		})
	}
}

func TestRetain(t *testing.T) {
	const hour = 3600 * 1000
	now := kafka.Timestamp(1_700_000_000_000)
	build := func(t *testing.T, set func(*log.Config)) *log.Log {
		o := testOptions(newMem(1))
		o.Config.SegmentBytes = 3000
		o.Config.RetentionMs, o.Config.RetentionBytes = -1, -1
		set(&o.Config)
		return mustCreate(t, o)
	}
	put := func(t *testing.T, l *log.Log, recordTime, appendTime kafka.Timestamp) {
		data := batchOf(l.End(), 0, 1, 2000, recordTime, nil)
		_, err := l.Append(data, headersOf(data), appendTime)
		must(t, err)
	}
	byAge := func(c *log.Config) { c.RetentionMs = 10 * hour }
	t.Run("by the records' time", func(t *testing.T) {
		l := build(t, byAge)
		for i := range 20 {
			at := now + kafka.Timestamp(i*hour)
			put(t, l, at, at)
		}
		deleted, err := l.Retain(now+19*hour, l.End())
		must(t, err)
		if len(deleted) != 9 || l.Start() != 9 || deleted[0].Reason != log.TooOld {
			t.Fatalf("deleted %+v, start %d", deleted, l.Start())
		}
	})
	t.Run("a back-fill counts from its append", func(t *testing.T) {
		l := build(t, byAge)
		for i := range 5 {
			put(t, l, now-kafka.Timestamp(1000*hour), now+kafka.Timestamp(i))
		}
		if deleted, err := l.Retain(now+9*hour, l.End()); err != nil || len(deleted) > 0 {
			t.Fatalf("deleted %+v, %v", deleted, err)
		}
		if deleted, err := l.Retain(now+11*hour, l.End()); err != nil || len(deleted) != 4 {
			t.Fatalf("deleted %+v, %v", deleted, err)
		}
	})
	t.Run("records from the future count from their append", func(t *testing.T) {
		l := build(t, byAge)
		for range 5 {
			put(t, l, now+kafka.Timestamp(100_000*hour), now)
		}
		if deleted, err := l.Retain(now+11*hour, l.End()); err != nil || len(deleted) != 4 {
			t.Fatalf("deleted %+v, %v", deleted, err)
		}
	})
	t.Run("never above the high watermark", func(t *testing.T) {
		l := build(t, byAge)
		for range 6 {
			put(t, l, now, now)
		}
		deleted, err := l.Retain(now+100*hour, 3)
		must(t, err)
		if len(deleted) != 3 || l.Start() != 3 {
			t.Fatalf("deleted %+v, start %d", deleted, l.Start())
		}
	})
	t.Run("the active segment after a roll", func(t *testing.T) {
		l := build(t, byAge)
		put(t, l, now, now)
		rolled, err := l.RollExpired(now+11*hour, 0)
		if err != nil || rolled {
			t.Fatalf("rolled above the high watermark: %v, %v", rolled, err)
		}
		rolled, err = l.RollExpired(now+11*hour, 1)
		if err != nil || !rolled {
			t.Fatalf("rolled %v, %v", rolled, err)
		}
		if _, err := l.Retain(now+11*hour, 1); err != nil || l.Start() != 1 || l.Size() != 0 {
			t.Fatalf("start %d, %d bytes, %v", l.Start(), l.Size(), err)
		}
	})
	t.Run("by size", func(t *testing.T) {
		l := build(t, func(c *log.Config) { c.RetentionBytes = 7000 })
		for range 10 {
			put(t, l, now, now)
		}
		before := l.Size()
		deleted, err := l.Retain(now, l.End())
		must(t, err)
		if l.Size() < 7000 || l.Size() >= 7000+2100 || len(deleted) == 0 || deleted[0].Reason != log.TooMuch {
			t.Fatalf("%d bytes of %d left; %+v", l.Size(), before, deleted)
		}
	})
}

func TestRetain_HeldSegmentsStayReadableAndFilesGoLater(t *testing.T) {
	m := newMem(1)
	o := testOptions(m)
	o.Config.SegmentBytes = 3000
	o.Config.RetentionBytes = 1
	l := mustCreate(t, o)
	_, first := appendBatch(t, l, 1, 2000, 1)
	for range 5 {
		appendBatch(t, l, 1, 2000, 1)
	}
	held, err := l.Read(0, 1, 1<<20, true)
	must(t, err)
	now := kafka.Timestamp(1000)
	_, err = l.Retain(now, l.End())
	must(t, err)
	if n, err := l.Sweep(now + 59_000); n != 0 || err != nil {
		t.Fatalf("swept %d files too early, %v", n, err)
	}
	if n, err := l.Sweep(now + 60_000); n == 0 || err != nil {
		t.Fatalf("swept %d files, %v", n, err)
	}
	got := make([]byte, held.Length)
	must(t, vfs.ReadFull(held.Source, got, held.Position))
	held.Source.Release()
	if !bytes.Equal(got, first) {
		t.Fatal("other bytes")
	}
}

func TestSetStart_IsDurableWhenItReturns(t *testing.T) {
	m := newMem(1)
	o := testOptions(m)
	l, err := log.Create(o)
	must(t, err)
	for range 10 {
		appendBatch(t, l, 1, 100, 1)
	}
	_, err = l.Checkpoint()
	must(t, err)
	must(t, l.SetStart(4))
	if err := l.SetStart(11); !errors.Is(err, log.ErrOffsetOutOfRange) {
		t.Fatalf("above the end: %v", err)
	}
	o.FS = drop(m)
	l, _ = mustOpen(t, o, log.Replay{})
	if l.Start() != 4 || l.End() != 10 {
		t.Fatalf("[%d, %d)", l.Start(), l.End())
	}
}

func TestEpochs(t *testing.T) {
	o := testOptions(newMem(1))
	l := mustCreate(t, o)
	put := func(epoch kafka.LeaderEpoch, n int) {
		data := batchOf(l.End(), epoch, n, 10, 1, nil)
		_, err := l.Append(data, headersOf(data), 1)
		must(t, err)
	}
	put(2, 5)  // [0, 5)
	put(2, 5)  // [5, 10)
	put(5, 10) // [10, 20)
	l.AssignEpoch(9)
	cases := []struct {
		epoch, want kafka.LeaderEpoch
		end         kafka.Offset
	}{{2, 2, 10}, {3, 2, 10}, {4, 2, 10}, {5, 5, 20}, {7, 5, 20}, {9, 9, 20}, {10, -1, -1}, {-1, -1, -1}, {1, 1, 0}, {0, 0, 0}}
	check := func(l *log.Log) {
		t.Helper()
		for _, c := range cases {
			if epoch, end := l.EpochEnd(c.epoch); epoch != c.want || end != c.end {
				t.Errorf("EpochEnd(%d) = %d, %d; want %d, %d", c.epoch, epoch, end, c.want, c.end)
			}
		}
		if got := l.EpochAt(12, 99); got != 5 {
			t.Errorf("EpochAt(12) = %d", got)
		}
		if got := l.EpochAt(20, 99); got != 99 {
			t.Errorf("EpochAt(20) = %d", got)
		}
	}
	check(l)
	must(t, l.Close())
	l, _ = mustOpen(t, o, log.Replay{Clean: true})
	check(l)
	must(t, l.TruncateSuffix(20)) // cuts no batch, but the epoch that has none
	if l.LastEpoch() != 5 {
		t.Errorf("LastEpoch() = %d", l.LastEpoch())
	}
	must(t, l.TruncateSuffix(12))
	if epoch, end := l.EpochEnd(5); l.End() != 10 || epoch != -1 || end != -1 {
		t.Errorf("end %d, EpochEnd(5) = %d, %d", l.End(), epoch, end)
	}
}

func TestScrub_FindsRotInAClosedSegment(t *testing.T) {
	m := newMem(1)
	o := modelOptions(m)
	w := newModel(t, 5, o, 200)
	must(t, w.l.Close())
	rotten := segmentFile(0, ".log")
	copyOf := m.CrashClone(vfs.CrashOptions{Kind: vfs.CrashKeep})
	must(t, copyOf.FlipBit(rotten, 2003))
	o.FS = copyOf
	l, _, err := log.Open(o, log.Replay{Clean: true})
	must(t, err)
	for _, step := range []int64{1, 3 * log.BlockSize, 1 << 30} {
		faults, read := 0, int64(0)
		for from := (log.ScrubPlace{}); ; {
			next, n, err := l.Scrub(from, step)
			if _, ok := errors.AsType[*log.CorruptionError](err); ok {
				faults++
			} else if must(t, err); n == 0 {
				break
			}
			if n > step+log.BlockSize {
				t.Fatalf("%d bytes at once, asked for %d", n, step)
			}
			from, read = next, read+n
		}
		if faults != 1 || read < l.Size()/2 {
			t.Errorf("step %d: %d faults in %d of %d bytes, want 1", step, faults, read, l.Size())
		}
	}
	// Nor is it served.
	l, _, err = log.Open(o, log.Replay{Clean: true})
	must(t, err)
	for from := l.Start(); err == nil && from < l.End(); {
		var r log.Range
		if r, err = l.Read(from, l.End(), 1<<20, true); err == nil {
			r.Source.Release()
			from = r.End
		}
	}
	if _, ok := errors.AsType[*log.CorruptionError](err); !ok {
		t.Errorf("rot was served: %v", err)
	}
}

func TestOpen_RefusesWhatIsNotItsOwn(t *testing.T) {
	m := newMem(1)
	o := testOptions(m)
	if _, _, err := log.Open(o, log.Replay{}); !errors.Is(err, log.ErrUnfinished) {
		t.Errorf("nothing there: %v", err)
	}
	mustCreate(t, o)
	if _, err := log.Create(o); !errors.Is(err, log.ErrExists) {
		t.Errorf("created twice: %v", err)
	}
	o.Key.Generation++
	if _, _, err := log.Open(o, log.Replay{}); !errors.Is(err, log.ErrForeign) {
		t.Errorf("another generation: %v", err)
	}
}

// Kept for the file that decides: a version from the future, with a right
// checksum, is refused in plain words and not taken for rot.
func TestOpen_RefusesANewerFormat(t *testing.T) {
	m := newMem(1)
	o := testOptions(m)
	l, err := log.Create(o)
	must(t, err)
	must(t, l.Close())
	name := testDir + "/holdfast.identity"
	b, err := vfs.ReadFile(m, name, 1000)
	must(t, err)
	b[5] = 2
	sum := castagnoli(b[:len(b)-4])
	b = append(b[:len(b)-4], byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
	must(t, m.Corrupt(name, 0, b))
	_, _, err = log.Open(o, log.Replay{})
	if !errors.Is(err, log.ErrNewerFormat) {
		t.Fatalf("%v", err)
	}
}

// Restart reads what came after the last checkpoint and the heads of sidecars,
// not the log.
func TestOpen_WorkDoesNotGrowWithTheLog(t *testing.T) {
	for _, batches := range []int{100, 2000} {
		m := newMem(1)
		o := modelOptions(m)
		w := newModel(t, 5, o, batches)
		_, err := w.l.Checkpoint()
		must(t, err)
		for range 10 {
			appendBatch(t, w.l, 1, 100, 1<<40)
		}
		o.FS = m.Kill()
		_, report := mustOpen(t, o, log.Replay{})
		if report.Scanned > 3000 || report.Rewritten > 3000 {
			t.Errorf("%d batches: %+v", batches, report)
		}
	}
}
