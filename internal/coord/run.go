package coord

import (
	"context"
	"time"
)

// Start begins to host groups, until Close. When it returns, every partition that
// is led here is at least loading: who asks then is told to wait, not that there
// is nothing.
func (c *Coordinator) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	c.reconcile(ctx)
	c.Reconciled() // the partitions may have moved meanwhile
	c.group.Go(func() { c.run(ctx) })
	c.group.Go(func() { c.runClean(ctx) })
}

// runClean cleans one partition after the other, again and again.
func (c *Coordinator) runClean(ctx context.Context) {
	every := c.o.Broker.Settings().RetentionCheckInterval
	t := c.o.Clock.NewTimer(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C():
		}
		for _, s := range c.Shards() {
			if s == nil {
				continue
			}
			if err := s.clean(ctx); err != nil && ctx.Err() == nil {
				c.o.Log.Warn("consumer groups are not cleaned", "partition", s.part.ID().Partition, "error", err)
			}
		}
		t.Reset(every)
	}
}

// run is the only goroutine that makes shards, moves their time on and sends
// what the high watermark has passed.
func (c *Coordinator) run(ctx context.Context) {
	t := c.o.Clock.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.kick:
		case <-t.C():
		}
		next := c.work(ctx)
		t.Reset(next)
		// What came due between the look and the arming has poked already or is
		// seen here.
		for _, s := range c.shards.Load().byID {
			c.alarm(s.due.Load())
		}
	}
}

// runLoad replays a partition in the background, and then finds out which of the
// topics that its groups have read are gone.
func (c *Coordinator) runLoad(ctx context.Context, s *shard) {
	c.group.Go(func() {
		select {
		case c.loads <- struct{}{}:
		case <-ctx.Done():
			return
		}
		s.load(ctx)
		<-c.loads
		for s.isActive() && ctx.Err() == nil {
			limited, cancel := context.WithTimeout(ctx, currentWait)
			err := c.awaitCurrent(limited)
			cancel()
			if err == nil {
				s.metadataIsCurrent()
				return
			}
			_ = c.sleep(ctx, time.Second)
		}
	})
}

// currentWait bounds an attempt to learn what is committed.
const currentWait = 10 * time.Second

// Close ends the work. Whoever waits is told to find the coordinator again.
func (c *Coordinator) Close() {
	if c.stop == nil {
		return
	}
	c.stop()
	c.group.Wait()
	old := c.shards.Swap(&shards{})
	for _, s := range old.byID {
		s.drop("the broker is stopping")
	}
}
