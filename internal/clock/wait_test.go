package clock_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/clock"
)

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ctx := clock.Real{}, t.Context()
		began := c.Now()
		if !clock.Wait(ctx, c, time.Second, nil) || c.Since(began) != time.Second {
			t.Errorf("waited %v", c.Since(began))
		}
		signal := make(chan struct{}, 1)
		signal <- struct{}{}
		if began = c.Now(); !clock.Wait(ctx, c, time.Second, signal) || c.Since(began) != 0 {
			t.Errorf("waited %v for a signal that was there", c.Since(began))
		}
		bounded, cancel := clock.Within(ctx, c, time.Second)
		if began = c.Now(); clock.Wait(bounded, c, time.Minute, signal) || c.Since(began) != time.Second {
			t.Errorf("waited %v under a bound of 1s", c.Since(began))
		}
		cancel()
	})
}

// A bound that is let go ends its context at once, and holds no timer.
func TestWithin_LetGo(t *testing.T) {
	c := clock.NewSim(time.Unix(0, 0))
	ctx, cancel := clock.Within(context.Background(), c, time.Hour)
	if ctx.Err() != nil {
		t.Error(ctx.Err())
	}
	cancel()
	if _, armed := c.Next(); ctx.Err() == nil || armed {
		t.Errorf("ended: %v, a timer is armed: %v", ctx.Err(), armed)
	}
}
