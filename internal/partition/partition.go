package partition

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/config"
	"holdfast/internal/datadir"
	"holdfast/internal/isr"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/purgatory"
	"holdfast/internal/record"
)

// Storage makes appended bytes durable; *datadir.Dir is the real one.
type Storage interface {
	// Submit hands a written span to the next flush round. It copies what it
	// needs of data and never waits.
	Submit(target datadir.Flushable, l *log.Log, s log.Span, data []byte, highWatermark kafka.Offset)
	// Note tells of a high watermark, not above what is durable, that no append
	// carries. It never waits.
	Note(l *log.Log, highWatermark kafka.Offset)
	// Cut removes everything of the log at or above to, so that no crash brings it
	// back, and waits for the disk. Nothing of the log is submitted meanwhile.
	Cut(l *log.Log, to kafka.Offset) error
	// Restart empties the log and lets it begin at start, which is above its end.
	// It waits for the disk, as Cut does.
	Restart(l *log.Log, start kafka.Offset) error
	// Full reports whether the directory is below its reserve of free space.
	Full() bool
	// Err is what stopped the directory: nothing becomes durable any more.
	Err() error
}

// Options are what a partition is made of. The first group is set.
type Options struct {
	Topic   string
	ID      kafka.TopicIDPartition
	Self    kafka.BrokerID
	Log     *log.Log
	Storage Storage
	Clock   clock.Clock
	Config  *config.Topic

	// HighWatermark is the largest one that this replica is known to have reached
	// before (datadir.HighWatermark); 0 where none is known.
	HighWatermark kafka.Offset
	// LagMax is replica.lag.time.max.ms; 0 stands for Kafka's 30 s.
	LagMax time.Duration
	// ISR, when set, is told of a change of the ISR that this leader proposes. It
	// runs without any lock of the partition and must not wait. The outcome comes
	// back through ISRAnswered or Lead.
	ISR func(*Partition, isr.Proposal)
	// Progressed, when set, is told that Progress has more to say. It runs without
	// any lock of the partition and must not wait.
	Progressed func(*Partition)

	Faults Faults
}

// Partition is one replica of a topic-partition. Its methods are safe for
// concurrent use and never wait, except those that say so.
type Partition struct {
	topic    string
	id       kafka.TopicIDPartition
	self     kafka.BrokerID
	log      *log.Log
	storage  Storage
	clock    clock.Clock
	config   atomic.Pointer[config.Topic]
	weak     weakAcks
	flow     flow
	faulty   *faulty // nil but in builds that plant faults
	ackEarly bool    // planted: Faults.AckEarly

	lagMax   time.Duration
	outward  outward
	lost     kafka.Offset    // the high watermark that the log was found below; NoOffset
	turn     chan struct{}   // held by who changes the role, or a follower's log
	received []record.Header // of the answer that is being taken over; the turn's

	mu struct {
		sync.Mutex
		role role
		// suspended: it leads and takes no writes, see Suspend.
		suspended bool
		// epoch is the newest leader epoch that the metadata told of.
		epoch kafka.LeaderEpoch
		term  Leadership // of the leadership, as the metadata tells it
		lead  isr.Leader
		// following is the state of a follower.
		following following
		lastCut   Cut // since the partition was opened
		// high is the largest high watermark that this replica knew when its role
		// began (see highLocked). Nothing below it is ever cut.
		high    kafka.Offset
		noted   kafka.Offset   // the high watermark that the data directory was told of last
		durable kafka.Offset   // exclusive end of the contiguous durable prefix
		failed  error          // set once; nothing is appended or acknowledged afterwards
		commits waitList       // wait for the high watermark
		locals  waitList       // wait for this replica's own flush (acks=1 under acks.policy=allow)
		readers purgatory.List // consumers that wait for the high watermark
		// fetchers are followers that wait for the log's end or the high watermark.
		fetchers purgatory.List
	}
}

// outward is who is told what the partition wants of others.
type outward struct {
	isr        func(*Partition, isr.Proposal)
	progressed func(*Partition)
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
	replicated, cut                 atomic.Int64
}

// weakAcks counts the requests that asked for less than acks=all.
type weakAcks struct{ zero, one atomic.Int64 }

// lagMaxDefault is Kafka's replica.lag.time.max.ms.
const lagMaxDefault = 30 * time.Second

