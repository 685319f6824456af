package record_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"testing"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/record"
)

// now is the broker's clock in the tables.
const now kafka.Timestamp = 1_700_000_000_000

// rebuilt is b with the CRC that its bytes now have.
func rebuilt(b []byte) []byte {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// three is a batch of three records without keys, each 30 bytes from byte 61 on:
// length, attributes, timestamp delta, offset delta, key length, value length,
// 23 bytes of value, header count.
func three(codec record.Codec, ts kafka.Timestamp) []byte {
	b := record.NewBuilder(record.Options{Compression: record.Compression{Codec: codec}})
	for range 3 {
		b.Append(ts, nil, []byte("hello hello hello hello"))
	}
	out, err := b.Build(nil)
	if err != nil {
		panic(err)
	}
	return out
}

func plain() []byte { return three(record.None, now) }

func put[T uint8 | uint16 | uint32 | uint64](b []byte, at int, v T) []byte {
	switch v := any(v).(type) {
	case uint8:
		b[at] = v
	case uint16:
		binary.BigEndian.PutUint16(b[at:], v)
	case uint32:
		binary.BigEndian.PutUint32(b[at:], v)
	case uint64:
		binary.BigEndian.PutUint64(b[at:], v)
	}
	return rebuilt(b)
}

// resized is b with the length that its bytes now have.
func resized(b []byte) []byte { return put(b, 8, uint32(len(b)-12)) }

// counted is b declaring n records, consistently.
func counted(b []byte, n int) []byte { return put(put(b, 57, uint32(n)), 23, uint32(n-1)) }

func withProducer(id kafka.ProducerID, epoch kafka.ProducerEpoch, seq kafka.Sequence) []byte {
	b := record.NewBuilder(record.Options{Producer: &record.Producer{ID: id, Epoch: epoch, BaseSequence: seq}})
	b.Append(now, []byte("k"), nil)
	out, _ := b.Build(nil)
	return out
}

// rejections are the rules, each with the code of Apache Kafka 4.3, which was
// asked with the same bytes. Where kafka differs we are stricter on purpose: it
// stores such a batch, or answers UNKNOWN_SERVER_ERROR.
var rejections = []struct {
	name  string
	batch []byte
	rules func(*record.Rules)
	want  kafka.ErrorCode // ErrNone: accepted
	kafka kafka.ErrorCode // what Kafka answers where that is another code
}{
	{name: "a good one", batch: plain()},
	{name: "no bytes", want: kafka.ErrInvalidRecord},
	{name: "ends in the header", batch: plain()[:40], want: kafka.ErrInvalidRecord},
	{name: "ends before the magic", batch: plain()[:16], want: kafka.ErrInvalidRecord},
	{name: "ends in the records", batch: plain()[:80], want: kafka.ErrInvalidRecord},
	{name: "two batches", batch: append(plain(), plain()...), want: kafka.ErrInvalidRecord},
	{name: "a few bytes after the batch", batch: append(plain(), 1, 2, 3), want: kafka.ErrInvalidRecord, kafka: kafka.ErrNone},
	{name: "magic 0", batch: put(plain(), 16, uint8(0)), want: kafka.ErrInvalidRecord},
	{name: "magic 1", batch: put(plain(), 16, uint8(1)), want: kafka.ErrInvalidRecord},
	{name: "magic 3", batch: put(plain(), 16, uint8(3)), want: kafka.ErrCorruptMessage},
	{name: "magic -1", batch: put(plain(), 16, uint8(255)), want: kafka.ErrCorruptMessage},
	{name: "length 10", batch: put(plain(), 8, uint32(10)), want: kafka.ErrCorruptMessage},
	{name: "length below a header", batch: put(plain(), 8, uint32(40)), want: kafka.ErrCorruptMessage},
	{name: "negative length", batch: put(plain(), 8, uint32(1<<32-1)), want: kafka.ErrCorruptMessage},
	{name: "length one more than there is", batch: put(plain(), 8, uint32(len(plain())-11)), want: kafka.ErrInvalidRecord},
	{name: "base offset not 0", batch: put(plain(), 0, uint64(7)), want: kafka.ErrInvalidRecord},
	{name: "flipped bit", batch: func() []byte { b := plain(); b[70] ^= 1; return b }(), want: kafka.ErrCorruptMessage},
	{name: "too large", batch: plain(), rules: func(r *record.Rules) { r.MaxBytes = len(plain()) - 1 }, want: kafka.ErrMessageTooLarge},
	{name: "just not too large", batch: plain(), rules: func(r *record.Rules) { r.MaxBytes = len(plain()) }},
	{name: "count 0", batch: put(plain(), 57, uint32(0)), want: kafka.ErrInvalidRecord},
	{name: "no records at all", batch: counted(resized(plain()[:61]), 0), want: kafka.ErrInvalidRecord},
	{name: "negative count", batch: put(plain(), 57, uint32(1<<32-1)), want: kafka.ErrInvalidRecord},
	{name: "one record fewer than there are", batch: counted(plain(), 2), want: kafka.ErrInvalidRecord},
	{name: "one record more than there are", batch: counted(plain(), 4), want: kafka.ErrInvalidRecord},
	{name: "two thousand million records", batch: counted(plain(), 1<<31-1), want: kafka.ErrInvalidRecord},
	{name: "two thousand million compressed records", batch: counted(three(record.Zstd, now), 1<<31-1), want: kafka.ErrInvalidRecord},
	{name: "last offset delta above the count", batch: put(plain(), 23, uint32(5)), want: kafka.ErrInvalidRecord},
	{name: "negative last offset delta", batch: put(plain(), 23, uint32(1<<32-1)), want: kafka.ErrInvalidRecord},
	{name: "control batch", batch: put(plain(), 21, uint16(0x20)), want: kafka.ErrInvalidRecord},
	{name: "delete horizon", batch: put(plain(), 21, uint16(0x40)), want: kafka.ErrInvalidRecord, kafka: kafka.ErrNone},
	{name: "unknown attribute", batch: put(plain(), 21, uint16(0x100)), want: kafka.ErrInvalidRecord, kafka: kafka.ErrNone},
	{name: "codec 5", batch: put(plain(), 21, uint16(5)), want: kafka.ErrUnsupportedCompressionType, kafka: kafka.ErrUnknownServerError},
	{name: "codec 7", batch: put(plain(), 21, uint16(7)), want: kafka.ErrUnsupportedCompressionType, kafka: kafka.ErrUnknownServerError},
	{name: "append time set by the client", batch: put(plain(), 21, uint16(8)), want: kafka.ErrInvalidTimestamp, kafka: kafka.ErrNone},
	{name: "append time set by the client, in such a topic", batch: put(plain(), 21, uint16(8)),
		rules: func(r *record.Rules) { r.LogAppendTime = true }, want: kafka.ErrInvalidTimestamp},
	{name: "a good idempotent one", batch: withProducer(1, 0, 0)},
	{name: "producer id -5", batch: put(plain(), 43, uint64(1<<64-5)), want: kafka.ErrInvalidRecord, kafka: kafka.ErrNone},
	{name: "producer without an epoch", batch: withProducer(1, -1, 0), want: kafka.ErrInvalidRecord, kafka: kafka.ErrNone},
	{name: "producer without a sequence", batch: withProducer(1, 0, -1), want: kafka.ErrInvalidRecord},
	{name: "sequence without a producer", batch: put(plain(), 53, uint32(0))},
	{name: "transactional without a producer", batch: put(plain(), 21, uint16(0x10)), want: kafka.ErrInvalidRecord, kafka: kafka.ErrTransactionalIDAuthorizationFailed},
	{name: "no key in a compacted topic", batch: plain(), rules: func(r *record.Rules) { r.Compacted = true }, want: kafka.ErrInvalidRecord},
	{name: "key in a compacted topic", batch: withProducer(1, 0, 0), rules: func(r *record.Rules) { r.Compacted = true }},
	{name: "one hour ahead", batch: three(record.None, now+3_600_000)},
	{name: "more than one hour ahead", batch: three(record.None, now+3_600_001), want: kafka.ErrInvalidTimestamp},
	{name: "more than one hour ahead, stamped anyway", batch: three(record.None, now+3_600_001), rules: func(r *record.Rules) { r.LogAppendTime = true }},
	{name: "year 31 million", batch: three(record.None, 1e18), want: kafka.ErrInvalidTimestamp},
	{name: "no timestamp", batch: three(record.None, kafka.NoTimestamp), rules: func(r *record.Rules) { r.BeforeMax = time.Hour }},
	{name: "before 1970", batch: three(record.None, -5)},
	{name: "one hour old", batch: three(record.None, now-3_600_000), rules: func(r *record.Rules) { r.BeforeMax = time.Hour }},
	{name: "more than one hour old", batch: three(record.None, now-3_600_001), rules: func(r *record.Rules) { r.BeforeMax = time.Hour }, want: kafka.ErrInvalidTimestamp},
	{name: "before 1970, bounded", batch: three(record.None, -1<<62), rules: func(r *record.Rules) { r.BeforeMax = time.Hour }, want: kafka.ErrInvalidTimestamp},
	{name: "base timestamp that overflows", batch: put(put(plain(), 27, uint64(1<<63-1)), 63, uint8(2)), rules: func(r *record.Rules) { r.AfterMax = record.NoBound }, want: kafka.ErrInvalidRecord, kafka: kafka.ErrNone},
	{name: "record attributes", batch: put(plain(), 62, uint8(7))},
	{name: "offset delta 4 in the first record", batch: put(plain(), 64, uint8(8)), want: kafka.ErrInvalidRecord, kafka: kafka.ErrNone},
	{name: "the same offset delta twice", batch: put(plain(), 94, uint8(0)), want: kafka.ErrInvalidRecord, kafka: kafka.ErrNone},
	{name: "key length -2", batch: put(plain(), 65, uint8(3)), want: kafka.ErrInvalidRecord, kafka: kafka.ErrNone},
	{name: "key length beyond the record", batch: put(plain(), 65, uint8(126)), want: kafka.ErrInvalidRecord},
	{name: "value length one short", batch: put(plain(), 66, uint8(44)), want: kafka.ErrInvalidRecord},
	{name: "record length 2", batch: put(plain(), 61, uint8(4)), want: kafka.ErrInvalidRecord},
	{name: "record length 0", batch: put(plain(), 61, uint8(0)), want: kafka.ErrInvalidRecord},
	{name: "negative record length", batch: put(plain(), 61, uint8(1)), want: kafka.ErrInvalidRecord},
	{name: "header count 1 without headers", batch: put(plain(), 90, uint8(2)), want: kafka.ErrInvalidRecord},
	{name: "negative header count", batch: put(plain(), 90, uint8(1)), want: kafka.ErrInvalidRecord},
	{name: "compressed garbage", batch: func() []byte { b := three(record.Gzip, now); b[75] ^= 0x55; return rebuilt(b) }(), want: kafka.ErrInvalidRecord, kafka: kafka.ErrUnknownServerError},
	{name: "codec without its format", batch: put(three(record.Gzip, now), 61, uint8(0)), want: kafka.ErrInvalidRecord, kafka: kafka.ErrUnknownServerError},
	{name: "records said to be compressed", batch: put(plain(), 21, uint16(4)), want: kafka.ErrInvalidRecord, kafka: kafka.ErrUnknownServerError},
	{name: "one compressed record more than there are", batch: counted(three(record.Gzip, now), 4), want: kafka.ErrInvalidRecord},
	{name: "one compressed record fewer than there are", batch: counted(three(record.Gzip, now), 2), want: kafka.ErrInvalidRecord},
	{name: "bytes after the gzip stream", batch: resized(append(three(record.Gzip, now), 1, 2, 3)), want: kafka.ErrInvalidRecord, kafka: kafka.ErrNone},
	{name: "bytes after the snappy stream", batch: resized(append(three(record.Snappy, now), 1, 2, 3)), want: kafka.ErrInvalidRecord},
	{name: "bytes after the lz4 frame", batch: resized(append(three(record.LZ4, now), 1, 2, 3)), want: kafka.ErrInvalidRecord},
	{name: "bytes after the zstd frame", batch: resized(append(three(record.Zstd, now), 1, 2, 3)), want: kafka.ErrInvalidRecord},
	{name: "decompresses to more than allowed", batch: three(record.Zstd, now), rules: func(r *record.Rules) { r.MaxDecompressed = 89 }, want: kafka.ErrInvalidRecord},
	{name: "decompresses to just what is allowed", batch: three(record.Zstd, now), rules: func(r *record.Rules) { r.MaxDecompressed = 90 }},
}

func TestValidateProduce_EveryRejection(t *testing.T) {
	for _, c := range rejections {
		t.Run(c.name, func(t *testing.T) {
			rules := record.Rules{Now: now, BeforeMax: record.NoBound, AfterMax: time.Hour}
			if c.rules != nil {
				c.rules(&rules)
			}
			batch := bytes.Clone(c.batch)
			h, err := record.ValidateProduce(batch, rules)
			if c.want == kafka.ErrNone {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				if verr := record.VerifyRecords(batch, 0); verr != nil || h.Size() != len(batch) {
					t.Fatalf("accepted what is not a whole stored batch: %v", verr)
				}
				return
			}
			var rejection *record.Rejection
			var code kafka.ErrorCode
			if !errors.As(err, &rejection) || rejection.Code != c.want || !errors.As(err, &code) || code != c.want {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if rejection.Message == "" {
				t.Error("no sentence for a person")
			}
			if !bytes.Equal(batch, c.batch) {
				t.Error("a refused batch was changed")
			}
		})
	}
}

// TestValidateProduce_NamesTheRecordsAtFault: KIP-467, for both rules that look
// at single records, and for compressed batches alike.
func TestValidateProduce_NamesTheRecordsAtFault(t *testing.T) {
	for _, codec := range codecs {
		b := record.NewBuilder(record.Options{Compression: record.Compression{Codec: codec}})
		for i := range 200 {
			key, ts := []byte("k"), now
			if i%2 == 1 {
				key = nil
			}
			if i%10 == 0 {
				ts += 86_400_000
			}
			b.Append(ts, key, []byte("v"))
		}
		batch, err := b.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		indexes := func(r record.Rules) (kafka.ErrorCode, []int32) {
			_, err := record.ValidateProduce(batch, r)
			var rejection *record.Rejection
			if !errors.As(err, &rejection) {
				t.Fatalf("%v: %v", codec, err)
			}
			var at []int32
			for _, e := range rejection.Records {
				if e.Message == "" {
					t.Errorf("%v: record %d has no message", codec, e.Index)
				}
				at = append(at, e.Index)
			}
			return rejection.Code, at
		}
		code, at := indexes(record.Rules{Now: now, BeforeMax: record.NoBound, AfterMax: time.Hour})
		if want := []int32{0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150, 160, 170, 180, 190}; code != kafka.ErrInvalidTimestamp || !slices.Equal(at, want) {
			t.Errorf("%v: timestamps: %v at %v", codec, code, at)
		}
		code, at = indexes(record.Rules{Compacted: true, BeforeMax: record.NoBound, AfterMax: record.NoBound})
		if code != kafka.ErrInvalidRecord || len(at) != 64 || at[63] != 127 {
			t.Errorf("%v: keys: %v at %v", codec, code, at)
		}
		code, at = indexes(record.Rules{Compacted: true, Now: now, BeforeMax: record.NoBound, AfterMax: time.Hour})
		if code != kafka.ErrInvalidTimestamp || at[0] != 0 || at[1] != 1 {
			t.Errorf("%v: both: %v at %v", codec, code, at)
		}
	}
}

func TestValidateProduce_CorrectsTheMaxTimestamp(t *testing.T) {
	for _, codec := range codecs {
		batch := put(three(codec, now), 35, uint64(12345))
		h, err := record.ValidateProduce(batch, open)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := record.ParseHeader(batch)
		if err != nil || stored != h || h.MaxTimestamp != now || record.Verify(batch) != nil {
			t.Errorf("%v: header %+v, stored %+v, %v", codec, h, stored, err)
		}
	}
}

func TestValidateProduce_StampsAppendTime(t *testing.T) {
	batch := three(record.LZ4, 5)
	h, err := record.ValidateProduce(batch, record.Rules{LogAppendTime: true, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := record.ParseHeader(batch)
	if err != nil || stored != h || h.MaxTimestamp != now || !h.Attributes.LogAppendTime() || record.Verify(batch) != nil {
		t.Errorf("header %+v, stored %+v, %v", h, stored, err)
	}
	for _, r := range collect(t, batch) {
		if r.Timestamp != now {
			t.Errorf("record %d is of %d, want %d", r.Offset, r.Timestamp, now)
		}
	}
}

func TestValidateProduce_DoesNotAllocate(t *testing.T) {
	batch := plain()
	rules := record.Rules{Now: now, BeforeMax: time.Hour, AfterMax: time.Hour, MaxBytes: 1 << 20, Compacted: false}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := record.ValidateProduce(batch, rules); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
