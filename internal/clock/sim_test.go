package clock_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/clock"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestSim_FiresInTheOrderOfTimeThenOfMaking(t *testing.T) {
	s := clock.NewSim(start)
	var got []string
	note := func(name string) func() {
		return func() { got = append(got, fmt.Sprint(name, " ", s.Since(start))) }
	}
	s.AfterFunc(2*time.Second, note("c"))
	s.AfterFunc(time.Second, note("a"))
	s.AfterFunc(time.Second, func() {
		note("b")()
		s.AfterFunc(500*time.Millisecond, note("nested"))
		s.AfterFunc(time.Hour, note("too late"))
	})
	stopped := s.AfterFunc(time.Second, note("stopped"))
	if !stopped.Stop() || stopped.Stop() {
		t.Error("Stop does not tell whether the timer was armed")
	}
	s.Advance(time.Second - 1)
	if len(got) != 0 {
		t.Fatalf("fired early: %v", got)
	}
	if next, ok := s.Next(); !ok || next != start.Add(time.Second) {
		t.Errorf("Next = %v, %v", next, ok)
	}
	s.Advance(time.Minute)
	want := []string{"a 1s", "b 1s", "nested 1.5s", "c 2s"}
	if !slices.Equal(got, want) {
		t.Errorf("fired %q, want %q", got, want)
	}
	if now := s.Now(); now != start.Add(time.Minute+time.Second-1) {
		t.Errorf("the clock shows %v", now)
	}
}

func TestSim_TimersAndReset(t *testing.T) {
	s := clock.NewSim(start)
	timer := s.NewTimer(time.Second)
	fired := func() bool {
		select {
		case <-timer.C():
			return true
		default:
			return false
		}
	}
	s.Advance(time.Second)
	if !fired() || fired() {
		t.Error("want one firing")
	}
	if timer.Reset(time.Second) {
		t.Error("Reset says that a timer which had fired was armed")
	}
	if !timer.Reset(time.Minute) {
		t.Error("Reset says that an armed timer was not")
	}
	s.Advance(time.Second)
	if fired() {
		t.Error("fired at the time before Reset")
	}
	s.Advance(time.Minute)
	timer.Reset(0)
	if fired() {
		t.Error("a stale firing survived Reset")
	}
	s.Advance(0)
	if !fired() {
		t.Error("a timer of no duration did not fire")
	}
}

func TestSim_JumpMovesTheWallClockAndNoTimer(t *testing.T) {
	s := clock.NewSim(start)
	fired := false
	s.AfterFunc(time.Second, func() { fired = true })
	s.Jump(-time.Hour)
	s.Advance(time.Second - 1)
	if fired {
		t.Error("the jump fired a timer")
	}
	s.Advance(1)
	if !fired {
		t.Error("the jump held a timer back")
	}
	if got := s.Now(); got != start.Add(time.Second-time.Hour) {
		t.Errorf("the clock shows %v", got)
	}
}

func TestSim_SleepEndsWhenTheClockIsAdvanced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clock.NewSim(start)
		done := make(chan time.Time)
		go func() {
			s.Sleep(time.Second)
			done <- s.Now()
		}()
		synctest.Wait()
		s.Advance(time.Second)
		if got := <-done; got != start.Add(time.Second) {
			t.Errorf("woke at %v", got)
		}
	})
}

func TestReal_IsTheClockOfTheBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock.Real
		before := c.Now()
		c.Sleep(time.Hour)
		<-c.NewTimer(time.Minute).C()
		done := make(chan struct{})
		timer := c.AfterFunc(time.Second, func() { close(done) })
		<-done
		if timer.Stop() || timer.C() != nil {
			t.Error("an AfterFunc timer that has fired is still armed or has a channel")
		}
		if took := c.Since(before); took != time.Hour+time.Minute+time.Second {
			t.Errorf("took %v", took)
		}
	})
}
