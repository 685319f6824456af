package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// waits remembers the last trouble that the client had, so that a wait can be
// explained. It is a hook and the logger of the client.
type waits struct {
	// closely: the client is asked for its most talkative log, which alone tells
	// why a batch is tried again. It costs, so that it is on while somebody waits.
	closely atomic.Bool

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
	w.noteText(text)
}

func (w *waits) noteText(text string) {
	if text == "" {
		return
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

// Level asks the client for what it is worth listening to.
func (w *waits) Level() kgo.LogLevel {
	if w.closely.Load() {
		return kgo.LogLevelDebug
	}
	return kgo.LogLevelInfo
}

// Log picks the trouble out of a line of the client's log.
func (w *waits) Log(_ kgo.LogLevel, message string, keyvals ...any) {
	for i := 0; i+1 < len(keyvals); i += 2 {
		switch v := keyvals[i+1].(type) {
		case error:
			if keyvals[i] == "err" {
				w.note(v)
			}
		case string:
			if message == "produced" && keyvals[i] == "to" {
				w.noteText(retriedFor(v))
			}
		}
	}
}

// retriedFor finds the reason in the client's picture of a produce answer,
// "topic[0{retrying@-1,2(NOT_ENOUGH_REPLICAS: ...)}]", or returns "".
func retriedFor(picture string) string {
	_, rest, retried := strings.Cut(picture, "retrying@")
	_, rest, open := strings.Cut(rest, "(")
	reason, _, closed := strings.Cut(rest, ")}")
	if !retried || !open || !closed {
		return ""
	}
	return reason
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
