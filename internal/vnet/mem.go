package vnet

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"holdfast/internal/clock"
)

// DefaultHost is the host on which a Mem itself listens and dials. Use Host
// for a network of several.
const DefaultHost = "127.0.0.1"

// backlogSize is how many connections wait for Accept before further dials wait.
const backlogSize = 128

// firstPort is the first that port 0 gets.
const firstPort = 32768

// Link is one direction between two hosts. The zero Link delivers at once.
type Link struct {
	Latency   time.Duration // each segment takes so long
	Jitter    time.Duration // and up to so much more, by seed, in order within a connection
	Bandwidth int64         // bytes per second of each connection; 0 is unlimited
	Cut       bool          // nothing arrives until the cut is healed; dials time out
}

// Mem is a network in memory. Ports belong to hosts, hosts are names and come
// into being when they are first used.
type Mem struct {
	clock clock.Clock
	seed  uint64

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced when a dial that waits should look again
	listeners map[Addr]*memListener
	nextPort  int
	links     map[[2]string]Link
	usual     Link // of pairs that links does not name
	down      map[string]bool
	made      uint64
	conns     map[*memConn]bool
	orphans   map[*memConn]bool // their other end lost its power
}

var _ Net = (*Mem)(nil)

// NewMem returns a network without latency or faults. Jitter follows seed.
func NewMem(c clock.Clock, seed uint64) *Mem {
	return &Mem{
		clock: c, seed: seed, changed: make(chan struct{}), nextPort: firstPort,
		listeners: map[Addr]*memListener{}, links: map[[2]string]Link{}, down: map[string]bool{},
		conns: map[*memConn]bool{}, orphans: map[*memConn]bool{},
	}
}

// Host returns the network as the host of that name sees it: it dials from
// there, and "localhost", loopback and wildcard addresses mean itself.
func (m *Mem) Host(name string) Net { return hostNet{m, canonical(name, DefaultHost)} }

// Listen implements Net on DefaultHost; another host may be named as well.
func (m *Mem) Listen(address string) (net.Listener, error) {
	return m.listen(DefaultHost, address, true)
}

// Dial implements Net from DefaultHost.
func (m *Mem) Dial(address string, timeout time.Duration) (net.Conn, error) {
	return m.dial(DefaultHost, address, timeout)
}

type hostNet struct {
	m    *Mem
	host string
}

func (h hostNet) Listen(address string) (net.Listener, error) {
	return h.m.listen(h.host, address, false)
}

func (h hostNet) Dial(address string, timeout time.Duration) (net.Conn, error) {
	return h.m.dial(h.host, address, timeout)
}

// canonical resolves a host name as seen from host.
func canonical(name, host string) string {
	switch name {
	case "", "0.0.0.0", "::", "localhost", "127.0.0.1", "::1":
		return host
	}
	return name
}

func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, &net.AddrError{Err: "invalid port", Addr: address}
	}
	return host, port, nil
}

func (m *Mem) listen(host, address string, anyHost bool) (net.Listener, error) {
	fail := func(err error) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: fmt.Errorf("%s: %w", address, err)}
	}
	name, port, err := splitAddress(address)
	if err != nil {
		return fail(err)
	}
	at := canonical(name, host)
	if at != host && !anyHost {
		return fail(os.NewSyscallError("bind", syscall.EADDRNOTAVAIL))
	}
	if name == "" {
		name = "0.0.0.0"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if port == 0 {
		port = m.freePort()
	}
	key := Addr{at, port}
	if m.listeners[key] != nil {
		return fail(os.NewSyscallError("bind", syscall.EADDRINUSE))
	}
	l := &memListener{m: m, key: key, addr: Addr{name, port}, backlog: make(chan *memConn, backlogSize), closed: make(chan struct{})}
	m.listeners[key] = l
	m.notify()
	return l, nil
}

// freePort never gives a port twice, so that a late packet of a dead process
// has no stranger to reach.
func (m *Mem) freePort() int {
	m.nextPort++
	return m.nextPort - 1
}

func (m *Mem) notify() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *Mem) link(from, to string) Link {
	if l, ok := m.links[[2]string{from, to}]; ok {
		return l
	}
	if from == to {
		return Link{}
	}
	return m.usual
}

