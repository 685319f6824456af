package quorum

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// core is one member without its goroutine. Its owner calls one method at a time:
// tick, step or propose, and then drain, which carries out what the library asks
// for. After an error nothing more may be called but close.
type core struct {
	o     *Options
	id    uint64
	node  *raft.RawNode
	store *storage

	// image is the metadata that is committed and applied. tip adds what this
	// leader has proposed; nil while it does not lead or has not applied the first
	// entry of its own term: until then it does not know all that is committed.
	image *meta.Image
	tip   *meta.Image

	leading bool
	leader  uint64         // raft.None: not known
	hint    kafka.BrokerID // who leads by the word of another node, where leader is not known
	pace    pace
	memory  memory
	// announced: Options.Led has heard that this member decides.
	announced kafka.LeaderEpoch
	// proposed holds what this leader has worked out already: the images of the
	// entries between image and tip, in order.
	proposed []outcome
	// waiting holds submissions by the entry that they wait for.
	waiting map[uint64][]*submission
	pulls   []*pull

	change  *change // of members; nil: none that this leader began
	confAt  uint64  // index of the change that was proposed and not applied, 0: none
	holding bool    // nothing is decided, so that the change can be proposed
	// remember: the members have changed, and only a snapshot from behind the change
	// lets a newcomer in.
	remember bool

	subscribers []func(meta.Delta, *meta.Image)
	publish     func(*meta.Image) // before the subscribers hear of it
	ticks       uint64

	// stalled is what the library asked for and a full disk keeps from being done;
	// nil: nothing. Every drain goes on with it.
	stalled *raft.Ready
	// failed is why nothing more can be done, found outside of drain.
	failed error
	// snapshotAt is the tick from which a snapshot may be tried again.
	snapshotAt uint64
}

// openCore opens the storage and starts the library on it.
func openCore(o *Options) (*core, error) {
	store, snap, err := openStorage(o)
	if err != nil {
		return nil, err
	}
	if err := store.reserve.establish(); err != nil {
		o.Log.Warn("no disk space is set aside for metadata", "error", err)
	}
	c := &core{o: o, id: RaftID(o.DirectoryID), store: store, image: snap.image, hint: kafka.NoBroker, announced: kafka.NoLeaderEpoch,
		waiting: map[uint64][]*submission{}, publish: func(*meta.Image) {}, memory: memory{life: o.Env.Rand.Uint64(), of: map[uint64]recollection{}, vouched: map[uint64]bool{}}}
	c.node, err = raft.NewRawNode(raftConfig(c.id, store, logger{o.Log}))
	if err != nil {
		err = fmt.Errorf("start raft: %w", err)
	} else {
		err = c.loadMemory()
	}
	if err != nil {
		_ = store.close(true)
		return nil, err
	}
	return c, nil
}

// campaign makes a voter that is alone elect itself now and not after a timeout.
// Of several, the first asks for votes at once.
func (c *core) campaign() error {
	if !c.store.membership.isAlone(c.id) {
		c.ask()
		return nil
	}
	c.memory.proven = true
	if err := c.node.Campaign(); err != nil {
		return fmt.Errorf("campaign: %w", err)
	}
	return nil
}

const (
	// witnessTicks is how long the vote file may trail what it knows.
	witnessTicks = 10
	reserveTicks = 50
)

// tick lets a tick of time pass.
func (c *core) tick() error {
	c.ticks++
	if c.memory.proven { // the library would campaign
		c.node.Tick()
	}
	c.ask()
	c.elect()
	if c.ticks%reserveTicks == 0 {
		// Tried again until there is space. Whoever cannot say so yet is told by
		// the refusal of a command.
		_ = c.store.reserve.establish()
	}
	if c.ticks%witnessTicks != 0 {
		return nil
	}
	if c.store.witness {
		if err := c.store.saveWitness(); err != nil {
			return err
		}
	}
	return c.saveMemory()
}

// step takes a message of another member. Messages that do not fit are dropped:
// networks repeat and delay, and a node whose directory was replaced still gets
// those of the member that it was.
func (c *core) step(m *pb.Message) {
	if m.GetType() != pb.MsgSnapStatus {
		if m.GetTo() == c.id && c.heard(m) && c.believes(m) {
			_ = c.node.Step(m)
			c.memory.note(m, c.node.BasicStatus())
		}
		return
	}
	status := raft.SnapshotFinish
	if m.GetReject() {
		status = raft.SnapshotFailure
	}
	c.node.ReportSnapshot(m.GetFrom(), status)
}

// snapshotStatus is the note of how a snapshot to a node went.
func snapshotStatus(raftID uint64, arrived bool) *pb.Message {
	return &pb.Message{Type: pb.MsgSnapStatus.Enum(), From: proto.Uint64(raftID), Reject: proto.Bool(!arrived)}
}

