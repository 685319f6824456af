package log_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/vfs"
)

// The traps of the design, each as a story on the file system in memory: what
// happens, what recovery must do, and which planted fault the story finds.

// trap is a log that somebody wrote to before the power went.
type trap struct {
	t       *testing.T
	fsys    *vfs.Mem
	o       log.Options
	l       *log.Log
	journal []journal.Entry
	want    []byte // everything acknowledged
	all     []byte // everything appended
	end     kafka.Offset
}

func newTrap(t *testing.T) *trap {
	fsys := newMem(5)
	o := testOptions(fsys)
	l, err := log.Create(o)
	must(t, err)
	return &trap{t: t, fsys: fsys, o: o, l: l}
}

// small appends a batch and makes it durable through the journal.
func (p *trap) small(n int) log.Span {
	span, data := p.write(n, 100)
	p.journal = append(p.journal, dataEntry(span, data))
	p.acknowledge()
	return span
}

// large appends a batch, syncs it in place and names it in the journal.
func (p *trap) large() log.Span {
	span, data := p.write(1, 20_000)
	must(p.t, span.Segment.SyncData())
	p.journal = append(p.journal, extentEntry(span, data))
	p.acknowledge()
	return span
}

// write appends a batch that nobody acknowledges.
func (p *trap) write(n, size int) (log.Span, []byte) {
	span, data := appendBatch(p.t, p.l, n, size, 1000)
	p.all = append(p.all, data...)
	return span, data
}

func (p *trap) acknowledge() { p.want, p.end = bytes.Clone(p.all), p.l.End() }

func (p *trap) checkpoint() {
	_, err := p.l.Checkpoint()
	must(p.t, err)
	p.journal = nil
	p.acknowledge()
}

// open recovers on the disk given, with a planted fault or none.
func (p *trap) open(fsys *vfs.Mem, mutant uint8) (*log.Log, log.Report, error) {
	o := p.o.Mutant(mutant)
	o.FS = fsys
	return log.Open(o, log.Replay{Entries: p.journal})
}

// keeps recovers and reports whether everything that was acknowledged is there,
// byte for byte, and nothing that was not appended.
func (p *trap) keeps(fsys *vfs.Mem, mutant uint8) error {
	l, report, err := p.open(fsys, mutant)
	if err != nil {
		return err
	}
	if l.End() < p.end {
		return fmt.Errorf("lost: ends at %d, acknowledged up to %d", l.End(), p.end)
	}
	got := readAll(p.t, l, 0)
	if !bytes.HasPrefix(got, p.want) || !bytes.HasPrefix(p.all, got) {
		return errors.New("other bytes")
	}
	_ = report
	return nil
}

func (p *trap) mustKeep(fsys *vfs.Mem) {
	p.t.Helper()
	must(p.t, p.keeps(fsys, 0))
	mustCheck(p.t, fsys, testDir)
}

// mustStop recovers and wants the log to refuse, with its bytes untouched.
func (p *trap) mustStop(fsys *vfs.Mem) {
	p.t.Helper()
	before := disk(p.t, fsys)
	_, report, err := p.open(fsys, 0)
	if _, ok := errors.AsType[*log.CorruptionError](err); !ok {
		p.t.Fatalf("opened with %v, want a CorruptionError; report %+v", err, report)
	}
	if !bytes.Equal(before, disk(p.t, fsys)) {
		p.t.Fatal("recovery that stopped changed the disk")
	}
}

// disk is the content of every file of the log.
func disk(t *testing.T, fsys vfs.FS) []byte {
	entries, err := fsys.ReadDir(testDir)
	must(t, err)
	var out []byte
	for _, e := range entries {
		b, err := vfs.ReadFile(fsys, testDir+"/"+e.Name, 1<<30)
		must(t, err)
		out = append(append(out, e.Name...), b...)
	}
	return out
}

func drop(m *vfs.Mem) *vfs.Mem { return m.CrashClone(vfs.CrashOptions{Kind: vfs.CrashDrop}) }

// A small batch in the journal, a later large one synced straight to its
// segment. Kafka's rule cuts at the first bad batch and would drop both.
func TestTrap_SmallJournalledBatchThenALargeDirectOne(t *testing.T) {
	p := newTrap(t)
	p.checkpoint()
	small := p.small(3)
	p.large()
	// The sync of the large one covered the page of the small one here; a disk
	// that lost it shows zeroes in its place.
	for _, holed := range []bool{false, true} {
		hole := func(m *vfs.Mem) *vfs.Mem {
			if holed {
				must(t, m.Corrupt(small.Segment.Name(), small.Position, make([]byte, small.Length)))
			}
			return m
		}
		p.mustKeep(hole(drop(p.fsys)))
		if holed {
			if p.keeps(hole(drop(p.fsys)), log.CutFirst) == nil {
				t.Error("cutting before the overlay was not found out")
			}
		}
	}
}

