package record_test

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"holdfast/internal/kafka"
	"holdfast/internal/record"
)

// franzCodecs are franz-go's compressors in the order of our codec numbers.
var franzCodecs = []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}

// franz holds one of franz-go's compressors per codec, and its decompressor:
// making them costs more than using them.
type franz struct {
	compressors  []kgo.Compressor
	decompressor kgo.Decompressor
}

func newFranz(t *testing.T) franz {
	f := franz{decompressor: kgo.DefaultDecompressor()}
	for _, codec := range franzCodecs {
		c, err := kgo.DefaultCompressor(codec)
		if err != nil {
			t.Fatal(err)
		}
		f.compressors = append(f.compressors, c)
	}
	return f
}

// drawRecords draws what a producer may send.
func drawRecords(t *rapid.T) []record.Record {
	field := func(label string) []byte {
		switch rapid.IntRange(0, 20).Draw(t, label+" kind") {
		case 0:
			return nil
		case 1:
			return []byte{}
		case 2: // above the walk's window
			return bytes.Repeat([]byte("large "), rapid.IntRange(10_000, 40_000).Draw(t, label+" size"))
		}
		return rapid.SliceOfN(rapid.Byte(), 1, 70).Draw(t, label)
	}
	out := make([]record.Record, rapid.IntRange(1, 8).Draw(t, "records"))
	for i := range out {
		r := record.Record{Timestamp: kafka.Timestamp(rapid.Int64Range(-1, 1<<42).Draw(t, "timestamp")), Key: field("key"), Value: field("value")}
		for range rapid.IntRange(0, 3).Draw(t, "headers") {
			r.Headers = append(r.Headers, record.KeyValue{Key: rapid.String().Draw(t, "header"), Value: field("header value")})
		}
		out[i] = r
	}
	return out
}

// batch encodes the records with franz-go's own structs and compressor.
func (f franz) batch(t *rapid.T, records []record.Record, codec record.Codec) []byte {
	var body []byte
	largest := kafka.NoTimestamp
	for i, r := range records {
		largest = max(largest, r.Timestamp)
		k := kmsg.Record{TimestampDelta64: int64(r.Timestamp - records[0].Timestamp), OffsetDelta: int32(i), Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			k.Headers = append(k.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
		}
		k.Length = int32(len(k.AppendTo(nil)) - 1)
		body = k.AppendTo(body)
	}
	if codec != record.None {
		compressed, used := f.compressors[codec].Compress(new(bytes.Buffer), body)
		if int(used) != int(codec) {
			t.Fatalf("compressed with %d, want %d", used, codec)
		}
		body = bytes.Clone(compressed)
	}
	b := kmsg.RecordBatch{Magic: 2, Attributes: int16(codec), LastOffsetDelta: int32(len(records) - 1), FirstTimestamp: int64(records[0].Timestamp),
		MaxTimestamp: int64(largest), ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(len(records)), Records: body}
	b.Length = int32(49 + len(body))
	return rebuilt(b.AppendTo(nil))
}

func sameRecords(t *rapid.T, who string, got, want []record.Record) {
	if len(got) != len(want) {
		t.Fatalf("%s: %d records, want %d", who, len(got), len(want))
	}
	for i := range want {
		got[i].Offset = want[i].Offset
		if !reflect.DeepEqual(got[i], want[i]) { // which tells nil from empty
			t.Fatalf("%s: record %d:\ngot  %.300s\nwant %.300s", who, i, fmt.Sprintf("%#v", got[i]), fmt.Sprintf("%#v", want[i]))
		}
	}
}

// TestFranz_ItsBatchesAreOursAndOursAreIts: the same records through franz-go's
// encoder and our reader, and through our encoder and franz-go's reader.
func TestFranz_ItsBatchesAreOursAndOursAreIts(t *testing.T) {
	f := newFranz(t)
	rapid.Check(t, func(t *rapid.T) {
		records := drawRecords(t)
		for _, codec := range codecs {
			theirs := f.batch(t, records, codec)
			if _, err := record.ValidateProduce(bytes.Clone(theirs), open); err != nil {
				t.Fatalf("%v: franz-go's batch: %v", codec, err)
			}
			var read []record.Record
			if err := record.Iterate(theirs, 0, func(r record.Record) error { read = append(read, r); return nil }); err != nil {
				t.Fatalf("%v: iterate: %v", codec, err)
			}
			sameRecords(t, "our reader, "+codec.String(), read, records)

			b := record.NewBuilder(record.Options{Compression: record.Compression{Codec: codec}})
			for _, r := range records {
				b.Append(r.Timestamp, r.Key, r.Value, r.Headers...)
			}
			ours, err := b.Build(nil)
			if err != nil {
				t.Fatal(err)
			}
			sameRecords(t, "franz-go's reader, "+codec.String(), f.read(t, ours), records)
			if codec == record.None && !bytes.Equal(ours, put(theirs, 12, uint32(0))) {
				t.Fatalf("the same records, other bytes:\n%x\n%x", ours, theirs)
			}
		}
	})
}

// read decodes a batch with franz-go's reader.
func (f franz) read(t *rapid.T, batch []byte) []record.Record {
	fetched, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{},
		&kmsg.FetchResponseTopicPartition{RecordBatches: batch, HighWatermark: 1 << 40}, f.decompressor, nil)
	if fetched.Err != nil {
		t.Fatalf("franz-go's reader: %v", fetched.Err)
	}
	var out []record.Record
	for _, r := range fetched.Records {
		one := record.Record{Timestamp: kafka.Timestamp(r.Timestamp.UnixMilli()), Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			one.Headers = append(one.Headers, record.KeyValue{Key: h.Key, Value: h.Value})
		}
		out = append(out, one)
	}
	return out
}

// TestRecompress_KeepsTheRecords: every codec to every other.
func TestRecompress_KeepsTheRecords(t *testing.T) {
	for _, from := range codecs {
		for _, to := range codecs {
			batch := build(t, 50, 3000, record.Options{BaseOffset: 9, LeaderEpoch: 4, Compression: record.Compression{Codec: from},
				Producer: &record.Producer{ID: 8, Epoch: 1, BaseSequence: 100}})
			h, err := record.ParseHeader(batch)
			if err != nil {
				t.Fatal(err)
			}
			out, got, err := record.Recompress(batch, h, record.Compression{Codec: to}, open)
			if err != nil {
				t.Fatalf("%v to %v: %v", from, to, err)
			}
			if err := record.VerifyRecords(out, 0); err != nil {
				t.Fatalf("%v to %v: %v", from, to, err)
			}
			want := h
			want.CRC, want.Length, want.Attributes = got.CRC, got.Length, record.Attributes(to)
			if got != want {
				t.Errorf("%v to %v: header %+v, want %+v", from, to, got, want)
			}
			if a, b := fmt.Sprint(collect(t, out)), fmt.Sprint(collect(t, batch)); a != b {
				t.Errorf("%v to %v: the records changed", from, to)
			}
			if _, _, err := record.Recompress(batch, h, record.Compression{Codec: to}, record.Rules{MaxBytes: 100}); from != to && err == nil {
				t.Errorf("%v to %v: max.message.bytes is not applied", from, to)
			}
		}
	}
}
