package record

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"holdfast/internal/invariant"
)

// Compression is a codec with its level in Kafka's numbers (KIP-390): gzip 1-9,
// lz4 1-17, zstd from -131072 to 22. Level zero is the codec's default.
type Compression struct {
	Codec Codec
	Level int
}

// appendWriter collects what a compressor writes.
type appendWriter struct{ b []byte }

func (w *appendWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

// Writers of the default levels; another level gets a writer of its own.
var (
	gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	lz4Writers  = sync.Pool{New: func() any { return newLZ4Writer(0) }}
	zstdWriters = sync.Pool{New: func() any { return newZstdWriter(0) }}
)

// Compress appends the compressed form of src to dst. It fails only for a codec
// or level that does not exist.
func Compress(dst []byte, c Compression, src []byte) ([]byte, error) {
	switch c.Codec {
	case None:
		return append(dst, src...), nil
	case Snappy:
		return appendSnappy(dst, src), nil
	case Gzip:
		return appendGzip(dst, c.Level, src)
	case LZ4:
		return appendLZ4(dst, c.Level, src), nil
	case Zstd:
		return appendZstd(dst, c.Level, src), nil
	}
	return dst, fmt.Errorf("compress with codec %d: %w", c.Codec, ErrCodec)
}

func appendGzip(dst []byte, level int, src []byte) ([]byte, error) {
	if level != 0 {
		w, err := gzip.NewWriterLevel(nil, level)
		if err != nil {
			return dst, fmt.Errorf("compress with gzip level %d: %w", level, err)
		}
		return writeAll(dst, w, src), nil
	}
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	return writeAll(dst, w, src), nil
}

// resetWriter is what gzip and lz4 writers have in common.
type resetWriter interface {
	io.WriteCloser
	Reset(io.Writer)
}

// writeAll compresses to memory, where no write can fail.
func writeAll(dst []byte, w resetWriter, src []byte) []byte {
	out := appendWriter{b: dst}
	w.Reset(&out)
	_, err := w.Write(src)
	if err == nil {
		err = w.Close()
	}
	invariant.Check(err == nil, "compress %d bytes to memory: %v", len(src), err)
	w.Reset(io.Discard)
	return out.b
}

// lz4Levels are the writer's levels; higher ones of Kafka mean the last.
var lz4Levels = [...]lz4.CompressionLevel{lz4.Fast, lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4,
	lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9}

// newLZ4Writer makes frames as Java clients do: 64 KiB independent blocks and
// no checksums but the header's, because the batch has its own.
func newLZ4Writer(level int) *lz4.Writer {
	w := lz4.NewWriter(nil)
	err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false), lz4.ConcurrencyOption(1),
		lz4.CompressionLevelOption(lz4Levels[min(max(level, 0), len(lz4Levels)-1)]))
	invariant.Check(err == nil, "lz4 options: %v", err)
	return w
}

func appendLZ4(dst []byte, level int, src []byte) []byte {
	if level != 0 {
		return writeAll(dst, newLZ4Writer(level), src)
	}
	w := lz4Writers.Get().(*lz4.Writer)
	defer lz4Writers.Put(w)
	return writeAll(dst, w, src)
}

func newZstdWriter(level int) *zstd.Encoder {
	speed := zstd.SpeedDefault
	if level != 0 {
		speed = zstd.EncoderLevelFromZstd(level)
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(speed),
		zstd.WithWindowSize(zstdWindowMax/2), zstd.WithZeroFrames(true), zstd.WithEncoderCRC(false))
	invariant.Check(err == nil, "zstd options: %v", err)
	return w
}

func appendZstd(dst []byte, level int, src []byte) []byte {
	if level != 0 {
		return newZstdWriter(level).EncodeAll(src, dst)
	}
	w := zstdWriters.Get().(*zstd.Encoder)
	defer zstdWriters.Put(w)
	return w.EncodeAll(src, dst)
}
