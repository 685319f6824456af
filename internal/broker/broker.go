package broker

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/datadir"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/partition"
)

// Options are what a broker is made of. The first group is set.
type Options struct {
	Self   kafka.BrokerID
	Env    env.Env
	Dir    *datadir.Dir
	Config *config.Broker
	Log    *slog.Logger

	// Controller decides on what this broker asks for: another ISR, a mark on a
	// replica. Nil: there is nobody to ask.
	Controller Controller
	// Epoch is the incarnation that this broker is registered with, below 0 while it
	// is not. It never waits. Nil with Controller.
	Epoch func() kafka.BrokerEpoch
	// Followers fetches for the partitions that follow; nil: nobody does.
	Followers Followers
	Faults    partition.Faults
	// Reconciled, when set, hears of every image that the partitions here have
	// become. It must not wait.
	Reconciled func()
}

// Controller takes commands; *quorum.Quorum is the real one.
type Controller interface {
	Submit(ctx context.Context, command controller.Command) (controller.Reply, error)
}

// Followers keeps partitions that follow up to date; *fetcher.Fetcher is the real
// one. Its methods never wait.
type Followers interface {
	// Follow begins to fetch, or looks again after the partition was told to follow.
	Follow(p *partition.Partition, leader kafka.BrokerID)
	// Forget ends it.
	Forget(p *partition.Partition)
	// Progressed tells that more of the partition is durable here.
	Progressed(p *partition.Partition)
}

// nobody follows nobody.
type nobody struct{}

func (nobody) Follow(*partition.Partition, kafka.BrokerID) {}
func (nobody) Forget(*partition.Partition)                 {}
func (nobody) Progressed(*partition.Partition)             {}

// Broker is the set of partitions hosted here. Look-ups are safe at any time.
type Broker struct {
	o     Options
	table atomic.Pointer[table]
	// settings are the broker's, dynamic ones included.
	settings atomic.Pointer[config.Broker]

	mu struct {
		sync.Mutex
		next    *meta.Image                // the newest image that is not reconciled yet
		last    *meta.Image                // the newest image that is reconciled
		changed map[kafka.TopicID]struct{} // topics that changed since the last reconciled one
		all     bool                       // look at every topic: the first image, or a broker setting changed
		done    kafka.Offset               // the image offset that is reconciled
		waiting []appliedWaiter

		failed map[kafka.TopicIDPartition]error
		// deleted are topics that the metadata log has deleted and whose
		// directories may still be here.
		deleted map[kafka.TopicID]deletedTopic
		// dropped are partitions of which the metadata log has taken the replica here
		// away, with their topics' names.
		dropped map[kafka.TopicIDPartition]string
		// candidates: a broker's registration changed, and with it who may be in sync.
		candidates bool
		// corrupt are the segments in which the scrub has found rot.
		corrupt map[corruptSegment]error
		// damaged are replicas here that have lost records.
		damaged map[kafka.TopicIDPartition]*damage
	}
	proposals proposals
	scrubbed  atomic.Int64 // bytes
	strays    atomic.Int64 // directories of no known topic
	kick      chan struct{}
	isolated  atomic.Bool // see Isolate
}

// table is immutable: a change makes another one.
type table struct {
	byName map[string]*topic
	byID   map[kafka.TopicID]*topic
}

// topic holds the partitions of one topic by index; nil where a partition is not
// open here.
type topic struct {
	name       string
	id         kafka.TopicID
	partitions []*partition.Partition
	hosted     []bool // by index: there is a replica here, open or not
	// states are what the partitions were last told by the metadata, and configs what
	// was set for the topic then.
	states  []*meta.PartitionRecord
	configs map[string]string
	// gone: the metadata has deleted the topic. It is found no more, also while
	// its partitions wait for their end here.
	gone atomic.Bool
}

// New makes a broker without partitions.
func New(o Options) *Broker {
	if o.Followers == nil {
		o.Followers = nobody{}
	}
	b := &Broker{o: o, kick: make(chan struct{}, 1)}
	b.proposals.kick = make(chan struct{}, 1)
	b.proposals.mu.pending = make(map[kafka.TopicIDPartition]*proposal)
	b.settings.Store(o.Config)
	b.table.Store(&table{byName: map[string]*topic{}, byID: map[kafka.TopicID]*topic{}})
	b.mu.changed = make(map[kafka.TopicID]struct{})
	b.mu.failed = make(map[kafka.TopicIDPartition]error)
	b.mu.deleted = make(map[kafka.TopicID]deletedTopic)
	b.mu.dropped = make(map[kafka.TopicIDPartition]string)
	b.mu.corrupt = make(map[corruptSegment]error)
	b.mu.damaged = make(map[kafka.TopicIDPartition]*damage)
	b.mu.done = kafka.NoOffset
	return b
}

// Settings are the broker's settings as they are now, dynamic ones included.
func (b *Broker) Settings() *config.Broker { return b.settings.Load() }

// ByName finds a partition by its topic's name.
func (b *Broker) ByName(name string, index kafka.PartitionIndex) (*partition.Partition, kafka.ErrorCode) {
	return pick(b.table.Load().byName[name], index, kafka.ErrUnknownTopicOrPartition)
}

// ByID finds a partition by its topic's id.
func (b *Broker) ByID(id kafka.TopicID, index kafka.PartitionIndex) (*partition.Partition, kafka.ErrorCode) {
	return pick(b.table.Load().byID[id], index, kafka.ErrUnknownTopicID)
}

func pick(t *topic, index kafka.PartitionIndex, unknown kafka.ErrorCode) (*partition.Partition, kafka.ErrorCode) {
	switch {
	case t == nil || t.gone.Load():
		return nil, unknown
	case index < 0 || int(index) >= len(t.partitions):
		return nil, kafka.ErrUnknownTopicOrPartition
	case t.partitions[index] == nil && !t.hosted[index]:
		return nil, kafka.ErrNotLeaderOrFollower
	case t.partitions[index] == nil:
		// Known to the cluster, and its log does not open here.
		return nil, kafka.ErrKafkaStorageError
	}
	return t.partitions[index], kafka.ErrNone
}

// Partitions lists every open partition, ordered by topic name and index.
func (b *Broker) Partitions() []*partition.Partition {
	t := b.table.Load()
	var out []*partition.Partition
	for _, name := range sortedKeys(t.byName) {
		for _, p := range t.byName[name].partitions {
			if p != nil {
				out = append(out, p)
			}
		}
	}
	return out
}

// Failed lists the partitions whose logs did not open, with the reasons.
func (b *Broker) Failed() map[kafka.TopicIDPartition]error {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[kafka.TopicIDPartition]error, len(b.mu.failed))
	for k, v := range b.mu.failed {
		out[k] = v
	}
	return out
}
