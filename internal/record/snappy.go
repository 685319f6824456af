package record

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/s2"
)

// xerialHeader starts the framing of Java clients: magic, version 1, oldest
// compatible version 1. Blocks follow, each a big-endian length and a snappy
// block. Without the magic the whole payload is one snappy block.
var xerialHeader = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1}

const xerialMagicSize = 8

// xerialBlockSize is the stretch of input that one block holds when we write.
const xerialBlockSize = 32 << 10

// snappyKeepMax is the largest block buffer that goes back to the pool.
const snappyKeepMax = 1 << 20

type snappyDecoder struct {
	src   []byte // blocks not yet decoded
	raw   bool   // src is one block without a length
	limit int    // bytes that may still be produced
	buf   []byte // the decoded block
	pos   int    // what of it was read
}

var snappyDecoders = sync.Pool{New: func() any { return new(snappyDecoder) }}

func openSnappy(payload []byte, limit int) (decoder, error) {
	d := snappyDecoders.Get().(*snappyDecoder)
	*d = snappyDecoder{src: payload, raw: true, limit: limit, buf: d.buf[:0]}
	if bytes.HasPrefix(payload, xerialHeader[:xerialMagicSize]) {
		if len(payload) < len(xerialHeader) {
			d.release()
			return nil, fmt.Errorf("snappy: %d bytes of frame header: %w", len(payload), ErrCompression)
		}
		// The two versions are not looked at, as the Java reader does not.
		d.src, d.raw = payload[len(xerialHeader):], false
	}
	return d, nil
}

func (d *snappyDecoder) release() {
	d.src = nil
	if cap(d.buf) > snappyKeepMax {
		d.buf = nil
	}
	snappyDecoders.Put(d)
}

// Read implements io.Reader.
func (d *snappyDecoder) Read(p []byte) (int, error) {
	for d.pos == len(d.buf) {
		block, err := d.next()
		if err != nil {
			return 0, err
		}
		if err := d.decode(block); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.buf[d.pos:])
	d.pos += n
	return n, nil
}

// next cuts the next block off src.
func (d *snappyDecoder) next() ([]byte, error) {
	if d.raw {
		if d.src == nil {
			return nil, io.EOF
		}
		block := d.src
		d.src = nil
		return block, nil
	}
	if len(d.src) == 0 {
		return nil, io.EOF
	}
	if len(d.src) < 4 {
		return nil, fmt.Errorf("snappy: %d bytes after the last block: %w", len(d.src), ErrCompression)
	}
	size := binary.BigEndian.Uint32(d.src)
	d.src = d.src[4:]
	if uint64(size) > uint64(len(d.src)) {
		return nil, fmt.Errorf("snappy: block of %d bytes, %d left: %w", size, len(d.src), ErrCompression)
	}
	block := d.src[:size]
	d.src = d.src[size:]
	return block, nil
}

// decode fills buf from one block whose true size was established first.
func (d *snappyDecoder) decode(block []byte) error {
	size, err := snappySize(block)
	if err != nil {
		return err
	}
	if size > d.limit {
		return ErrTooLarge
	}
	d.limit -= size
	if cap(d.buf) < size {
		d.buf = make([]byte, size)
	}
	d.pos = 0
	d.buf, err = s2.Decode(d.buf[:cap(d.buf)], block)
	if err != nil {
		d.buf = nil
		return fmt.Errorf("snappy: %w: %v", ErrCompression, err)
	}
	return nil
}

// snappySize walks the tags of a snappy block and returns its decoded size. It
// is there for two lies: a declared size that the tags do not fulfil, and the
// S2 extensions (a copy at distance 0), which our decoder would read and
// clients would not.
func snappySize(b []byte) (int, error) {
	declared, p := binary.Uvarint(b)
	if p <= 0 || declared > 1<<31-1 {
		return 0, fmt.Errorf("snappy: no block size: %w", ErrCompression)
	}
	size := 0
	for p < len(b) {
		literal, length, distance, next := snappyTag(b, p)
		if next > len(b) || (!literal && (distance == 0 || distance > size)) {
			return 0, fmt.Errorf("snappy: bad tag at %d: %w", p, ErrCompression)
		}
		p = next
		size += length
	}
	if uint64(size) != declared {
		return 0, fmt.Errorf("snappy: %d bytes declared, %d encoded: %w", declared, size, ErrCompression)
	}
	return size, nil
}

// snappyTag reads the tag at p: a literal or a copy, the bytes that it stands
// for, a copy's distance, and the position of the next tag, which is beyond b
// where the tag does not fit.
func snappyTag(b []byte, p int) (literal bool, length, distance, next int) {
	tag := b[p]
	rest := b[p+1:]
	beyond := len(b) + 1
	switch tag & 3 {
	case 0:
		length = int(tag >> 2)
		extra := max(0, length-59)
		if len(rest) < extra {
			return true, 0, 0, beyond
		}
		if extra > 0 {
			length = 0
			for i := extra - 1; i >= 0; i-- {
				length = length<<8 | int(rest[i])
			}
		}
		length++
		return true, length, 0, p + 1 + extra + length
	case 1:
		if len(rest) < 1 {
			return false, 0, 0, beyond
		}
		return false, 4 + int(tag>>2&7), int(tag>>5)<<8 | int(rest[0]), p + 2
	case 2:
		if len(rest) < 2 {
			return false, 0, 0, beyond
		}
		return false, 1 + int(tag>>2), int(binary.LittleEndian.Uint16(rest)), p + 3
	}
	if len(rest) < 4 {
		return false, 0, 0, beyond
	}
	return false, 1 + int(tag>>2), int(binary.LittleEndian.Uint32(rest)), p + 5
}

// appendSnappy appends src in xerial frames.
func appendSnappy(dst, src []byte) []byte {
	dst = append(dst, xerialHeader...)
	for len(src) > 0 {
		n := min(len(src), xerialBlockSize)
		at := len(dst)
		dst = append(dst, make([]byte, 4+s2.MaxEncodedLen(n))...)
		block := s2.EncodeSnappy(dst[at+4:], src[:n])
		binary.BigEndian.PutUint32(dst[at:], uint32(len(block)))
		dst = dst[:at+4+len(block)]
		src = src[n:]
	}
	return dst
}