// A torn write at the end was never acknowledged: it is cut, and what came
// before it stays.
func TestTrap_InvalidTailIsCut(t *testing.T) {
	p := newTrap(t)
	p.small(2)
	p.large()
	torn, _ := p.write(1, 50_000)
	m := p.fsys.CrashClone(vfs.CrashOptions{Kind: vfs.CrashKeep})
	must(t, m.Corrupt(torn.Segment.Name(), torn.Position+30_000, make([]byte, 20_000)))
	l, report, err := p.open(m, 0)
	must(t, err)
	if l.End() != p.end || report.Case != "B1" || report.Cut == 0 {
		t.Fatalf("end %d, want %d; report %+v", l.End(), p.end, report)
	}
	if got := readAll(t, l, 0); !bytes.Equal(got, p.want) {
		t.Fatal("other bytes")
	}
	must(t, l.Close())
	mustCheck(t, m, testDir)
}

// Rot below the durable end looks like a torn tail to a rule that knows no
// durable end.
func TestTrap_BitRotBelowTheDurableEndStops(t *testing.T) {
	stories := map[string]func(p *trap) log.Span{
		"an extent":            func(p *trap) log.Span { return p.large() },
		"below the checkpoint": func(p *trap) log.Span { s := p.large(); p.large(); p.checkpoint(); p.large(); return s },
	}
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			p := newTrap(t)
			p.small(1)
			span := story(p)
			for _, at := range []int64{0, 3, 14, 16, 20, 61, span.Length - 1} {
				m := drop(p.fsys)
				must(t, m.FlipBit(span.Segment.Name(), span.Position+at))
				if name == "an extent" {
					p.mustStop(m)
					m = drop(p.fsys)
					must(t, m.FlipBit(span.Segment.Name(), span.Position+at))
					if p.keeps(m, log.IgnoreDurable) == nil && p.keeps(m, log.IgnoreExtents) == nil {
						t.Errorf("byte %d: neither planted fault was found out", at)
					}
					continue
				}
				// Bytes that recovery has no reason to read: Check sees them, and so
				// does whoever reads them.
				found := 0
				must(t, log.Check(m, testDir, func(f log.Finding) {
					if f.Severity == log.Fault {
						found++
					}
				}))
				if found == 0 {
					t.Errorf("byte %d: Check found nothing", at)
				}
			}
		})
	}
}

// A batch's checksum omits base offset and leader epoch; the extent's does not.
func TestTrap_RotOutsideOfTheBatchChecksumIsSeenByTheExtent(t *testing.T) {
	p := newTrap(t)
	p.small(1)
	span := p.large()
	m := drop(p.fsys)
	must(t, m.FlipBit(span.Segment.Name(), span.Position+15)) // leader epoch 0 becomes 1
	p.mustStop(m)
	if p.keeps(m, log.IgnoreExtents) == nil {
		t.Error("ignoring extents was not found out")
	}
}

// After a failed sync the pages look clean and are not. The process restarts,
// the machine does not: everything can be read, and nothing of it is on the disk.
func TestTrap_FailedSyncThenRestartWithStalePages(t *testing.T) {
	story := func(t *testing.T, mutant uint8) error {
		p := newTrap(t)
		p.checkpoint()
		p.small(2)
		p.small(1)
		p.fsys.Inject(vfs.Fault{Op: vfs.OpSync, Path: "*.log", Times: 1})
		span, _ := p.write(1, 3000)
		if err := span.Segment.SyncData(); err == nil {
			t.Fatal("the sync succeeded")
		}
		more := batchOf(p.l.End(), 0, 1, 10, 1, nil)
		if _, err := p.l.Append(more, headersOf(more), 1); !errors.Is(err, log.ErrOffline) {
			t.Fatalf("append after a failed sync: %v", err)
		}
		killed := p.fsys.Kill()
		killed.Heal()
		l, report, err := p.open(killed, mutant)
		if err != nil {
			return err
		}
		// What is served now is durable: the journal may be recycled.
		p.journal, p.end = nil, l.End()
		p.want = readAll(t, l, 0)
		if report.End != l.End() {
			t.Fatalf("report %+v", report)
		}
		return p.keeps(killed.CrashWith(vfs.CrashOptions{Kind: vfs.CrashDrop}), 0)
	}
	must(t, story(t, 0))
	if story(t, log.TrustPages) == nil {
		t.Error("trusting clean pages was not found out")
	}
	if story(t, log.SkipSync) == nil {
		t.Error("serving an unsynced tail was not found out")
	}
}

