package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/broker"
	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/datadir"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/partition"
	"holdfast/internal/purgatory"
	"holdfast/internal/record"
)

// self is the broker of the tests; 2 and 3 exist in the metadata only, and do what
// the tests say.
const self kafka.BrokerID = 1

// rig is a broker among others that are only metadata, with a controller that
// decides in memory.
type rig struct {
	t      *testing.T
	ground *env.Test
	dir    *datadir.Dir
	*broker.Broker
	controller *memController
	followers  *followers
	stop       context.CancelFunc
	done       chan struct{}
}

// inBubble runs a test with its own time.
func inBubble(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.close()
		test(r)
	})
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, ground: env.NewTest(1), followers: &followers{following: map[kafka.TopicIDPartition]kafka.BrokerID{}}}
	r.controller = &memController{t: t, image: meta.Empty(), config: config.Default()}
	r.controller.apply(controller.Found(kafka.ClusterID{1}))
	r.open()
	return r
}

// open starts an incarnation of the broker, and registers all three.
func (r *rig) open() {
	r.t.Helper()
	d, err := datadir.Open(datadir.Options{Env: r.ground.Env, Dir: "/data", NodeID: self, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.dir = d
	for id := range kafka.BrokerID(3) {
		r.register(id + 1)
	}
	interval := "10000"
	r.must(controller.AlterConfigs{Resources: []controller.ResourceChange{{Resource: meta.ClusterResource(),
		Changes: []controller.ConfigChange{{Key: "scrub.interval.ms", Value: &interval}}}}})
	r.Broker = broker.New(broker.Options{Self: self, Env: r.ground.Env, Dir: d, Config: config.Default(), Log: slog.New(slog.DiscardHandler),
		Controller: r.controller, Epoch: func() kafka.BrokerEpoch { return r.controller.epochOf(self) }, Followers: r.followers})
	ctx, cancel := context.WithCancel(context.Background())
	r.stop, r.done = cancel, make(chan struct{})
	r.controller.subscribe(r.Broker.Changed)
	r.Start(ctx, r.controller.Image())
	d.Settle()
	go func() {
		defer close(r.done)
		r.Run(ctx)
	}()
	r.heartbeat(1, 2, 3)
}

func (r *rig) close() {
	r.stop()
	<-r.done
	r.controller.subscribe(nil)
	r.Broker = nil
	if err := r.dir.Close(); err != nil {
		r.t.Error(err)
	}
}

// register makes another incarnation of a broker known. It is fenced.
func (r *rig) register(id kafka.BrokerID) {
	r.t.Helper()
	r.controller.starts++
	directory := kafka.DirectoryID{byte(id)}
	if id == self {
		directory = r.dir.Identity().DirectoryID
	}
	r.must(controller.RegisterBroker{ID: id, Incarnation: kafka.UUID{byte(id), byte(r.controller.starts)}, Starts: r.controller.starts,
		Directories: []kafka.DirectoryID{directory}, Endpoints: []meta.Endpoint{{Listener: "PLAINTEXT", Host: "host", Port: 9092}}, PreviousEpoch: -1, Features: meta.LevelReplication})
}

// heartbeat tells that the brokers are alive and have caught up.
func (r *rig) heartbeat(ids ...kafka.BrokerID) {
	r.t.Helper()
	for _, id := range ids {
		r.must(controller.Heartbeat{Broker: id, Epoch: r.controller.epochOf(id), Applied: r.controller.Image().Offset()})
	}
}

func (r *rig) fence(id kafka.BrokerID) {
	r.t.Helper()
	r.must(controller.FenceBroker{Broker: id, Epoch: r.controller.epochOf(id), Reason: "test"})
}

// must has a command decided and waits until its metadata is applied.
func (r *rig) must(c controller.Command) controller.Reply {
	r.t.Helper()
	reply, err := r.controller.decide(c)
	if err != nil {
		r.t.Fatalf("%T: %v", c, err)
	}
	if r.Broker != nil && !r.controller.held() {
		r.applied(reply.Offset)
	}
	return reply
}

func (r *rig) applied(offset kafka.Offset) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	if err := r.AwaitApplied(ctx, offset); err != nil {
		r.t.Fatalf("offset %d is not applied: %v", offset, err)
	}
}

// create makes a topic with one partition on these brokers.
func (r *rig) create(name string, minISR string, on ...kafka.BrokerID) kafka.TopicIDPartition {
	r.t.Helper()
	segment := "1048576"
	reply := r.must(controller.CreateTopics{Topics: []controller.NewTopic{{Name: name, Partitions: controller.Default, ReplicationFactor: controller.Default,
		Assignments: []controller.Assignment{{Brokers: on}}, Configs: []controller.Setting{{Key: "min.insync.replicas", Value: &minISR}, {Key: "segment.bytes", Value: &segment}}}}})
	if code := reply.Topics[0].Code; code != kafka.ErrNone {
		r.t.Fatalf("create %s: %v %s", name, code, reply.Topics[0].Message)
	}
	return kafka.TopicIDPartition{TopicID: reply.Topics[0].ID}
}

func (r *rig) state(id kafka.TopicIDPartition) meta.Partition {
	r.t.Helper()
	p, ok := r.controller.Image().Partition(id)
	if !ok {
		r.t.Fatalf("no partition %v", id)
	}
	return p
}

// partition is the replica here.
func (r *rig) partition(id kafka.TopicIDPartition) *partition.Partition {
	r.t.Helper()
	p, code := r.ByID(id.TopicID, id.Partition)
	if code != kafka.ErrNone {
		r.t.Fatalf("partition %v: %v", id, code)
	}
	return p
}

func (r *rig) wantISR(id kafka.TopicIDPartition, want ...kafka.BrokerID) {
	r.t.Helper()
	if got := r.state(id).ISR; !slices.Equal(got, want) {
		r.t.Errorf("in-sync replicas %v, want %v", got, want)
	}
}

// alterISR has the leader of a partition, another broker, change its ISR.
func (r *rig) alterISR(id kafka.TopicIDPartition, want ...kafka.BrokerID) {
	r.t.Helper()
	p := r.state(id)
	change := controller.ISRChange{TopicID: id.TopicID, Partition: id.Partition, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch}
	for _, member := range want {
		change.ISR = append(change.ISR, controller.Member{ID: member, Epoch: r.controller.epochOf(member)})
	}
	reply := r.must(controller.AlterISR{Broker: p.Leader, Epoch: r.controller.epochOf(p.Leader), Changes: []controller.ISRChange{change}})
	if code := reply.ISR[0].Code; code != kafka.ErrNone && code != kafka.ErrNewLeaderElected {
		r.t.Fatalf("alter ISR to %v: %v %s", want, code, reply.ISR[0].Message)
	}
}

// catchUp plays a follower that has everything the leader here has, durably.
func (r *rig) catchUp(id kafka.TopicIDPartition, follower kafka.BrokerID) {
	r.t.Helper()
	p := r.partition(id)
	o := p.Offsets()
	epoch := r.controller.epochOf(follower)
	res := p.Read(partition.ReadRequest{From: o.LogEnd, CurrentEpoch: o.Epoch, LastFetchedEpoch: p.Log().LastEpoch(), Replica: follower, ReplicaEpoch: epoch})
	if res.Code != kafka.ErrNone || res.Diverging != nil {
		r.t.Fatalf("fetch of broker %d: %v %v", follower, res.Code, res.Diverging)
	}
	if code := p.ReplicaDurable(follower, epoch, o.Epoch, o.LogEnd); code != kafka.ErrNone {
		r.t.Fatalf("report of broker %d: %v", follower, code)
	}
}

// produce appends a record of size bytes.
func (r *rig) produce(id kafka.TopicIDPartition, size int) (partition.AppendResult, *purgatory.Waiter) {
	r.t.Helper()
	b := record.NewBuilder(record.Options{})
	b.Append(1000, nil, make([]byte, size))
	data, err := b.Build(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	w := purgatory.New(1, func() {})
	return r.partition(id).Append(partition.AppendRequest{Records: data, Asked: -1, Wait: partition.WaitISR, Waiter: w}), w
}

// followers notes who is fetched for.
type followers struct {
	mu        sync.Mutex
	following map[kafka.TopicIDPartition]kafka.BrokerID
	log       []string
	calls     int // of Follow
}

func (f *followers) Follow(p *partition.Partition, leader kafka.BrokerID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.following[p.ID()] != leader {
		f.log = append(f.log, fmt.Sprintf("follow %d", leader))
	}
	f.following[p.ID()] = leader
	f.calls++
	if _, ok := p.FetchPosition(); !ok {
		f.log = append(f.log, "not following")
	}
}

func (f *followers) Forget(p *partition.Partition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.following[p.ID()]; ok {
		f.log = append(f.log, "forget")
	}
	delete(f.following, p.ID())
}

func (f *followers) Progressed(*partition.Partition) {}

// count is how often Follow was called.
func (f *followers) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// told is what happened since the last call.
func (f *followers) told() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.log
	f.log = nil
	return list
}

// memController decides in memory. Answers can be lost, and metadata held back.
type memController struct {
	t      *testing.T
	config *config.Broker
	starts uint64

	mu      sync.Mutex
	image   *meta.Image
	tell    func(meta.Delta, *meta.Image)
	back    []func() // metadata that is held back
	hold    bool
	drawn   byte
	outcome func(c controller.Command, decide func() (controller.Reply, error)) (controller.Reply, error)
	asked   []controller.AlterISR
	lost    []controller.ReportLost
}

func (c *memController) apply(records []meta.Record) meta.Delta {
	next, delta, err := c.image.Apply(c.image.Offset()+1, records)
	if err != nil {
		c.t.Fatal(err)
	}
	c.image = next
	return delta
}

func (c *memController) subscribe(tell func(meta.Delta, *meta.Image)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tell = tell
}

func (c *memController) Image() *meta.Image {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.image
}

func (c *memController) epochOf(id kafka.BrokerID) kafka.BrokerEpoch {
	return c.Image().Broker(id).Epoch
}

func (c *memController) held() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hold
}

