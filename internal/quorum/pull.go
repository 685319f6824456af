package quorum

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"go.etcd.io/raft/v3"

	"holdfast/internal/kafka"
)

// A pulled answer with entries begins with a head; the entries behind it are
// record batches, as in the log:
//
//	+---------+------+--------+---------+
//	| version | term | leader | entries |
//	| u8      | u64  | i32    |         |
//	+---------+------+--------+---------+
const (
	pulledVersion = 1
	pulledHead    = 1 + 8 + 4

	pullsMax  = 1000 // that wait at one member
	pullTicks = 5    // how long one waits for something new
)

// pull is an observer that waits for entries.
type pull struct {
	ctx    context.Context
	from   kafka.Offset
	most   int
	until  uint64 // tick
	answer chan Pulled
}

// Pull answers an observer: what is committed from the offset on, the snapshot where
// the entries are gone, and after half a second without anything new who leads.
func (q *Quorum) Pull(ctx context.Context, from kafka.Offset, maxBytes int) (Pulled, error) {
	p := &pull{ctx: ctx, from: from, most: min(max(maxBytes, 1), PullBytesMax), answer: make(chan Pulled, 1)}
	full := false
	err := q.call(ctx, func(c *core) {
		if full = len(c.pulls) >= pullsMax; !full {
			p.until = c.ticks + pullTicks
			c.pulls = append(c.pulls, p)
		}
	})
	if err == nil && full {
		err = errBusy
	}
	if err != nil {
		return Pulled{}, fmt.Errorf("pull metadata: %w", err)
	}
	select {
	case answer := <-p.answer:
		return answer, nil
	case <-ctx.Done():
		return Pulled{}, fmt.Errorf("pull metadata: %w", context.Cause(ctx))
	case <-q.stopped:
		return Pulled{}, q.ended()
	}
}

// answerPulls answers who waits for what is applied by now.
func (c *core) answerPulls() error {
	rest := c.pulls[:0]
	for _, p := range c.pulls {
		if p.ctx.Err() != nil {
			continue
		}
		if p.from > c.image.Offset() && c.ticks < p.until {
			rest = append(rest, p)
			continue
		}
		answer, err := c.pulled(p)
		if err != nil {
			return err
		}
		p.answer <- answer
	}
	clear(c.pulls[len(rest):])
	c.pulls = rest
	return nil
}

// pulled is the answer to p.
func (c *core) pulled(p *pull) (Pulled, error) {
	applied := uint64(c.image.Offset())
	out := Pulled{Committed: c.image.Offset() + 1}
	if c.store.snapIndex == 0 { // joining itself: it has nothing to tell
		return out, nil
	}
	if p.from < kafka.Offset(c.store.first) && uint64(max(p.from, 0)) <= c.store.snapIndex {
		out.Snapshot = c.store.snapBytes
		return out, nil
	}
	out.Entries = binary.BigEndian.AppendUint64([]byte{pulledVersion}, c.node.BasicStatus().GetTerm())
	out.Entries = binary.BigEndian.AppendUint32(out.Entries, uint32(c.leaderNode()))
	if uint64(p.from) > applied {
		return out, nil
	}
	entries, err := c.store.Entries(uint64(p.from), applied+1, uint64(p.most))
	if err != nil {
		return out, fmt.Errorf("read entries for an observer: %w", err)
	}
	for _, x := range entries {
		if out.Entries, _, err = appendBatch(out.Entries, nil, x, c.store.disk.now()); err != nil {
			return out, err
		}
	}
	return out, nil
}

// observing reports whether this member gets what is committed by pulling it:
// nobody sends it entries, nobody has for long, or a member does whom it does not
// know yet and cannot answer.
func (c *core) observing() bool {
	_, member := c.store.membership.find(c.id)
	_, known := c.store.membership.find(c.leader)
	return !member || c.leader != raft.None && !known || c.pace.unheard >= unheardTicks
}

