package quorum

import (
	"context"
	"errors"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// Stepped is a member without a goroutine and without a clock of its own: whoever
// opened it says when a tick of time passes and when a message arrives. It is for a
// world in which one goroutine drives everything; a Quorum does the same steps in
// its loop. After an error nothing is done any more.
type Stepped struct {
	c     *core
	calls []*call
	err   error // ends it
}

// call is a command that somebody waits for.
type call struct {
	s    *submission
	done func(controller.Reply, error)
}

// Decider is controller.Decide, or what a planted fault makes of it.
type Decider func(*meta.Image, controller.Inputs, controller.Command) ([]meta.Record, controller.Reply, error)

// TickInterval is how much time one Tick stands for.
const TickInterval = tickInterval

// OpenStepped is Open and the beginning of the loop. decide nil: controller.Decide.
func OpenStepped(o Options, decide Decider, subscriber func(meta.Delta, *meta.Image)) (*Stepped, error) {
	if o.Transport == nil {
		o.Transport = NoTransport{}
	}
	if o.Config == nil {
		o.Config = config.Default()
	}
	o.decide = decide
	c, err := openCore(&o)
	if err != nil {
		return nil, fmt.Errorf("open metadata quorum: %w", err)
	}
	s := &Stepped{c: c}
	if subscriber != nil {
		c.subscribers = append(c.subscribers, subscriber)
	}
	if err := c.campaign(); err != nil {
		return nil, errors.Join(err, c.close(true))
	}
	return s, s.settle()
}

// settle does what the loop does between two events.
func (s *Stepped) settle() error {
	if s.err = s.c.settle(); s.err != nil {
		return s.err
	}
	rest := s.calls[:0]
	var over []*call
	for _, x := range s.calls {
		select {
		case <-x.s.done:
			over = append(over, x)
		default:
			rest = append(rest, x)
		}
	}
	clear(s.calls[len(rest):])
	s.calls = rest
	for _, x := range over {
		x.done(x.s.reply, x.s.err)
	}
	return nil
}

// Tick lets TickInterval pass.
func (s *Stepped) Tick() error {
	if s.err == nil {
		s.err = s.c.tick()
	}
	if s.err != nil {
		return s.err
	}
	return s.settle()
}

// Receive takes an encoded message of another member.
func (s *Stepped) Receive(b []byte) error {
	m, err := decodeMail(b)
	if err != nil || s.err != nil {
		return errors.Join(err, s.err)
	}
	s.c.take(m)
	return s.settle()
}

// ReportSnapshot tells how the carrying of a snapshot message went.
func (s *Stepped) ReportSnapshot(m Message, arrived bool) error {
	if s.err != nil {
		return s.err
	}
	s.c.step(snapshotStatus(m.raftID, arrived))
	return s.settle()
}

// Submit has this member decide on a command. done is called when the outcome is
// known, perhaps before Submit returns, and never after Close. *NotLeaderError: it does not lead, or not yet.
func (s *Stepped) Submit(command controller.Command, done func(controller.Reply, error)) error {
	if s.err != nil {
		return s.err
	}
	if !s.c.accepts() {
		done(controller.Reply{}, &NotLeaderError{Leader: kafka.NoBroker})
		return nil
	}
	x := &call{s: newSubmission(command), done: done}
	s.calls = append(s.calls, x)
	s.c.propose([]*submission{x.s})
	return s.settle()
}

// LeaderDead tells that a node is proven dead, see Quorum.LeaderDead.
func (s *Stepped) LeaderDead(node kafka.BrokerID) error {
	if s.err != nil {
		return s.err
	}
	s.c.leaderDead(node)
	return s.settle()
}

// Resign hands the leadership over, if it can be; it does not wait.
func (s *Stepped) Resign() error {
	if s.err != nil {
		return s.err
	}
	s.c.resign()
	return s.settle()
}

// ChangeVoters begins to make exactly these members the voters, see
// Quorum.ChangeVoters. A change that is under way goes on.
func (s *Stepped) ChangeVoters(ctx context.Context, voters []Voter) error {
	ch := &change{ctx: ctx, done: make(chan error, 1)}
	for _, v := range voters {
		ch.target = append(ch.target, member{raftID: RaftID(v.Directory), node: v.Node, directory: v.Directory, roles: roleVoter})
	}
	sortMembers(ch.target)
	if err := errors.Join(s.err, checkVoters(ch.target)); err != nil {
		return err
	}
	s.c.startChange(ch)
	return s.settle()
}

// Sight says whether this member has to pull what is committed, from which offset,
// and which nodes to ask, the leader first.
func (s *Stepped) Sight() (needed bool, from kafka.Offset, nodes []kafka.BrokerID) {
	x := s.c.sight()
	return x.needed, x.from, x.nodes
}

// Pull answers an observer at once.
func (s *Stepped) Pull(from kafka.Offset) (Pulled, error) {
	return s.c.pulled(&pull{from: from, most: PullBytesMax})
}

// TakePulled takes what was pulled from the offset on. What cannot be used is
// dropped.
func (s *Stepped) TakePulled(from kafka.Offset, p Pulled) error {
	if s.err != nil {
		return s.err
	}
	if err := s.c.takePulled(from, p); err != nil && !errors.Is(err, errPulled) {
		s.err = err
		return err
	}
	return s.settle()
}

// Image is the newest metadata that is applied here.
func (s *Stepped) Image() *meta.Image { return s.c.image }

// Describe tells how the quorum is.
func (s *Stepped) Describe() Description { return *s.c.describe() }

// Leader is the node that leads the quorum, NoBroker when none is known.
func (s *Stepped) Leader() kafka.BrokerID { return s.c.leaderNode() }

// Decides reports whether this member leads and knows all that is committed.
func (s *Stepped) Decides() bool { return s.c.leading && s.c.tip != nil }

// Fold works the image out again from the snapshot and the entries that are stored
// here.
func (s *Stepped) Fold() (*meta.Image, error) {
	st := s.c.store
	if st.snapIndex == 0 || st.first > st.snapIndex+1 {
		return s.c.image, nil
	}
	snap, err := decodeSnapshot(st.snapBytes)
	if err != nil {
		return nil, err
	}
	image := snap.image
	for at := st.snapIndex + 1; at <= uint64(s.c.image.Offset()); at++ {
		var records []meta.Record
		x := st.entries[at-st.first]
		if x.GetType() == pb.EntryNormal {
			records, err = decodeData(x)
		}
		if err == nil {
			image, _, err = image.Apply(kafka.Offset(at), records)
		}
		if err != nil {
			return nil, fmt.Errorf("fold entry %d: %w", at, err)
		}
	}
	return image, nil
}

// Close ends the member in order; one that has failed writes nothing more. Who waits
// is not told.
func (s *Stepped) Close(failed bool) error {
	s.calls = nil
	return s.c.close(failed)
}
