package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
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
	laps := laps{admin: s.admin}
	for deadline := time.Now().Add(limit); laps.done < wrapsWanted && time.Now().Before(deadline); {
		took, err := round()
		if err == nil && len(samples)%20 == 0 {
			err = laps.look(ctx)
		}
		if err != nil {
			return measurement{}, err
		}
		samples = append(samples, took)
	}
	slices.Sort(samples)
	ms := func(q float64) float64 {
		return float64(samples[min(len(samples)-1, int(q*float64(len(samples))))].Microseconds()) / 1000
	}
	return measurement{values: map[string]float64{
		"p50": ms(0.5), "p99": ms(0.99), "max": ms(1), "rounds": float64(len(samples)), "wraps": laps.done,
	}}, nil
}

// laps counts how often the journal has wrapped, from the broker's own metrics:
// the ring grows while it is young, so that its size is asked for each time.
type laps struct {
	admin   string
	flushed float64
	done    float64
}

// look adds what was made durable since the last look.
func (l *laps) look(ctx context.Context) error {
	m, err := metrics(ctx, l.admin, "holdfast_flushed_bytes_total", "holdfast_journal_size_bytes")
	if err != nil {
		return err
	}
	if l.flushed > 0 {
		l.done += (m[0] - l.flushed) / m[1]
	}
	l.flushed = m[0]
	return nil
}

// metrics reads values without labels from the admin listener.
func metrics(ctx context.Context, admin string, names ...string) ([]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(names))
	for i, name := range names {
		_, rest, ok := strings.Cut("\n"+string(b), "\n"+name+" ")
		if !ok {
			return nil, fmt.Errorf("no %s among the metrics", name)
		}
		value, _, _ := strings.Cut(rest, "\n")
		if out[i], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, fmt.Errorf("metric %s: %w", name, err)
		}
	}
	return out, nil
}
