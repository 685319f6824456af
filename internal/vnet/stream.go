package vnet

import (
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"

	"holdfast/internal/clock"
)

// windowSize is how many bytes one direction of a connection holds before the
// writer waits: what two socket buffers would hold.
const windowSize = 256 << 10

// maxSegment is how many bytes travel as one.
const maxSegment = 64 << 10

// end is how a stream ends.
type end uint8

const (
	endNone  end = iota
	endHalf      // the sender writes no more, and still reads
	endFull      // the sender has closed: what is written to it now breaks
	endReset     // the sender closed before it had read everything
)

// err is what a reader gets at the end.
func (e end) err() error {
	if e == endReset {
		return os.NewSyscallError("read", syscall.ECONNRESET)
	}
	return io.EOF
}

// segment is a piece of a stream under way. A held one is behind a cut link
// and has no arrival time.
type segment struct {
	data []byte
	end  end // instead of data
	at   time.Time
	held bool
}

// stream is one direction of a connection.
type stream struct {
	clock    clock.Clock
	from, to string

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when something below changes
	rand     *rand.Rand
	link     Link
	queue    []segment
	buffered int
	busy     time.Time // when the link has sent what it has, if the bandwidth is limited
	latest   time.Time // the last arrival; the next is not before it
	ended    end       // the last end in the queue
	deaf     bool      // nobody reads any more: what is sent is dropped
	broken   error     // both sides see it at once
}

func newStream(c clock.Clock, from, to string, link Link, r *rand.Rand) *stream {
	return &stream{clock: c, from: from, to: to, link: link, rand: r, changed: make(chan struct{})}
}

func (s *stream) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// schedule gives a segment its arrival time.
func (s *stream) schedule(g *segment) {
	if g.held = s.link.Cut; g.held {
		return
	}
	now := s.clock.Now()
	leaves := now
	if s.link.Bandwidth > 0 {
		if s.busy.After(now) {
			leaves = s.busy
		}
		leaves = leaves.Add(time.Duration(int64(len(g.data)) * int64(time.Second) / s.link.Bandwidth))
		s.busy = leaves
	}
	g.at = leaves.Add(s.link.Latency)
	if s.link.Jitter > 0 {
		g.at = g.at.Add(time.Duration(s.rand.Int64N(int64(s.link.Jitter) + 1)))
	}
	if g.at.Before(s.latest) {
		g.at = s.latest
	}
	s.latest = g.at
}

// setLink changes the link under what is on its way: a cut holds everything
// that has not arrived, the return of the link sends it again.
func (s *stream) setLink(link Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link = link
	now := s.clock.Now()
	for i := range s.queue {
		g := &s.queue[i]
		switch {
		case link.Cut && g.at.After(now):
			g.held = true
		case !link.Cut && g.held:
			s.latest = later(s.latest, now)
			s.schedule(g)
		}
	}
	s.notify()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// finish queues the end of the stream: no data comes after it. A half-close
// may be followed by the full one.
func (s *stream) finish(how end) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended >= how {
		return
	}
	s.ended = how
	g := segment{end: how}
	s.schedule(&g)
	s.queue = append(s.queue, g)
	s.notify()
}

// stopReading drops what is queued and tells whether anything was.
func (s *stream) stopReading() (unread bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	unread = s.buffered > 0
	s.deaf, s.buffered = true, 0
	s.notify()
	return unread
}

// dropSent loses what has not arrived.
func (s *stream) dropSent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.queue {
		if !s.arrived(&s.queue[i]) {
			s.queue = s.queue[:i]
			return
		}
	}
}

// isWaiting tells whether anything is on its way or unread.
func (s *stream) isWaiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) > 0
}

func (s *stream) breakWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = err
		s.notify()
	}
}

// refusal tells why nothing can be written against this stream: the other side
// has closed and the news has arrived, though data before it may be unread.
func (s *stream) refusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	if n := len(s.queue); n > 0 && s.queue[n-1].end >= endFull && s.arrived(&s.queue[n-1]) {
		return os.NewSyscallError("write", syscall.EPIPE)
	}
	return nil
}

func (s *stream) arrived(g *segment) bool { return !g.held && !g.at.After(s.clock.Now()) }

// read waits for bytes, the end, the deadline or the closing of the reader.
func (s *stream) read(p []byte, d *deadline, closed <-chan struct{}) (int, error) {
	for {
		n, wait, err := s.take(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		if err := wait.block(s.clock, d, closed); err != nil {
			return 0, err
		}
	}
}

// take returns what has arrived, or what to wait for.
func (s *stream) take(p []byte) (int, waiting, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return 0, waiting{}, s.broken
	}
	done := 0
	for len(s.queue) > 0 && done < len(p) && s.arrived(&s.queue[0]) {
		g := &s.queue[0]
		if g.end != endNone {
			if done > 0 {
				break
			}
			return 0, waiting{}, g.end.err() // it stays: every later read sees it
		}
		n := copy(p[done:], g.data)
		done += n
		if g.data = g.data[n:]; len(g.data) == 0 {
			s.queue[0] = segment{}
			s.queue = s.queue[1:]
		}
	}
	if done > 0 {
		s.buffered -= done
		s.notify()
		return done, waiting{}, nil
	}
	w := waiting{changed: s.changed}
	if len(s.queue) > 0 && !s.queue[0].held {
		w.until = s.queue[0].at
	}
	return 0, w, nil
}

// write waits until all of p is on its way.
func (s *stream) write(p []byte, back *stream, d *deadline, closed <-chan struct{}) (int, error) {
	for done := 0; ; {
		if err := back.refusal(); err != nil {
			return done, err
		}
		if err := d.expired(); err != nil {
			return done, err
		}
		n, wait, err := s.put(p[done:])
		done += n
		if err != nil || done == len(p) {
			return done, err
		}
		if n == 0 {
			if err := wait.block(s.clock, d, closed); err != nil {
				return done, err
			}
		}
	}
}

func (s *stream) put(p []byte) (int, waiting, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.broken != nil:
		return 0, waiting{}, s.broken
	case s.ended != endNone:
		return 0, waiting{}, os.NewSyscallError("write", syscall.EPIPE)
	case s.deaf:
		return len(p), waiting{}, nil // the reset is on its way back
	}
	n := min(len(p), windowSize-s.buffered, maxSegment)
	if n <= 0 {
		return 0, waiting{changed: s.changed}, nil
	}
	g := segment{data: append([]byte(nil), p[:n]...)}
	s.schedule(&g)
	s.queue = append(s.queue, g)
	s.buffered += n
	s.notify()
	return n, waiting{}, nil
}

// waiting is what a reader or writer waits for besides its deadline.
type waiting struct {
	changed <-chan struct{}
	until   time.Time // zero: only for changed
}

func (w waiting) block(c clock.Clock, d *deadline, closed <-chan struct{}) error {
	if err := d.expired(); err != nil {
		return err
	}
	var arrival <-chan time.Time
	if !w.until.IsZero() {
		timer := c.NewTimer(w.until.Sub(c.Now()))
		defer timer.Stop()
		arrival = timer.C()
	}
	select {
	case <-w.changed:
	case <-arrival:
	case <-closed:
		return errClosed
	case <-d.passed():
		return os.ErrDeadlineExceeded
	}
	return nil
}
