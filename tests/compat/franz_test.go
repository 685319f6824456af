//go:build rig

package compat_test

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/internal/kafka"
	"holdfast/tests/history"
	"holdfast/tests/rig"
)

var codecs = []struct {
	name  string
	franz kgo.CompressionCodec
}{
	{"none", kgo.NoCompression()},
	{"gzip", kgo.GzipCompression()},
	{"snappy", kgo.SnappyCompression()},
	{"lz4", kgo.Lz4Compression()},
	{"zstd", kgo.ZstdCompression()},
}

// TestFranzEveryCodec writes records with keys, headers and own timestamps, and
// demands every byte back: from the start, from an offset, and from a timestamp.
func TestFranzEveryCodec(t *testing.T) {
	b := start(t)
	for _, codec := range codecs {
		for _, idempotent := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s idempotent=%v", codec.name, idempotent), func(t *testing.T) {
				opts := []kgo.Opt{kgo.ProducerBatchCompression(codec.franz)}
				if !idempotent {
					opts = append(opts, kgo.DisableIdempotentWrite())
				}
				roundTrip(t, b.addr, opts)
			})
		}
	}
}

func roundTrip(t *testing.T, addr string, opts []kgo.Opt) {
	const n = 500
	topic := topicName("codec")
	cl := rig.NewClient(t, addr, append(opts, kgo.DefaultProduceTopic(topic))...)
	rig.CreateTopics(t, cl, rig.Topic{Name: topic, Partitions: 1})
	base := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	want := make([]*kgo.Record, n)
	for i := range want {
		want[i] = &kgo.Record{
			Key: fmt.Appendf(nil, "key-%d", i%7), Value: []byte(strings.Repeat(fmt.Sprintf("value %d ", i), 1+i%50)),
			Timestamp: base.Add(time.Duration(i) * time.Second),
			Headers:   []kgo.RecordHeader{{Key: "n", Value: fmt.Append(nil, i)}, {Key: "empty", Value: nil}},
		}
		if i == 3 {
			want[i].Key, want[i].Value = nil, nil
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for i := 0; i < n; i += 100 { // five batches or more
		if err := cl.ProduceSync(ctx, want[i:i+100]...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []struct {
		name  string
		at    kgo.Offset
		first int
	}{
		{"start", kgo.NewOffset().AtStart(), 0},
		{"offset 123", kgo.NewOffset().At(123), 123},
		{"exact timestamp", kgo.NewOffset().AfterMilli(base.Add(200 * time.Second).UnixMilli()), 200},
		{"timestamp between two", kgo.NewOffset().AfterMilli(base.Add(300*time.Second + time.Millisecond).UnixMilli()), 301},
	} {
		compare(t, from.name, consume(t, addr, topic, from.at, n-from.first), want[from.first:])
	}
}

// consume reads n records of partition 0 from the offset.
func consume(t *testing.T, addr, topic string, at kgo.Offset, n int) []*kgo.Record {
	t.Helper()
	cl := rig.NewClient(t, addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: at}}))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var got []*kgo.Record
	for len(got) < n && ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil && ctx.Err() == nil {
			t.Fatalf("consume %s: %v", topic, err)
		}
		got = append(got, fetches.Records()...)
	}
	return got
}

func compare(t *testing.T, from string, got, want []*kgo.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("from %s: %d records, want %d", from, len(got), len(want))
		return
	}
	for i, g := range got {
		w := want[i]
		switch {
		case !bytes.Equal(g.Key, w.Key) || (g.Key == nil) != (w.Key == nil):
			t.Errorf("from %s: record %d has key %q, want %q", from, i, g.Key, w.Key)
		case !bytes.Equal(g.Value, w.Value) || (g.Value == nil) != (w.Value == nil):
			t.Errorf("from %s: record %d has another value", from, i)
		case !g.Timestamp.Equal(w.Timestamp):
			t.Errorf("from %s: record %d has timestamp %v, want %v", from, i, g.Timestamp, w.Timestamp)
		case fmt.Sprint(g.Headers) != fmt.Sprint(w.Headers):
			t.Errorf("from %s: record %d has headers %v, want %v", from, i, g.Headers, w.Headers)
		case g.Offset != w.Offset:
			t.Errorf("from %s: record %d has offset %d, acknowledged at %d", from, i, g.Offset, w.Offset)
		default:
			continue
		}
		return
	}
}

// TestFranzMany sends a million records of 100 B and a hundred thousand of
// 10 KiB, remembers every acknowledgement and demands each record back,
// checksummed, once and in order.
func TestFranzMany(t *testing.T) {
	for _, load := range []struct {
		count, size int
		codec       kgo.CompressionCodec
	}{
		{1_000_000, 100, kgo.NoCompression()},
		{100_000, 10 << 10, kgo.NoCompression()},
		{100_000, 100, kgo.Lz4Compression()},
	} {
		t.Run(fmt.Sprintf("%d of %d B", load.count, load.size), func(t *testing.T) {
			many(t, start(t), load.count, load.size, load.codec)
		})
	}
}

func many(t *testing.T, b broker, count, size int, codec kgo.CompressionCodec) {
	began := time.Now()
	topic := rig.Topic{Name: topicName("many"), Partitions: 6}
	cl := rig.NewClient(t, b.addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec),
		kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(20_000))
	rig.CreateTopics(t, cl, topic)
	ledger := rig.NewLedger()
	var w history.Writer
	ledger.Do(func(c *history.Checker) { w = c.AddWriter(true) })
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for i := range count {
		tp := kafka.TopicPartition{Topic: topic.Name, Partition: kafka.PartitionIndex(i % 6)}
		var v history.Value
		ledger.Do(func(c *history.Checker) { v = c.Invoke(w, tp) })
		value := make([]byte, size)
		v.Encode(value)
		_, _ = sum.Write(value)
		cl.Produce(ctx, &kgo.Record{Topic: topic.Name, Partition: int32(tp.Partition), Value: value}, func(r *kgo.Record, err error) {
			if err != nil {
				t.Errorf("produce %s: %v", v, err)
				return
			}
			ledger.Acknowledge(v, r.Offset)
		})
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	produced := time.Since(began)
	if err := rig.Audit(b.addr, ledger, []rig.Topic{topic}, 2*time.Minute); err != nil {
		t.Error(err)
	}
	r := ledger.Report()
	if !r.OK() || r.Acknowledged != int64(count) || r.Polled != int64(count) || r.Unplaced != 0 {
		t.Errorf("want %d acknowledged and read, each with its offset: %s", count, r)
	}
	rig.Record(t, rig.Result{
		What: fmt.Sprintf("%d records of %d B through franz-go, each checksummed end to end", count, size),
		Sent: r.Sent, Acknowledged: r.Acknowledged, Lost: r.Count(history.LostWrite), Duplicated: r.Count(history.Duplicate),
		Seconds: time.Since(began).Seconds(),
		Figures: fmt.Sprintf("produced in %.1f s, read back in %.1f s, crc32c of all values %08x", produced.Seconds(), (time.Since(began) - produced).Seconds(), sum.Sum32()),
	})
}
