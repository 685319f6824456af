package record_test

import (
	"bytes"
	"fmt"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/record"
)

var codecs = []record.Codec{record.None, record.Gzip, record.Snappy, record.LZ4, record.Zstd}

// open are rules that refuse nothing but malformed batches.
var open = record.Rules{BeforeMax: record.NoBound, AfterMax: record.NoBound}

// build makes a batch of n records of a known shape.
func build(t testing.TB, n, valueSize int, opts record.Options) []byte {
	t.Helper()
	b := record.NewBuilder(opts)
	for i := range n {
		value := bytes.Repeat([]byte(fmt.Sprintf("value %d ", i)), valueSize/8+1)[:valueSize]
		b.Append(kafka.Timestamp(1000+i), []byte(fmt.Sprintf("key-%d", i)), value,
			record.KeyValue{Key: "h", Value: []byte{byte(i)}}, record.KeyValue{Key: "null"})
	}
	out, err := b.Build(nil)
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	return out
}

func collect(t testing.TB, b []byte) []record.Record {
	t.Helper()
	var all []record.Record
	if err := record.Iterate(b, 0, func(r record.Record) error {
		all = append(all, r)
		return nil
	}); err != nil {
		t.Fatalf("iterate: %v", err)
	}
	return all
}

func TestBuilder_EveryCodecComesBackAndValidates(t *testing.T) {
	for _, codec := range codecs {
		for _, size := range []int{0, 1, 100, 5000, 200 << 10} {
			b := build(t, 300_000/(size+1000)+1, size, record.Options{Compression: record.Compression{Codec: codec}})
			h, err := record.ValidateProduce(b, open)
			if err != nil {
				t.Fatalf("%v, %d bytes: validate: %v", codec, size, err)
			}
			if err := record.VerifyRecords(b, 0); err != nil {
				t.Fatalf("%v, %d bytes: verify records: %v", codec, size, err)
			}
			record.SetBase(b, 42, 7)
			if err := record.Verify(b); err != nil {
				t.Fatalf("%v: the checksum covers base offset or epoch: %v", codec, err)
			}
			all := collect(t, b)
			if len(all) != int(h.Count) {
				t.Fatalf("%v: %d records, want %d", codec, len(all), h.Count)
			}
			for i, r := range all {
				if r.Offset != kafka.Offset(42+i) || r.Timestamp != kafka.Timestamp(1000+i) ||
					string(r.Key) != fmt.Sprintf("key-%d", i) || len(r.Value) != size ||
					len(r.Headers) != 2 || r.Headers[1].Value != nil || r.Headers[0].Value[0] != byte(i) {
					t.Fatalf("%v: record %d is %+v", codec, i, r)
				}
			}
		}
	}
}
