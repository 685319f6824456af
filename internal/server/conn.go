package server

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/api"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// conn is one client connection.
type conn struct {
	s   *Server
	nc  net.Conn
	ip  string
	api api.Conn
	// reserved: there are as many connections as clients may have. This one has to
	// prove that it is a broker's.
	reserved bool

	// The reader's own: bytes [start, end) of buf are read and not used yet.
	buf        [smallFrame]byte
	start, end int

	// Times in nanoseconds, 0 for none, for the watch.
	acceptedAt int64
	requests   atomic.Int64 // whole frames so far
	lastFrame  atomic.Int64
	frameSince atomic.Int64 // a frame has begun and is not whole
	writeSince atomic.Int64 // a reply is being written and makes no progress
	// finishSince: the client has ended its side, and replies are owed.
	finishSince atomic.Int64

	wake chan struct{} // capacity 1: something that the head of the queue waits for has happened
	room chan struct{} // capacity 1: the queue has become shorter
	gone chan struct{} // closed when the connection is
	once sync.Once
	stop atomic.Bool

	queue struct {
		sync.Mutex
		entries  []entry // replies that are owed, in request order
		draining bool    // a goroutine writes them
	}
}

// entry is one owed reply: ready, or still waiting.
type entry struct {
	reply   *api.Reply
	pending api.Pending
	held    int64 // memory that stays reserved until the reply
	from    pool  // where held was taken
}

func newConn(s *Server, nc net.Conn, listener string) *conn {
	noDelay(nc)
	c := &conn{s: s, nc: nc, wake: make(chan struct{}, 1), room: make(chan struct{}, 1), gone: make(chan struct{})}
	c.acceptedAt = s.o.Clock.Now().UnixNano()
	c.lastFrame.Store(c.acceptedAt)
	c.api = api.Conn{Listener: listener, Principal: kafka.Anonymous, Client: nc.RemoteAddr().String(), Wake: c.poke}
	return c
}

// poke tells the goroutine that drains the queue to look again. It never waits.
func (c *conn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// serve reads and begins requests until the connection ends.
func (c *conn) serve() {
	defer c.s.forget(c)
	defer c.close()
	for !c.stop.Load() {
		f, err := c.readFrame()
		if timedOut(err) && c.stop.Load() {
			break // the server is stopping: what is owed may still leave
		}
		if err == io.EOF {
			c.finish()
			return
		}
		if err != nil {
			c.explain(err)
			return
		}
		if c.reserved && !c.isBroker() && !isHandshake(&f) {
			c.s.stats.Refused.Add(1)
			c.s.o.Log.Warn("connection refused", "client", c.api.Client, "reason", "max.connections or max.connections.per.ip is reached, and it is not another broker's")
			c.release(&f)
			return
		}
		now := c.s.o.Clock.Now()
		c.frameSince.Store(0)
		c.lastFrame.Store(now.UnixNano())
		c.requests.Add(1)
		c.s.stats.BytesIn.Add(int64(len(f.bytes) + 4))
		reply, pending, err := c.begin(&f, now)
		e := entry{reply: reply, pending: pending}
		if pending != nil && pending.Holds() {
			e.held, e.from = c.hold(&f)
		}
		c.release(&f)
		if err != nil {
			c.explain(err)
			return
		}
		if !c.answer(e) {
			return
		}
	}
	c.awaitQuiet()
}

// finish lets what is owed leave to a client that sends nothing more and perhaps
// still reads. What waits for something to happen is answered as it is.
func (c *conn) finish() {
	c.finishSince.Store(c.s.o.Clock.Now().UnixNano())
	c.stop.Store(true)
	c.poke()
	c.awaitQuiet()
}

func (c *conn) begin(f *frame, now time.Time) (*api.Reply, api.Pending, error) {
	r := api.Request{Conn: &c.api, Received: now}
	if err := r.Parse(f.bytes); err != nil {
		return nil, nil, &badFrame{err.Error()}
	}
	reply, pending := c.s.o.Handler.Begin(&r)
	return reply, pending, nil
}

// timedOut reports whether err is a read deadline.
func timedOut(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout()
}

// hold takes the frame's reservation over, or makes one for a frame that was
// small enough to need none: the decoded body of the request lives on. It waits
// for memory, and with it this connection's next request.
func (c *conn) hold(f *frame) (held int64, from pool) {
	if f.reserved > 0 {
		held, from = f.reserved, f.from
		f.reserved = 0
		return held, from
	}
	key := kafka.APIKey(binary.BigEndian.Uint16(f.bytes))
	_, factor := c.s.o.Handler.Limits(&c.api, key)
	from = c.memory()
	held = min(int64(len(f.bytes)*factor), from.size)
	if held == 0 || from.Acquire(c.s.ctx, held) != nil {
		return 0, from // stopping
	}
	return held, from
}

// isHandshake reports whether a frame is part of a broker's proof.
func isHandshake(f *frame) bool {
	key := kafka.APIKey(binary.BigEndian.Uint16(f.bytes))
	return key == wire.KeyBrokerHello || key == wire.KeyBrokerProof
}

func (c *conn) isBroker() bool {
	_, is := c.api.Peer()
	return is
}

// memory is the pool that this connection's requests are counted against.
func (c *conn) memory() pool {
	if c.isBroker() {
		return c.s.brokers
	}
	return c.s.memory
}

func (c *conn) letGo(e *entry) {
	if e.held > 0 {
		e.from.Release(e.held)
		e.held = 0
	}
}

// explain logs why a connection ends when the reason is worth a line.
func (c *conn) explain(err error) {
	bad, isBad := errors.AsType[*badFrame](err)
	switch {
	case isBad:
		c.s.stats.BadFrames.Add(1)
		c.s.o.Log.Warn("closing connection: bad request", "client", c.api.Client, "listener", c.api.Listener, "reason", bad.reason)
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), c.stop.Load():
	default:
		c.s.o.Log.Debug("connection ended", "client", c.api.Client, "error", err)
	}
}

