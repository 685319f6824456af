package record_test

import (
	"bytes"
	"errors"
	"testing"

	"holdfast/internal/record"
)

// fuzzLimit bounds decompression in the fuzz targets: large enough for several
// windows, small enough for many runs.
const fuzzLimit = 1 << 20

func seedBatches(f *testing.F) {
	for _, codec := range codecs {
		f.Add(three(codec, now))
	}
	for _, r := range rejections {
		f.Add(r.batch)
	}
	f.Add(record.AppendEndTxn(nil, 1, 1, now, record.EndTxn{Commit: true}))
}

// FuzzParseHeader: a header that is believed describes a possible batch.
func FuzzParseHeader(f *testing.F) {
	seedBatches(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := record.ParseHeader(b)
		if err != nil {
			var corruption *record.CorruptionError
			if !errors.As(err, &corruption) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if h.Size() < record.HeaderSize || h.End() <= h.BaseOffset || h.Count < 0 {
			t.Fatalf("impossible header %+v", h)
		}
	})
}

// FuzzValidateProduce mends length and CRC, so that the fuzzer reaches the
// records. Whatever is accepted must be readable by every reader of ours, be
// canonical in its offsets, and stay acceptable.
func FuzzValidateProduce(f *testing.F) {
	seedBatches(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < record.HeaderSize {
			return
		}
		b = resized(put(bytes.Clone(b), 0, uint64(0)))
		rules := record.Rules{BeforeMax: record.NoBound, AfterMax: record.NoBound, MaxDecompressed: fuzzLimit}
		h, err := record.ValidateProduce(b, rules)
		if err != nil {
			var rejection *record.Rejection
			if !errors.As(err, &rejection) || rejection.Code == 0 {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if err := record.VerifyRecords(b, fuzzLimit); err != nil {
			t.Fatalf("accepted, and then: %v", err)
		}
		n := int32(0)
		if err := record.Iterate(b, fuzzLimit, func(r record.Record) error {
			if int32(r.Offset) != n {
				t.Fatalf("record %d has offset %d", n, r.Offset)
			}
			n++
			return nil
		}); err != nil || n != h.Count {
			t.Fatalf("accepted, and then %d of %d records: %v", n, h.Count, err)
		}
		if again, err := record.ValidateProduce(b, rules); err != nil || again != h {
			t.Fatalf("accepted once, then: %+v, %v", again, err)
		}
	})
}

// FuzzWalk compares the three readers of records with each other: the walk in
// memory, the walk over a stream, and Iterate. They must agree on what is well
// formed.
func FuzzWalk(f *testing.F) {
	seedBatches(f)
	f.Add(bomb(f, record.None, 100<<10))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < record.HeaderSize {
			return
		}
		plain := resized(put(put(bytes.Clone(b), 0, uint64(0)), 21, uint16(0)))
		_, inMemory := record.ValidateProduce(bytes.Clone(plain), open)
		payload, err := record.Compress(nil, record.Compression{Codec: record.Snappy}, plain[61:])
		if err != nil {
			t.Fatal(err)
		}
		streamed := resized(put(append(bytes.Clone(plain[:61]), payload...), 21, uint16(record.Snappy)))
		if _, err := record.ValidateProduce(streamed, open); (err == nil) != (inMemory == nil) {
			t.Fatalf("in memory %v, streamed %v", inMemory, err)
		}
		if err := record.Iterate(plain, 0, func(record.Record) error { return nil }); inMemory == nil && err != nil {
			t.Fatalf("walked, but not iterated: %v", err)
		}
	})
}

// FuzzDecompress feeds each decompressor directly: typed errors, never more
// than the limit, and never much memory for it: a zstd window of 8 MiB with its
// reader is the most.
func FuzzDecompress(f *testing.F) {
	for _, codec := range codecs {
		for _, size := range []int{0, 1, 100, 100_000} {
			payload, err := record.Compress(nil, record.Compression{Codec: codec}, bytes.Repeat([]byte("ab"), size))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(codec), payload)
		}
	}
	f.Fuzz(func(t *testing.T, codec uint8, b []byte) {
		var out []byte
		var err error
		if used := allocated(func() { out, err = record.Decompress(nil, record.Codec(codec%6), b, fuzzLimit) }); used > 40<<20 {
			t.Fatalf("%d MiB allocated", used>>20)
		}
		if len(out) > fuzzLimit {
			t.Fatalf("%d bytes", len(out))
		}
		if err != nil && !errors.Is(err, record.ErrCompression) && !errors.Is(err, record.ErrCodec) && !errors.Is(err, record.ErrTooLarge) {
			t.Fatalf("untyped error %v", err)
		}
	})
}

// FuzzCompress: what any codec makes of any bytes comes back.
func FuzzCompress(f *testing.F) {
	f.Add(uint8(1), int8(0), []byte("hello"))
	f.Fuzz(func(t *testing.T, codec uint8, level int8, b []byte) {
		c := record.Compression{Codec: record.Codec(codec % 5), Level: int(level)}
		out, err := record.Compress(nil, c, b)
		if err != nil {
			if c.Codec == record.Gzip && (level < -3 || level > 9) {
				return
			}
			t.Fatalf("%+v: %v", c, err)
		}
		back, err := record.Decompress(nil, c.Codec, out, len(b))
		if err != nil || !bytes.Equal(back, b) {
			t.Fatalf("%+v: %d bytes came back as %d: %v", c, len(b), len(back), err)
		}
	})
}