// Journal entries from before a cut are behind a fence. Whoever hands them to
// recovery anyway gets the newer bytes, not the dead ones.
func TestTrap_DeadBytesBehindAFenceStayDead(t *testing.T) {
	p := newTrap(t)
	p.small(2)
	kept := p.all
	p.small(3)
	dead := p.journal
	_, err := p.l.Checkpoint()
	must(t, err)
	p.journal = nil // the fence
	must(t, p.l.TruncateSuffix(2))
	p.all = kept
	data := batchOf(2, 1, 1, 77, 5000, nil)
	span, err := p.l.Append(data, headersOf(data), 5000)
	must(t, err)
	p.all = append(p.all, data...)
	p.journal = append(p.journal, dataEntry(span, data))
	p.acknowledge()
	p.mustKeep(drop(p.fsys))
	p.mustKeep(p.fsys.CrashClone(vfs.CrashOptions{Kind: vfs.CrashKeep}))
	p.journal = append(dead, p.journal...)
	p.mustKeep(drop(p.fsys))
}

// A crash keeps the later segment and loses the end of the earlier one.
func TestTrap_LaterSegmentSyncedWhileTheEarlierIsTorn(t *testing.T) {
	build := func() (*trap, log.Span) {
		p := newTrap(t)
		p.checkpoint()
		p.small(1)
		last, _ := p.write(2, 9000) // not acknowledged
		must(t, p.l.Roll())
		next, _ := p.write(1, 9000)
		must(t, next.Segment.SyncData())
		return p, last
	}
	p, last := build()
	tear := func(m *vfs.Mem) *vfs.Mem {
		must(t, m.Corrupt(last.Segment.Name(), last.Position+4000, make([]byte, 4000)))
		return m
	}
	m := tear(p.fsys.CrashClone(vfs.CrashOptions{Kind: vfs.CrashKeep}))
	l, report, err := p.open(m, 0)
	must(t, err)
	if report.Case != "C1" || report.Dropped != 1 || l.End() != p.end {
		t.Fatalf("end %d, want %d; report %+v", l.End(), p.end, report)
	}
	must(t, l.Close())
	mustCheck(t, m, testDir)

	// The same, but the batches are acknowledged: an extent in the later segment
	// says so. Nothing may be cut.
	p, last = build()
	p.large()
	m = tear(p.fsys.CrashClone(vfs.CrashOptions{Kind: vfs.CrashKeep}))
	p.mustStop(m)
	if p.keeps(m, log.IgnoreDurable) == nil {
		t.Error("dropping acknowledged segments was not found out")
	}
}

// A segment behind a torn one that stays would come back as soon as the log has
// grown to its base.
func TestTrap_DroppedSegmentsDoNotComeBack(t *testing.T) {
	p := newTrap(t)
	p.checkpoint()
	last, _ := p.write(2, 9000)
	must(t, p.l.Roll())
	next, ghost := p.write(1, 9000)
	must(t, next.Segment.SyncData())
	m := p.fsys.CrashClone(vfs.CrashOptions{Kind: vfs.CrashKeep})
	must(t, m.Corrupt(last.Segment.Name(), last.Position+4000, make([]byte, 4000)))
	regrow := func(m *vfs.Mem, mutant uint8) bool {
		l, _, err := p.open(m, mutant)
		must(t, err)
		for l.End() < next.Base {
			appendBatch(t, l, 1, 10, 1)
		}
		if _, err := l.Checkpoint(); err != nil {
			return true
		}
		l, _, err = p.open(drop(m), 0)
		return err != nil || bytes.Contains(readAll(t, l, 0), ghost)
	}
	if regrow(m.CrashClone(vfs.CrashOptions{Kind: vfs.CrashKeep}), 0) {
		t.Error("the dropped segment came back")
	}
	if !regrow(m.CrashClone(vfs.CrashOptions{Kind: vfs.CrashKeep}), log.DropNothing) {
		t.Error("leaving later segments was not found out")
	}
}

// A restart must know the producers, or a retry is stored twice.
func TestTrap_ProducerTableIsRebuilt(t *testing.T) {
	run := func(mutant uint8) bool {
		w := newWorld(3, crashOptions(), newMem(3))
		w.o.FS = w.fsys
		l, err := log.Create(w.o)
		must(t, err)
		w.l = l
		for range 30 {
			must(t, w.append())
		}
		must(t, w.flush())
		w.o = w.o.Mutant(mutant)
		return w.open(drop(w.fsys), false) == nil
	}
	if !run(0) {
		t.Error("a repetition was not recognised")
	}
	if run(log.ForgetProducer) {
		t.Error("forgetting producers was not found out")
	}
}

// The note of the last checkpoint is the durable end once the journal was
// recycled. Without a readable one, bad bytes may have been acknowledged.
func TestTrap_LostNoteDoesNotTurnRotIntoATornTail(t *testing.T) {
	p := newTrap(t)
	p.large()
	span := p.large()
	p.checkpoint()
	m := drop(p.fsys)
	must(t, m.FlipBit(testDir+"/holdfast.state", 30))
	must(t, p.keeps(m.CrashClone(vfs.CrashOptions{}), 0))
	must(t, m.FlipBit(span.Segment.Name(), span.Position+500))
	p.mustStop(m)
}
