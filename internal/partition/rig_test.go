package partition_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/config"
	"holdfast/internal/datadir"
	"holdfast/internal/env"
	"holdfast/internal/isr"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/partition"
	"holdfast/internal/purgatory"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

// cluster is a partition with replicas A, B, C, each with a data directory on a
// disk that can lose everything that was not synced. Nothing happens by itself: a
// test says who appends, flushes, fetches, reports, dies and leads. The metadata is
// what the test says.
type cluster struct {
	t     tester
	nodes []*node
	clock *clock.Sim

	epoch          kafka.LeaderEpoch
	partitionEpoch kafka.PartitionEpoch
	leader         *node
	isr            []kafka.BrokerID
	minISR         int
	settings       config.Topic

	acked map[kafka.Offset]string // what producers were told is safe
}

// tester is what a world needs of a *testing.T.
type tester interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// node is one replica.
type node struct {
	c      *cluster
	name   string
	id     kafka.BrokerID
	epoch  kafka.BrokerEpoch // of this incarnation
	ground *env.Test
	dir    *datadir.Dir
	gate   *gate
	*partition.Partition
	believes  *node // the leader, as the newest metadata says that it has heard
	deaf      bool  // hears no metadata
	fenced    bool  // may not be in the ISR
	down      bool
	proposals []isr.Proposal
	progress  int  // how often Progressed was called
	early     bool // planted: a flush is reported before it happens
	cuts      bool // planted: it cuts to its high watermark when it opens
}

// gate is a data directory whose flush rounds begin when the test says so.
type gate struct {
	*datadir.Dir
	held  []submitted
	early bool
	full  bool
	auto  bool // as in life: flush rounds begin by themselves
}

type submitted struct {
	target datadir.Flushable
	end    kafka.Offset
	submit func()
}

func (g *gate) Submit(target datadir.Flushable, l *log.Log, s log.Span, data []byte, high kafka.Offset) {
	if g.auto {
		g.Dir.Submit(target, l, s, data, high)
		return
	}
	data = slices.Clone(data)
	g.held = append(g.held, submitted{target, s.End, func() { g.Dir.Submit(target, l, s, data, high) }})
}

func (g *gate) Full() bool { return g.full || g.Dir.Full() }

// flush lets everything that was submitted become durable.
func (g *gate) flush() error {
	for _, h := range g.held {
		if g.early {
			h.target.Flushed(h.end)
		} else {
			h.submit()
		}
	}
	g.held = nil
	return g.Dir.Barrier(context.Background())
}

func (g *gate) Cut(l *log.Log, to kafka.Offset) error {
	return errors.Join(g.flush(), g.Dir.Cut(l, to))
}

func (g *gate) Restart(l *log.Log, start kafka.Offset) error {
	return errors.Join(g.flush(), g.Dir.Restart(l, start))
}

const lagMax = 10 * time.Second

func newCluster(t tester, names string, minISR int) *cluster {
	t.Helper()
	c := &cluster{t: t, minISR: minISR, acked: map[kafka.Offset]string{}, clock: clock.NewSim(time.Unix(1_700_000_000, 0))}
	settings, err := config.ResolveTopic(nil, nil)
	c.must(err)
	c.settings = settings
	for i, name := range strings.Split(names, "") {
		n := &node{c: c, name: name, id: kafka.BrokerID(i + 1), ground: env.NewTest(uint64(i + 1))}
		c.nodes = append(c.nodes, n)
		n.open()
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			if !n.down {
				_ = n.dir.Close()
			}
		}
	})
	return c
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

var topicID = kafka.TopicIDPartition{TopicID: kafka.TopicID{1}}

// open starts the node's next incarnation.
func (n *node) open() {
	n.c.t.Helper()
	d, err := datadir.Open(datadir.Options{Env: n.ground.Env, Dir: "/data", NodeID: n.id, JournalBytes: 512 << 10, Log: slog.New(slog.DiscardHandler)})
	n.c.must(err)
	l, _, err := d.OpenLog("t", topicID, log.DefaultConfig())
	n.c.must(err)
	if high := d.HighWatermark(l.Key()); n.cuts && high < l.End() {
		n.c.must(d.Cut(l, high))
	}
	n.dir, n.gate, n.down, n.believes = d, &gate{Dir: d, early: n.early}, false, nil
	n.epoch += 10
	n.Partition = partition.New(partition.Options{Topic: "t", ID: topicID, Self: n.id, Log: l, Storage: n.gate, Clock: n.c.clock, Config: &n.c.settings,
		HighWatermark: d.HighWatermark(l.Key()), LagMax: lagMax,
		ISR:        func(_ *partition.Partition, p isr.Proposal) { n.proposals = append(n.proposals, p) },
		Progressed: func(*partition.Partition) { n.progress++ }})
}

// powerCut takes the power: what was not synced is gone.
func (n *node) powerCut() { n.stop(n.ground.Disk.CrashWith(vfs.CrashOptions{Kind: vfs.CrashDrop})) }