// dial waits while the other side cannot be reached and refuses when it can
// and nobody listens. A timeout of 0 is none.
func (m *Mem) dial(host, address string, timeout time.Duration) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("%s: %w", address, err)}
	}
	name, port, err := splitAddress(address)
	if err != nil {
		return fail(err)
	}
	d := newDeadline(m.clock)
	if timeout > 0 {
		d.set(m.clock.Now().Add(timeout))
		defer d.set(time.Time{})
	}
	target := Addr{canonical(name, host), port}
	for {
		there, roundTrip, changed := m.reach(host, target)
		if !there {
			if err := (waiting{changed: changed}).block(m.clock, d, nil); err != nil {
				return fail(err)
			}
			continue
		}
		if roundTrip > 0 {
			if err := (waiting{until: m.clock.Now().Add(roundTrip)}).block(m.clock, d, nil); err != nil {
				return fail(err)
			}
		}
		c, again, err := m.connect(host, target)
		if err != nil {
			return fail(err)
		}
		if !again {
			return c, nil
		}
	}
}

// reach tells whether packets pass both ways, and how long they take.
func (m *Mem) reach(host string, to Addr) (there bool, roundTrip time.Duration, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	forth, back := m.link(host, to.Host), m.link(to.Host, host)
	if forth.Cut || back.Cut || m.down[to.Host] || m.down[host] {
		return false, 0, m.changed
	}
	if l := m.listeners[to]; l != nil && len(l.backlog) == backlogSize {
		return false, 0, m.changed
	}
	return true, forth.Latency + back.Latency, m.changed
}

// connect makes the connection if the way is still open; again says that it is not.
func (m *Mem) connect(host string, to Addr) (c *memConn, again bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	forth, back := m.link(host, to.Host), m.link(to.Host, host)
	if forth.Cut || back.Cut || m.down[to.Host] || m.down[host] {
		return nil, true, nil
	}
	l := m.listeners[to]
	if l == nil {
		return nil, false, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	m.made++
	dice := func(direction uint64) *rand.Rand { return rand.New(rand.NewPCG(m.seed, m.made<<1|direction)) }
	there := newStream(m.clock, host, to.Host, forth, dice(0))
	here := newStream(m.clock, to.Host, host, back, dice(1))
	near := m.newConn(host, Addr{host, m.freePort()}, to, here, there)
	far := m.newConn(to.Host, to, near.local, there, here)
	near.peer, far.peer = far, near
	select {
	case l.backlog <- far:
	default:
		return nil, true, nil
	}
	m.conns[near], m.conns[far] = true, true
	return near, false, nil
}

func (m *Mem) newConn(host string, local, remote Addr, in, out *stream) *memConn {
	return &memConn{
		m: m, number: m.made, host: host, local: local, remote: remote, in: in, out: out,
		readDeadline: newDeadline(m.clock), writeDeadline: newDeadline(m.clock), closed: make(chan struct{}),
	}
}

func (m *Mem) forget(c *memConn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.conns, c)
	delete(m.orphans, c)
}

type memListener struct {
	m       *Mem
	key     Addr
	addr    Addr
	backlog chan *memConn
	closing sync.Once
	closed  chan struct{}
}

func (l *memListener) Addr() net.Addr { return l.addr }

// Accept implements net.Listener.
func (l *memListener) Accept() (net.Conn, error) {
	select {
	case <-l.closed: // first, because select would choose at random
		return nil, l.failure("accept")
	default:
	}
	select {
	case c := <-l.backlog:
		l.m.mu.Lock()
		l.m.notify()
		l.m.mu.Unlock()
		return c, nil
	case <-l.closed:
		return nil, l.failure("accept")
	}
}

func (l *memListener) failure(op string) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: l.addr, Err: errClosed}
}

// Close implements net.Listener. Connections that nobody accepted are reset.
func (l *memListener) Close() error {
	err := l.failure("close")
	l.closing.Do(func() {
		err = nil
		l.m.mu.Lock()
		delete(l.m.listeners, l.key)
		close(l.closed)
		l.m.notify()
		l.m.mu.Unlock()
		for {
			select {
			case c := <-l.backlog:
				c.reset(os.NewSyscallError("read", syscall.ECONNRESET))
				_ = c.Close() // it was open a moment ago; a second close changes nothing
			default:
				return
			}
		}
	})
	return err
}

// SetLink sets one direction between two hosts, for connections that are open
// as well.
func (m *Mem) SetLink(from, to string, l Link) {
	m.update(func() { m.links[[2]string{canonical(from, DefaultHost), canonical(to, DefaultHost)}] = l })
}

// SetUsualLink sets every direction between two different hosts that SetLink
// or Cut has not set.
func (m *Mem) SetUsualLink(l Link) { m.update(func() { m.usual = l }) }

