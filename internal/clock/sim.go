package clock

import (
	"slices"
	"sync"
	"time"
)

// Sim is a clock that stands still until Advance moves it. It is meant for
// simulations in which one goroutine drives everything: functions of AfterFunc
// run inside Advance, one after another, on the caller's goroutine.
//
// Sleep waits until another goroutine has advanced the clock far enough; a
// simulation of one goroutine must not call it.
type Sim struct {
	mu     sync.Mutex
	now    time.Time
	skew   time.Duration
	timers []*simTimer // armed, by time and number
	number uint64
}

var _ Clock = (*Sim)(nil)

// NewSim returns a clock that shows start.
func NewSim(start time.Time) *Sim { return &Sim{now: start.Round(0)} }

// Now implements Clock.
func (s *Sim) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.Add(s.skew)
}

// Since implements Clock. A time taken before Jump is off by the jump, because
// simulated times have no monotonic reading of their own.
func (s *Sim) Since(t time.Time) time.Duration { return s.Now().Sub(t) }

// Jump moves the wall clock by d, which may be negative, and no timer.
func (s *Sim) Jump(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew += d
}

// Sleep implements Clock.
func (s *Sim) Sleep(d time.Duration) {
	if d > 0 {
		<-s.NewTimer(d).C()
	}
}

// AfterFunc implements Clock, except that f runs inside Advance.
func (s *Sim) AfterFunc(d time.Duration, f func()) Timer { return s.arm(&simTimer{clock: s, f: f}, d) }

// NewTimer implements Clock.
func (s *Sim) NewTimer(d time.Duration) Timer {
	return s.arm(&simTimer{clock: s, c: make(chan time.Time, 1)}, d)
}

func (s *Sim) arm(t *simTimer, d time.Duration) Timer {
	t.Reset(d)
	return t
}

// Next tells when the next timer fires, in the terms of Now. It is false when
// no timer is armed.
func (s *Sim) Next() (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.timers) == 0 {
		return time.Time{}, false
	}
	return s.timers[0].at.Add(s.skew), true
}

// Advance moves the clock by d and fires every timer up to there, those armed
// on the way included.
func (s *Sim) Advance(d time.Duration) {
	s.mu.Lock()
	until := s.now.Add(max(d, 0))
	s.mu.Unlock()
	for {
		t := s.next(until)
		if t == nil {
			return
		}
		t.fire()
	}
}

// next takes the first timer up to until and sets the clock to its time, or to
// until when there is none.
func (s *Sim) next(until time.Time) *simTimer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.timers) == 0 || s.timers[0].at.After(until) {
		s.now = until
		return nil
	}
	t := s.timers[0]
	s.timers = slices.Delete(s.timers, 0, 1)
	if t.at.After(s.now) {
		s.now = t.at
	}
	return t
}

// simTimer is armed while it is in Sim.timers. Sim.mu guards at and number.
type simTimer struct {
	clock  *Sim
	c      chan time.Time
	f      func()
	at     time.Time
	number uint64
}

func (t *simTimer) fire() {
	if t.f != nil {
		t.f()
		return
	}
	select {
	case t.c <- t.clock.Now():
	default: // a reading that nobody took is enough
	}
}

func (t *simTimer) C() <-chan time.Time { return t.c }

// Stop implements Timer. As with time.Timer, nothing that fired before is
// received after it.
func (t *simTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	return t.disarm()
}

func (t *simTimer) disarm() bool {
	select {
	case <-t.c:
	default:
	}
	i := slices.Index(t.clock.timers, t)
	if i < 0 {
		return false
	}
	t.clock.timers = slices.Delete(t.clock.timers, i, i+1)
	return true
}

// Reset implements Timer. A timer of no or negative duration fires at the next
// Advance, even of 0.
func (t *simTimer) Reset(d time.Duration) bool {
	s := t.clock
	s.mu.Lock()
	defer s.mu.Unlock()
	was := t.disarm()
	s.number++
	t.at, t.number = s.now.Add(max(d, 0)), s.number
	at, _ := slices.BinarySearchFunc(s.timers, t, func(a, b *simTimer) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return int(int64(a.number - b.number))
	})
	s.timers = slices.Insert(s.timers, at, t)
	return was
}