// New makes a partition without a role. Everything in the log is on stable
// storage, which is what opening it guarantees.
func New(o Options) *Partition {
	p := &Partition{topic: o.Topic, id: o.ID, self: o.Self, log: o.Log, storage: o.Storage, clock: o.Clock, faulty: newFaulty(o.Faults, o.Log), ackEarly: o.Faults.AckEarly,
		lagMax: o.LagMax, outward: outward{isr: o.ISR, progressed: o.Progressed}, lost: kafka.NoOffset, turn: make(chan struct{}, 1)}
	if p.lagMax <= 0 {
		p.lagMax = lagMaxDefault
	}
	p.config.Store(o.Config)
	end := o.Log.End()
	p.mu.durable = end // recovery has synced it
	p.mu.epoch = kafka.NoLeaderEpoch
	p.mu.high = max(o.Log.Start(), min(o.HighWatermark, end))
	if o.HighWatermark > end {
		p.lost = o.HighWatermark
	}
	return p
}

// Lost reports that the log was found to end below a high watermark that this
// replica had reached: acknowledged bytes of it are gone. It says where the log
// ended and the high watermark.
func (p *Partition) Lost() (highWatermark kafka.Offset, lost bool) {
	return p.lost, p.lost != kafka.NoOffset
}

// Topic is the name of the topic.
func (p *Partition) Topic() string { return p.topic }

// ID is the topic's id and the index of the partition.
func (p *Partition) ID() kafka.TopicIDPartition { return p.id }

// Log is the partition's log, for look-ups that need no leadership.
func (p *Partition) Log() *log.Log { return p.log }

// Config is the topic's configuration as it is now.
func (p *Partition) Config() *config.Topic { return p.config.Load() }

// SetConfig replaces the topic's configuration. min.insync.replicas is not part
// of it: that comes with the ISR, through Lead.
func (p *Partition) SetConfig(c *config.Topic) {
	var a after
	p.mu.Lock()
	changed := p.pageCache(c) != p.pageCache(p.config.Load())
	p.config.Store(c)
	if changed && p.mu.role == leads {
		p.changeLocked(p.mu.term, &a)
	}
	p.mu.Unlock()
	p.finish(&a)
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
	HighWatermark kafka.Offset // a follower's own: what it knows to be committed
	Durable       kafka.Offset
	LogEnd        kafka.Offset
	// EpochStart is where the leadership began; a leader's only. While the high
	// watermark is below it, the leader may not know all that is committed.
	EpochStart kafka.Offset
	Epoch      kafka.LeaderEpoch // NoLeaderEpoch without a role
	Leading    bool
	Following  bool
}

// Offsets returns the marks of the partition, all of one moment.
func (p *Partition) Offsets() Offsets {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offsetsLocked()
}

func (p *Partition) offsetsLocked() Offsets {
	o := Offsets{LogStart: p.log.Start(), Durable: p.mu.durable, LogEnd: p.log.End(), Epoch: kafka.NoLeaderEpoch,
		Leading: p.mu.role == leads, Following: p.mu.role == follows}
	o.HighWatermark = max(p.highLocked(), o.LogStart)
	switch p.mu.role {
	case leads:
		o.Epoch, o.EpochStart = p.mu.epoch, p.mu.lead.EpochStart()
	case follows:
		o.Epoch = p.mu.epoch
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
	BytesReplicated   int64 // taken over from a leader
	OffsetsCut        int64 // appended here once and cut, because the leader has them not
}

// Counts returns the counters.
func (p *Partition) Counts() Counts {
	return Counts{WeakZero: p.weak.zero.Load(), WeakOne: p.weak.one.Load(),
		RecordsIn: p.flow.records.Load(), BytesIn: p.flow.in.Load(), BytesOut: p.flow.out.Load(),
		Appends: p.flow.appends.Load(), Refused: p.flow.refused.Load(), Reads: p.flow.reads.Load(), Unread: p.flow.unread.Load(),
		BytesReplicated: p.flow.replicated.Load(), OffsetsCut: p.flow.cut.Load()}
}

// pageCache reports whether the topic counts bytes as committed before they are
// on stable storage.
func (p *Partition) pageCache(c *config.Topic) bool {
	return c.Durability == config.DurabilityPageCache
}
