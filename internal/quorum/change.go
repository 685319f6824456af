package quorum

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/kafka"
)

// VotersMax is how many members may have a vote.
const VotersMax = 7

// Errors of a change of members. Nothing was done.
var (
	// ErrChanging: another change is under way.
	ErrChanging = errors.New("another change of the quorum's members is under way")
	// ErrVoters: the members asked for cannot be a quorum.
	ErrVoters = errors.New("this is no quorum")
)

// ChangeVoters makes exactly these members the voters, where this member leads. Who
// is new gets everything first, without a vote; when all of them have caught up, one
// joint change brings them in and others out, so that no moment depends on a
// newcomer that is behind. A new voter's node runs already and pulls.
//
// *NotLeaderError: another member leads, or is about to because this one is not
// among the voters. ErrChanging, ErrVoters: as they say. The context's error: who
// did not catch up stays without a vote, and the same call later goes on; or the
// change was begun and ends by itself.
func (q *Quorum) ChangeVoters(ctx context.Context, voters []Voter) error {
	ch := &change{ctx: ctx, done: make(chan error, 1)}
	for _, v := range voters {
		ch.target = append(ch.target, member{raftID: RaftID(v.Directory), node: v.Node, directory: v.Directory, roles: roleVoter})
	}
	sortMembers(ch.target)
	if err := checkVoters(ch.target); err != nil {
		return err
	}
	if err := q.call(ctx, func(c *core) { c.startChange(ch) }); err != nil {
		return fmt.Errorf("change the voters: %w", err)
	}
	select {
	case err := <-ch.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("change the voters: %w", context.Cause(ctx))
	case <-q.stopped:
		return q.ended()
	}
}

// AddVoter is ChangeVoters with one more member.
func (q *Quorum) AddVoter(ctx context.Context, v Voter) error {
	return q.ChangeVoters(ctx, append(q.voters(), v))
}

// RemoveVoter is ChangeVoters without one member.
func (q *Quorum) RemoveVoter(ctx context.Context, v Voter) error {
	return q.ChangeVoters(ctx, slices.DeleteFunc(q.voters(), func(x Voter) bool { return x == v }))
}

func (q *Quorum) voters() (list []Voter) {
	for _, x := range q.Describe().Voters {
		list = append(list, Voter{x.Node, x.Directory})
	}
	return list
}

func checkVoters(list []member) error {
	if len(list) == 0 || len(list) > VotersMax {
		return fmt.Errorf("%d voters: %w", len(list), ErrVoters)
	}
	for n, x := range list {
		if x.node < 0 || x.directory.IsZero() || n > 0 && list[n-1].raftID == x.raftID ||
			slices.ContainsFunc(list[:n], func(y member) bool { return y.node == x.node }) {
			return fmt.Errorf("voter %d with directory %s: %w", x.node, x.directory, ErrVoters)
		}
	}
	return nil
}

// change is a change of members on its way. The leader that began it leads it.
type change struct {
	ctx    context.Context
	target []member
	done   chan error
}

// end answers the change and lets decisions go on.
func (c *core) endChange(err error) {
	c.change.done <- err
	c.change, c.holding = nil, false
}

func (c *core) startChange(ch *change) {
	switch {
	case !c.leading:
		ch.done <- &NotLeaderError{Leader: c.leaderNode()}
	case c.change != nil:
		ch.done <- ErrChanging
	default:
		c.change = ch
	}
}

// confLag is how many entries a newcomer may be behind when it gets its vote.
const confLag = 100

// advanceChange does the next step of a change when the one before is done. It is
// called when the library has nothing left to do.
func (c *core) advanceChange() error {
	ch := c.change
	if ch == nil || c.stalled != nil || c.confAt != 0 || c.store.membership.isJoint() {
		return nil
	}
	if ch.ctx.Err() != nil {
		c.endChange(fmt.Errorf("change the voters: %w", context.Cause(ch.ctx)))
		return nil
	}
	next := c.nextChange(ch.target)
	switch {
	case next == nil && c.areVoters(ch.target):
		c.endChange(nil)
		return nil
	case next == nil: // newcomers catch up
		c.holding = false
		return nil
	case !slices.ContainsFunc(ch.target, func(x member) bool { return x.raftID == c.id }) && c.resign():
		c.endChange(&NotLeaderError{Leader: kafka.NoBroker})
		return nil
	}
	// The library counts entries of its own here, and decisions name theirs: one
	// after the other.
	c.holding = true
	if c.tip == nil || c.tip != c.image || len(c.proposed) > 0 {
		return nil
	}
	if err := c.node.ProposeConfChange(next); err != nil {
		return nil // leadership moves; tried again
	}
	c.confAt = uint64(c.tip.Offset()) + 1
	c.tip = nil
	return c.drain()
}

// areVoters reports whether exactly these members take part.
func (c *core) areVoters(target []member) bool {
	return slices.EqualFunc(c.store.membership.members, target, func(a, b member) bool { return a.raftID == b.raftID && a.roles == roleVoter })
}

// nextChange is what brings the members nearer to the target; nil when they are
// there or have to catch up first.
func (c *core) nextChange(target []member) *pb.ConfChangeV2 {
	var joining []member
	for _, x := range target {
		if _, ok := c.store.membership.find(x.raftID); !ok {
			x.roles = roleLearner
			joining = append(joining, x)
		}
	}
	if len(joining) > 0 {
		out := &pb.ConfChangeV2{Context: encodeJoining(joining)}
		for _, x := range joining {
			out.Changes = append(out.Changes, confChange(pb.ConfChangeAddLearnerNode, x.raftID))
		}
		return out
	}
	if !c.haveCaughtUp(target) {
		return nil
	}
	out := &pb.ConfChangeV2{}
	for _, x := range c.store.membership.members {
		wanted := slices.ContainsFunc(target, func(y member) bool { return y.raftID == x.raftID })
		switch {
		case wanted && x.roles != roleVoter:
			out.Changes = append(out.Changes, confChange(pb.ConfChangeAddNode, x.raftID))
		case !wanted:
			out.Changes = append(out.Changes, confChange(pb.ConfChangeRemoveNode, x.raftID))
		}
	}
	if len(out.Changes) == 0 {
		return nil
	}
	return out
}

func confChange(kind pb.ConfChangeType, id uint64) *pb.ConfChangeSingle {
	return &pb.ConfChangeSingle{Type: kind.Enum(), NodeId: proto.Uint64(id)}
}

// haveCaughtUp reports whether the members have, as far as this leader knows, what
// is committed but for a few entries.
func (c *core) haveCaughtUp(target []member) bool {
	ends := map[uint64]uint64{}
	c.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if id == c.id || p.State == tracker.StateReplicate && p.RecentActive {
			ends[id] = p.Match + confLag
		}
	})
	commit := c.node.BasicStatus().GetCommit()
	for _, x := range target {
		if end, ok := ends[x.raftID]; !ok || x.raftID != c.id && end < commit {
			return false
		}
	}
	return true
}

// noteConf follows the changes of members among the applied entries.
func (c *core) noteConf(x *pb.Entry) {
	if x.GetType() != pb.EntryNormal {
		c.remember = true
	}
	if c.confAt == 0 || x.GetIndex() < c.confAt {
		return
	}
	if x.GetType() == pb.EntryNormal && x.GetIndex() == c.confAt && c.change != nil {
		c.endChange(ErrChanging) // the library has put nothing in its place
	}
	c.confAt = 0
}

// isJoint reports whether two majorities decide.
func (m membership) isJoint() bool {
	return slices.ContainsFunc(m.members, func(x member) bool { return x.roles&roleOutgoing != 0 })
}
