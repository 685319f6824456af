//go:build rig

package groups_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	topic   = "orders"
	group   = "readers"
	members = 3
)

func newClient(addr string, opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.DisableClientMetrics(), kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond })}, opts...)...)
}

// crew is a producer and the members of the group.
type crew struct {
	addr   string
	ledger *ledger
	cancel context.CancelFunc
	ctx    context.Context
	wg     sync.WaitGroup
	quit   [members]context.CancelFunc
	gone   [members]chan struct{}
}

func newCrew(addr string, l *ledger) *crew {
	c := &crew{addr: addr, ledger: l}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.wg.Go(c.produce)
	for i := range members {
		c.join(i)
	}
	return c
}

func (c *crew) stop() {
	c.cancel()
	c.wg.Wait()
}

func (c *crew) join(i int) {
	ctx, cancel := context.WithCancel(c.ctx)
	gone := make(chan struct{})
	c.quit[i], c.gone[i] = cancel, gone
	c.wg.Go(func() {
		defer close(gone)
		c.consume(ctx)
	})
}

// replaceOne makes a member leave and another one join.
func (c *crew) replaceOne(i int) {
	c.quit[i]()
	<-c.gone[i]
	c.join(i)
}

// produce keeps every partition growing.
func (c *crew) produce() {
	client, err := newClient(c.addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		panic(err)
	}
	defer client.Close()
	for n := 0; c.ctx.Err() == nil; n++ {
		r := &kgo.Record{Topic: topic, Partition: int32(n % partitions), Value: fmt.Append(nil, n)}
		client.Produce(c.ctx, r, func(_ *kgo.Record, err error) {
			if err == nil {
				c.ledger.noteProduced()
			}
		})
		select {
		case <-time.After(500 * time.Microsecond):
		case <-c.ctx.Done():
		}
	}
}

// consume is one member: it reads, notes what it has read, and commits. A
// rebalance waits until it has: a partition is never committed by one that lost
// it.
func (c *crew) consume(ctx context.Context) {
	client, err := newClient(c.addr, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(500*time.Millisecond),
		kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		panic(err)
	}
	defer client.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, 20)
		records := fetches.Records()
		c.ledger.noteRead(records)
		if len(records) > 0 && ctx.Err() == nil {
			if err := client.CommitRecords(ctx, records...); err == nil {
				c.ledger.noteCommitted(records)
			}
		}
		client.AllowRebalance()
	}
}