// Cut cuts or heals one direction between two hosts and leaves the rest of the
// link as it is.
func (m *Mem) Cut(from, to string, cut bool) {
	m.update(func() { m.cut(canonical(from, DefaultHost), canonical(to, DefaultHost), cut) })
}

func (m *Mem) cut(from, to string, cut bool) {
	l := m.link(from, to)
	l.Cut = cut
	m.links[[2]string{from, to}] = l
}

// Partition cuts both directions between every host of one group and every
// host of the other, or heals them.
func (m *Mem) Partition(one, other []string, cut bool) {
	m.update(func() {
		for _, a := range one {
			for _, b := range other {
				m.cut(canonical(a, DefaultHost), canonical(b, DefaultHost), cut)
				m.cut(canonical(b, DefaultHost), canonical(a, DefaultHost), cut)
			}
		}
	})
}

func (m *Mem) update(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
	for _, c := range m.sorted(func(*memConn) bool { return true }) {
		c.out.setLink(m.effective(c.out))
	}
	for _, c := range m.sorted(func(c *memConn) bool { return !m.conns[c.peer] }) {
		c.in.setLink(m.effective(c.in)) // its sender has closed: bytes may still be under way
	}
	m.notify()
}

// effective is the link that a stream sees: nothing passes to or from a host
// without power.
func (m *Mem) effective(s *stream) Link {
	l := m.link(s.from, s.to)
	l.Cut = l.Cut || m.down[s.from] || m.down[s.to]
	return l
}

// sorted lists open ends in the order of their making, so that a seed decides
// the same way every time.
func (m *Mem) sorted(wanted func(*memConn) bool) []*memConn {
	var found []*memConn
	for c := range m.conns {
		if wanted(c) {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b *memConn) int {
		if a.number != b.number {
			return int(int64(a.number - b.number))
		}
		return a.local.Port - b.local.Port
	})
	return found
}

func (m *Mem) pick(wanted func(*memConn) bool) []*memConn {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sorted(wanted)
}

// Reset breaks every connection between two hosts at once: both ends get a
// connection reset, and what was under way is lost.
func (m *Mem) Reset(one, other string) {
	one, other = canonical(one, DefaultHost), canonical(other, DefaultHost)
	for _, c := range m.pick(func(c *memConn) bool { return c.host == one && c.peer.host == other }) {
		c.reset(os.NewSyscallError("read", syscall.ECONNRESET))
	}
}

// Kill ends every listener and connection of a host as the end of its process
// does: the other ends are told.
func (m *Mem) Kill(host string) { m.shut(host, func(c *memConn) { _ = c.Close() }) }

// PowerOff takes a host from the network without telling anybody: dials to it
// and bytes for it wait, and its connections look alive to the other ends.
func (m *Mem) PowerOff(host string) {
	host = canonical(host, DefaultHost)
	m.update(func() {
		m.down[host] = true
		for c := range m.conns {
			if c.host == host && c.peer.host != host {
				m.orphans[c.peer] = true
			}
		}
	})
	m.shut(host, (*memConn).vanish)
}

// PowerOn brings a host back. It knows nothing of its old connections: their
// other ends are reset when they next write, or at once when bytes wait.
func (m *Mem) PowerOn(host string) {
	host = canonical(host, DefaultHost)
	m.update(func() { delete(m.down, host) })
	orphans := m.pick(func(c *memConn) bool { return m.orphans[c] && c.peer.host == host })
	for _, c := range orphans {
		if c.out.isWaiting() {
			m.wakeOrphan(c)
		}
	}
}

// wakeOrphan resets a connection whose other end has forgotten it, once the
// other host can answer.
func (m *Mem) wakeOrphan(c *memConn) {
	m.mu.Lock()
	answers := m.orphans[c] && !m.effective(c.out).Cut && !m.effective(c.in).Cut
	m.mu.Unlock()
	if answers {
		c.reset(os.NewSyscallError("read", syscall.ECONNRESET))
	}
}

func (m *Mem) shut(host string, closeConn func(*memConn)) {
	host = canonical(host, DefaultHost)
	m.mu.Lock()
	var listeners []*memListener
	for key, l := range m.listeners {
		if key.Host == host {
			listeners = append(listeners, l)
		}
	}
	conns := m.sorted(func(c *memConn) bool { return c.host == host })
	m.mu.Unlock()
	slices.SortFunc(listeners, func(a, b *memListener) int { return a.key.Port - b.key.Port })
	for _, c := range conns {
		closeConn(c)
	}
	for _, l := range listeners {
		_ = l.Close() // closing twice changes nothing
	}
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
