package partition

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/config"
	"holdfast/internal/datadir"
	"holdfast/internal/invariant"
	"holdfast/internal/isr"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/purgatory"
)

// Storage makes appended bytes durable; *datadir.Dir is the real one.
type Storage interface {
	// Submit hands a written span to the next flush round. It copies what it
	// needs of data and never waits.
	Submit(target datadir.Flushable, l *log.Log, s log.Span, data []byte, highWatermark kafka.Offset)
	// Full reports whether the directory is below its reserve of free space.
	Full() bool
	// Err is what stopped the directory: nothing becomes durable any more.
	Err() error
}

// Options are what a partition is made of. All fields are set.
type Options struct {
	Topic   string
	ID      kafka.TopicIDPartition
	Self    kafka.BrokerID
	Log     *log.Log
	Storage Storage
	Clock   clock.Clock
	Config  *config.Topic
	Faults  Faults
}

// Partition is one replica of a topic-partition. Its methods are safe for
// concurrent use and never wait, except those that say so.
type Partition struct {
	topic   string
	id      kafka.TopicIDPartition
	self    kafka.BrokerID
	log     *log.Log
	storage Storage
	clock   clock.Clock
	config  atomic.Pointer[config.Topic]
	weak    weakAcks
	flow    flow
	faulty  *faulty // nil but in builds that plant faults

	mu struct {
		sync.Mutex
		leading bool
		lead    isr.Leader
		term    Leadership   // the one that lead was told of
		durable kafka.Offset // exclusive end of the contiguous durable prefix
		failed  error        // set once; nothing is appended or acknowledged afterwards
		commits waitList     // wait for the high watermark
		locals  waitList     // wait for this replica's own flush (acks=1 under acks.policy=allow)
		readers purgatory.List
	}
}

// waitList holds produces in the order of the offsets that they wait for.
type waitList []waitEntry

// waitEntry is a produce that waits until everything below end is safe.
type waitEntry struct {
	end    kafka.Offset
	waiter *purgatory.Waiter
}

// add keeps the list sorted by end. Appends of one partition come in order, so
// the loop ends at once; a duplicate is the exception and moves to its place.
func (l *waitList) add(end kafka.Offset, w *purgatory.Waiter) {
	if len(*l) == cap(*l) {
		// Before it grows: requests that have timed out wait for nothing.
		*l = slices.DeleteFunc(*l, func(e waitEntry) bool { return e.waiter.Done() })
	}
	*l = append(*l, waitEntry{end: end, waiter: w})
	s := *l
	for i := len(s) - 1; i > 0 && s[i-1].end > end; i-- {
		s[i-1], s[i] = s[i], s[i-1]
	}
}

// take moves the waiters for ends at or below end to dst.
func (l *waitList) take(dst []*purgatory.Waiter, end kafka.Offset) []*purgatory.Waiter {
	s := *l
	n := 0
	for n < len(s) && s[n].end <= end {
		dst = append(dst, s[n].waiter)
		n++
	}
	if n > 0 {
		rest := copy(s, s[n:])
		clear(s[rest:])
		*l = s[:rest]
	}
	return dst
}

// flow counts what was written and read.
type flow struct {
	records, in, out                atomic.Int64
	appends, refused, reads, unread atomic.Int64
}

// weakAcks counts the requests that asked for less than acks=all.
type weakAcks struct{ zero, one atomic.Int64 }

// New makes a partition that leads nothing yet. Everything in the log is on
// stable storage, which is what opening it guarantees.
func New(o Options) *Partition {
	p := &Partition{topic: o.Topic, id: o.ID, self: o.Self, log: o.Log, storage: o.Storage, clock: o.Clock, faulty: newFaulty(o.Faults, o.Log)}
	p.config.Store(o.Config)
	p.mu.durable = o.Log.End() // recovery has synced it
	return p
}

// Topic is the name of the topic.
func (p *Partition) Topic() string { return p.topic }

// ID is the topic's id and the index of the partition.
func (p *Partition) ID() kafka.TopicIDPartition { return p.id }

// Log is the partition's log, for look-ups that need no leadership.
func (p *Partition) Log() *log.Log { return p.log }

// Config is the topic's configuration as it is now.
func (p *Partition) Config() *config.Topic { return p.config.Load() }

// SetConfig replaces the topic's configuration.
func (p *Partition) SetConfig(c *config.Topic, minISR int) {
	p.config.Store(c)
	p.mu.Lock()
	moved := false
	if p.mu.leading {
		p.mu.term.MinISR = minISR
		t := p.mu.term
		moved = p.mu.lead.Changed(isr.Change{Replicas: t.ISR, ISR: t.ISR, MinISR: minISR, PageCache: p.pageCache(c)}, p.clock.Now()).Moved
	}
	var wake []*purgatory.Waiter
	if moved {
		wake = p.committedLocked(nil)
	}
	p.mu.Unlock()
	complete(wake)
}

// Leadership is a term that begins: what the metadata log says about it.
type Leadership struct {
	Epoch  kafka.LeaderEpoch
	ISR    []kafka.BrokerID
	MinISR int
}

// lagMax stands for replica.lag.time.max.ms while there is no follower.
const lagMax = 10 * time.Second