// drain carries out everything that the library asks for, in the order that its
// safety rests on: vote, entries and snapshot are durable before messages that
// speak of them leave, and before anything is applied.
func (c *core) drain() error {
	if c.failed != nil {
		return c.failed
	}
	for c.stalled != nil || c.node.HasReady() {
		rd := c.stalled
		if rd == nil {
			next := c.node.Ready()
			rd = &next
		}
		err := c.handle(rd)
		if errors.Is(err, errStalled) {
			c.stall(rd, err)
			return nil
		}
		if err != nil {
			return err
		}
		if c.stalled != nil {
			c.stalled = nil
			c.o.Log.Info("the metadata log goes on: there is disk space again")
		}
		c.node.Advance(*rd)
	}
	return c.maybeSnapshot()
}

// settle drains, and does what waits for the core to have nothing left to do.
func (c *core) settle() error {
	err := c.drain()
	if err == nil {
		err = c.advanceChange()
	}
	if err == nil {
		err = c.answerPulls()
	}
	return err
}

// stall keeps what a full disk does not let happen. Nothing is sent, decided or
// applied until the entries are written; where there are other voters, they stop
// hearing of this one.
func (c *core) stall(rd *raft.Ready, err error) {
	if c.stalled == nil {
		c.o.Log.Warn("the metadata log waits for disk space", "error", err)
	}
	c.stalled = rd
}

// handle does what rd asks for. After errStalled what is done has gone from rd, and
// handle can be called with it again.
func (c *core) handle(rd *raft.Ready) error {
	if rd.SoftState != nil {
		c.noteRole(rd.SoftState)
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		if rd.HardState.GetVote() != c.store.hard.vote || rd.HardState.GetTerm() != c.store.hard.term {
			c.noteVote(rd.HardState)
		}
		if err := c.store.saveVote(rd.HardState); err != nil {
			return err
		}
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := c.install(rd.Snapshot); err != nil {
			return err
		}
		rd.Snapshot = nil
	}
	if len(rd.Entries) > 0 {
		n, err := c.store.append(rd.Entries)
		rd.Entries = rd.Entries[n:]
		if err != nil {
			return err
		}
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		c.store.noteCommit(rd.HardState)
	}
	if len(rd.Messages) > 0 {
		messages, err := c.store.membership.outgoing(rd.Messages)
		if err != nil {
			return err
		}
		c.o.Transport.Send(messages)
	}
	for _, x := range rd.CommittedEntries {
		if err := c.apply(x); err != nil {
			return err
		}
	}
	return nil
}

// noteRole follows elections. Whoever waits for an entry of a leadership that
// ended is told that nobody knows.
func (c *core) noteRole(s *raft.SoftState) {
	was := c.leading
	if c.leader != s.Lead {
		c.noteElection(s.Lead)
	}
	c.leading, c.leader = s.RaftState == raft.StateLeader, s.Lead
	if c.leader != raft.None {
		c.hint = kafka.NoBroker
	}
	if was == c.leading {
		return
	}
	c.tip, c.proposed, c.confAt = nil, nil, 0
	if c.leading {
		c.o.Log.Info("leading the metadata quorum", "node", c.o.Self)
		return
	}
	c.o.Log.Info("no longer leading the metadata quorum", "node", c.o.Self, "leader", c.store.membership.node(c.leader))
	if c.change != nil {
		c.endChange(ErrLeadershipLost)
	}
	c.announce(false)
	c.failWaiting(ErrLeadershipLost)
}

// announce tells whoever wants to know that this member begins or ends to decide.
func (c *core) announce(decides bool) {
	term := c.announced
	if decides == (term != kafka.NoLeaderEpoch) {
		return
	}
	c.announced = kafka.NoLeaderEpoch
	if decides {
		term = kafka.LeaderEpoch(c.node.BasicStatus().GetTerm())
		c.announced = term
	}
	if c.o.Led != nil {
		c.o.Led(decides, term)
	}
}

// leaderNode is the node that leads, NoBroker when none is known.
func (c *core) leaderNode() kafka.BrokerID {
	if node := c.store.membership.node(c.leader); node != kafka.NoBroker {
		return node
	}
	return c.hint
}

// closingSnapshotBytes is how much a start would have to read of entries before a
// stop in order takes a snapshot.
const closingSnapshotBytes = 64 << 10

// close ends the core. A failed one writes nothing more.
func (c *core) close(failed bool) error {
	c.announce(false)
	c.failWaiting(ErrClosed)
	var err error
	if !failed && c.store.bytes >= closingSnapshotBytes && uint64(c.image.Offset()) > c.store.snapIndex {
		err = c.trySnapshot()
	}
	if !failed && err == nil {
		err = c.saveMemory()
	}
	err = errors.Join(err, c.store.close(failed || err != nil))
	if r := c.store.reserve.close(); err == nil {
		err = r
	}
	return err
}
