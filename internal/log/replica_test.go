package log_test

import (
	"errors"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/log"
)

// What another replica has appended is taken over whatever segment.bytes is here;
// what a client sends is not.
func TestAppendReplica_IgnoresSegmentBytes(t *testing.T) {
	o := testOptions(newMem(1))
	o.Config.SegmentBytes = 1000
	l := mustCreate(t, o)
	big := batchOf(0, 1, 1, 2000, 1, nil)
	if _, err := l.Append(big, headersOf(big), 1); !errors.Is(err, log.ErrTooLarge) {
		t.Errorf("a client's: %v", err)
	}
	for range 3 {
		data := batchOf(l.End(), 1, 1, 2000, 1, nil)
		_, err := l.AppendReplica(data, headersOf(data), 1)
		must(t, err)
	}
	if l.End() != 3 || l.Segments() != 3 {
		t.Errorf("end %d in %d segments", l.End(), l.Segments())
	}
	if got := readAll(t, l, 0); len(got) < 3*2000 {
		t.Errorf("%d bytes", len(got))
	}
}

// A follower deletes what is below the log start, and nothing by age or size.
func TestDropBelowStart(t *testing.T) {
	o := testOptions(newMem(1))
	o.Config.SegmentBytes, o.Config.RetentionMs, o.Config.RetentionBytes = 1000, 0, 0
	l := mustCreate(t, o)
	for range 5 {
		appendBatch(t, l, 1, 800, 1)
	}
	if deleted, err := l.DropBelowStart(1<<40, 5); err != nil || len(deleted) > 0 {
		t.Errorf("deleted %+v, %v", deleted, err)
	}
	must(t, l.SetStart(2))
	deleted, err := l.DropBelowStart(1<<40, 5)
	if err != nil || len(deleted) != 2 || deleted[1].End != 2 || deleted[1].Reason != log.BelowStart {
		t.Errorf("deleted %+v, %v", deleted, err)
	}
	if l.Start() != 2 || l.End() != 5 {
		t.Errorf("log [%d, %d)", l.Start(), l.End())
	}
}

func TestEpochFloor(t *testing.T) {
	l := mustCreate(t, testOptions(newMem(1)))
	want := func(asked, epoch kafka.LeaderEpoch, end kafka.Offset) {
		t.Helper()
		if e, at := l.EpochFloor(asked); e != epoch || at != end {
			t.Errorf("at or below %d: %d up to %d, want %d up to %d", asked, e, at, epoch, end)
		}
	}
	want(5, kafka.NoLeaderEpoch, 0)
	for _, epoch := range []kafka.LeaderEpoch{2, 2, 4} {
		data := batchOf(l.End(), epoch, 1, 10, 1, nil)
		_, err := l.Append(data, headersOf(data), 1)
		must(t, err)
	}
	l.AssignEpoch(6)
	want(1, kafka.NoLeaderEpoch, 0)
	want(2, 2, 2)
	want(3, 2, 2)
	want(4, 4, 3)
	want(5, 4, 3)
	want(6, 6, 3)
	want(9, 6, 3)
	if epoch, end := l.Tail(); epoch != 6 || end != 3 {
		t.Errorf("tail %d, %d", epoch, end)
	}
	must(t, l.TruncateSuffix(3)) // the epoch without a batch goes (KAFKA-10706)
	want(9, 4, 3)
}
