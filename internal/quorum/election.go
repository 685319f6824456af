package quorum

import (
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"holdfast/internal/kafka"
)

// How long elections wait, in ticks. The library's own timeout is one to two times
// electionTicks; a member that can win campaigns earlier, one after the other by
// rank, so that votes are not split. Nobody campaigns against a leader that a
// majority hears: pre-votes are not answered for electionTicks after its last word.
//
// A silent leader is replaced after 1.6 to 2 s. That is long on purpose: a broker
// that gets a tenth of a core sends a heartbeat a few hundred milliseconds late and
// must not lose an election over it. What makes the common case fast is a proof of
// death (see leaderDead), which needs no timeout at all.
const (
	electionTicks = 15
	silenceTicks  = electionTicks + 1
	rankTicks     = 2  // between a member and the next one in rank
	retryTicks    = 2  // after a pre-vote that nobody answered, doubled each time
	voteTicks     = 5  // after a vote: who got it has to write it down first
	deadTicks     = 15 // how long the word of a leader that is proven dead is not heard
	// unheardTicks is after what time a member to whom nobody sends entries asks for
	// them: it may be none any more and not know it.
	unheardTicks = 3 * electionTicks
)

// pace drives the elections of a member with a vote.
type pace struct {
	unheard    uint64 // ticks since anybody led this member
	quiet      uint64 // ticks since the leader was heard, as far as one is known
	leaderless uint64 // ticks since none is known
	campaignAt uint64 // leaderless ticks at which to campaign
	retry      uint64
	last       uint64 // raft id of the last leader

	dead      uint64 // raft id of a leader that is proven dead
	deadTerm  uint64
	deadUntil uint64 // tick
}

// votes reports whether this member may campaign.
func (c *core) votes() bool {
	x, ok := c.store.membership.find(c.id)
	return ok && x.roles&(roleVoter|roleOutgoing) != 0
}

// rank counts the voters that campaign before this one: those with smaller ids, a
// leader that is gone left out.
func (c *core) rank() (n uint64) {
	for _, x := range c.store.membership.members {
		if x.raftID >= c.id {
			break
		}
		if x.roles&(roleVoter|roleOutgoing) != 0 && x.raftID != c.pace.last {
			n++
		}
	}
	return n
}

// elect campaigns when it is time to. It is called once a tick.
func (c *core) elect() {
	p := &c.pace
	p.unheard++
	if c.leading || !c.votes() || !c.memory.proven {
		return
	}
	if c.leader != raft.None {
		if p.quiet++; p.quiet >= silenceTicks+rankTicks*c.rank() {
			p.quiet = 0
			_ = c.node.Campaign()
		}
		return
	}
	if p.leaderless++; p.leaderless >= p.campaignAt {
		c.try()
	}
}

// try campaigns without waiting. When nothing comes of it, it is tried again, and
// every time later.
func (c *core) try() {
	p := &c.pace
	p.retry = min(max(2*p.retry, retryTicks), electionTicks)
	p.campaignAt = p.leaderless + p.retry + rankTicks*c.rank()
	_ = c.node.Campaign()
}

// begin campaigns at once where this member is the first in rank, and soon where it
// is not.
func (c *core) begin() {
	if !c.votes() || !c.memory.proven || c.leading || c.leader != raft.None {
		return
	}
	if c.rank() == 0 {
		c.try()
		return
	}
	c.pace.campaignAt = c.pace.leaderless + rankTicks*c.rank()
}

// noteElection follows the library's role: another leader, or none.
func (c *core) noteElection(leader uint64) {
	p := &c.pace
	p.quiet = 0
	if leader != raft.None {
		p.last, p.retry, p.dead = leader, 0, raft.None
		return
	}
	if p.leaderless, p.campaignAt = 0, 1+rankTicks*c.rank(); p.retry > 0 {
		p.campaignAt += p.retry
	}
}

// noteVote gives whoever has the vote time to win.
func (c *core) noteVote(h *pb.HardState) {
	if h.GetVote() != raft.None {
		c.pace.campaignAt = c.pace.leaderless + voteTicks + rankTicks*c.rank()
	}
}

// heard notes a message of the leader. It reports false for one that is not to be
// believed: of a leader that is proven dead, on its way when it died.
func (c *core) heard(m *pb.Message) bool {
	switch m.GetType() {
	case pb.MsgApp, pb.MsgHeartbeat, pb.MsgSnap:
	default:
		return true
	}
	p := &c.pace
	if p.dead != raft.None && m.GetFrom() == p.dead && m.GetTerm() <= p.deadTerm && c.ticks < p.deadUntil {
		return false
	}
	p.unheard = 0
	if m.GetFrom() == c.leader {
		p.quiet = 0
	}
	return true
}

// leaderDead lets go of a leader that is proven dead, so that this member grants
// pre-votes at once, and campaigns. A wrong proof costs an election only where a
// majority believes it.
func (c *core) leaderDead(node kafka.BrokerID) {
	if c.leading || node == kafka.NoBroker || c.leaderNode() != node {
		return
	}
	if c.leader == raft.None { // known by hearsay
		c.hint = kafka.NoBroker
		return
	}
	dead := c.leader
	if c.node.ForgetLeader() != nil {
		return
	}
	c.noteRole(&raft.SoftState{RaftState: raft.StateFollower})
	c.pace.last = dead
	c.pace.dead, c.pace.deadTerm, c.pace.deadUntil = dead, c.node.BasicStatus().GetTerm(), c.ticks+deadTicks
	c.pace.retry = 0
	c.begin()
}

// resign hands the leadership to the voter that has most of the log. It reports
// whether there is one.
func (c *core) resign() bool {
	if !c.leading {
		return false
	}
	to, match := uint64(raft.None), uint64(0)
	c.node.WithProgress(func(id uint64, kind raft.ProgressType, p tracker.Progress) {
		if id != c.id && kind == raft.ProgressTypePeer && p.RecentActive && (to == raft.None || p.Match > match) {
			to, match = id, p.Match
		}
	})
	if to == raft.None {
		return false
	}
	c.node.TransferLeader(to)
	return true
}
