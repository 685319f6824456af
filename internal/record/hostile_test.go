package record_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"holdfast/internal/kafka"
	"holdfast/internal/record"
)

// wrap makes a batch of n declared records out of a compressed payload.
func wrap(codec record.Codec, payload []byte, n int) []byte {
	b := append(plain()[:61:61], payload...)
	return counted(resized(put(b, 21, uint16(codec))), n)
}

// bomb is one record whose value is size zeroes, compressed.
func bomb(t testing.TB, codec record.Codec, size int) []byte {
	b := record.NewBuilder(record.Options{Compression: record.Compression{Codec: codec}})
	b.Append(now, []byte("k"), make([]byte, size))
	out, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestValidateProduce_BombsCostNoMemory: a batch within max.message.bytes that
// decompresses to 60 MiB is walked in constant memory, and one byte over the
// limit is refused after as little.
func TestValidateProduce_BombsCostNoMemory(t *testing.T) {
	const size = 60 << 20
	for _, codec := range codecs[1:] {
		batch := bomb(t, codec, size)
		for _, limit := range []int{64 << 20, size} {
			var err error
			start := time.Now()
			used := allocated(func() {
				_, err = record.ValidateProduce(bytes.Clone(batch), record.Rules{BeforeMax: record.NoBound, AfterMax: record.NoBound, MaxDecompressed: limit})
			})
			t.Logf("%v: %d bytes to %d, limit %d: %d KiB allocated in %v", codec, len(batch), size, limit, used>>10, time.Since(start))
			if (err == nil) != (limit > size) {
				t.Errorf("%v, limit %d: %v", codec, limit, err)
			}
			if used > uint64(len(batch))+24<<20 {
				t.Errorf("%v, limit %d: %d MiB allocated", codec, limit, used>>20)
			}
		}
	}
}

// TestDecompress_NeverMoreThanTheLimit, whatever sizes the input declares.
func TestDecompress_NeverMoreThanTheLimit(t *testing.T) {
	for _, codec := range codecs {
		payload, err := record.Compress(nil, record.Compression{Codec: codec}, make([]byte, 1000))
		if err != nil {
			t.Fatal(err)
		}
		if out, err := record.Decompress([]byte("before"), codec, payload, 1000); err != nil || len(out) != 1006 {
			t.Errorf("%v: %d bytes, %v", codec, len(out), err)
		}
		if out, err := record.Decompress([]byte("before"), codec, payload, 999); !errors.Is(err, record.ErrTooLarge) || len(out) != 6 {
			t.Errorf("%v: %d bytes, %v", codec, len(out), err)
		}
	}
}

// TestZstd_LargeWindowIsReadWithoutOne: the levels above 19 declare windows up
// to 128 MiB, which Java's reader grants; a declared window alone costs nothing.
func TestZstd_LargeWindowIsReadWithoutOne(t *testing.T) {
	records := plain()[61:]
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(64<<20), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range [][]byte{records[:40], records[40:]} {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil { // so that the frame is of many blocks and no declared size
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	batch := wrap(record.Zstd, buf.Bytes(), 3)
	used := allocated(func() {
		if _, err := record.ValidateProduce(batch, open); err != nil {
			t.Errorf("window of 64 MiB: %v", err)
		}
	})
	if used > 24<<20 {
		t.Errorf("%d MiB allocated for a window that is not used", used>>20)
	}
	if got := len(collect(t, batch)); got != 3 {
		t.Errorf("%d records", got)
	}

	// Window descriptor: exponent 31 means 2 TiB.
	huge := bytes.Clone(buf.Bytes())
	huge[5] = 31 << 3
	if _, err := record.ValidateProduce(wrap(record.Zstd, huge, 3), open); err == nil {
		t.Error("a window of 2 TiB was accepted")
	}
}

// TestZstd_LyingContentSize declares 1 TiB and holds 90 bytes.
func TestZstd_LyingContentSize(t *testing.T) {
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xc0 | 0x20} // 8-byte content size, single segment
	frame = binary.LittleEndian.AppendUint64(frame, 1<<40)
	frame = append(frame, (90<<3|1)&0xff, 90>>5, 0) // last raw block of 90 bytes
	frame = append(frame, plain()[61:]...)
	for _, size := range []uint64{1 << 40, 100 << 20, 91} {
		binary.LittleEndian.PutUint64(frame[5:], size)
		used := allocated(func() {
			if _, err := record.ValidateProduce(wrap(record.Zstd, frame, 3), open); err == nil {
				t.Errorf("declared %d: accepted", size)
			}
		})
		if used > 72<<20 {
			t.Errorf("declared %d: %d MiB allocated", size, used>>20)
		}
	}
	binary.LittleEndian.PutUint64(frame[5:], 90)
	if _, err := record.ValidateProduce(wrap(record.Zstd, frame, 3), open); err != nil {
		t.Errorf("the honest frame: %v", err)
	}
}

// TestFrames_ManyEmptyOnes: a mebibyte of frames that hold nothing must be done
// in linear time.
func TestFrames_ManyEmptyOnes(t *testing.T) {
	for _, codec := range []record.Codec{record.Gzip, record.Zstd} {
		empty, err := record.Compress(nil, record.Compression{Codec: codec}, nil)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := record.Compress(nil, record.Compression{Codec: codec}, plain()[61:])
		if err != nil {
			t.Fatal(err)
		}
		payload = append(payload, bytes.Repeat(empty, 1<<20/len(empty))...)
		start := time.Now()
		_, err = record.ValidateProduce(wrap(codec, payload, 3), open)
		t.Logf("%v: %d empty frames: %v, %v", codec, 1<<20/len(empty), time.Since(start), err)
		if time.Since(start) > 2*time.Second {
			t.Errorf("%v: %v", codec, time.Since(start))
		}
	}
}

func TestSnappy_RawAndFramed(t *testing.T) {
	records := plain()[61:]
	raw := s2.EncodeSnappy(nil, records)
	header := []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1}
	framed := func(blocks ...[]byte) []byte {
		out := bytes.Clone(header)
		for _, b := range blocks {
			out = append(binary.BigEndian.AppendUint32(out, uint32(len(b))), b...)
		}
		return out
	}
	half := [][]byte{s2.EncodeSnappy(nil, records[:45]), s2.EncodeSnappy(nil, records[45:])}
	lying := append(binary.AppendUvarint(nil, 1<<30), raw[1:]...)
	zeroCopy := []byte{8, 0<<2 | 0, 'x', 0x01 | 3<<2, 0} // an S2 repeat: a copy at distance 0
	for _, c := range []struct {
		name    string
		payload []byte
		ok      bool
	}{
		{"raw, as librdkafka writes it", raw, true},
		{"xerial, one block", framed(raw), true},
		{"xerial, two blocks", framed(half...), true},
		{"xerial, an empty block between", framed(half[0], []byte{0}, half[1]), true},
		{"xerial, nothing", framed(), false},
		{"xerial header cut", header[:12], false},
		{"xerial block cut", framed(raw)[:60], false},
		{"xerial block of 4 GiB", append(bytes.Clone(header), 0xff, 0xff, 0xff, 0xff), false},
		{"raw, cut", raw[:len(raw)-1], false},
		{"raw, declares 1 GiB", lying, false},
		{"S2 extension", zeroCopy, false},
		{"nothing", nil, false},
	} {
		var err error
		used := allocated(func() { _, err = record.ValidateProduce(wrap(record.Snappy, c.payload, 3), open) })
		if (err == nil) != c.ok || used > 1<<20 {
			t.Errorf("%s: %v, %d bytes allocated", c.name, err, used)
		}
	}
}

// TestLZ4_OnlyWhatEveryClientReads: see checkLZ4Frame.
func TestLZ4_OnlyWhatEveryClientReads(t *testing.T) {
	records := plain()[61:]
	frame := func(options ...lz4.Option) []byte {
		var buf bytes.Buffer
		w := lz4.NewWriter(&buf)
		if err := w.Apply(options...); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(records); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	dependent := frame()
	dependent[4] &^= 0x20
	badSum := frame()
	badSum[6] ^= 1
	plainFrame := frame(lz4.ChecksumOption(false))
	for _, c := range []struct {
		name    string
		payload []byte
		ok      bool
	}{
		{"content checksum", frame(), true},
		{"no checksum", plainFrame, true},
		{"block checksums", frame(lz4.BlockChecksumOption(true)), true},
		{"content size", frame(lz4.SizeOption(uint64(len(records)))), true},
		{"largest blocks", frame(lz4.BlockSizeOption(lz4.Block4Mb)), true},
		{"dependent blocks", dependent, false},
		{"wrong header checksum", badSum, false},
		{"two frames", append(bytes.Clone(plainFrame), plainFrame...), false},
		{"a skippable frame behind", append(bytes.Clone(plainFrame), 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0), false},
		{"no end mark", plainFrame[:len(plainFrame)-4], false},
		{"cut", plainFrame[:20], false},
		{"nothing", nil, false},
	} {
		if _, err := record.ValidateProduce(wrap(record.LZ4, c.payload, 3), open); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestVerify_TypedErrors: what a reader of stored bytes must tell apart.
func TestVerify_TypedErrors(t *testing.T) {
	batch := plain()
	record.SetBase(batch, 77, 1)
	flipped := bytes.Clone(batch)
	flipped[100] ^= 4
	for _, c := range []struct {
		name  string
		b     []byte
		cause error
		base  kafka.Offset
	}{
		{"torn", batch[:80], record.ErrTruncated, 77},
		{"torn in the header", batch[:30], record.ErrTruncated, kafka.NoOffset},
		{"zeroes", make([]byte, 200), record.ErrMagic, 0},
		{"bit rot", flipped, record.ErrChecksum, 77},
		{"bytes behind", append(bytes.Clone(batch), 0), record.ErrLength, 77},
		{"negative offset", put(bytes.Clone(batch), 0, uint64(1)<<63), record.ErrRecords, -1 << 63},
		{"records", put(bytes.Clone(batch), 61, uint8(4)), record.ErrRecords, 77},
		{"codec", put(bytes.Clone(batch), 21, uint16(6)), record.ErrCodec, 77},
		{"compression", put(bytes.Clone(batch), 21, uint16(4)), record.ErrCompression, 77},
	} {
		err := record.VerifyRecords(c.b, 0)
		var corruption *record.CorruptionError
		if !errors.As(err, &corruption) || !errors.Is(err, c.cause) || corruption.Base != c.base {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestEndTxn_ComesBack(t *testing.T) {
	for _, want := range []record.EndTxn{{Commit: true, CoordinatorEpoch: 9}, {CoordinatorEpoch: 0}} {
		batch := record.AppendEndTxn(nil, 4, 2, now, want)
		if err := record.VerifyRecords(batch, 0); err != nil {
			t.Fatal(err)
		}
		h, err := record.ParseHeader(batch)
		if err != nil || !h.Attributes.Control() || !h.Attributes.Transactional() || h.ProducerID != 4 || h.ProducerEpoch != 2 || h.LastSequence() != kafka.NoSequence {
			t.Errorf("header %+v, %v", h, err)
		}
		got, ok, err := record.BatchEndTxn(batch)
		if err != nil || !ok || got != want {
			t.Errorf("marker %+v %v %v, want %+v", got, ok, err, want)
		}
	}
	if _, ok, err := record.ParseEndTxn([]byte{0, 0, 0, 2}, nil); ok || err != nil {
		t.Errorf("a control record of a quorum: %v %v", ok, err)
	}
	if _, _, err := record.ParseEndTxn([]byte{0}, nil); err == nil {
		t.Error("a key of one byte was read")
	}
}