// kill ends the process: the page cache stays.
func (n *node) kill() { n.stop(n.ground.Disk.Kill()) }

func (n *node) stop(disk *vfs.Mem) {
	next := *n.ground
	next.Disk, next.FS = disk, disk
	n.ground, n.down = &next, true
	n.Resign()
	_ = n.dir.Close() // of a disk that is gone; it ends the goroutines
}

// start brings a node back, as a follower of the leader that there is.
func (n *node) start() {
	n.c.t.Helper()
	n.open()
	n.c.tell()
}

// elect begins a leader epoch. The ISR is the one named, or as it was.
func (c *cluster) elect(leader *node, isr ...*node) {
	c.epoch++
	c.leader = leader
	c.setISR(isr...)
}

// setISR is what the controller has committed.
func (c *cluster) setISR(isr ...*node) {
	c.partitionEpoch++
	if len(isr) > 0 {
		c.isr = nil
		for _, n := range isr {
			c.isr = append(c.isr, n.id)
		}
	}
	c.tell()
}

// tell lets every node that listens hear the metadata as it is.
func (c *cluster) tell() {
	for _, n := range c.nodes {
		switch {
		case n.down || n.deaf:
		case !c.led():
			n.believes = nil
			n.Resign()
		case n == c.leader:
			n.believes = n
			n.Lead(c.leadership())
		default:
			n.believes = c.leader
			n.Follow(partition.Following{Epoch: c.epoch, Leader: c.leader.id, PartitionEpoch: c.partitionEpoch})
		}
	}
}

// led reports whether there is a leader: one that the ISR does not have is none.
func (c *cluster) led() bool { return slices.Contains(c.isr, c.leader.id) }

func (c *cluster) leadership() partition.Leadership {
	t := partition.Leadership{Epoch: c.epoch, PartitionEpoch: c.partitionEpoch, ISR: slices.Clone(c.isr), MinISR: c.minISR}
	for _, n := range c.nodes {
		t.Replicas = append(t.Replicas, n.id)
		if !n.down && !n.fenced {
			t.Candidates = append(t.Candidates, isr.Candidate{ID: n.id, Epoch: n.epoch})
		}
	}
	return t
}

// write is a produce.
type write struct {
	partition.AppendResult
	n      *node
	value  string
	waiter *purgatory.Waiter
}

// produce appends one record with acks=all. Nothing is flushed.
func (n *node) produce(value string) *write { return n.produceAs(nil, value) }

func (n *node) produceAs(producer *record.Producer, value string) *write {
	n.c.t.Helper()
	b := record.NewBuilder(record.Options{Producer: producer})
	b.Append(kafka.Timestamp(1000), nil, []byte(value))
	data, err := b.Build(nil)
	n.c.must(err)
	w := &write{n: n, value: value, waiter: purgatory.New(1, func() {})}
	w.AppendResult = n.Append(partition.AppendRequest{Records: data, Asked: -1, Wait: partition.WaitISR, Waiter: w.waiter})
	return w
}

// answer is what the producer is told, -1000 while it waits. A good one is
// remembered: from then on the record must be there for ever.
func (w *write) answer() kafka.ErrorCode {
	if w.Waiting && !w.waiter.Done() {
		return waits
	}
	code := w.Code
	if code == kafka.ErrNone && w.Waiting {
		code = w.n.Outcome(w.Receipt, partition.WaitISR)
	}
	if code == kafka.ErrNone {
		if had, ok := w.n.c.acked[w.Receipt.Base]; ok && had != w.value {
			w.n.c.t.Errorf("offset %d was acknowledged as %q and as %q", w.Receipt.Base, had, w.value)
		}
		w.n.c.acked[w.Receipt.Base] = w.value
	}
	return code
}

const waits kafka.ErrorCode = -1000

func (w *write) want(code kafka.ErrorCode) {
	w.n.c.t.Helper()
	if got := w.answer(); got != code {
		w.n.c.t.Errorf("the producer of %q is told %d, want %d", w.value, got, code)
	}
}

func (n *node) flush() {
	n.c.t.Helper()
	n.c.must(n.gate.flush())
}

// fetching is a fetch whose answer is under way.
type fetching struct {
	n      *node
	part   *partition.Partition // of the incarnation that asked
	asked  partition.FetchPosition
	answer partition.Replicated
}

// ask sends one fetch to the leader and keeps the answer.
func (n *node) ask() fetching { return n.askOf(n.c.leader, n.epoch) }

