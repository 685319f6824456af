package log_test

import (
	"bytes"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/log"
)

func TestLog_ReturnsWhatWasAppended(t *testing.T) {
	m := newMem(1)
	o := testOptions(m)
	o.Config.SegmentBytes = 20_000
	l := mustCreate(t, o)
	var want []byte
	for i := range 200 {
		_, data := appendBatch(t, l, 1+i%5, 100, kafka.Timestamp(1000*i))
		want = append(want, data...)
		if i%37 == 0 {
			_, err := l.Checkpoint()
			must(t, err)
		}
	}
	if got := readAll(t, l, 0); !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes, want %d", len(got), len(want))
	}
	end := l.End()
	must(t, l.Close())
	l, report := mustOpen(t, o, log.Replay{Clean: true, RecoveryPoint: end})
	if l.End() != end || report.Case != "A1" || report.Scanned != 0 {
		t.Fatalf("end %d, want %d; report %+v", l.End(), end, report)
	}
	if got := readAll(t, l, 0); !bytes.Equal(got, want) {
		t.Fatalf("after reopening: read %d bytes, want %d", len(got), len(want))
	}
}
