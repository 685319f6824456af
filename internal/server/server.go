package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"holdfast/internal/api"
	"holdfast/internal/clock"
	"holdfast/internal/kafka"
)

// Handler begins requests; *api.API is the real one.
type Handler interface {
	// Begin runs in request order on a connection and must not wait. Exactly one
	// of the results is set.
	Begin(*api.Request) (*api.Reply, api.Pending)
	// Limits tells the largest frame of the API with this key that may come on this
	// connection, and the memory that decoding may take per byte of it.
	Limits(c *api.Conn, key kafka.APIKey) (frameMax, decodeFactor int)
}

// Limits bound what strangers can cost. All but BrokerReserve are positive.
type Limits struct {
	Connections      int           // open at once, all listeners
	ConnectionsPerIP int           // open at once from one address
	BrokerReserve    int           // more, of each, for connections that prove to be other brokers'; 0: none
	Parked           int           // requests of one connection without a reply yet
	FrameBytes       int           // the largest frame of any API
	ClientMemory     int64         // bytes of client frames and their decoding, all connections
	BrokerMemory     int64         // the same for the connections of other brokers, never taken by clients
	FirstRequest     time.Duration // from accept to the first whole frame
	Frame            time.Duration // from a frame's first byte to its last
	Idle             time.Duration // without any frame
	Write            time.Duration // a reply that makes no progress
}

// BrokerReserve is a BrokerReserve for a broker among others: each of them makes a
// few connections, and its old ones may still be there when it comes back.
const BrokerReserve = 64

// DefaultLimits are the limits of a broker that was told nothing else.
func DefaultLimits() Limits {
	return Limits{
		Connections:      10_000,
		ConnectionsPerIP: 10_000,
		Parked:           256,
		FrameBytes:       100 << 20,
		ClientMemory:     256 << 20,
		BrokerMemory:     64 << 20,
		FirstRequest:     10 * time.Second,
		Frame:            30 * time.Second,
		Idle:             10 * time.Minute,
		Write:            30 * time.Second,
	}
}

// Listener is one named door.
type Listener struct {
	Name     string // listener name, as in "PLAINTEXT"
	Listener net.Listener
}

// Options are what a server is made of. All fields but Connections are set.
type Options struct {
	Handler Handler
	Clock   clock.Clock
	Limits  Limits
	Log     *slog.Logger
	// Connections tells how many connections may be open now, in all and from one
	// address, where a running broker can be told otherwise; nil: as in Limits. It
	// never waits.
	Connections func() (open, perIP int)
}

func (o *Options) connections() (open, perIP int) {
	if o.Connections == nil {
		return o.Limits.Connections, o.Limits.ConnectionsPerIP
	}
	return o.Connections()
}

// Stats counts what the server saw since it started.
type Stats struct {
	Accepted, Refused, Open atomic.Int64
	ClosedIdle, ClosedSlow  atomic.Int64
	BadFrames               atomic.Int64
	BytesIn, BytesOut       atomic.Int64
}

// pool is memory for requests.
type pool struct {
	*semaphore.Weighted
	size int64
}

func newPool(size int64) pool { return pool{semaphore.NewWeighted(size), size} }

// Server accepts connections on any number of listeners.
type Server struct {
	o      Options
	memory pool // of clients
	// brokers is the memory for what other brokers say: acknowledgements wait for
	// it, so nothing that waits for acknowledgements may hold it.
	brokers pool
	stats   Stats
	ctx     context.Context
	cancel  context.CancelFunc
	group   sync.WaitGroup
	frames  framePool

	mu struct {
		sync.Mutex
		stopping  bool
		listeners []net.Listener
		conns     map[*conn]struct{}
		perIP     map[string]int
	}
}

