package log_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

func benchLog(b *testing.B, set func(*log.Config)) *log.Log {
	o := testOptions(vfs.OS{})
	o.Dir = filepath.Join(b.TempDir(), "t-0")
	o.Config = log.DefaultConfig()
	if set != nil {
		set(&o.Config)
	}
	l, err := log.Create(o)
	must(b, err)
	b.Cleanup(func() { must(b, l.Close()) })
	return l
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{100, 16 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l := benchLog(b, func(c *log.Config) { c.SegmentBytes, c.RetentionBytes, c.FileDeleteDelay = 256<<20, 512<<20, 0 })
			data := batchOf(0, 0, 1, size-69, 1, nil)
			h := headersOf(data)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				h[0].BaseOffset = l.End()
				record.SetBase(data, h[0].BaseOffset, 0)
				_, err := l.Append(data, h, 1)
				must(b, err)
				if l.Segments() > 3 {
					b.StopTimer()
					_, err := l.Retain(kafka.Timestamp(i), l.End())
					must(b, err)
					_, err = l.Sweep(1 << 40)
					must(b, err)
					b.StartTimer()
				}
			}
		})
	}
}

// BenchmarkRead_Tail is a consumer that reads each batch as it comes.
func BenchmarkRead_Tail(b *testing.B) {
	l := benchLog(b, nil)
	data := batchOf(0, 0, 10, 100, 1, nil)
	h := headersOf(data)
	b.ReportAllocs()
	for b.Loop() {
		from := l.End()
		h[0].BaseOffset = from
		record.SetBase(data, from, 0)
		_, err := l.Append(data, h, 1)
		must(b, err)
		r, err := l.Read(from, l.End(), 1<<20, true)
		must(b, err)
		r.Source.Release()
	}
}

// BenchmarkRead_CatchUp is a consumer that reads a log of small batches, 64 KiB
// at a time.
func BenchmarkRead_CatchUp(b *testing.B) {
	l := benchLog(b, nil)
	fill(b, l, 20_000)
	b.ReportAllocs()
	from := kafka.Offset(0)
	for b.Loop() {
		r, err := l.Read(from, l.End(), 64<<10, true)
		must(b, err)
		b.SetBytes(r.Length)
		r.Source.Release()
		if from = r.End; from == l.End() {
			from = 0
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	l := benchLog(b, nil)
	fill(b, l, 20_000)
	for i := 0; b.Loop(); i++ {
		_, _, err := l.OffsetForTimestamp(kafka.Timestamp(1_700_000_000_000+i*977%200_000), l.End())
		must(b, err)
	}
}

// BenchmarkOpen is a restart of one partition: what it costs per partition.
func BenchmarkOpen(b *testing.B) {
	for _, batches := range []int{100, 20_000} {
		b.Run(fmt.Sprint(batches), func(b *testing.B) {
			o := testOptions(vfs.OS{})
			o.Dir = filepath.Join(b.TempDir(), "t-0")
			l, err := log.Create(o)
			must(b, err)
			fill(b, l, batches)
			must(b, l.Close())
			b.ReportAllocs()
			for b.Loop() {
				l, _, err := log.Open(o, log.Replay{Clean: true})
				must(b, err)
				b.StopTimer()
				must(b, l.Close())
				b.StartTimer()
			}
		})
	}
}