// answer owes the client one more reply. What is ready and first in line is
// written here, by the reader; the rest goes through the queue. It reports
// whether the connection lives on.
func (c *conn) answer(e entry) bool {
	if c.idle() {
		if e.reply == nil {
			e.reply, _ = e.pending.Finish(false)
		}
		if e.reply != nil {
			c.letGo(&e)
		}
		if e.reply != nil {
			return c.write(e.reply)
		}
	}
	return c.push(e)
}

func (c *conn) idle() bool {
	c.queue.Lock()
	defer c.queue.Unlock()
	return !c.queue.draining
}

// push queues e and waits while the queue is full.
func (c *conn) push(e entry) bool {
	for {
		c.queue.Lock()
		if len(c.queue.entries) < c.s.o.Limits.Parked {
			c.queue.entries = append(c.queue.entries, e)
			start := !c.queue.draining
			c.queue.draining = true
			c.queue.Unlock()
			if start {
				c.s.group.Go(c.drain)
			}
			return true
		}
		c.queue.Unlock()
		select {
		case <-c.room:
		case <-c.gone:
			c.drop(&e)
			return false
		}
	}
}

// batchMax is how many ready replies are written with one system call.
const batchMax = 32

// drain writes owed replies in order until none is left.
func (c *conn) drain() {
	var batch [batchMax]*api.Reply
	for {
		n, more := c.takeReady(batch[:0])
		if len(n) > 0 {
			if !c.writeAll(n) {
				c.abandon()
				return
			}
			continue
		}
		if !more {
			return
		}
		if !c.awaitHead() {
			c.abandon()
			return
		}
	}
}

// takeReady removes the ready replies at the head of the queue. more is false
// when the queue was empty; draining has then ended.
func (c *conn) takeReady(dst []*api.Reply) (ready []*api.Reply, more bool) {
	for len(dst) < batchMax {
		c.queue.Lock()
		if len(c.queue.entries) == 0 {
			if len(dst) == 0 {
				c.queue.draining = false
				c.queue.Unlock()
				c.freed()
				return dst, false
			}
			c.queue.Unlock()
			return dst, true
		}
		head := c.queue.entries[0]
		c.queue.Unlock()
		if head.reply == nil {
			// Only this goroutine removes entries, so the head stays the head.
			if head.reply, _ = head.pending.Finish(c.expired(head.pending)); head.reply == nil {
				return dst, true
			}
		}
		c.pop()
		c.letGo(&head)
		dst = append(dst, head.reply)
		if !head.reply.Plain() {
			return dst, true
		}
	}
	return dst, true
}

