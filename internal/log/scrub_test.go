package log_test

import (
	"errors"
	"testing"

	"holdfast/internal/log"
)

// TestScrub_GoesOnBehindARottenSidecar: a segment whose sidecar cannot be used
// cannot be compared, and does not keep the scrub from those after it.
func TestScrub_GoesOnBehindARottenSidecar(t *testing.T) {
	m := newMem(4)
	o := testOptions(m)
	l, err := log.Create(o)
	must(t, err)
	for range 4 {
		appendBatch(t, l, 1, 300<<10, 1000)
		must(t, l.Roll())
	}
	must(t, l.Close())
	sidecar, err := m.Stat(segmentFile(0, ".sidecar"))
	must(t, err)
	must(t, m.FlipBit(segmentFile(0, ".sidecar"), sidecar.Size-6)) // a block's checksum
	must(t, m.FlipBit(segmentFile(2, ".log"), 1000))
	l, _, err = log.Open(o, log.Replay{Clean: true})
	must(t, err)
	defer l.Close()
	from, found := log.ScrubPlace{}, false
	for step := 0; ; step++ {
		next, n, err := l.Scrub(from, 2*log.BlockSize)
		if _, rot := errors.AsType[*log.CorruptionError](err); rot {
			found = true
		} else if must(t, err); n == 0 {
			break
		}
		if step > 100 {
			t.Fatalf("the scrub does not come to an end: it is at %+v", next)
		}
		from = next
	}
	if !found {
		t.Error("the rot in a later segment was not found")
	}
}