// takePulled takes what was pulled from the offset on. Entries go the way of a
// leader's message, so that one path writes, commits and applies. An error that
// wraps errPulled is the other side's.
func (c *core) takePulled(from kafka.Offset, p Pulled) error {
	if c.stalled != nil || c.leading {
		return nil
	}
	if p.Snapshot != nil {
		return c.takePulledSnapshot(p.Snapshot)
	}
	if len(p.Entries) == 0 {
		return fmt.Errorf("the node has no metadata itself: %w", errPulled)
	}
	if len(p.Entries) < pulledHead || p.Entries[0] != pulledVersion {
		return fmt.Errorf("an answer of %d bytes: %w", len(p.Entries), errPulled)
	}
	term, leader := binary.BigEndian.Uint64(p.Entries[1:]), kafka.BrokerID(binary.BigEndian.Uint32(p.Entries[9:]))
	c.hint = max(leader, kafka.NoBroker)
	entries, err := decodeEntries(nil, p.Entries[pulledHead:], from)
	if err != nil {
		return fmt.Errorf("%w: %w", errPulled, err)
	}
	if len(entries) == 0 {
		return nil
	}
	if from < kafka.Offset(c.store.first) || from > kafka.Offset(c.store.last()+1) {
		return nil // asked before a snapshot came, or entries went
	}
	return c.takePulledEntries(entries, term)
}

func (c *core) takePulledEntries(entries []*pb.Entry, term uint64) error {
	prev := entries[0].GetIndex() - 1
	prevTerm, err := c.store.Term(prev)
	if err != nil {
		return nil // as above
	}
	last := entries[len(entries)-1]
	if last.GetTerm() > term || entries[0].GetTerm() < prevTerm {
		return fmt.Errorf("entry %d of term %d in term %d: %w", last.GetIndex(), last.GetTerm(), term, errPulled)
	}
	return c.stepPulled(prev, prevTerm, term, entries)
}

// stepPulled gives the library entries that follow prev, all of them committed.
func (c *core) stepPulled(prev, prevTerm, term uint64, entries []*pb.Entry) error {
	var sender uint64
	for _, x := range c.store.membership.members {
		if x.roles&(roleVoter|roleOutgoing) != 0 && x.raftID != c.id && (sender == raft.None || x.node == c.hint) {
			sender = x.raftID
		}
	}
	if sender == raft.None {
		return nil
	}
	// What is committed is committed in every later term as well.
	term = max(term, c.node.BasicStatus().GetTerm())
	_ = c.node.Step(&pb.Message{Type: pb.MsgApp.Enum(), From: proto.Uint64(sender), To: proto.Uint64(c.id), Term: proto.Uint64(term),
		Index: proto.Uint64(prev), LogTerm: proto.Uint64(prevTerm), Entries: entries, Commit: proto.Uint64(prev + uint64(len(entries)))})
	return nil
}

// takePulledSnapshot replaces everything here by a snapshot. The library takes one
// only where this member is in it; so it is started anew on it.
func (c *core) takePulledSnapshot(b []byte) error {
	snap, err := decodeSnapshot(b)
	if err == nil {
		err = checkOwner(c.o, snap)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errPulled, err)
	}
	if snap.index <= max(c.store.hard.commit, uint64(c.image.Offset())) {
		return nil
	}
	if term, err := c.store.Term(snap.index); err == nil && term == snap.term {
		// The entries up to the snapshot are here and only not known to be committed.
		// Those behind it must stay: a leader may have counted them.
		return c.stepPulled(snap.index, snap.term, snap.term, nil)
	}
	if err := c.store.raiseTerm(snap.term); err != nil {
		return err
	}
	if err := c.adopt(snap, b); err != nil {
		return err
	}
	node, err := raft.NewRawNode(raftConfig(c.id, c.store, logger{c.o.Log}))
	if err != nil {
		return fmt.Errorf("start raft on a snapshot: %w", err)
	}
	c.node = node
	c.noteRole(&raft.SoftState{RaftState: raft.StateFollower})
	return nil
}

// Errors of pulling.
var (
	// errPulled: what another node answered cannot be used.
	errPulled = errors.New("the other node's answer is unusable")
	errBusy   = errors.New("too many observers wait here")
)
