package sim

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/datadir"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/meta"
	"holdfast/internal/partition"
	"holdfast/internal/quorum"
	"holdfast/internal/vfs"
)

// node is one broker: its disk, which outlives it, and the process of the moment.
type node struct {
	w     *World
	id    kafka.BrokerID
	disk  *vfs.Mem
	clock *clock.Sim
	rand  *env.SeededRand

	life        int // counts processes
	running     bool
	pausedUntil time.Duration
	wiped       bool // the disk is a new one: it joins and founds nothing
	sick        int  // counts damage to this disk that recovery may find
	full        bool // the disk has hardly any space
	faulty      bool // a sync of the disk has failed, or will
	skew        time.Duration

	process
}

// process is what a death takes away.
type process struct {
	dir         *datadir.Dir
	gate        *gate
	quorum      *quorum.Stepped
	failed      error // of the quorum: the process ends
	incarnation kafka.UUID
	epoch       kafka.BrokerEpoch // -1: not registered yet
	asking      bool              // a registration is under way
	leaving     bool              // a controlled shutdown
	wanted      bool              // metadata has moved, and reconcile is on its way
	applied     kafka.Offset      // metadata that the partitions are brought to
	replicas    map[kafka.TopicIDPartition]*replica
	order       []*replica
	damage      map[kafka.TopicIDPartition]*damage
	office      office
	slow        bool // the disk takes long to sync
}

// The brokers' times, short ones: a world does not last long.
const (
	tickEvery      = quorum.TickInterval
	heartbeatEvery = 200 * time.Millisecond
	sessionTimeout = time.Second
	lagMax         = 1500 * time.Millisecond
	registerEvery  = 100 * time.Millisecond
	commandLimit   = 500 * time.Millisecond
)

const (
	dataDir      = "/data"
	journalBytes = 512 << 10
	reserveBytes = 256 << 10
)

var theCluster = kafka.ClusterID{1, 2, 3}

func newNode(w *World, id kafka.BrokerID) *node {
	seed := w.o.Seed<<8 + uint64(id)
	return &node{w: w, id: id, disk: vfs.NewMem(seed), clock: clock.NewSim(epochOfWorld), rand: env.NewSeededRand(seed)}
}

func (n *node) String() string { return string(rune('A' - 1 + n.id)) }

func (n *node) isDown() bool { return !n.running }

func (n *node) ground() env.Env { return env.Env{Clock: n.clock, FS: n.disk, Rand: n.rand} }

