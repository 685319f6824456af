package log_test

import (
	"os"
	"path/filepath"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

// TestLog_KeptForKafkasTools leaves a log of several segments in a directory for
// Kafka's own dump tool, which tests/compat runs over it.
func TestLog_KeptForKafkasTools(t *testing.T) {
	dir := os.Getenv("HOLDFAST_DUMP_DIR")
	if dir == "" {
		dir = t.TempDir()
	}
	o := testOptions(vfs.OS{})
	o.Dir = filepath.Join(dir, "t-0")
	must(t, os.MkdirAll(dir, 0o700))
	l := mustCreate(t, o)
	fill(t, l, 3000)
	if l.Segments() < 3 {
		t.Fatalf("%d segments", l.Segments())
	}
}

// fill appends batches of every kind: small, large, from idempotent producers,
// with timestamps that go back, in several epochs.
func fill(t testing.TB, l *log.Log, batches int) {
	t.Helper()
	sequence := map[kafka.ProducerID]kafka.Sequence{}
	for i := range batches {
		n, size := 1+i%7, 50+(i%13)*30
		if i%100 == 99 {
			size = 20_000
		}
		var p *record.Producer
		if i%3 != 0 {
			id := kafka.ProducerID(1000 + i%5)
			p = &record.Producer{ID: id, BaseSequence: sequence[id]}
			sequence[id] += kafka.Sequence(n)
		}
		ts := kafka.Timestamp(1_700_000_000_000 + i*10 - (i%11)*25)
		data := batchOf(l.End(), kafka.LeaderEpoch(i/700), n, size, ts, p)
		_, err := l.Append(data, []record.Header{headerOf(data)}, ts)
		must(t, err)
		if i%400 == 0 {
			_, err := l.Checkpoint()
			must(t, err)
		}
	}
}