func (n *node) askOf(leader *node, incarnation kafka.BrokerEpoch) fetching {
	n.c.t.Helper()
	at, ok := n.FetchPosition()
	if !ok {
		n.c.t.Fatalf("%s has nothing to fetch", n.name)
	}
	r := leader.Read(partition.ReadRequest{From: at.From, MaxBytes: 1 << 20, MinOne: true, CurrentEpoch: at.Epoch, LastFetchedEpoch: at.LastEpoch,
		Replica: n.id, ReplicaEpoch: incarnation})
	a := partition.Replicated{Epoch: at.Epoch, From: at.From, Diverging: r.Diverging, HighWatermark: r.Offsets.HighWatermark, LogStart: r.Offsets.LogStart, Code: r.Code}
	if r.Range.Source != nil {
		a.Records = make([]byte, r.Range.Length)
		if _, err := r.Range.Source.ReadAt(a.Records, r.Range.Position); err != nil && !errors.Is(err, io.EOF) {
			n.c.t.Fatal(err)
		}
		r.Range.Source.Release()
	}
	return fetching{n: n, part: n.Partition, asked: at, answer: a}
}

// arrive lets the answer arrive.
func (f fetching) arrive() error { return f.n.Replicate(f.answer) }

// fetch is one fetch and its answer.
func (n *node) fetch() {
	n.c.t.Helper()
	n.c.must(n.ask().arrive())
}

// report sends the durable progress to the leader.
func (n *node) report() kafka.ErrorCode {
	p, ok := n.Progress()
	if !ok {
		return waits
	}
	return n.c.leader.ReplicaDurable(n.id, n.epoch, p.Epoch, p.Durable)
}

// catchUp lets followers have all that the leader has, durable, and know of it.
func (c *cluster) catchUp(followers ...*node) {
	c.t.Helper()
	c.leader.flush()
	for range 5 {
		for _, n := range followers {
			n.fetch()
			n.flush()
			n.report()
		}
	}
}

// accept lets the controller commit what the leader has proposed last.
func (c *cluster) accept() {
	c.t.Helper()
	p := c.leader.proposals
	if len(p) == 0 {
		c.t.Fatal("the leader has proposed nothing")
	}
	last := p[len(p)-1]
	c.leader.proposals = nil
	c.isr = nil
	for _, m := range last.ISR {
		c.isr = append(c.isr, m.ID)
	}
	c.setISR()
}

func (n *node) wantProposal(want ...*node) {
	n.c.t.Helper()
	if len(want) == 0 {
		if len(n.proposals) > 0 {
			n.c.t.Errorf("%s proposes %+v, want no change", n.name, n.proposals)
		}
		return
	}
	if len(n.proposals) == 0 {
		n.c.t.Fatalf("%s proposes nothing", n.name)
	}
	var got, wanted []kafka.BrokerID
	for _, m := range n.proposals[len(n.proposals)-1].ISR {
		got = append(got, m.ID)
	}
	for _, m := range want {
		wanted = append(wanted, m.id)
	}
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		n.c.t.Errorf("%s proposes %v, want %v", n.name, got, wanted)
	}
}

// holds is the log of a node: values with the epochs that they were appended in.
func (n *node) holds() string {
	n.c.t.Helper()
	var out []string
	l := n.Log()
	for at := l.Start(); at < l.End(); {
		rng, err := l.Read(at, l.End(), 1<<20, true)
		n.c.must(err)
		b := make([]byte, rng.Length)
		if _, err := rng.Source.ReadAt(b, rng.Position); err != nil && !errors.Is(err, io.EOF) {
			n.c.t.Fatal(err)
		}
		rng.Source.Release()
		at = rng.End
		out = append(out, batches(n.c.t, b)...)
	}
	return strings.Join(out, " ")
}

func batches(t tester, b []byte) (out []string) {
	for len(b) > 0 {
		h, err := record.ParseHeader(b)
		if err == nil {
			err = record.Verify(b[:h.Size()])
		}
		if err == nil {
			err = record.Iterate(b[:h.Size()], 0, func(r record.Record) error {
				out = append(out, fmt.Sprintf("%s@%d", r.Value, h.LeaderEpoch))
				return nil
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		b = b[h.Size():]
	}
	return out
}

func (n *node) wantHolds(want string) {
	n.c.t.Helper()
	if got := n.holds(); got != want {
		n.c.t.Errorf("%s holds %q, want %q", n.name, got, want)
	}
}

func (n *node) wantHigh(want kafka.Offset) {
	n.c.t.Helper()
	if got := n.Offsets().HighWatermark; got != want {
		n.c.t.Errorf("%s has high watermark %d, want %d", n.name, got, want)
	}
}

// lostNothing checks that the leader has everything that was acknowledged.
func (c *cluster) lostNothing() {
	c.t.Helper()
	c.lostNothingFrom(0)
}

// lostNothingFrom is the same without what was deleted.
func (c *cluster) lostNothingFrom(from kafka.Offset) {
	c.t.Helper()
	held := strings.Split(c.leader.holds(), " ")
	start := c.leader.Log().Start()
	for at, value := range c.acked {
		i := int(at - start)
		if at < from {
			continue
		}
		if i < 0 || i >= len(held) || !strings.HasPrefix(held[i], value+"@") {
			c.t.Errorf("LOST: %q was acknowledged at %d; leader %s holds %q", value, at, c.leader.name, held)
		}
	}
}
