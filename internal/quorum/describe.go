package quorum

import (
	"cmp"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"holdfast/internal/kafka"
)

// Description is what DescribeQuorum shows (KIP-595, KIP-836).
type Description struct {
	Leader        kafka.BrokerID // NoBroker: none known
	Term          kafka.LeaderEpoch
	HighWatermark kafka.Offset // every entry below is committed
	LogStart      kafka.Offset // entries below are only in the snapshot
	LogEnd        kafka.Offset
	Snapshot      kafka.Offset // the last entry that the snapshot covers
	Voters        []Replica    // in the order of node ids
	Observers     []Replica
}

// Replica is a member as the leader sees it.
type Replica struct {
	Node      kafka.BrokerID
	Directory kafka.DirectoryID
	LogEnd    kafka.Offset // NoOffset: this node does not lead and cannot tell
}

func (c *core) describe() *Description {
	basic := c.node.BasicStatus()
	d := &Description{
		Leader: c.store.membership.node(basic.Lead), Term: kafka.LeaderEpoch(basic.GetTerm()),
		HighWatermark: kafka.Offset(basic.GetCommit()) + 1, LogStart: c.store.disk.l.Start(), LogEnd: c.store.durable,
		Snapshot: kafka.Offset(c.store.snapIndex),
	}
	ends := map[uint64]kafka.Offset{c.id: c.store.durable}
	if basic.RaftState == raft.StateLeader {
		c.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
			ends[id] = kafka.Offset(p.Match) + 1
		})
	}
	for _, x := range c.store.membership.members {
		r := Replica{Node: x.node, Directory: x.directory, LogEnd: kafka.NoOffset}
		if end, ok := ends[x.raftID]; ok {
			r.LogEnd = end
		}
		if x.roles&roleVoter != 0 {
			d.Voters = append(d.Voters, r)
		} else {
			d.Observers = append(d.Observers, r)
		}
	}
	byNode := func(a, b Replica) int { return cmp.Compare(a.Node, b.Node) }
	slices.SortFunc(d.Voters, byNode)
	slices.SortFunc(d.Observers, byNode)
	return d
}