// New makes a server that listens nowhere yet.
func New(o Options) *Server {
	s := &Server{o: o, memory: newPool(o.Limits.ClientMemory), brokers: newPool(o.Limits.BrokerMemory)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.mu.conns = make(map[*conn]struct{})
	s.mu.perIP = make(map[string]int)
	s.group.Go(s.watch)
	return s
}

// Stats returns the server's counters.
func (s *Server) Stats() *Stats { return &s.stats }

// Serve accepts connections from l until Stop. It returns at once.
func (s *Server) Serve(l Listener) {
	s.mu.Lock()
	s.mu.listeners = append(s.mu.listeners, l.Listener)
	s.mu.Unlock()
	s.group.Go(func() { s.accept(l) })
}

// acceptPause is how long accepting rests after an error such as a lack of
// descriptors.
const acceptPause = 50 * time.Millisecond

func (s *Server) accept(l Listener) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			s.o.Log.Warn("accept failed; pausing", "listener", l.Name, "error", err)
			s.o.Clock.Sleep(acceptPause)
			continue
		}
		if c := s.admit(nc, l.Name); c != nil {
			s.group.Go(c.serve)
		}
	}
}

// admit registers a connection, or closes it when there are too many.
func (s *Server) admit(nc net.Conn, listener string) *conn {
	ip := nc.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(ip); err == nil {
		ip = host
	}
	c := newConn(s, nc, listener)
	open, perIP := s.o.connections()
	s.mu.Lock()
	refused := ""
	over := max(len(s.mu.conns)-open, s.mu.perIP[ip]-perIP) // connections past a limit, this one not counted
	switch {
	case s.mu.stopping:
		refused = "stopping"
	case over >= 0 && over >= s.o.Limits.BrokerReserve && len(s.mu.conns)-open == over:
		refused = fmt.Sprintf("max.connections is %d", open)
	case over >= 0 && over >= s.o.Limits.BrokerReserve:
		refused = fmt.Sprintf("max.connections.per.ip is %d", perIP)
	default:
		c.ip, c.reserved = ip, over >= 0
		s.mu.conns[c] = struct{}{}
		s.mu.perIP[ip]++
	}
	s.mu.Unlock()
	if refused != "" {
		s.stats.Refused.Add(1)
		s.o.Log.Warn("connection refused", "client", nc.RemoteAddr().String(), "reason", refused)
		_ = nc.Close()
		return nil
	}
	s.stats.Accepted.Add(1)
	s.stats.Open.Add(1)
	return c
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	delete(s.mu.conns, c)
	if s.mu.perIP[c.ip]--; s.mu.perIP[c.ip] == 0 {
		delete(s.mu.perIP, c.ip)
	}
	s.mu.Unlock()
	s.stats.Open.Add(-1)
}

// watchEvery is the resolution of all connection time-outs.
const watchEvery = time.Second

// watch closes connections that are idle or slow. Looking at an atomic word per
// connection and second is cheaper than a timer per request.
func (s *Server) watch() {
	t := s.o.Clock.NewTimer(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C():
		}
		t.Reset(watchEvery)
		now := s.o.Clock.Now().UnixNano()
		for _, c := range s.connections() {
			c.expire(now)
		}
	}
}

func (s *Server) connections() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*conn, 0, len(s.mu.conns))
	for c := range s.mu.conns {
		all = append(all, c)
	}
	return all
}

// Stop closes the listeners, lets begun requests finish until ctx ends, then
// closes every connection and waits for their goroutines.
func (s *Server) Stop(ctx context.Context) {
	s.mu.Lock()
	s.mu.stopping = true
	listeners := s.mu.listeners
	s.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	for _, c := range s.connections() {
		c.stopReading()
	}
	s.awaitDrained(ctx)
	s.cancel()
	for _, c := range s.connections() {
		c.close()
	}
	s.group.Wait()
}

func (s *Server) awaitDrained(ctx context.Context) {
	for {
		busy := false
		for _, c := range s.connections() {
			busy = busy || c.busy()
		}
		if !busy {
			return
		}
		if !clock.Wait(ctx, s.o.Clock, 5*time.Millisecond, nil) {
			return
		}
	}
}

// noDelay asks TCP not to hold small replies back.
func noDelay(nc net.Conn) {
	if t, ok := nc.(*net.TCPConn); ok {
		_ = t.SetNoDelay(true)
	}
}
