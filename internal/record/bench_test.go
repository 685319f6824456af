package record_test

import (
	"testing"

	"holdfast/internal/record"
)

// mebibyte is a batch of some 1 MiB of 100-byte records without keys, as a
// benchmark producer makes them.
func mebibyte(b *testing.B, codec record.Codec) []byte {
	b.Helper()
	builder := record.NewBuilder(record.Options{Compression: record.Compression{Codec: codec}})
	value := make([]byte, 100)
	for i := range value {
		value[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[i*7%36]
	}
	for builder.Size() < 1<<20 {
		builder.Append(1_700_000_000_000, nil, value)
	}
	out, err := builder.Build(nil)
	if err != nil {
		b.Fatal(err)
	}
	return out
}

// BenchmarkValidateProduce is the CPU that one batch of 1 MiB costs under the
// partition's lock, CRC included; MB/s count uncompressed bytes.
func BenchmarkValidateProduce(b *testing.B) {
	for _, codec := range codecs {
		b.Run(codec.String(), func(b *testing.B) {
			batch := mebibyte(b, codec)
			rules := record.Rules{Now: 1_700_000_000_000, BeforeMax: record.NoBound, AfterMax: 3600e9}
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := record.ValidateProduce(batch, rules); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	batch := mebibyte(b, record.None)
	b.SetBytes(int64(len(batch)))
	for b.Loop() {
		if err := record.Verify(batch); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseHeader(b *testing.B) {
	batch := mebibyte(b, record.None)
	for b.Loop() {
		if _, err := record.ParseHeader(batch); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSetBase(b *testing.B) {
	batch := mebibyte(b, record.None)
	for b.Loop() {
		record.SetBase(batch, 12345, 7)
	}
}

func BenchmarkSetLogAppendTime(b *testing.B) {
	batch := mebibyte(b, record.None)
	b.SetBytes(int64(len(batch)))
	for b.Loop() {
		record.SetLogAppendTime(batch, 1_700_000_000_000)
	}
}
