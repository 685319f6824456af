package peer

import (
	"context"
	"maps"
	"slices"

	"holdfast/internal/kafka"
)

// New makes no connection yet. Close ends them all.
func New(o Options) *Peers {
	p := &Peers{o: o}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.mu.links = make(map[linkKey]*link)
	p.mu.addresses = make(map[kafka.BrokerID]string)
	p.mu.learned = make(map[kafka.BrokerID]string)
	p.mu.met = make(map[kafka.BrokerID]bool)
	return p
}

// start gives a link its goroutine, once.
func (p *Peers) start(l *link) error {
	if l.started.Load() && p.ctx.Err() == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return ErrClosed
	}
	if l.started.CompareAndSwap(false, true) {
		p.group.Go(func() { l.run(p.ctx) })
	}
	return nil
}

// read gives a connection its reader.
func (p *Peers) read(c *connection) { p.group.Go(c.readAll) }

// Close ends every connection; who waits gets ErrClosed or ErrLost. It waits for
// the goroutines, and so for attempts to connect, a few seconds at most.
func (p *Peers) Close() {
	p.mu.Lock()
	p.mu.closed = true
	links := slices.Collect(maps.Values(p.mu.links))
	p.mu.Unlock()
	p.cancel()
	for _, l := range links {
		if c := l.current.Load(); c != nil {
			c.fail(ErrClosed)
		}
	}
	p.group.Wait()
}

// background runs f until it ends; its context ends with Close.
func (p *Peers) background(f func(ctx context.Context)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.mu.closed {
		p.group.Go(func() { f(p.ctx) })
	}
}
