package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// zstdWindowMax is the window that the streaming zstd reader grants: what the
// format asks every reader to support, and more than any level below 20 uses.
const zstdWindowMax = 8 << 20

// zstdWindowLimit is the largest window accepted at all. Kafka's own reader
// stops at the same one, so that no batch is stored which a consumer refuses.
const zstdWindowLimit = 128 << 20

// errWindow: the frame needs a window above zstdWindowMax.
var errWindow = errors.New("window above the streaming reader's")

// decoder is a decompressing reader that goes back to its pool.
type decoder interface {
	io.Reader
	release()
}

// openDecoder reads the records of payload. limit bounds what codecs without a
// streaming form may allocate.
func openDecoder(codec Codec, payload []byte, limit int) (decoder, error) {
	switch codec {
	case Gzip:
		return openGzip(payload)
	case Snappy:
		return openSnappy(payload, limit)
	case LZ4:
		return openLZ4(payload)
	case Zstd:
		return openZstd(payload)
	}
	return nil, fmt.Errorf("codec %d: %w", codec, ErrCodec)
}

// decodeFault gives a decompressor's error our meaning.
func decodeFault(err error) error {
	switch {
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrCompression):
		return err
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return errWindow
	}
	return fmt.Errorf("%w: %v", ErrCompression, err)
}

type gzipDecoder struct {
	src bytes.Reader
	gzip.Reader
}

var gzipDecoders = sync.Pool{New: func() any { return new(gzipDecoder) }}

func openGzip(payload []byte) (decoder, error) {
	d := gzipDecoders.Get().(*gzipDecoder)
	d.src.Reset(payload)
	if err := d.Reset(&d.src); err != nil {
		d.release()
		return nil, decodeFault(err)
	}
	return d, nil
}

func (d *gzipDecoder) release() {
	d.src.Reset(nil)
	gzipDecoders.Put(d)
}

type lz4Decoder struct {
	src bytes.Reader
	*lz4.Reader
}

var lz4Decoders = sync.Pool{New: func() any {
	d := new(lz4Decoder)
	d.Reader = lz4.NewReader(&d.src)
	return d
}}

func openLZ4(payload []byte) (decoder, error) {
	if err := checkLZ4Frame(payload); err != nil {
		return nil, err
	}
	d := lz4Decoders.Get().(*lz4Decoder)
	d.src.Reset(payload)
	d.Reset(&d.src)
	return d, nil
}

func (d *lz4Decoder) release() {
	d.src.Reset(nil)
	d.Reset(&d.src)
	lz4Decoders.Put(d)
}

type zstdDecoder struct {
	src bytes.Reader
	*zstd.Decoder
}

// With one-fold concurrency a zstd reader starts no goroutine.
var zstdDecoders = sync.Pool{New: func() any {
	d := new(zstdDecoder)
	var err error
	d.Decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdWindowMax), zstd.WithDecoderMaxMemory(zstdWindowMax),
		zstd.WithDecodeBuffersBelow(0))
	if err != nil {
		panic("zstd options: " + err.Error())
	}
	return d
}}

func openZstd(payload []byte) (decoder, error) {
	d := zstdDecoders.Get().(*zstdDecoder)
	d.src.Reset(payload)
	if err := d.Reset(&d.src); err != nil {
		d.release()
		return nil, decodeFault(err)
	}
	return d, nil
}

func (d *zstdDecoder) release() {
	d.src.Reset(nil)
	if err := d.Reset(nil); err != nil {
		return // A reader that cannot be reset is left to the collector.
	}
	zstdDecoders.Put(d)
}

// decodeZstdWhole appends the decompressed form of payload to dst, at most
// limit bytes of it, without ever allocating a window: the output itself is the
// history. A declared size is not believed; the output grows as it is produced.
func decodeZstdWhole(dst, payload []byte, limit int) ([]byte, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdWindowLimit), zstd.WithDecoderMaxMemory(max(zstdWindowLimit, uint64(limit))),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic("zstd options: " + err.Error())
	}
	defer d.Close()
	for size := min(limit, zstdWindowMax); ; size = min(limit, size*4) {
		buf := make([]byte, len(dst), len(dst)+size)
		copy(buf, dst)
		out, err := d.DecodeAll(payload, buf)
		switch {
		case err == nil:
			return out, nil
		case !errors.Is(err, zstd.ErrDecoderSizeExceeded):
			return dst, fmt.Errorf("%w: %v", ErrCompression, err)
		case size == limit:
			return dst, ErrTooLarge
		}
	}
}

// Decompress appends the decompressed form of src to dst. It never produces
// more than limit bytes: what would, fails with ErrTooLarge. Other errors wrap
// ErrCompression or ErrCodec.
func Decompress(dst []byte, codec Codec, src []byte, limit int) ([]byte, error) {
	if codec == None {
		if len(src) > limit {
			return dst, ErrTooLarge
		}
		return append(dst, src...), nil
	}
	out, err := decompressStream(dst, codec, src, limit)
	if errors.Is(err, errWindow) {
		return decodeZstdWhole(dst, src, limit)
	}
	return out, err
}

func decompressStream(dst []byte, codec Codec, src []byte, limit int) ([]byte, error) {
	d, err := openDecoder(codec, src, limit)
	if err != nil {
		return dst, err
	}
	defer d.release()
	w := window{r: d, buf: windows.Get().(*[windowSize]byte), left: limit}
	defer windows.Put(w.buf)
	out := dst
	for {
		b := w.ensure(windowSize)
		if w.err != nil && w.err != io.EOF {
			return dst, decodeFault(w.err)
		}
		out = append(out, b...)
		w.pos = w.end
		if w.err == io.EOF {
			return out, nil
		}
	}
}
