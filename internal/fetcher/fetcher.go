package fetcher

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/kafka"
	"holdfast/internal/partition"
	"holdfast/internal/peer"
)

// Client speaks with one leader; *peer.Client is the real one.
type Client interface {
	// Call sends a request and waits for its answer.
	Call(ctx context.Context, q *peer.Call) error
}

// Options are what a fetcher is made of. Zero limits stand for the defaults.
type Options struct {
	Self kafka.BrokerID
	// Epoch is the incarnation that this broker is registered with, below 0 while it
	// is not: nothing is fetched then. It never waits.
	Epoch func() kafka.BrokerEpoch
	// Data leads to a broker over a connection on which answers may be long in
	// coming; Control over one on which everything is answered at once.
	Data, Control func(kafka.BrokerID) Client
	Clock         clock.Clock
	Log           *slog.Logger

	// Wait is how long a leader may hold a fetch that has nothing to tell.
	Wait time.Duration
	// PartitionBytes and ResponseBytes bound what is asked of one partition, and of
	// all, at once. A larger batch comes whole.
	PartitionBytes, ResponseBytes int
}

// The defaults are those of Apache Kafka: replica.fetch.wait.max.ms,
// replica.fetch.max.bytes, replica.fetch.response.max.bytes.
const (
	waitDefault           = 500 * time.Millisecond
	partitionBytesDefault = 1 << 20
	responseBytesDefault  = 10 << 20
)

// Fetcher keeps partitions up to date with their leaders. It is safe for
// concurrent use.
type Fetcher struct {
	o      Options
	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup
	stats  Stats

	mu struct {
		sync.Mutex
		closed    bool
		leaders   map[kafka.BrokerID]*leader
		followers map[kafka.TopicIDPartition]*follower
	}
}

// Stats count since the start.
type Stats struct {
	Fetches  atomic.Int64 // answered
	Bytes    atomic.Int64 // of records in the answers
	Lost     atomic.Int64 // fetches without an answer
	Refused  atomic.Int64 // answers for one partition that were an error, or did not fit
	Sessions atomic.Int64 // begun
	Reports  atomic.Int64 // of durable ends, answered
}

// Stats returns the counters.
func (f *Fetcher) Stats() *Stats { return &f.stats }

// Follow begins to fetch p from the leader, or looks at it again at once: the
// partition has been told to follow, perhaps in another epoch. It never waits.
func (f *Fetcher) Follow(p *partition.Partition, from kafka.BrokerID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.closed {
		return
	}
	old := f.mu.followers[p.ID()]
	if old != nil && old.p == p && old.leader.id == from {
		old.leader.renew(old)
		return
	}
	if old != nil {
		f.dropLocked(old)
	}
	l := f.mu.leaders[from]
	if l == nil {
		l = f.begin(from)
		f.mu.leaders[from] = l
	}
	n := &follower{p: p, id: p.ID(), leader: l, place: waiting}
	f.mu.followers[n.id] = n
	l.add(n)
}

// Forget ends the fetching of p: it leads, or leaves this broker. An answer that is
// on its way may still reach the partition, which drops it. It never waits.
func (f *Fetcher) Forget(p *partition.Partition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if old := f.mu.followers[p.ID()]; old != nil && old.p == p {
		f.dropLocked(old)
	}
}

func (f *Fetcher) dropLocked(old *follower) {
	delete(f.mu.followers, old.id)
	if old.leader.remove(old) == 0 {
		delete(f.mu.leaders, old.leader.id)
		old.leader.cancel()
	}
}

// Progressed tells that more of p may be reported as durable. It never waits.
func (f *Fetcher) Progressed(p *partition.Partition) {
	f.mu.Lock()
	follower := f.mu.followers[p.ID()]
	f.mu.Unlock()
	if follower != nil && follower.p == p {
		follower.leader.report(follower)
	}
}

// Following is how the fetching from one leader goes.
type Following struct {
	Leader     kafka.BrokerID
	Partitions int
	InSession  int // of them, those that the parked fetch watches
	Offline    int // of them, those that take nothing any more
	// Err is why the leader is not reached, nil while it is.
	Err error
}

// Describe tells how the fetching goes, in the order of leaders.
func (f *Fetcher) Describe() []Following {
	f.mu.Lock()
	leaders := make([]*leader, 0, len(f.mu.leaders))
	for _, l := range f.mu.leaders {
		leaders = append(leaders, l)
	}
	f.mu.Unlock()
	out := make([]Following, 0, len(leaders))
	for _, l := range leaders {
		out = append(out, l.describe())
	}
	slices.SortFunc(out, func(a, b Following) int { return cmp.Compare(a.Leader, b.Leader) })
	return out
}
