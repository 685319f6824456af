package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/tests/rig"
)

// wrapsWanted is how often the journal must have wrapped: the latency of an
// acknowledgement may not show it.
const wrapsWanted = 10

// commitLatency writes one record to each of n partitions, waits until all are
// acknowledged, and does it again until the broker has written ten journals'
// worth of bytes. One round is one sample.
func commitLatency(ctx context.Context, s *system, n int, limit time.Duration) (measurement, error) {
	journal, err := journalSize(s.dir)
	if err != nil {
		return measurement{}, err
	}
	cl, err := kgo.NewClient(rig.Options(s.addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(2*n),
		kgo.ProducerBatchCompression(kgo.NoCompression()))...)
	if err != nil {
		return measurement{}, err
	}
	defer cl.Close()
	topic := fmt.Sprintf("commit-%d", n)
	adm := kadm.NewClient(cl)
	adm.SetTimeoutMillis(120_000) // ten thousand directories take a while on a busy disk
	if _, err := adm.CreateTopic(ctx, int32(n), 1, nil, topic); err != nil {
		return measurement{}, err
	}
	defer func() { _, _ = adm.DeleteTopics(ctx, topic) }()
	records := make([]*kgo.Record, n)
	value := []byte(strings.Repeat("x", 100))
	round := func() (time.Duration, error) {
		for p := range records {
			records[p] = &kgo.Record{Topic: topic, Partition: int32(p), Value: value}
		}
		began := time.Now()
		err := cl.ProduceSync(ctx, records...).FirstErr()
		return time.Since(began), err
	}
	for range 20 { // files are made, the client learns its leaders
		if _, err := round(); err != nil {
			return measurement{}, err
		}
	}
	var samples []time.Duration
	from, err := bytesWritten(s.pid)
	if err != nil {
		return measurement{}, err
	}
	wraps := 0.0
	for deadline := time.Now().Add(limit); wraps < wrapsWanted && time.Now().Before(deadline); {
		took, err := round()
		if err != nil {
			return measurement{}, err
		}
		samples = append(samples, took)
		now, err := bytesWritten(s.pid)
		if err != nil {
			return measurement{}, err
		}
		// Each small append is written twice, to the journal and to its segment.
		wraps = float64(now-from) / 2 / float64(journal)
	}
	slices.Sort(samples)
	ms := func(q float64) float64 {
		return float64(samples[min(len(samples)-1, int(q*float64(len(samples))))].Microseconds()) / 1000
	}
	return measurement{values: map[string]float64{
		"p50": ms(0.5), "p99": ms(0.99), "max": ms(1), "rounds": float64(len(samples)), "wraps": wraps,
	}}, nil
}

// journalSize is the size of the journal file in the data directory.
func journalSize(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(strings.TrimPrefix(path, dir), "journal") {
			if info, err := d.Info(); err == nil {
				size = max(size, info.Size())
			}
		}
		return nil
	})
	if err == nil && size == 0 {
		err = errors.New("no journal file in the data directory")
	}
	return size, err
}

// bytesWritten is what the process has handed to write calls.
func bytesWritten(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		var n int64
		if _, err := fmt.Sscanf(line, "wchar: %d", &n); err == nil {
			return n, nil
		}
	}
	return 0, errors.New("no wchar in /proc/pid/io")
}
