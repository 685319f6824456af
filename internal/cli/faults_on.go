//go:build faults

package cli

import (
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/env"
	"holdfast/internal/vnet"
)

// plantedEnv lets the links of this broker to others be cut, when HOLDFAST_FAULT
// holds "cut". HOLDFAST_CUTS names a file whose lines are "to HOST:PORT" (what is
// written to connections that were dialled there is lost) and "from HOST:PORT"
// (what they answer does not come). It is read all the time; no file is no cut.
func plantedEnv(e env.Env) env.Env {
	if file := os.Getenv("HOLDFAST_CUTS"); file != "" && strings.Contains(","+os.Getenv("HOLDFAST_FAULT")+",", ",cut,") {
		e.Net = &cutNet{Net: e.Net, file: file, clock: e.Clock}
	}
	return e
}

// lookEvery is how old what is known of the file may be.
const lookEvery = 10 * time.Millisecond

// cutNet is a network with links that lose everything in silence. Accepted
// connections are whole: whoever dialled loses for both.
type cutNet struct {
	vnet.Net
	file  string
	clock clock.Clock

	mu     sync.Mutex
	looked time.Time
	lines  map[string]bool
}

// cut reports whether a line is in the file.
func (n *cutNet) cut(line string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now := n.clock.Now(); n.lines == nil || now.Sub(n.looked) >= lookEvery {
		n.looked, n.lines = now, map[string]bool{}
		text, _ := os.ReadFile(n.file) // no file: nothing is cut
		for line := range strings.Lines(string(text)) {
			n.lines[strings.TrimSpace(line)] = true
		}
	}
	return n.lines[line]
}

func (n *cutNet) pause() {
	t := n.clock.NewTimer(lookEvery)
	defer t.Stop()
	<-t.C()
}

// Dial implements vnet.Net. Nobody answers over a cut link, in either direction.
func (n *cutNet) Dial(address string, timeout time.Duration) (net.Conn, error) {
	for began := n.clock.Now(); n.cut("to "+address) || n.cut("from "+address); n.pause() {
		if n.clock.Since(began) > timeout {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
		}
	}
	c, err := n.Net.Dial(address, timeout)
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: c, net: n, peer: address}, nil
}

// cutConn is a dialled connection. What comes while the link is cut is held back
// until it is whole; a write that was lost makes the connection end then, as TCP
// gives up or finds that the other side has.
type cutConn struct {
	net.Conn
	net    *cutNet
	peer   string
	lost   atomic.Bool
	closed atomic.Bool
	until  atomic.Int64 // read deadline, nanoseconds since 1970; 0: none
}

// Write implements net.Conn.
func (c *cutConn) Write(p []byte) (int, error) {
	if c.net.cut("to " + c.peer) {
		c.lost.Store(true)
		return len(p), nil
	}
	if err := c.broken(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Read implements net.Conn.
func (c *cutConn) Read(p []byte) (int, error) {
	k, err := c.Conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		return k, err
	}
	for ; c.net.cut("from " + c.peer); c.net.pause() {
		if until := c.until.Load(); until != 0 && c.net.clock.Now().UnixNano() > until {
			c.lost.Store(true)
			return 0, os.ErrDeadlineExceeded
		}
		if c.closed.Load() {
			return 0, net.ErrClosed
		}
	}
	if broken := c.broken(); broken != nil {
		return 0, broken
	}
	return k, err
}

func (c *cutConn) broken() error {
	if !c.lost.Load() {
		return nil
	}
	return &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
}

// Close implements net.Conn.
func (c *cutConn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

// SetDeadline implements net.Conn.
func (c *cutConn) SetDeadline(t time.Time) error {
	c.remember(t)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *cutConn) SetReadDeadline(t time.Time) error {
	c.remember(t)
	return c.Conn.SetReadDeadline(t)
}

func (c *cutConn) remember(t time.Time) {
	if t.IsZero() {
		c.until.Store(0)
		return
	}
	c.until.Store(t.UnixNano())
}
