package clock

import "time"

// Clock tells the time and wakes callers. Durations are measured on the
// monotonic clock, so that a jump of the wall clock moves no deadline.
type Clock interface {
	// Now is the wall time with a monotonic reading.
	Now() time.Time
	// Since is Now minus t on the monotonic clock.
	Since(t time.Time) time.Duration
	Sleep(d time.Duration)
	// AfterFunc runs f in its own goroutine after d.
	AfterFunc(d time.Duration, f func()) Timer
	// NewTimer sends on its channel once after d.
	NewTimer(d time.Duration) Timer
}

// Timer is one wake-up that has not happened yet.
type Timer interface {
	// C is the channel of NewTimer, nil for AfterFunc.
	C() <-chan time.Time
	// Stop prevents the wake-up and reports whether it did.
	Stop() bool
	// Reset arms the timer again for d from now and reports whether it had been armed.
	Reset(d time.Duration) bool
}

// Real is the clock of the operating system. Inside a testing/synctest bubble
// it is the bubble's clock.
type Real struct{}

// Now implements Clock.
func (Real) Now() time.Time { return time.Now() }

// Since implements Clock.
func (Real) Since(t time.Time) time.Duration { return time.Since(t) }

// Sleep implements Clock.
func (Real) Sleep(d time.Duration) { time.Sleep(d) }

// AfterFunc implements Clock.
func (Real) AfterFunc(d time.Duration, f func()) Timer { return realTimer{time.AfterFunc(d, f)} }

// NewTimer implements Clock.
func (Real) NewTimer(d time.Duration) Timer { return realTimer{time.NewTimer(d)} }

type realTimer struct{ t *time.Timer }

func (r realTimer) C() <-chan time.Time        { return r.t.C }
func (r realTimer) Stop() bool                 { return r.t.Stop() }
func (r realTimer) Reset(d time.Duration) bool { return r.t.Reset(d) }