// decide carries a command out, and tells the broker what changed.
func (c *memController) decide(command controller.Command) (controller.Reply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := controller.Inputs{Now: 1000, Config: c.config, NewID: func() kafka.UUID { c.drawn++; return kafka.UUID{99, c.drawn} }}
	records, reply, err := controller.Decide(c.image, in, command)
	if err != nil || len(records) == 0 {
		return reply, err
	}
	delta, image := c.apply(records), c.image
	if c.tell != nil {
		tell := c.tell
		if c.hold {
			c.back = append(c.back, func() { tell(delta, image) })
		} else {
			tell(delta, image)
		}
	}
	return reply.At(image.Offset()), nil
}

// holdBack keeps metadata from the broker until release.
func (c *memController) holdBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold = true
}

func (c *memController) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold = false
	for _, tell := range c.back {
		tell()
	}
	c.back = nil
}

var errUnanswered = errors.New("no answer")

// Submit implements broker.Controller.
func (c *memController) Submit(_ context.Context, command controller.Command) (controller.Reply, error) {
	c.mu.Lock()
	outcome := c.outcome
	switch x := command.(type) {
	case controller.AlterISR:
		c.asked = append(c.asked, x)
	case controller.ReportLost:
		c.lost = append(c.lost, x)
	}
	c.mu.Unlock()
	decide := func() (controller.Reply, error) { return c.decide(command) }
	if outcome != nil {
		return outcome(command, decide)
	}
	return decide()
}

func (c *memController) set(outcome func(controller.Command, func() (controller.Reply, error)) (controller.Reply, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcome = outcome
}

// reports lists the reports of lost records since the last call.
func (c *memController) reports() []controller.ReportLost {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.lost
	c.lost = nil
	return list
}

// proposals lists the ISR changes that were asked for since the last call.
func (c *memController) proposals() []controller.AlterISR {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.asked
	c.asked = nil
	return list
}
