package log_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

// appended is one batch that the log took.
type appended struct {
	base, end kafka.Offset
	data      []byte
}

// pendingSpan waits for the next flush round.
type pendingSpan struct {
	span  log.Span
	data  []byte
	large bool
}

// world is a log with a stand-in for the data directory: a journal that is
// durable by decree and a stored recovery point. It remembers every batch that
// was appended and what was reported durable.
type world struct {
	r    *rand.Rand
	o    log.Options
	fsys *vfs.Mem
	l    *log.Log

	batches []appended // everything that the log may hold
	// optional is where batches may be missing again: a cut that was not finished.
	optional kafka.Offset
	start    kafka.Offset // durable log start
	maxStart kafka.Offset // the log start may have come so far
	durable  kafka.Offset // reported
	journal  []journal.Entry
	point    kafka.Offset
	pending  []pendingSpan
	epoch    kafka.LeaderEpoch
	clock    kafka.Timestamp
	sequence kafka.Sequence
	killed   int
}

func newWorld(seed uint64, o log.Options, fsys *vfs.Mem) *world {
	return &world{r: rand.New(rand.NewPCG(seed, 99)), o: o, fsys: fsys, optional: 1 << 60, clock: 1_700_000_000_000}
}

func (w *world) end() kafka.Offset {
	if len(w.batches) == 0 {
		return w.start
	}
	return w.batches[len(w.batches)-1].end
}

// step does one thing that a broker does. It fails only where the disk does.
func (w *world) step() error {
	w.clock += 100
	switch n := w.r.IntN(100); {
	case n < 55:
		return w.append()
	case n < 78:
		return w.flush()
	case n < 86:
		return w.checkpoint()
	case n < 89:
		return w.l.Roll()
	case n < 92:
		w.epoch++
		return nil
	case n < 95:
		return w.truncate()
	case n < 97:
		return w.raise()
	case n < 99:
		return w.retain()
	default:
		return w.restart()
	}
}

func (w *world) append() error {
	n, size := 1+w.r.IntN(4), 20+w.r.IntN(300)
	large := w.r.IntN(4) == 0
	if large {
		size = 3000 + w.r.IntN(4000)
	}
	var p *record.Producer
	if w.r.IntN(2) == 0 {
		p = &record.Producer{ID: 42, BaseSequence: w.sequence}
		w.sequence += kafka.Sequence(n)
	}
	data := batchOf(w.l.End(), w.epoch, n, size, w.clock-kafka.Timestamp(w.r.IntN(500)), p)
	h := headerOf(data)
	w.batches = append(w.batches, appended{h.BaseOffset, h.End(), bytes.Clone(data)})
	span, err := w.l.Append(data, []record.Header{h}, w.clock)
	if err != nil {
		if errors.Is(err, log.ErrNoSpace) {
			w.batches = w.batches[:len(w.batches)-1]
			return nil
		}
		return err
	}
	w.pending = append(w.pending, pendingSpan{span, bytes.Clone(data), large})
	return nil
}

// flush is a flush round: large spans are synced in place, then one journal round
// names all of them.
func (w *world) flush() error {
	var round []journal.Entry
	for _, p := range w.pending {
		if p.large {
			if err := p.span.Segment.SyncData(); err != nil {
				return err
			}
			round = append(round, extentEntry(p.span, p.data))
		} else {
			round = append(round, dataEntry(p.span, p.data))
		}
	}
	w.journal = append(w.journal, round...)
	if n := len(w.pending); n > 0 {
		w.durable = max(w.durable, w.pending[n-1].span.End)
	}
	w.pending = nil
	return nil
}

func (w *world) checkpoint() error {
	point, err := w.l.Checkpoint()
	if errors.Is(err, log.ErrNoSpace) {
		return nil
	}
	if err != nil {
		return err
	}
	w.point = point
	if w.r.IntN(3) > 0 { // releasing journal space is lazy
		kept := w.journal[:0:0]
		for _, e := range w.journal {
			if e.End > point {
				kept = append(kept, e)
			}
		}
		w.journal = kept
	}
	w.durable = max(w.durable, min(point, w.l.End()))
	return nil
}

