package broker

import (
	"context"
	"sync"
	"time"

	"holdfast/internal/clock"

	"golang.org/x/sync/errgroup"
)

// upkeepFirst is how soon after the start the first upkeep runs.
const upkeepFirst = 30 * time.Second

// retryEvery is how often logs are tried again that a full disk kept from
// opening.
const retryEvery = time.Second

// Run reconciles metadata and looks after the logs until ctx ends.
func (b *Broker) Run(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { b.runScrub(ctx) })
	group.Go(func() { b.runUpkeep(ctx) })
	group.Go(func() { b.runTicks(ctx) })
	if b.o.Controller != nil {
		group.Go(func() { b.runProposals(ctx) })
	}
	retry := b.o.Env.Clock.NewTimer(retryEvery)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.kick:
			b.reconcile(ctx)
		case <-retry.C():
			b.retryOpens(ctx)
			retry.Reset(retryEvery)
		}
	}
}

// runScrub is the goroutine that reads closed segments, a little every second.
func (b *Broker) runScrub(ctx context.Context) {
	s := newScrub(b)
	t := b.o.Env.Clock.NewTimer(scrubEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C():
			s.tick(ctx)
			t.Reset(scrubEvery)
		}
	}
}

// runUpkeep is the goroutine that looks after the logs. It waits for the disk, and a
// change of leaders must not wait for it.
func (b *Broker) runUpkeep(ctx context.Context) {
	for wait := min(upkeepFirst, b.Settings().RetentionCheckInterval); b.pause(ctx, wait); wait = b.Settings().RetentionCheckInterval {
		b.upkeep(ctx)
	}
}

// runTicks is the goroutine that has leaders look for replicas that lag.
func (b *Broker) runTicks(ctx context.Context) {
	for b.pause(ctx, b.tickEvery()) {
		b.tick()
	}
}

// runProposals is the goroutine that speaks with the controller for the partitions
// here: one command at a time, with all that has come meanwhile.
func (b *Broker) runProposals(ctx context.Context) {
	for ctx.Err() == nil {
		damage := b.tellDamage(ctx)
		if b.sendProposals(ctx) || damage {
			b.pause(ctx, proposalPause)
			continue
		}
		select {
		case <-b.proposals.kick:
		case <-ctx.Done():
		}
	}
}

// pause waits. It is false when ctx has ended.
func (b *Broker) pause(ctx context.Context, d time.Duration) bool {
	return clock.Wait(ctx, b.o.Env.Clock, d, nil)
}

// run starts one opening on the group, which bounds how many run side by side.
func run(group *errgroup.Group, open func()) {
	group.Go(func() error {
		open()
		return nil
	})
}
