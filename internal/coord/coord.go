package coord

import (
	"context"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf16"

	"holdfast/internal/broker"
	"holdfast/internal/clock"
	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/group"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// OffsetsTopic is the internal topic of consumer groups.
const OffsetsTopic = "__consumer_offsets"

// Options are what a coordinator is made of. All fields but Submit are set.
type Options struct {
	Broker *broker.Broker
	Image  func() *meta.Image
	// Submit has the controller of the cluster decide on a command, wherever it is
	// (Quorum.Submit). Nil: the metadata here is never behind.
	Submit func(context.Context, controller.Command) (controller.Reply, error)
	Clock  clock.Clock
	Rand   interface{ Read(p []byte) }
	Log    *slog.Logger
	Faults Faults
}

// Coordinator holds the groups of the partitions that are led here. It is safe
// for concurrent use.
type Coordinator struct {
	o      Options
	shards atomic.Pointer[shards]
	began  time.Time // when the coordinator was made
	// armed is when the runner wakes up by itself, in milliseconds.
	armed atomic.Int64
	kick  chan struct{}
	// loads bounds how many partitions are loaded side by side.
	loads chan struct{}
	group sync.WaitGroup
	// members and offsets are what all machines hold, in bytes; warned is when the
	// log last said that it is too much, in milliseconds.
	members, offsets, warned atomic.Int64
	stop                     context.CancelFunc

	mu struct {
		sync.Mutex
		dirty   map[*shard]struct{} // something that they wait for has happened
		changed bool                // partitions or leaders changed
		removed []group.TopicRef    // topics that were deleted
	}
}

// shards is immutable: a change makes another one.
type shards struct {
	topic kafka.TopicID
	count int              // partitions of the topic; 0 when there is none
	byID  map[int32]*shard // those that are led here
	// offline are how many belong here and have a log that does not open.
	offline int
}

// loadsAtOnce is how many partitions are replayed side by side.
const loadsAtOnce = 4

// New makes a coordinator without groups. Start begins its work.
func New(o Options) *Coordinator {
	c := &Coordinator{o: o, began: o.Clock.Now(), kick: make(chan struct{}, 1), loads: make(chan struct{}, loadsAtOnce)}
	c.shards.Store(&shards{})
	c.mu.dirty = make(map[*shard]struct{})
	return c
}

// Reconciled tells that the partitions here may have changed. It never waits.
func (c *Coordinator) Reconciled() {
	c.mu.Lock()
	c.mu.changed = true
	c.mu.Unlock()
	c.poke()
}

// Changed tells that the metadata has moved to image. It never waits.
func (c *Coordinator) Changed(delta meta.Delta, image *meta.Image) {
	var removed []group.TopicRef
	for _, id := range delta.TopicIDs() {
		if old := delta.From().TopicByID(id); old != nil && image.TopicByID(id) == nil {
			removed = append(removed, group.TopicRef{Name: old.Name, ID: id})
		}
	}
	if len(removed) == 0 {
		return
	}
	c.mu.Lock()
	c.mu.removed = append(c.mu.removed, removed...)
	c.mu.Unlock()
	c.poke()
}

// touched tells that something that s waits for has happened. It never waits and
// takes no lock that is held across anything.
func (c *Coordinator) touched(s *shard) {
	c.mu.Lock()
	c.mu.dirty[s] = struct{}{}
	c.mu.Unlock()
	c.poke()
}

func (c *Coordinator) poke() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// alarm makes the runner wake up at the latest at due.
func (c *Coordinator) alarm(due int64) {
	if due < c.armed.Load() {
		c.poke()
	}
}

// now is the time that deadlines of groups count by. It began as the wall clock's
// and passes evenly: a wall clock that is set ends no session, and nobody waits
// for it.
func (c *Coordinator) now() kafka.Timestamp {
	return kafka.Timestamp(c.began.Add(c.o.Clock.Since(c.began)).UnixMilli())
}

// wall is what the wall clock says.
func (c *Coordinator) wall() kafka.Timestamp { return kafka.Timestamp(c.o.Clock.Now().UnixMilli()) }

// TopicCommand makes the internal topic as the broker's settings want it.
func TopicCommand(settings *config.Broker) controller.CreateTopics {
	setting := func(key, value string) controller.Setting { return controller.Setting{Key: key, Value: &value} }
	topic := controller.NewTopic{Name: OffsetsTopic, Partitions: settings.OffsetsPartitions, ReplicationFactor: controller.Default,
		Configs: []controller.Setting{setting("cleanup.policy", "compact"), setting("compression.type", "producer"),
			setting("segment.bytes", strconv.FormatInt(settings.OffsetsSegmentBytes, 10))}}
	if settings.OffsetsReplicationFactor > 0 {
		topic.ReplicationFactor = settings.OffsetsReplicationFactor
	}
	return controller.CreateTopics{Topics: []controller.NewTopic{topic}}
}

// PartitionOf is the partition of the internal topic, of so many, that a group
// lives in: Kafka's own rule.
func PartitionOf(group string, count int) kafka.PartitionIndex {
	var hash int32
	for _, unit := range utf16.Encode([]rune(group)) {
		hash = 31*hash + int32(unit)
	}
	if hash == math.MinInt32 { // has no absolute value in 32 bits
		hash = 0
	}
	return kafka.PartitionIndex(int(max(hash, -hash)) % count)
}

// shardOf finds the shard of a group; nil when it is not coordinated here.
func (c *Coordinator) shardOf(group string) *shard {
	t := c.shards.Load()
	if t.count == 0 {
		return nil
	}
	return t.byID[int32(PartitionOf(group, t.count))]
}

// reconcile makes the shards what the metadata and the broker say: one for each
// partition that is led here, a new one where the epoch is new or the old one
// broke long enough ago.
func (c *Coordinator) reconcile(ctx context.Context) {
	old := c.shards.Load()
	next := &shards{byID: map[int32]*shard{}}
	failed := c.o.Broker.Failed()
	if t := c.o.Image().TopicByName(OffsetsTopic); t != nil {
		next.topic, next.count = t.ID, len(t.Partitions)
		for i := range t.Partitions {
			if s := c.shardFor(old, t.ID, int32(i)); s != nil {
				next.byID[int32(i)] = s
			}
			if failed[kafka.TopicIDPartition{TopicID: t.ID, Partition: kafka.PartitionIndex(i)}] != nil {
				next.offline++
			}
		}
	}
	c.shards.Store(next)
	for i, s := range old.byID {
		if next.byID[i] != s {
			s.drop("the partition is not led here any more")
		}
	}
	for i, s := range next.byID {
		if old.byID[i] != s {
			c.runLoad(ctx, s)
		}
	}
}

// shardFor is the shard of a partition, nil where it is not led here.
func (c *Coordinator) shardFor(old *shards, topic kafka.TopicID, index int32) *shard {
	p, code := c.o.Broker.ByID(topic, kafka.PartitionIndex(index))
	if code != kafka.ErrNone {
		return nil
	}
	o := p.Offsets()
	if !o.Leading {
		return nil
	}
	before := old.byID[index]
	if before != nil && before.part == p && before.epoch == o.Epoch && !before.replaceable(c.now()) {
		return before
	}
	if before == nil {
		return newShard(c, p, o)
	}
	// It must append nothing behind the end that its successor loads to.
	before.drop("a new leader epoch, or what broke is tried again")
	if o = p.Offsets(); !o.Leading {
		return nil
	}
	s := newShard(c, p, o)
	s.mu.gone = before.goneTopics()
	return s
}

// currentPause is how long a look at the metadata waits for the next.
const currentPause = 20 * time.Millisecond

// awaitCurrent waits until the metadata here holds everything that was committed
// before the call. Only then is a topic that it does not know one that is gone.
func (c *Coordinator) awaitCurrent(ctx context.Context) error {
	if c.o.Submit == nil {
		return nil
	}
	// A command that changes nothing: its reply names what is committed.
	reply, err := c.o.Submit(ctx, controller.CreateTopics{ValidateOnly: true})
	if err != nil {
		return err
	}
	for c.o.Image().Offset() < reply.Offset {
		if err := c.sleep(ctx, currentPause); err != nil {
			return err
		}
	}
	return nil
}

func (c *Coordinator) sleep(ctx context.Context, d time.Duration) error {
	if !clock.Wait(ctx, c.o.Clock, d, nil) {
		return ctx.Err()
	}
	return nil
}

// work does what is due and returns when to look again.
func (c *Coordinator) work(ctx context.Context) (next time.Duration) {
	c.mu.Lock()
	dirty, changed, removed := c.mu.dirty, c.mu.changed, c.mu.removed
	c.mu.dirty, c.mu.changed, c.mu.removed = make(map[*shard]struct{}), false, nil
	c.mu.Unlock()
	now := c.now()
	for _, s := range c.shards.Load().byID {
		changed = changed || s.replaceable(now)
	}
	if changed {
		c.reconcile(ctx)
	}
	for s := range dirty {
		s.settle()
	}
	due := now + kafka.Timestamp(idleWake.Milliseconds())
	for _, s := range c.shards.Load().byID {
		if len(removed) > 0 || s.owesTopics.Load() {
			s.forgetTopics(removed)
		}
		if s.owesTopics.Load() {
			due = min(due, now+retryAfter)
		}
		if kafka.Timestamp(s.due.Load()) <= now {
			s.tick(now)
		}
		due = min(due, kafka.Timestamp(s.due.Load()))
	}
	c.armed.Store(int64(due))
	return time.Duration(max(0, due-c.now())) * time.Millisecond
}

// idleWake is how often the runner looks even where nothing is due.
const idleWake = time.Minute
