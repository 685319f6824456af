package server

import (
	"net"
	"sync"

	"holdfast/internal/api"
	"holdfast/internal/vnet"
)

// copyChunk is how much of a file range is copied at a time where sendfile is
// not possible.
const copyChunk = 64 << 10

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, copyChunk); return &b }}

// write sends one reply and reports whether the connection lives on.
func (c *conn) write(r *api.Reply) bool {
	one := [1]*api.Reply{r}
	return c.writeAll(one[:])
}

// writeAll sends replies in order; plain ones go out with one system call. A
// failure, also in the middle, ends the connection.
func (c *conn) writeAll(replies []*api.Reply) bool {
	c.writeSince.Store(c.s.o.Clock.Now().UnixNano())
	defer c.writeSince.Store(0)
	alive := true
	var plain net.Buffers
	sent := int64(0)
	for _, r := range replies {
		alive = alive && !r.Dropped()
		if !alive || r.Silent() {
			continue
		}
		sent += r.Seal()
		if r.Plain() {
			plain = append(plain, r.Bytes())
			continue
		}
		alive = c.writePlain(plain) == nil && c.writeParts(r) == nil
		plain = nil
	}
	alive = alive && c.writePlain(plain) == nil
	c.s.stats.BytesOut.Add(sent)
	for _, r := range replies {
		r.Release()
	}
	if !alive {
		c.close()
	}
	return alive
}

func (c *conn) writePlain(b net.Buffers) (err error) {
	switch len(b) {
	case 0:
	case 1:
		_, err = c.nc.Write(b[0])
	default:
		_, err = b.WriteTo(c.nc)
	}
	return err
}

// writeParts sends a reply that holds file ranges. Only this goroutine chooses
// between sendfile and a bounded copy.
func (c *conn) writeParts(r *api.Reply) error {
	return r.Each(
		func(b []byte) error { return vnet.WriteMore(c.nc, b) },
		func(p api.FilePart) error { return c.writeFile(p) },
		func(b []byte) error { _, err := c.nc.Write(b); return err },
	)
}

func (c *conn) progress(int64) { c.writeSince.Store(c.s.o.Clock.Now().UnixNano()) }

func (c *conn) writeFile(p api.FilePart) error {
	if f := p.Source.OS(); f != nil && vnet.CanSendFile(c.nc) {
		return vnet.SendFile(c.nc, f, p.Position, p.Length, c.progress)
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for off, end := p.Position, p.Position+p.Length; off < end; {
		chunk := (*buf)[:min(int64(copyChunk), end-off)]
		if _, err := p.Source.ReadAt(chunk, off); err != nil {
			return err
		}
		if _, err := c.nc.Write(chunk); err != nil {
			return err
		}
		off += int64(len(chunk))
		c.progress(off)
	}
	return nil
}