// truncate cuts anywhere: leaders do change, and unclean things happen above us.
// A checkpoint comes first, then a fence, which kills every entry, then the cut.
func (w *world) truncate() error {
	if w.l.End() <= w.l.Start()+1 {
		return nil
	}
	point, err := w.l.Checkpoint()
	if err != nil {
		return ignoreFull(err)
	}
	w.durable = max(w.durable, point)
	start, end := w.l.Start(), w.l.End()
	to := start + kafka.Offset(w.r.Int64N(int64(end-start)))
	w.journal, w.pending = nil, nil
	at := to
	for _, b := range w.batches {
		if b.base < to && b.end > to {
			at = b.base
		}
	}
	w.durable, w.start, w.optional = min(w.durable, at), min(w.start, at), at
	if err := w.l.TruncateSuffix(to); err != nil {
		return err
	}
	w.cutBatches(at)
	w.optional = 1 << 60
	if w.l.End() != at {
		return fmt.Errorf("truncated to %d: end %d, want %d", to, w.l.End(), at)
	}
	return nil
}

func (w *world) cutBatches(end kafka.Offset) {
	for len(w.batches) > 0 && w.batches[len(w.batches)-1].base >= end {
		w.batches = w.batches[:len(w.batches)-1]
	}
}

func (w *world) raise() error {
	if w.durable <= w.l.Start() {
		return nil
	}
	to := w.l.Start() + kafka.Offset(w.r.Int64N(int64(w.durable-w.l.Start())+1))
	w.maxStart = max(w.maxStart, to)
	if err := w.l.SetStart(to); err != nil {
		return ignoreFull(err)
	}
	w.start = w.l.Start()
	return nil
}

func (w *world) retain() error {
	w.maxStart = max(w.maxStart, w.durable)
	if _, err := w.l.Retain(w.clock, w.durable); err != nil {
		return ignoreFull(err)
	}
	w.start = w.l.Start()
	_, err := w.l.Sweep(w.clock)
	return err
}

func ignoreFull(err error) error {
	if errors.Is(err, log.ErrNoSpace) {
		return nil
	}
	return err
}

func (w *world) restart() error {
	if err := w.l.Close(); err != nil {
		return ignoreFull(err)
	}
	// Nothing is lost: the page cache survives.
	return w.open(w.fsys, false)
}

func (w *world) open(fsys *vfs.Mem, clean bool) error {
	w.fsys, w.o.FS = fsys, fsys
	l, report, err := log.Open(w.o, log.Replay{Entries: w.journal, RecoveryPoint: w.point, Clean: clean})
	if err != nil {
		return fmt.Errorf("open: %w\nreport %+v\ndurable %d, point %d, optional %d", err, report, w.durable, w.point, w.optional)
	}
	w.l = l
	return w.verify(report)
}

// verify compares a log that was just opened with the model.
func (w *world) verify(report log.Report) error {
	l := w.l
	state := fmt.Sprintf("log [%d, %d), durable %d, appended up to %d, start [%d, %d], report %+v", l.Start(), l.End(), w.durable, w.end(), w.start, w.maxStart, report)
	if l.Start() < w.start || l.Start() > max(w.start, w.maxStart) {
		return fmt.Errorf("log start: %s", state)
	}
	if l.End() < w.durable {
		return fmt.Errorf("lost: %s", state)
	}
	if l.End() > w.end() {
		return fmt.Errorf("invented: %s", state)
	}
	if err := w.compare(l); err != nil {
		return fmt.Errorf("%w: %s", err, state)
	}
	w.cutBatches(l.End())
	w.start, w.maxStart, w.optional = l.Start(), l.Start(), 1<<60
	w.durable = l.End() // what Open returns is in synced segments
	w.point, w.pending = report.End, nil
	kept := w.journal[:0:0]
	for _, e := range w.journal {
		if e.End > w.point {
			kept = append(kept, e)
		}
	}
	w.journal = kept
	w.epoch = max(w.epoch, l.LastEpoch(), 0)
	return w.compareProducer()
}

func (w *world) compare(l *log.Log) error {
	from := l.Start()
	for from < l.End() {
		r, err := l.Read(from, l.End(), 1<<20, true)
		if err != nil {
			return err
		}
		got := make([]byte, r.Length)
		if err := vfs.ReadFull(r.Source, got, r.Position); err != nil {
			return err
		}
		r.Source.Release()
		for len(got) > 0 {
			h := headerOf(got)
			i := w.find(h.BaseOffset)
			if i < 0 || !bytes.Equal(w.batches[i].data, got[:h.Size()]) {
				return fmt.Errorf("batch at %d is not what was appended", h.BaseOffset)
			}
			got = got[h.Size():]
		}
		from = r.End
	}
	return nil
}

