package datadir

import (
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"holdfast/internal/env"
	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/record"
)

// The commit latency is measured on a real disk:
//
//	go test ./internal/datadir -run xxx -bench Commit -benchtime 5s
//	go test ./internal/datadir -run xxx -bench TenLaps -benchtime 1x -laps.logs 10000
//
// The temporary directory (TMPDIR) must be on that disk and not in memory.
var lapsSize = flag.Int("laps.size", 100, "bytes per record of BenchmarkTenLaps")

var lapsLogs = flag.Int("laps.logs", 1000, "logs of BenchmarkTenLaps")

// lapTarget tells a round when its last log is durable.
type lapTarget struct{ round *sync.WaitGroup }

func (t lapTarget) Flushed(kafka.Offset) { t.round.Done() }
func (t lapTarget) Failed(err error)     { panic(err) }

// bench is a directory with many logs and one batch for each.
type bench struct {
	b     *testing.B
	d     *Dir
	logs  []*log.Log
	batch []byte
	round sync.WaitGroup
	took  []time.Duration
}

func newBench(b *testing.B, logs, size int, direct bool) *bench {
	b.Helper()
	x := &bench{b: b}
	var err error
	x.d, err = Open(Options{Env: env.NewReal(), Dir: b.TempDir() + "/data", NodeID: kafka.NoBroker, Log: slog.New(slog.DiscardHandler), noPayload: direct})
	if err != nil {
		b.Fatal(err)
	}
	for i := range logs {
		l, _, err := x.d.OpenLog("bench", kafka.TopicIDPartition{TopicID: kafka.TopicID{1}, Partition: kafka.PartitionIndex(i)}, log.DefaultConfig())
		if err != nil {
			b.Fatal(err)
		}
		x.logs = append(x.logs, l)
	}
	r := record.NewBuilder(record.Options{})
	r.Append(1000, nil, make([]byte, size))
	if x.batch, err = r.Build(nil); err != nil {
		b.Fatal(err)
	}
	return x
}

// commit appends one batch to every log and waits until all are durable.
func (x *bench) commit() {
	x.round.Add(len(x.logs))
	target := lapTarget{&x.round}
	began := time.Now()
	for _, l := range x.logs {
		record.SetBase(x.batch, l.End(), 0)
		h, err := record.ParseHeader(x.batch)
		if err != nil {
			x.b.Fatal(err)
		}
		span, err := l.Append(x.batch, []record.Header{h}, 1000)
		if err != nil {
			x.b.Fatal(err)
		}
		x.d.Submit(target, l, span, x.batch, 0)
	}
	x.round.Wait()
	x.took = append(x.took, time.Since(began))
}

func (x *bench) report() {
	slices.Sort(x.took)
	at := func(p float64) float64 { return float64(x.took[int(p*float64(len(x.took)-1))].Microseconds()) / 1000 }
	x.b.ReportMetric(at(0.50), "p50-ms")
	x.b.ReportMetric(at(0.99), "p99-ms")
	x.b.ReportMetric(at(1), "max-ms")
	x.b.ReportMetric(float64(x.d.stats.JournalFull.Load()), "full")
	x.b.ReportMetric(float64(x.d.stats.Checkpoints.Load()), "checkpoints")
	x.b.ReportMetric(0, "ns/op")
}

// closed removes what the benchmark wrote in the background of nothing.
func (x *bench) closed() {
	if err := x.d.Close(); err != nil {
		x.b.Fatal(err)
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, logs := range []int{1, 32, 200, 1000} {
		for _, size := range []int{100, 1000} {
			for _, direct := range []bool{false, true} {
				b.Run(fmt.Sprintf("%dlogs/%dB/direct=%v", logs, size, direct), func(b *testing.B) {
					x := newBench(b, logs, size, direct)
					for b.Loop() {
						x.commit()
					}
					x.report()
					x.closed()
				})
			}
		}
	}
}

// BenchmarkTenLaps writes one record of 100 B to each of many logs per round,
// until the ring has been written ten times.
func BenchmarkTenLaps(b *testing.B) {
	x := newBench(b, *lapsLogs, *lapsSize, false)
	for b.Loop() {
		for u := x.d.Usage(); u.Written < 10*u.Max; u = x.d.Usage() {
			x.commit()
		}
	}
	x.b.ReportMetric(float64(len(x.took)), "rounds")
	x.report()
	x.closed()
}

// BenchmarkSizes finds the size from which a batch is better synced in its
// segment.
func BenchmarkSizes(b *testing.B) {
	for _, logs := range []int{1, 6, 32} {
		for _, size := range []int{4 << 10, 16 << 10, 32 << 10, 60 << 10} {
			for _, direct := range []bool{false, true} {
				b.Run(fmt.Sprintf("%dlogs/%dKiB/direct=%v", logs, size>>10, direct), func(b *testing.B) {
					x := newBench(b, logs, size, direct)
					began := time.Now()
					for b.Loop() {
						x.commit()
					}
					b.ReportMetric(float64(len(x.took)*logs*size)/1e6/time.Since(began).Seconds(), "MB/s")
					x.report()
					x.closed()
				})
			}
		}
	}
}

// BenchmarkReopen is the time to read a full ring back: everything live, as
// after a kill in the worst moment.
func BenchmarkReopen(b *testing.B) {
	o := Options{Env: env.NewReal(), Dir: b.TempDir() + "/data", NodeID: kafka.NoBroker, Log: slog.New(slog.DiscardHandler)}
	j, _, err := journal.Open(journal.Options{FS: o.Env.FS, Name: o.Dir + ".ring", ID: [16]byte{1}})
	if err != nil {
		b.Fatal(err)
	}
	var r journal.Round
	payload := make([]byte, 32<<10)
	for err == nil {
		if _, err := j.Grow(); err != nil {
			b.Fatal(err)
		}
		r.Reset()
		for range 7 {
			r.Add(&journal.Entry{Kind: journal.Data, End: 1, Length: int64(len(payload))}, payload)
		}
		_, err = j.Commit(&r)
	}
	b.ReportMetric(float64(j.Usage().Used)/1e6, "MB")
	if err := j.Close(false); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		j, _, err := journal.Open(journal.Options{FS: o.Env.FS, Name: o.Dir + ".ring"})
		if err != nil {
			b.Fatal(err)
		}
		if err := j.Close(false); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen is the time of a first start: lock, identity and an 8 MiB ring.
func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		d, err := Open(Options{Env: env.NewReal(), Dir: b.TempDir() + "/data", NodeID: kafka.NoBroker, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
