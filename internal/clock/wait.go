package clock

import (
	"context"
	"time"
)

// Within is ctx that ends after d at the latest, on the clock c. The caller calls the
// returned function when it is done.
func Within(ctx context.Context, c Clock, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	t := c.AfterFunc(d, cancel)
	return ctx, func() {
		t.Stop()
		cancel()
	}
}

// Wait waits for d, or until something comes on signal, which may be nil, or ctx ends.
// It is false when ctx has ended it.
func Wait(ctx context.Context, c Clock, d time.Duration, signal <-chan struct{}) bool {
	t := c.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
	case <-signal:
	case <-ctx.Done():
		return false
	}
	return true
}
