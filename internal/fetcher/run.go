package fetcher

import (
	"context"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/kafka"
	"holdfast/internal/partition"
)

// New makes a fetcher that follows nobody yet. Close ends it.
func New(o Options) *Fetcher {
	if o.Wait <= 0 {
		o.Wait = waitDefault
	}
	if o.PartitionBytes <= 0 {
		o.PartitionBytes = partitionBytesDefault
	}
	if o.ResponseBytes <= 0 {
		o.ResponseBytes = responseBytesDefault
	}
	f := &Fetcher{o: o}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.mu.leaders = make(map[kafka.BrokerID]*leader)
	f.mu.followers = make(map[kafka.TopicIDPartition]*follower)
	return f
}

// begin makes a leader with its goroutines. The caller holds Fetcher.mu, and the
// fetcher is not closed.
func (f *Fetcher) begin(id kafka.BrokerID) *leader {
	l := newLeader(f, id)
	ctx, cancel := context.WithCancel(f.ctx)
	l.ctx, l.cancel = ctx, cancel
	f.group.Go(func() { (&session{l: l}).run(ctx) })
	f.group.Go(func() { (&aside{l: l, asked: make(map[*follower]partition.FetchPosition)}).run(ctx) })
	f.group.Go(func() { (&progress{l: l}).run(ctx) })
	return l
}

// beginCutter starts one more cutter. One of the lanes calls it, so that Close
// cannot have returned.
func (l *leader) beginCutter() {
	l.f.group.Go(func() { l.runCuts(l.ctx) })
}

// Close ends the fetching and waits for the goroutines, which may wait for the
// disk.
func (f *Fetcher) Close() {
	f.mu.Lock()
	f.mu.closed = true
	f.mu.Unlock()
	f.cancel()
	f.group.Wait()
}

// sleep waits until c is poked, for d, or until ctx ends.
func (l *leader) sleep(ctx context.Context, c chan struct{}, d time.Duration) {
	_ = clock.Wait(ctx, l.clock(), d, c) // the caller looks at ctx
}