func (n *node) log() *slog.Logger {
	if n.w.o.Trace == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(lines{n}, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// lines writes a broker's log into the trace.
type lines struct{ n *node }

// Write implements io.Writer.
func (l lines) Write(b []byte) (int, error) {
	l.n.w.note("%s says %s", l.n, b[:max(len(b)-1, 0)])
	return len(b), nil
}

// found starts every node for the first time; together they found the cluster.
func (w *World) found() {
	var voters []quorum.Voter
	for _, n := range w.nodes {
		if err := n.openDir(); err != nil {
			w.find("the data directory of a new node does not open: %v", err)
		}
		voters = append(voters, quorum.Voter{Node: n.id, Directory: n.dir.Identity().DirectoryID})
	}
	for _, n := range w.nodes {
		if err := n.openQuorum(voters); err != nil {
			w.find("the quorum of a new node does not open: %v", err)
		}
		n.begin()
	}
}

// boot starts a process on the disk as it is.
func (n *node) boot() {
	err := n.openDir()
	if err == nil {
		err = n.openQuorum(nil)
	}
	if err == nil {
		n.w.note("%s starts, start %d, previous epoch %d", n, n.dir.Identity().Starts, n.dir.PreviousEpoch())
		n.begin()
		return
	}
	n.w.note("%s does not start: %v", n, err)
	if !n.disk.Crashed() && !n.w.mayFail(n, err) {
		n.w.find("%s does not start: %v", n, err)
	}
	n.die(death{kind: powerLoss, back: n.w.between(200*time.Millisecond, time.Second)})
}

func (n *node) openDir() error {
	n.life++
	n.running = true
	n.process = process{epoch: -1, applied: kafka.NoOffset, replicas: map[kafka.TopicIDPartition]*replica{}, damage: map[kafka.TopicIDPartition]*damage{}}
	n.office.contacts = map[kafka.BrokerID]contact{}
	n.incarnation = kafka.NewUUID(n.rand)
	var err error
	n.dir, err = datadir.Open(datadir.Options{Env: n.ground(), Dir: dataDir, NodeID: n.id, ClusterID: theCluster,
		JournalBytes: journalBytes, ReserveBytes: reserveBytes, Log: n.log(), Stepped: true})
	if err == nil {
		n.gate = &gate{Dir: n.dir, n: n}
	}
	return err
}

func (n *node) openQuorum(voters []quorum.Voter) error {
	id := n.dir.Identity()
	o := quorum.Options{Env: n.ground(), Dir: dataDir, Self: n.id, ClusterID: id.ClusterID, DirectoryID: id.DirectoryID, Founded: id.Founded, Starts: id.Starts,
		Config: n.w.plan.config, Log: n.log(), Voters: voters, Join: n.wiped, Transport: n, Led: n.led}
	for _, m := range n.w.nodes {
		if m != n {
			o.Sources = append(o.Sources, m.id)
		}
	}
	var err error
	n.quorum, err = quorum.OpenStepped(o, n.w.plant.decide, func(_ meta.Delta, image *meta.Image) {
		n.w.check.applied(n, image)
		n.heard()
	})
	if err != nil {
		return err
	}
	return n.dir.MarkFounded()
}

// begin starts what the process does by itself.
func (n *node) begin() {
	n.every(tickEvery, n.tick)
	n.every(heartbeatEvery, n.beat)
	n.every(200*time.Millisecond, n.keepUp)
	n.every(500*time.Millisecond, n.controllerUpkeep)
	if n.wiped {
		n.every(50*time.Millisecond, n.pull)
	}
	n.heard()
}

// tick lets the parts that count time do so.
func (n *node) tick() {
	n.note(n.quorum.Tick())
	if n.epoch < 0 {
		n.register()
		return
	}
	now := n.clock.Now()
	for _, r := range n.order {
		r.p.Tick(now)
		r.retry()
	}
	n.sendProposals()
	n.tellDamage()
	n.endSessions()
}

// keepUp does the upkeep of the data directory.
func (n *node) keepUp() {
	all := n.w.chance(40)
	n.dir.Upkeep(all)
	if err := n.dir.LookAtSpace(); err != nil {
		n.w.note("%s: %v", n, err)
	}
}

// note keeps the first failure of the quorum.
func (n *node) note(err error) {
	if err != nil && n.failed == nil {
		n.failed = err
	}
}

// look finds out whether the process can go on after what it did.
func (n *node) look() {
	if n.isDown() {
		return
	}
	switch err := errors.Join(n.failed, n.dir.Err()); {
	case n.disk.Crashed():
		n.w.note("%s loses power in the middle of a write", n)
		n.die(death{kind: powerLoss, back: n.w.plan.downtime(n.w)})
	case err != nil:
		if !n.w.mayFail(n, err) {
			n.w.find("%s fails without a reason: %v", n, err)
		}
		n.w.note("%s ends: %v", n, err)
		n.disk.Heal()
		n.die(death{kind: processEnd, back: n.w.plan.downtime(n.w)})
	}
}

// Send implements quorum.Transport.
func (n *node) Send(messages []quorum.Message) {
	for _, m := range messages {
		to, arrived := n.w.node(m.To), false
		n.w.send(n, to, anyLife, func() {
			arrived = true
			to.note(to.quorum.Receive(m.Bytes))
		})
		if m.Snapshot {
			n.after(100*time.Millisecond, func() { n.note(n.quorum.ReportSnapshot(m, arrived)) })
		}
	}
}

// pull gets committed metadata where nobody sends it.
func (n *node) pull() {
	needed, from, nodes := n.quorum.Sight()
	if !needed || len(nodes) == 0 {
		return
	}
	to := n.w.node(nodes[n.w.r.IntN(len(nodes))])
	ask(n.w, rpc[quorum.Pulled]{from: n, to: to, limit: commandLimit, handle: func(reply func(quorum.Pulled)) {
		if p, err := to.quorum.Pull(from); err == nil {
			reply(p)
		}
	}, done: func(p quorum.Pulled, ok bool) {
		if ok {
			n.note(n.quorum.TakePulled(from, p))
		}
	}})
}

// replica is a partition here.
type replica struct {
	n  *node
	id kafka.TopicIDPartition
	l  *log.Log
	p  *partition.Partition

	leader   kafka.BrokerID // that this replica follows
	asked    *fetching      // the fetch that is under way
	told     kafka.Offset   // the high watermark of the leader's last answer
	toldIn   kafka.LeaderEpoch
	report   report
	proposal *proposal
}

func (r *replica) String() string { return fmt.Sprintf("%s-%d", r.n, r.id.Partition) }
