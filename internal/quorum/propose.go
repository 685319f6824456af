package quorum

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/vfs"
)

// submission is one command on its way. reply and err are set before done is
// closed.
type submission struct {
	ctx     context.Context // of whoever waits; nil: nobody gives up
	command controller.Command
	term    uint64
	reply   controller.Reply
	err     error
	done    chan struct{}
}

func newSubmission(command controller.Command) *submission {
	return &submission{command: command, done: make(chan struct{})}
}

func (s *submission) answer(reply controller.Reply, err error) {
	s.reply, s.err = reply, err
	close(s.done)
}

// accepts reports whether propose can say anything but "wait".
func (c *core) accepts() bool {
	return c.tip != nil && !c.holding || !c.leading && c.leaderNode() != kafka.NoBroker
}

// propose decides on commands, one after the other, each on what the ones before
// leave. Their entries go to the disk together with the next drain. The library
// has nothing left to do when it is called.
func (c *core) propose(batch []*submission) {
	room := c.store.reserve.room()
	for _, s := range batch {
		switch {
		case s.ctx != nil && s.ctx.Err() != nil: // nobody waits: what was given up is not done late
			s.answer(controller.Reply{}, context.Cause(s.ctx))
		case c.tip == nil:
			s.answer(controller.Reply{}, &NotLeaderError{Leader: c.leaderNode()})
		case c.stalled != nil: // what the library says of its role was not looked at since
			s.answer(controller.Reply{}, ErrNoSpace)
		default:
			room -= c.proposeOne(s, room)
		}
	}
}

// proposeOne returns how much of the room its entry takes.
func (c *core) proposeOne(s *submission, room int64) (taken int64) {
	decide := Decider(controller.Decide)
	if c.o.decide != nil {
		decide = c.o.decide
	}
	records, reply, err := decide(c.tip, c.inputs(), s.command)
	if err != nil || len(records) == 0 {
		reply.Offset = c.tip.Offset() // what the reply says was decided on
		s.reply, s.err = reply, err
		c.waitFor(uint64(c.tip.Offset()), s)
		return 0
	}
	data := meta.AppendRecords(nil, records)
	if len(data) > entryBytesMax {
		s.answer(controller.Reply{}, &controller.Error{Code: kafka.ErrPolicyViolation,
			Message: fmt.Sprintf("the change takes %d bytes of metadata, at most %d at once", len(data), entryBytesMax)})
		return 0
	}
	// What is applied is what every member and every later start will read back:
	// records that could not be decoded must be a refusal here, not a log that no
	// member can open.
	if records, err = meta.DecodeRecords(data); err != nil {
		s.answer(controller.Reply{}, fmt.Errorf("decide: %w", err))
		return 0
	}
	taken = int64(len(data)) + vfs.BlockSize
	if taken > room {
		s.answer(controller.Reply{}, ErrNoSpace)
		return 0
	}
	// Proposals of a leader get consecutive indexes, and nothing else was
	// proposed since the last drain.
	index := uint64(c.tip.Offset()) + 1
	tip, delta, err := c.tip.Apply(kafka.Offset(index), records)
	if err != nil {
		s.answer(controller.Reply{}, fmt.Errorf("decide: %w", err))
		return 0
	}
	if err := c.node.Propose(data); err != nil {
		// Leadership is being handed over, or too much waits to be committed. The
		// library has not taken it.
		c.o.Log.Debug("a proposal was dropped", "error", err)
		s.answer(controller.Reply{}, &NotLeaderError{Leader: kafka.NoBroker})
		return 0
	}
	c.tip = tip
	c.proposed = append(c.proposed, outcome{data, tip, delta})
	s.reply = reply.At(kafka.Offset(index))
	c.waitFor(index, s)
	return taken
}

// outcome is what an entry makes of the image before it.
type outcome struct {
	data  []byte // of the entry
	image *meta.Image
	delta meta.Delta
}

func (c *core) inputs() controller.Inputs {
	return controller.Inputs{
		Now:    kafka.Timestamp(c.o.Env.Clock.Now().UnixMilli()),
		NewID:  func() kafka.UUID { return kafka.NewUUID(c.o.Env.Rand) },
		Config: c.o.Config,
	}
}

// waitFor answers s when the entry is applied. What was decided on a tip is true
// only once the tip is committed, refusals included.
func (c *core) waitFor(index uint64, s *submission) {
	if index <= uint64(c.image.Offset()) {
		close(s.done)
		return
	}
	s.term = c.node.BasicStatus().GetTerm()
	c.waiting[index] = append(c.waiting[index], s)
}

// applied answers those who wait for the entry. Another term's entry in its place
// means that theirs was overwritten.
func (c *core) applied(index, term uint64) {
	list := c.waiting[index]
	delete(c.waiting, index)
	for _, s := range list {
		if s.term != term {
			s.answer(controller.Reply{}, &NotLeaderError{Leader: c.leaderNode()})
			continue
		}
		close(s.done)
	}
}

func (c *core) failWaiting(err error) {
	for _, index := range slices.Sorted(maps.Keys(c.waiting)) {
		for _, s := range c.waiting[index] {
			s.answer(controller.Reply{}, err)
		}
	}
	clear(c.waiting)
}
