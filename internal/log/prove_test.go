package log_test

import (
	"errors"
	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"syscall"
	"testing"

	"holdfast/internal/log"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

// tryRead reads the log from its start and returns the first error.
func tryRead(l *log.Log) error {
	for from := l.Start(); from < l.End(); {
		r, err := l.Read(from, l.End(), 3000, true)
		if err != nil {
			return err
		}
		r.Source.Release()
		from = r.End
	}
	return nil
}

// inherited is a log whose active segment lies below the recovery point: nothing
// of it is read when it is opened.
func inherited(t *testing.T, batches int) (*vfs.Mem, log.Options, []log.Span) {
	m := newMem(3)
	o := testOptions(m)
	l, err := log.Create(o)
	must(t, err)
	var spans []log.Span
	for i := range batches {
		span, _ := appendBatch(t, l, 1+i%3, 700+i%5*900, 1000)
		spans = append(spans, span)
	}
	must(t, l.Close())
	return m, o, spans
}

// Any single bit of the open segment that turned since the last checkpoint is
// noticed by the first read, and never served.
func TestRead_FindsRotBelowTheRecoveryPointOfTheOpenSegment(t *testing.T) {
	m, o, spans := inherited(t, 60)
	first, middle, last := spans[0], spans[len(spans)/2], spans[len(spans)-1]
	for _, span := range []log.Span{first, middle, last} {
		for bit := int64(0); bit < 8*(record.HeaderSize+4); bit++ {
			rotten := m.CrashClone(vfs.CrashOptions{Kind: vfs.CrashKeep})
			o := o
			o.FS = rotten
			at := span.Position + bit/8
			whole, err := vfs.ReadFile(rotten, span.Segment.Name(), 1<<20)
			must(t, err)
			must(t, rotten.Corrupt(span.Segment.Name(), at, []byte{whole[at] ^ 1<<(bit%8)}))
			l, report, err := log.Open(o, log.Replay{Clean: true})
			must(t, err)
			if report.Scanned > 0 {
				t.Fatalf("the opening read %d bytes: this tests nothing", report.Scanned)
			}
			err = tryRead(l)
			if _, rot := errors.AsType[*log.CorruptionError](err); !rot {
				t.Errorf("bit %d of the batch at %d: %v", bit, span.Position, err)
			}
			if _, again := errors.AsType[*log.CorruptionError](tryRead(l)); !again {
				t.Errorf("bit %d of the batch at %d: served the second time", bit, span.Position)
			}
			l.Discard()
		}
	}
}

// Reading what is right is no error, from wherever it begins, also after a cut
// and after appends that follow the inherited bytes.
func TestRead_InheritedBytesThatAreRight(t *testing.T) {
	_, o, spans := inherited(t, 200)
	for _, cut := range []int{200, 150, 3} {
		l, _, err := log.Open(o, log.Replay{Clean: true})
		must(t, err)
		if cut < len(spans) {
			must(t, l.TruncateSuffix(spans[cut].Base))
		}
		for range 5 {
			appendBatch(t, l, 2, 1000, 2000)
		}
		for i := range min(cut, len(spans)) {
			r, err := l.Read(spans[min(cut, len(spans))-1-i].Base, l.End(), 1, true)
			must(t, err)
			r.Source.Release()
		}
		must(t, tryRead(l))
		must(t, l.Close())
		mustCheck(t, o.FS, o.Dir)
	}
}

// The checksum of a span is that of its bytes, however it was come by.
func TestAppend_ChecksumOfTheSpan(t *testing.T) {
	o := testOptions(newMem(1))
	l := mustCreate(t, o)
	for _, sizes := range [][]int{{10}, {70_000}, {66_000, 20, 80_000}, {300, 400}, {30, 200_000, 100_000}} {
		var data []byte
		var headers []record.Header
		base := l.End()
		for _, size := range sizes {
			b := batchOf(base, 0, 1, size, 1000, nil)
			data, headers = append(data, b...), append(headers, headerOf(b))
			base++
		}
		span, err := l.Append(data, headers, 1000)
		must(t, err)
		if want := dataEntry(span, data).Checksum; span.Checksum != want {
			t.Errorf("%v: %08x, want %08x", sizes, span.Checksum, want)
		}
	}
}

// TestRead_EpochsThatAFullDiskDidNotTake: the disk was full when the log was
// recovered, so that its note is newer than the file of its leader epochs. The
// batches of the epoch that the file lacks are right.
func TestRead_EpochsThatAFullDiskDidNotTake(t *testing.T) {
	m := newMem(5)
	o := testOptions(m)
	l, err := log.Create(o)
	must(t, err)
	var entries []journal.Entry
	for epoch := range kafka.LeaderEpoch(2) {
		l.AssignEpoch(epoch)
		for range 3 {
			data := batchOf(l.End(), epoch, 1, 500, 1000, nil)
			span, err := l.Append(data, headersOf(data), 1000)
			must(t, err)
			if epoch > 0 {
				entries = append(entries, dataEntry(span, data))
			}
		}
		if epoch == 0 {
			_, err = l.Checkpoint()
			must(t, err)
		}
	}
	m = m.Kill()
	o.FS = m
	heal := m.Inject(vfs.Fault{Op: vfs.OpCreate | vfs.OpWrite, Path: "leader-epoch-checkpoint*", Err: syscall.ENOSPC})
	l, _, err = log.Open(o, log.Replay{Entries: entries})
	must(t, err)
	must(t, tryRead(l))
	heal()
	m = m.Kill()
	o.FS = m
	l, report, err := log.Open(o, log.Replay{})
	must(t, err)
	if report.End != 6 || report.RecoveryPoint != 6 {
		t.Fatalf("%+v", report)
	}
	if err := tryRead(l); err != nil {
		t.Error(err)
	}
	if epoch, end := l.EpochEnd(0); epoch != 0 || end != 3 {
		t.Errorf("EpochEnd(0) = %d, %d", epoch, end)
	}
}