// Lead begins a leadership, or changes nothing when this epoch has begun.
func (p *Partition) Lead(t Leadership) {
	p.mu.Lock()
	invariant.Check(!p.mu.leading || t.Epoch >= p.mu.lead.Epoch(),
		"%s-%d: leader epoch goes from %d back to %d", p.topic, p.id.Partition, p.mu.lead.Epoch(), t.Epoch)
	var wake []*purgatory.Waiter
	if !p.mu.leading || t.Epoch > p.mu.lead.Epoch() {
		hw := kafka.Offset(0)
		if p.mu.leading {
			hw = p.mu.lead.HighWatermark()
		}
		p.mu.lead = isr.NewLeader(isr.Term{Self: p.self, Epoch: t.Epoch, Replicas: t.ISR, ISR: t.ISR, MinISR: t.MinISR,
			End: p.log.End(), Durable: max(p.mu.durable, hw), HighWatermark: max(hw, p.log.Start()),
			LagMax: lagMax, Now: p.clock.Now(), PageCache: p.pageCache(p.config.Load())})
		p.mu.leading, p.mu.term = true, t
		wake = p.endTerm(nil)
	}
	p.mu.Unlock()
	complete(wake)
}

// Resign ends the leadership, or the partition's life on this broker. Every
// parked request completes and finds NOT_LEADER_OR_FOLLOWER.
func (p *Partition) Resign() {
	p.mu.Lock()
	p.mu.leading = false
	wake := p.endTerm(nil)
	p.mu.Unlock()
	complete(wake)
}

// endTerm collects every parked request: its epoch is over.
func (p *Partition) endTerm(wake []*purgatory.Waiter) []*purgatory.Waiter {
	const everything = kafka.Offset(1<<63 - 1)
	wake = p.mu.commits.take(wake, everything)
	wake = p.mu.locals.take(wake, everything)
	return p.mu.readers.TakeAll(wake)
}

// Flushed implements datadir.Flushable: everything below end is on stable
// storage here.
func (p *Partition) Flushed(end kafka.Offset) {
	p.mu.Lock()
	p.mu.durable = max(p.mu.durable, end)
	wake := p.mu.locals.take(nil, p.mu.durable)
	if p.mu.leading && p.mu.lead.Flushed(end, p.clock.Now()).Moved {
		wake = p.committedLocked(wake)
	}
	p.mu.Unlock()
	complete(wake)
}

// Failed implements datadir.Flushable: the directory has stopped and nothing
// that was not durable before ever will be.
func (p *Partition) Failed(err error) {
	p.mu.Lock()
	if p.mu.failed == nil {
		p.mu.failed = err
	}
	wake := p.endTerm(nil)
	p.mu.Unlock()
	complete(wake)
}

// committedLocked takes the waiters that a moved high watermark completes. The
// caller completes them after releasing mu.
func (p *Partition) committedLocked(wake []*purgatory.Waiter) []*purgatory.Waiter {
	wake = p.mu.commits.take(wake, p.mu.lead.HighWatermark())
	return p.mu.readers.TakeAll(wake)
}

func complete(wake []*purgatory.Waiter) {
	for _, w := range wake {
		w.Arrive()
	}
}

// Offsets are the marks of a partition at one moment.
type Offsets struct {
	LogStart      kafka.Offset
	LastStable    kafka.Offset
	HighWatermark kafka.Offset
	Durable       kafka.Offset
	LogEnd        kafka.Offset
	Epoch         kafka.LeaderEpoch
	Leading       bool
}

// Offsets returns the marks of the partition, all of one moment.
func (p *Partition) Offsets() Offsets {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offsetsLocked()
}

func (p *Partition) offsetsLocked() Offsets {
	o := Offsets{LogStart: p.log.Start(), Durable: p.mu.durable, LogEnd: p.log.End(), Epoch: kafka.NoLeaderEpoch, Leading: p.mu.leading}
	if p.mu.leading {
		o.HighWatermark = max(p.mu.lead.HighWatermark(), o.LogStart)
		o.Epoch = p.mu.lead.Epoch()
	}
	// Without transactions nothing is unstable below the high watermark.
	o.LastStable = o.HighWatermark
	return o
}

// Counts are what happened to a partition since it was opened here.
type Counts struct {
	WeakZero, WeakOne int64 // produce requests with acks 0 and acks 1
	RecordsIn         int64
	BytesIn, BytesOut int64
	Appends, Refused  int64 // batches offered, and those of them that were not appended
	Reads, Unread     int64 // reads asked for, and those of them that were refused
}

// Counts returns the counters.
func (p *Partition) Counts() Counts {
	return Counts{WeakZero: p.weak.zero.Load(), WeakOne: p.weak.one.Load(),
		RecordsIn: p.flow.records.Load(), BytesIn: p.flow.in.Load(), BytesOut: p.flow.out.Load(),
		Appends: p.flow.appends.Load(), Refused: p.flow.refused.Load(), Reads: p.flow.reads.Load(), Unread: p.flow.unread.Load()}
}

// pageCache reports whether the topic counts bytes as committed before they are
// on stable storage.
func (p *Partition) pageCache(c *config.Topic) bool {
	return c.Durability == config.DurabilityPageCache
}
