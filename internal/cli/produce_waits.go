package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// waits remembers the last trouble that the client had, so that a wait can be
// explained. It is a hook and the logger of the client.
type waits struct {
	mu     sync.Mutex
	broker string
	last   string
}

// note remembers an error.
func (w *waits) note(err error) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed) {
		return
	}
	text := err.Error()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		text = "connection refused (is a broker running there? `holdfast dev` starts one)"
	case errors.Is(err, context.DeadlineExceeded):
		text = "no answer in time"
	}
	w.mu.Lock()
	w.last = text
	w.mu.Unlock()
}

// OnBrokerConnect is called by the client after every attempt to connect.
func (w *waits) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	w.mu.Lock()
	w.broker = net.JoinHostPort(meta.Host, fmt.Sprint(meta.Port))
	if err == nil {
		w.last = ""
	}
	w.mu.Unlock()
	w.note(err)
}

// OnBrokerE2E is called by the client after every request.
func (w *waits) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e2e kgo.BrokerE2E) { w.note(e2e.Err()) }

// Level asks the client for everything down to what it retries.
func (w *waits) Level() kgo.LogLevel { return kgo.LogLevelInfo }

// Log picks the error out of a line of the client's log.
func (w *waits) Log(_ kgo.LogLevel, _ string, keyvals ...any) {
	for i := 0; i+1 < len(keyvals); i += 2 {
		if err, ok := keyvals[i+1].(error); ok && keyvals[i] == "err" {
			w.note(err)
		}
	}
}

func (w *waits) where() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broker
}

func (w *waits) why() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == "" {
		return "no answer yet"
	}
	return w.last
}
