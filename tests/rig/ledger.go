package rig

import (
	"sync"
	"sync/atomic"

	"holdfast/internal/kafka"
	"holdfast/tests/history"
)

// Ledger is a history.Checker that many goroutines may feed: every
// acknowledgement is remembered in it.
type Ledger struct {
	mu      sync.Mutex
	checker *history.Checker
	acks    atomic.Int64
	readers history.Reader
}

// NewLedger is a ledger of an empty history.
func NewLedger() *Ledger { return &Ledger{checker: history.New()} }

// Do runs f with the checker under the ledger's lock. f does not block.
func (l *Ledger) Do(f func(*history.Checker)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.checker)
}

// Acks is the number of acknowledgements so far.
func (l *Ledger) Acks() int64 { return l.acks.Load() }

// Acknowledge records an acknowledgement.
func (l *Ledger) Acknowledge(v history.Value, offset int64) {
	l.Do(func(c *history.Checker) { c.Ack(v, kafka.Offset(offset)) })
	l.acks.Add(1)
}

// NewReader names a new consumer session.
func (l *Ledger) NewReader() history.Reader {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readers++
	return l.readers
}

// Report judges the history so far.
func (l *Ledger) Report() history.Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.checker.Report()
}
