package quorum

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/internal/kafka"
)

// RaftID is the member's number of a directory: one for each life of a directory,
// because a member that lost its entries must not come back under a number that
// others remember.
func RaftID(directory kafka.DirectoryID) uint64 {
	id := binary.BigEndian.Uint64(directory[:8]) ^ binary.BigEndian.Uint64(directory[8:])
	if id == raft.None || raft.IsLocalMsgTarget(id) {
		return 1
	}
	return id
}

// roles say how a member takes part. They are bits because a joint configuration
// gives one member several.
type roles uint8

const (
	roleVoter       roles = 1 << iota // of the incoming configuration
	roleLearner                       // gets entries, has no vote
	roleOutgoing                      // voter of the outgoing configuration
	roleLearnerNext                   // learner when the outgoing configuration ends
	rolesAll        = roleLearnerNext<<1 - 1
)

// member is one participant.
type member struct {
	raftID    uint64
	node      kafka.BrokerID
	directory kafka.DirectoryID
	roles     roles
}

// membership is who takes part, in the order of raft ids.
type membership struct {
	members   []member
	autoLeave bool
}

// confState is the membership in the library's form.
func (m membership) confState() *pb.ConfState {
	c := &pb.ConfState{}
	for _, x := range m.members {
		if x.roles&roleVoter != 0 {
			c.Voters = append(c.Voters, x.raftID)
		}
		if x.roles&roleLearner != 0 {
			c.Learners = append(c.Learners, x.raftID)
		}
		if x.roles&roleOutgoing != 0 {
			c.VotersOutgoing = append(c.VotersOutgoing, x.raftID)
		}
		if x.roles&roleLearnerNext != 0 {
			c.LearnersNext = append(c.LearnersNext, x.raftID)
		}
	}
	if m.autoLeave {
		c.AutoLeave = &m.autoLeave
	}
	return c
}

// with is the membership after a configuration change that left c. joined are
// members that the change may have brought in.
func (m membership) with(c *pb.ConfState, joined []member) (membership, error) {
	next := membership{autoLeave: c.GetAutoLeave()}
	set := map[uint64]roles{}
	for _, group := range []struct {
		ids  []uint64
		role roles
	}{{c.GetVoters(), roleVoter}, {c.GetLearners(), roleLearner}, {c.GetVotersOutgoing(), roleOutgoing}, {c.GetLearnersNext(), roleLearnerNext}} {
		for _, id := range group.ids {
			set[id] |= group.role
		}
	}
	for id, r := range set {
		x, ok := m.find(id)
		if !ok {
			at := slices.IndexFunc(joined, func(j member) bool { return j.raftID == id })
			if at < 0 {
				return m, fmt.Errorf("member %x joins without an identity: %w", id, errValue)
			}
			x = joined[at]
		}
		x.roles = r
		next.members = append(next.members, x)
	}
	sortMembers(next.members)
	return next, nil
}

// sortMembers brings members in the order of raft ids.
func sortMembers(list []member) {
	slices.SortFunc(list, func(a, b member) int { return cmp.Compare(a.raftID, b.raftID) })
}

func (m membership) find(raftID uint64) (member, bool) {
	for _, x := range m.members {
		if x.raftID == raftID {
			return x, true
		}
	}
	return member{}, false
}

// node is the broker id of a member, NoBroker when there is no such member.
func (m membership) node(raftID uint64) kafka.BrokerID {
	if x, ok := m.find(raftID); ok {
		return x.node
	}
	return kafka.NoBroker
}

// isAlone reports whether the member is the only one that votes.
func (m membership) isAlone(raftID uint64) bool {
	for _, x := range m.members {
		if votes := x.roles & (roleVoter | roleOutgoing); (votes != 0) != (x.raftID == raftID) {
			return false
		}
	}
	return len(m.members) > 0
}

// encode is the context of a configuration change: who joins. The roles are the
// change's own.
func encodeJoining(list []member) []byte {
	dst := []byte{joiningVersion}
	for _, x := range list {
		dst = x.append(dst)
	}
	return dst
}

const (
	joiningVersion = 1
	memberSize     = 8 + 4 + 16 + 1
)

func (x member) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, x.raftID)
	dst = binary.BigEndian.AppendUint32(dst, uint32(x.node))
	dst = append(dst, x.directory[:]...)
	return append(dst, byte(x.roles))
}

func decodeMember(b []byte) (member, error) {
	x := member{raftID: binary.BigEndian.Uint64(b), node: kafka.BrokerID(binary.BigEndian.Uint32(b[8:])), directory: kafka.DirectoryID(b[12:28]), roles: roles(b[28])}
	if x.raftID == raft.None || raft.IsLocalMsgTarget(x.raftID) || x.node < 0 || x.roles > rolesAll {
		return x, fmt.Errorf("member %x of node %d with roles %d: %w", x.raftID, x.node, x.roles, errValue)
	}
	return x, nil
}

func decodeJoining(b []byte) (list []member, err error) {
	if len(b) == 0 {
		return nil, nil
	}
	if b[0] > joiningVersion {
		return nil, &VersionError{File: "configuration change", Version: int(b[0]), Known: joiningVersion}
	}
	for b = b[1:]; len(b) > 0; b = b[memberSize:] {
		if len(b) < memberSize {
			return nil, errSize
		}
		x, err := decodeMember(b)
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	return list, nil
}
