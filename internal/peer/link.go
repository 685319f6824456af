package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/vnet"
)

const (
	// queueMax is how many requests wait to be sent on one link.
	queueMax = 256
	// waitingMax is how many requests of one connection are unanswered.
	waitingMax = 1024
	// frameMax bounds a frame in both directions, in bytes.
	frameMax = 100 << 20
	// dialMax bounds an attempt to connect, proofMax the proof after it.
	dialMax  = time.Second
	proofMax = 3 * time.Second
	// writeMax bounds a write that makes no progress.
	writeMax = 10 * time.Second
	// After a failed attempt the next one waits, doubling from backoffMin to
	// backoffMax.
	backoffMin = 20 * time.Millisecond
	backoffMax = time.Second
	// batchMax is how many requests are written with one system call.
	batchMax = 32
)

// silenceMax is how long after a request, and after its deadline, a connection may
// say nothing at all: longer than the other side ever takes to answer.
func silenceMax(p Purpose) time.Duration {
	switch p {
	case Command:
		return 35 * time.Second
	case Pull:
		return 15 * time.Second
	}
	return 3 * time.Second
}

// link is the way to a broker for one purpose: at most one connection at a time,
// and what waits to be sent. Its goroutine owns everything without a guard.
type link struct {
	p       *Peers
	key     linkKey
	queue   chan *exchange
	started atomic.Bool
	current atomic.Pointer[connection] // for Close
	// heard, of capacity 1, ends a pause: the broker has connected to us.
	heard chan struct{}

	failures int // attempts in a row that failed
}

func newLink(p *Peers, k linkKey) *link {
	return &link{p: p, key: k, queue: make(chan *exchange, queueMax), heard: make(chan struct{}, 1)}
}

// run connects when there is something to send, and again after a loss.
func (l *link) run(ctx context.Context) {
	defer l.failQueue(ErrClosed)
	var c *connection
	for ctx.Err() == nil {
		var first *exchange
		if c == nil {
			select {
			case <-ctx.Done():
				return
			case first = <-l.queue:
			}
			if first.dead.Load() {
				continue
			}
			var err error
			if c, err = l.connect(); err != nil {
				first.answer(nil, err)
				l.failQueue(err)
				l.pauseAfterFailure(ctx)
				continue
			}
		}
		l.failures = 0
		l.serve(ctx, c, first)
		c = l.afterLoss(ctx, c)
	}
	if c != nil {
		c.fail(ErrClosed)
	}
}

// failQueue answers what waits to be sent.
func (l *link) failQueue(err error) {
	for {
		select {
		case e := <-l.queue:
			e.answer(nil, err)
		default:
			return
		}
	}
}

// pauseAfterFailure waits before the next attempt, longer after each that failed,
// and no longer once the broker is heard of.
func (l *link) pauseAfterFailure(ctx context.Context) {
	d := min(backoffMax, backoffMin<<min(l.failures, 10))
	l.failures++
	// Half of it by chance: brokers that lost the same one do not come back together.
	l.pause(ctx, d/2+time.Duration(l.p.o.Env.Rand.Uint64()%uint64(d/2)))
}

func (l *link) pause(ctx context.Context, d time.Duration) {
	t := l.p.o.Env.Clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
	case <-l.heard:
		l.failures = 0
	case <-ctx.Done():
	}
}

// connect makes a connection to one of the addresses at which the broker may be.
func (l *link) connect() (*connection, error) {
	if l.key.broker == l.p.o.Self().Broker {
		return nil, &UnreachableError{Broker: l.key.broker, Cause: errSelf}
	}
	at := l.p.candidates(l.key)
	if len(at) == 0 {
		return nil, &UnreachableError{Broker: l.key.broker, Cause: ErrUnknown}
	}
	var failed []error
	// Nobody at a guessed address says nothing about the broker.
	refused := len(at) == 1 && (l.key.broker == kafka.NoBroker || l.p.Address(l.key.broker) == at[0])
	for _, address := range at {
		c, err := l.open(address)
		if err == nil {
			l.p.read(c)
			return c, nil
		}
		failed = append(failed, err)
		refused = refused && vnet.IsRefused(err)
	}
	out := &UnreachableError{Broker: l.key.broker, Refused: refused, Cause: errors.Join(failed...)}
	if len(at) == 1 {
		out.Address, out.Cause = at[0], failed[0]
	}
	return nil, out
}

