package server

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"sync"

	"holdfast/internal/kafka"
)

// smallFrame is the largest frame, with its four length bytes, that is handled
// where it was read, in the connection's own buffer.
const smallFrame = 4096

// brokerFrame is the largest frame of another broker.
const brokerFrame = 100 << 20

// frameHeaderMin is the shortest request: key, version, correlation id.
const frameHeaderMin = 8

// framePool keeps buffers of whole powers of two for frames that do not fit the
// connection's own buffer, so that a busy producer costs no garbage.
type framePool struct {
	classes [poolClasses]sync.Pool
}

const (
	poolMinBits = 13 // 8 KiB
	poolClasses = 15 // up to 128 MiB
)

func classOf(n int) int { return max(0, bits.Len(uint(n-1))-poolMinBits) }

func (p *framePool) get(n int) *[]byte {
	class := classOf(n)
	if class >= poolClasses {
		b := make([]byte, n)
		return &b
	}
	if b, ok := p.classes[class].Get().(*[]byte); ok {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, 1<<(class+poolMinBits))
	return &b
}

func (p *framePool) put(b *[]byte) {
	if class := classOf(cap(*b)); class < poolClasses && cap(*b) == 1<<(class+poolMinBits) {
		p.classes[class].Put(b)
	}
}

// frame is one request without its length bytes. Its bytes live until release.
type frame struct {
	bytes    []byte
	pooled   *[]byte
	reserved int64
	from     pool // where reserved was taken
}

func (c *conn) release(f *frame) {
	if f.pooled != nil {
		c.s.frames.put(f.pooled)
	}
	if f.reserved > 0 {
		f.from.Release(f.reserved)
	}
	*f = frame{}
}

// badFrame is a frame that no honest client sends; the connection is closed.
type badFrame struct{ reason string }

func (b *badFrame) Error() string { return b.reason }

// readFrame reads the next request. Bytes of a following request may be read
// along; they stay in the connection's buffer.
func (c *conn) readFrame() (frame, error) {
	if err := c.need(4); err != nil {
		return frame{}, err
	}
	size := int(int32(binary.BigEndian.Uint32(c.buf[c.start:])))
	c.frameSince.Store(c.s.o.Clock.Now().UnixNano())
	most := c.s.o.Limits.FrameBytes
	if c.isBroker() {
		most = brokerFrame // what clients may send is a setting; what brokers say is not
	}
	if size < frameHeaderMin || size > most {
		return frame{}, &badFrame{fmt.Sprintf("frame of %d bytes, a request has %d to %d", size, frameHeaderMin, most)}
	}
	if 4+size <= smallFrame {
		if err := c.need(4 + size); err != nil {
			return frame{}, err
		}
		f := frame{bytes: c.buf[c.start+4 : c.start+4+size]}
		c.start += 4 + size
		return f, nil
	}
	return c.readLarge(size)
}

// readLarge reads a frame that does not fit the connection's buffer. Its key is
// looked at first, because each kind of request has its own largest size, and
// its cost is reserved before a byte is allocated.
func (c *conn) readLarge(size int) (frame, error) {
	if err := c.need(4 + frameHeaderMin); err != nil {
		return frame{}, err
	}
	key := kafka.APIKey(binary.BigEndian.Uint16(c.buf[c.start+4:]))
	frameMax, factor := c.s.o.Handler.Limits(&c.api, key)
	if size > frameMax {
		return frame{}, &badFrame{fmt.Sprintf("frame of %d bytes for api key %d, which takes at most %d", size, key, frameMax)}
	}
	f := frame{from: c.memory()}
	f.reserved = min(int64(size)*int64(factor), f.from.size)
	c.frameSince.Store(0) // waiting for memory is not the client's fault
	if err := f.from.Acquire(c.s.ctx, f.reserved); err != nil {
		return frame{}, err
	}
	c.frameSince.Store(c.s.o.Clock.Now().UnixNano())
	f.pooled = c.s.frames.get(size)
	f.bytes = *f.pooled
	n := copy(f.bytes, c.buf[c.start+4:c.end])
	c.start += 4 + n
	if _, err := io.ReadFull(c.nc, f.bytes[n:]); err != nil {
		c.release(&f)
		return frame{}, err
	}
	return f, nil
}

// need makes at least n bytes available at c.start, n at most smallFrame.
func (c *conn) need(n int) error {
	if c.end-c.start >= n {
		return nil
	}
	if c.start > 0 {
		c.end = copy(c.buf[:], c.buf[c.start:c.end])
		c.start = 0
	}
	for c.end < n {
		got, err := c.nc.Read(c.buf[c.end:])
		c.end += got
		if err != nil {
			if err == io.EOF && c.end > 0 {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}