func (c *conn) pop() {
	c.queue.Lock()
	rest := copy(c.queue.entries, c.queue.entries[1:])
	c.queue.entries[rest] = entry{}
	c.queue.entries = c.queue.entries[:rest]
	c.queue.Unlock()
	c.freed()
}

// freed tells the reader that the queue has become shorter. It never waits.
func (c *conn) freed() {
	select {
	case c.room <- struct{}{}:
	default:
	}
}

func (c *conn) expired(p api.Pending) bool {
	return c.stop.Load() && p.Idle() || !c.s.o.Clock.Now().Before(p.Deadline())
}

// awaitHead waits until the reply at the head of the queue may be ready.
func (c *conn) awaitHead() bool {
	c.queue.Lock()
	head := c.queue.entries[0].pending
	c.queue.Unlock()
	select { // the common case needs no timer
	case <-c.wake:
		return true
	default:
	}
	t := c.s.o.Clock.NewTimer(max(0, head.Deadline().Sub(c.s.o.Clock.Now())))
	defer t.Stop()
	select {
	case <-c.wake:
		return true
	case <-t.C():
		return true
	case <-c.gone:
		return false
	}
}

// abandon drops what is still owed: the connection is gone.
func (c *conn) abandon() {
	c.close()
	c.queue.Lock()
	entries := c.queue.entries
	c.queue.entries = nil
	c.queue.draining = false
	c.queue.Unlock()
	for i := range entries {
		c.drop(&entries[i])
	}
}

// drop gives up what an entry holds: its reply will not be sent.
func (c *conn) drop(e *entry) {
	if e.reply != nil {
		e.reply.Release()
	}
	if e.pending != nil {
		e.pending.Abandon()
	}
	c.letGo(e)
}

// expire closes the connection when it is idle or slow for too long.
func (c *conn) expire(now int64) {
	l := c.s.o.Limits
	over := func(since int64, limit time.Duration) bool { return since != 0 && now-since > int64(limit) }
	switch {
	case (c.requests.Load() == 0 || c.reserved && !c.isBroker()) && over(c.acceptedAt, l.FirstRequest):
		c.s.stats.ClosedSlow.Add(1)
		c.s.o.Log.Info("closing connection: no request yet", "client", c.api.Client, "after", l.FirstRequest)
	case over(c.frameSince.Load(), l.Frame):
		c.s.stats.ClosedSlow.Add(1)
		c.s.o.Log.Warn("closing connection: frame not complete", "client", c.api.Client, "after", l.Frame)
	case over(c.writeSince.Load(), l.Write):
		c.s.stats.ClosedSlow.Add(1)
		c.s.o.Log.Warn("closing connection: replies are not read", "client", c.api.Client, "after", l.Write)
	case over(c.finishSince.Load(), l.Write):
		c.s.stats.ClosedSlow.Add(1)
	case over(c.lastFrame.Load(), l.Idle) && !c.busy() && !c.isBroker():
		c.s.stats.ClosedIdle.Add(1)
	default:
		return
	}
	c.close()
}

// busy reports whether replies are owed or being written.
func (c *conn) busy() bool {
	c.queue.Lock()
	defer c.queue.Unlock()
	return c.queue.draining || c.writeSince.Load() != 0
}

// stopReading ends the reader at the next frame boundary.
func (c *conn) stopReading() {
	c.stop.Store(true)
	_ = c.nc.SetReadDeadline(c.s.o.Clock.Now())
	c.poke() // what may wait for ever is answered now
}

// awaitQuiet lets owed replies leave before the connection closes.
func (c *conn) awaitQuiet() {
	for c.busy() {
		select {
		case <-c.room:
		case <-c.gone:
			return
		}
	}
}

func (c *conn) close() {
	c.once.Do(func() {
		close(c.gone)
		_ = c.nc.Close()
	})
}
