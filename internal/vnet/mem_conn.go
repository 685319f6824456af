package vnet

import (
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"holdfast/internal/clock"
)

// errClosed is what a wait returns when its connection or listener was closed.
var errClosed = net.ErrClosed

// Addr is the address of one end of a connection in memory.
type Addr struct {
	Host string
	Port int
}

// Network implements net.Addr.
func (Addr) Network() string { return "tcp" }

// String is host:port.
func (a Addr) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// memConn is one end of a connection. Its mutable state is in its streams, its
// deadlines and closing.
type memConn struct {
	m             *Mem
	number        uint64 // connections in the order of their making
	host          string // where this end lives
	local, remote Addr
	in, out       *stream
	readDeadline  *deadline
	writeDeadline *deadline
	closing       sync.Once
	closed        chan struct{}
	peer          *memConn
}

var _ net.Conn = (*memConn)(nil)

func (c *memConn) LocalAddr() net.Addr  { return c.local }
func (c *memConn) RemoteAddr() net.Addr { return c.remote }

func (c *memConn) failure(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

func (c *memConn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// Read implements net.Conn. It returns io.EOF bare, as TCP does.
func (c *memConn) Read(p []byte) (int, error) {
	err := error(errClosed)
	n := 0
	if !c.isClosed() {
		if err = c.readDeadline.expired(); err == nil {
			n, err = c.in.read(p, c.readDeadline, c.closed)
		}
	}
	if err == nil || isEOF(err) {
		return n, err
	}
	return n, c.failure("read", err)
}

// Write implements net.Conn.
func (c *memConn) Write(p []byte) (int, error) {
	if c.isClosed() {
		return 0, c.failure("write", errClosed)
	}
	c.m.wakeOrphan(c)
	n, err := c.out.write(p, c.in, c.writeDeadline, c.closed)
	if err != nil {
		return n, c.failure("write", err)
	}
	return n, nil
}

// Close implements net.Conn. As with TCP, what was written still arrives, and
// the other side gets a reset instead of an end when this side had not read
// everything that it had received.
func (c *memConn) Close() error {
	err := c.failure("close", errClosed)
	c.closing.Do(func() {
		err = nil
		close(c.closed)
		c.stopTimers()
		how := endFull
		if c.in.stopReading() {
			how = endReset
		}
		c.out.finish(how)
		c.m.forget(c)
	})
	return err
}

// CloseWrite ends the stream to the other side and goes on reading.
func (c *memConn) CloseWrite() error {
	if c.isClosed() {
		return c.failure("close", errClosed)
	}
	c.out.finish(endHalf)
	return nil
}

// vanish closes this end without telling the other, as a power cut does. What
// it had sent and the other end has not received is gone.
func (c *memConn) vanish() {
	c.closing.Do(func() {
		close(c.closed)
		c.stopTimers()
		c.out.dropSent()
		c.m.forget(c)
	})
}

func (c *memConn) stopTimers() {
	c.readDeadline.set(time.Time{})
	c.writeDeadline.set(time.Time{})
}

// reset breaks both directions at once for both ends.
func (c *memConn) reset(err error) {
	c.in.breakWith(err)
	c.out.breakWith(err)
}

// SetDeadline implements net.Conn.
func (c *memConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *memConn) SetReadDeadline(t time.Time) error { return c.setDeadline(c.readDeadline, t) }

// SetWriteDeadline implements net.Conn.
func (c *memConn) SetWriteDeadline(t time.Time) error { return c.setDeadline(c.writeDeadline, t) }

func (c *memConn) setDeadline(d *deadline, t time.Time) error {
	if c.isClosed() {
		return c.failure("set", errClosed)
	}
	d.set(t)
	return nil
}

// deadline closes a channel when its time has passed. Setting it later opens a
// new one. Waiters take the channel once per wait.
type deadline struct {
	clock clock.Clock

	mu     sync.Mutex
	timer  clock.Timer
	number int // of the current setting; a timer of an older one does nothing
	ch     chan struct{}
	isOver bool
}

func newDeadline(c clock.Clock) *deadline { return &deadline{clock: c, ch: make(chan struct{})} }

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.number++
	if d.isOver {
		d.ch, d.isOver = make(chan struct{}), false
	}
	if t.IsZero() {
		return
	}
	wait := t.Sub(d.clock.Now())
	if wait <= 0 {
		d.pass()
		return
	}
	number := d.number
	d.timer = d.clock.AfterFunc(wait, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.number == number {
			d.pass()
		}
	})
}

func (d *deadline) pass() {
	if !d.isOver {
		d.isOver = true
		close(d.ch)
	}
}

// passed is closed once the deadline is over. A nil deadline never is.
func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ch
}

func (d *deadline) expired() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isOver {
		return os.ErrDeadlineExceeded
	}
	return nil
}