func (w *world) find(base kafka.Offset) int {
	for i, b := range w.batches {
		if b.base == base {
			return i
		}
	}
	return -1
}

// compareProducer asks the table about the last idempotent batch: it must be a
// repetition, and the one after it must be new.
func (w *world) compareProducer() error {
	w.sequence = 0
	for i := len(w.batches) - 1; i >= 0; i-- {
		b := w.batches[i]
		h := headerOf(b.data)
		if !h.HasProducer() {
			continue
		}
		w.sequence = h.LastSequence() + 1
		if b.end <= w.start {
			return nil // a table need not remember what was deleted
		}
		v, err := w.l.Producers().Check(h, w.clock)
		if err != nil || !v.Duplicate || v.Base != b.base {
			return fmt.Errorf("repetition of the batch at %d: %+v, %v", b.base, v, err)
		}
		return nil
	}
	return nil
}

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func crashOptions() log.Options {
	o := testOptions(nil)
	o.Config.SegmentBytes = 32 << 10
	o.Config.IndexIntervalBytes = 512
	o.Config.RetentionBytes = 90 << 10
	return o
}

// run plays a world: rounds of steps, each ended by a crash at operation k of the
// disk (or by the power going at the end of the round), each followed by a
// recovery that may crash too.
func runWorld(seed uint64, o log.Options, kind vfs.CrashKind, steps int) error {
	fsys := newMem(seed)
	w := newWorld(seed, o, fsys)
	w.o.FS = fsys
	l, err := log.Create(w.o)
	if err != nil {
		return err
	}
	w.l = l
	for round := range 4 {
		switch {
		case kind == processKilled && w.r.IntN(2) == 0:
			// A sync fails; the process ends because of it; the pages look clean.
			w.fsys.Inject(vfs.Fault{Op: vfs.OpSync, Path: "*.log", After: w.r.IntN(20), Times: 1})
		case w.r.IntN(8) > 0:
			w.fsys.CrashAfter(w.r.IntN(60 + steps*2))
		}
		if round == 3 && kind == processKilled {
			kind = vfs.CrashDrop
		}
		for range steps {
			if err := w.step(); err != nil {
				if w.fsys.Crashed() || errors.Is(w.l.Err(), log.ErrOffline) {
					break
				}
				return fmt.Errorf("round %d: %w", round, err)
			}
		}
		if err := w.crashAndOpen(seed*31+uint64(round), kind); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
	}
	if err := w.l.Close(); err != nil {
		return err
	}
	var found error
	err = log.Check(w.fsys, testDir, func(f log.Finding) {
		if f.Severity == log.Fault && found == nil {
			found = fmt.Errorf("check: %v", f)
		}
	})
	return errors.Join(err, found)
}

// processKilled is a kill -9: the page cache survives, with what failed syncs made
// of it. The last crash of such a world is a power cut.
const processKilled vfs.CrashKind = 99

// crashAndOpen takes the power away and recovers; every second recovery crashes
// as well.
func (w *world) crashAndOpen(seed uint64, kind vfs.CrashKind) error {
	for attempt := range 3 {
		var fsys *vfs.Mem
		if kind == processKilled || (w.killed > 0 && w.r.IntN(3) == 0) {
			w.killed++
			fsys = w.fsys.Kill()
		} else {
			fsys = w.fsys.CrashWith(vfs.CrashOptions{Seed: seed + uint64(attempt)*1000, Kind: kind, Garbage: w.r.IntN(2) == 0})
		}
		fsys.Heal()
		if attempt < 2 && w.r.IntN(2) == 0 {
			fsys.CrashAfter(w.r.IntN(12))
		}
		err := w.open(fsys, false)
		if err == nil && !fsys.Crashed() {
			fsys.CrashAfter(-1)
			return nil
		}
		if !fsys.Crashed() {
			return err
		}
		w.fsys = fsys
	}
	return errors.New("no attempt to recover ended")
}

func TestLog_SurvivesCrashes(t *testing.T) {
	kinds := map[string]vfs.CrashKind{"random": vfs.CrashRandom, "drop": vfs.CrashDrop, "keep": vfs.CrashKeep, "kill": processKilled}
	// HOLDFAST_CRASH_SEEDS asks for more; thousands were run when this was written.
	seeds := uint64(120)
	if n, err := strconv.ParseUint(os.Getenv("HOLDFAST_CRASH_SEEDS"), 10, 64); err == nil {
		seeds = n
	}
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range seeds {
				if err := runWorld(seed, crashOptions(), kind, 60); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		})
	}
}
