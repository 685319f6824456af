package log_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

const goldenDir = "testdata/format/v1/t-0"

// goldenBatches are what the golden directory holds, which this test made once.
func goldenBatches() [][]byte {
	var out [][]byte
	next, sequence := kafka.Offset(0), kafka.Sequence(0)
	for i := range 60 {
		n := 1 + i%4
		var p *record.Producer
		if i%2 == 0 {
			p = &record.Producer{ID: 7, BaseSequence: sequence}
			sequence += kafka.Sequence(n)
		}
		b := batchOf(next, kafka.LeaderEpoch(i/25), n, 60+i%50, kafka.Timestamp(1_700_000_000_000+1000*i), p)
		out = append(out, b)
		next += kafka.Offset(n)
	}
	return out
}

func goldenOptions(fsys vfs.FS, dir string) log.Options {
	o := testOptions(fsys)
	o.Dir = dir
	o.Config.SegmentBytes, o.Config.IndexIntervalBytes = 4096, 512
	return o
}

// TestGolden_V1OpensInEveryLaterVersion opens a directory that the first version
// wrote. With HOLDFAST_GOLDEN=write and no directory, it makes it.
func TestGolden_V1OpensInEveryLaterVersion(t *testing.T) {
	want := goldenBatches()
	if _, err := os.Stat(goldenDir); errors.Is(err, fs.ErrNotExist) && os.Getenv("HOLDFAST_GOLDEN") == "write" {
		makeGolden(t, want)
	}
	m := newMem(1)
	must(t, m.MkdirAll(testDir))
	entries, err := os.ReadDir(goldenDir)
	must(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(goldenDir, e.Name()))
		must(t, err)
		must(t, vfs.WriteFile(m, testDir+"/"+e.Name(), b))
	}
	must(t, log.Check(m, testDir, func(f log.Finding) { t.Errorf("check: %v", f) }))
	l, report := mustOpen(t, goldenOptions(m, testDir), log.Replay{Clean: true})
	if report.Case != "A1" || len(report.Rebuilt) > 0 || report.Scanned > 0 {
		t.Errorf("report %+v", report)
	}
	start := l.Start()
	var all []byte
	for _, b := range want {
		if headerOf(b).End() > start {
			all = append(all, b...)
		}
	}
	if start != 5 || !bytes.Equal(readAll(t, l, start), all) {
		t.Errorf("[%d, %d): other bytes", start, l.End())
	}
	last := headerOf(want[58])
	if v, err := l.Producers().Check(last, 0); err != nil || !v.Duplicate || v.Base != last.BaseOffset {
		t.Errorf("repetition: %+v, %v", v, err)
	}
	if epoch, end := l.EpochEnd(1); epoch != 1 || end != headerOf(want[50]).BaseOffset {
		t.Errorf("EpochEnd(1) = %d, %d", epoch, end)
	}
}

func makeGolden(t *testing.T, batches [][]byte) {
	must(t, os.MkdirAll(filepath.Dir(goldenDir), 0o755))
	l, err := log.Create(goldenOptions(vfs.OS{}, goldenDir))
	must(t, err)
	for i, b := range batches {
		_, err := l.Append(b, headersOf(b), 1_700_000_000_000+kafka.Timestamp(1000*i))
		must(t, err)
		if i == 30 {
			_, err := l.Checkpoint()
			must(t, err)
		}
	}
	must(t, l.SetStart(5))
	must(t, l.Close())
}
