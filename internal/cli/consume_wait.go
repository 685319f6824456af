package cli

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/internal/clock"
)

// presence knows whether the broker answers. It is a hook of the client, which
// tries again by itself for ever and tells nobody.
type presence struct {
	clock clock.Clock

	mu    sync.Mutex
	since time.Time // when it stopped answering; zero while it answers
	why   waits     // in words
}

// OnBrokerConnect is called by the client after every attempt to connect.
func (p *presence) OnBrokerConnect(meta kgo.BrokerMetadata, took time.Duration, conn net.Conn, err error) {
	p.why.OnBrokerConnect(meta, took, conn, err)
	p.note(err)
}

// OnBrokerE2E is called by the client after every request.
func (p *presence) OnBrokerE2E(meta kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	p.why.OnBrokerE2E(meta, key, e2e)
	p.note(e2e.Err())
}

func (p *presence) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.since = time.Time{}
	case p.since.IsZero():
		p.since = p.clock.Now()
	}
}

// away reports for how long nobody has answered.
func (p *presence) away() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		return 0
	}
	return p.clock.Since(p.since)
}

// watch says once that the broker is away and once that it is back, until ctx
// ends.
func (p *presence) watch(ctx context.Context, a *app) {
	timer := p.clock.NewTimer(tick)
	defer timer.Stop()
	said := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C():
		}
		timer.Reset(tick)
		switch gone := p.away(); {
		case !said && gone >= awayAfter:
			said = true
			a.talk("waiting for %s: %s; reading goes on when it is back", p.why.where(), p.why.why())
		case said && gone == 0:
			said = false
			a.talk("%s is back", p.why.where())
		}
	}
}

// awayAfter is how long a broker may be silent before a person is told.
const awayAfter = time.Second
