package purgatory

import (
	"sync/atomic"

	"holdfast/internal/invariant"
)

// Waiter is one parked request. It completes when it has been told Arrive as
// often as New asked for, or when somebody says Finish first (a deadline, a
// closed connection). It is safe for concurrent use.
type Waiter struct {
	remaining atomic.Int32
	done      atomic.Bool
	wake      func()
}

// New makes a waiter for n arrivals, n at least 1. wake runs once, at
// completion; it must not block.
func New(n int, wake func()) *Waiter {
	invariant.Check(n > 0, "a waiter for %d arrivals", n)
	w := &Waiter{wake: wake}
	w.remaining.Store(int32(n))
	return w
}

// Arrive counts one arrival; the last one completes the waiter. Arrivals after
// completion are ignored.
func (w *Waiter) Arrive() {
	if w.remaining.Add(-1) == 0 {
		w.Finish()
	}
}

// Finish completes the waiter now and reports whether this call did it.
func (w *Waiter) Finish() bool {
	if !w.done.CompareAndSwap(false, true) {
		return false
	}
	w.wake()
	return true
}

// Done reports whether the waiter is complete. A waiter that is done may be
// forgotten by whoever has it registered.
func (w *Waiter) Done() bool { return w.done.Load() }

// List is a set of registered waiters. It keeps no more than twice the waiters
// that still wait, plus a few: finished ones are swept as new ones come. The
// owner guards it with its own lock. The zero List is ready.
type List struct {
	waiters []*Waiter
	sweepAt int
}

// listSlack is how many finished waiters a list may hold before it looks.
const listSlack = 16

// Add registers w.
func (l *List) Add(w *Waiter) {
	if len(l.waiters) >= l.sweepAt {
		l.sweep()
	}
	l.waiters = append(l.waiters, w)
}

func (l *List) sweep() {
	live := l.waiters[:0]
	for _, w := range l.waiters {
		if !w.Done() {
			live = append(live, w)
		}
	}
	clear(l.waiters[len(live):])
	l.waiters = live
	l.sweepAt = 2*len(live) + listSlack
}

// TakeAll empties the list into dst and returns it, so that the caller can
// complete them after it has released its lock.
func (l *List) TakeAll(dst []*Waiter) []*Waiter {
	dst = append(dst, l.waiters...)
	clear(l.waiters)
	l.waiters = l.waiters[:0]
	return dst
}

// Len is the number of registered waiters, finished ones included.
func (l *List) Len() int { return len(l.waiters) }

// Waiting is the number of registered waiters that still wait.
func (l *List) Waiting() (n int) {
	for _, w := range l.waiters {
		if !w.Done() {
			n++
		}
	}
	return n
}