// open makes a connection and proves both ends of it.
func (l *link) open(address string) (*connection, error) {
	p := l.p
	if err := p.allowed(address); err != nil {
		return nil, err
	}
	nc, err := p.o.Env.Net.Dial(address, dialMax)
	if err != nil {
		return nil, err
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true)
	}
	c := newConnection(l, nc)
	l.current.Store(c)
	err = p.ctx.Err()
	if err == nil {
		err = c.prove(l.key.broker)
	}
	if err != nil {
		l.current.Store(nil)
		_ = nc.Close()
		if l.key.broker != kafka.NoBroker {
			p.unlearn(l.key.broker)
		}
		return nil, fmt.Errorf("prove who is who: %w", err)
	}
	if p.learn(c.other.Broker, address) {
		p.o.Log.Info("connected to a broker", "broker", c.other.Broker, "address", address)
	}
	return c, nil
}

// serve sends what comes until the connection ends.
func (l *link) serve(ctx context.Context, c *connection, first *exchange) {
	var batch [batchMax]*exchange
	t := l.p.o.Env.Clock.NewTimer(time.Second)
	defer t.Stop()
	for {
		next := first
		first = nil
		if next == nil {
			select {
			case <-ctx.Done():
				c.fail(ErrClosed)
				return
			case <-c.gone:
				return
			case <-t.C():
				t.Reset(time.Second)
				c.checkSilence()
				continue
			case next = <-l.queue:
			}
		}
		list := append(batch[:0], next)
		for more := true; more && len(list) < batchMax; {
			select {
			case e := <-l.queue:
				list = append(list, e)
			default:
				more = false
			}
		}
		if c.self != l.p.o.Self() { // what was proven is not true any more
			c.fail(errIdentity)
			l.requeue(list)
			return
		}
		c.send(list)
	}
}

// requeue puts exchanges back that were not sent; what finds no room fails.
func (l *link) requeue(list []*exchange) {
	for _, e := range list {
		select {
		case l.queue <- e:
		default:
			e.answer(nil, ErrBusy)
		}
	}
}

// A lost broker is looked for a few times at once: a process that dies may close
// its connections a moment before its listener.
const (
	looks     = 4
	lookPause = 2 * time.Millisecond
)

// afterLoss looks whether the broker can be reached again, reports what it saw and
// returns the new connection, nil when there is none.
func (l *link) afterLoss(ctx context.Context, old *connection) (next *connection) {
	l.current.Store(nil)
	err := old.failure()
	if ctx.Err() != nil || errors.Is(err, errIdentity) {
		return nil
	}
	refused := false
	for n := range looks {
		c, err := l.connect()
		if err == nil {
			next = c
			break
		}
		if refused = refusedBy(err); refused || ctx.Err() != nil {
			break
		}
		if n == looks-1 || !isEnd(err) {
			break
		}
		l.pause(ctx, lookPause)
	}
	level := slog.LevelDebug
	if next == nil && l.p.noteGone(old.other.Broker) {
		level = slog.LevelInfo // the first of its links says it
	}
	l.p.o.Log.Log(ctx, level, "connection to a broker ended", "broker", old.other.Broker, "purpose", l.key.purpose.String(), "error", err,
		"reconnected", next != nil, "refused", refused)
	if l.p.o.Lost != nil {
		l.p.o.Lost(Loss{Broker: old.other.Broker, Epoch: kafka.BrokerEpoch(old.epoch.Load()), Refused: refused, Err: err})
	}
	return next
}
