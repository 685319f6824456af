package coord

import (
	"encoding/hex"

	"holdfast/internal/group"
	"holdfast/internal/kafka"
	"holdfast/internal/purgatory"
	"holdfast/internal/wire"
)

// Every call names the waiter that is told when the outcome is there; it must
// wait for one arrival per ticket.

// Join handles JoinGroup: *wire.JoinGroupResponse. It may wait for other members.
func (c *Coordinator) Join(w *purgatory.Waiter, caller group.Caller, version int16, q *wire.JoinGroupRequest) *Ticket {
	r := group.JoinRequest{JoinGroupRequest: q, Version: version, Caller: caller,
		NewMemberID: group.MemberIDPrefix(caller.ClientID, q.InstanceID) + "-" + c.freshUUID()}
	return c.shardOf(q.Group).call(w, func(m *group.Machine, now kafka.Timestamp, id group.CallID) group.Effects {
		return m.Join(now, id, r)
	})
}

// freshUUID is a random UUID in its usual text form.
func (c *Coordinator) freshUUID() string {
	var u [16]byte
	c.o.Rand.Read(u[:])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Sync handles SyncGroup: *wire.SyncGroupResponse. It may wait for the leader.
func (c *Coordinator) Sync(w *purgatory.Waiter, q *wire.SyncGroupRequest) *Ticket {
	return c.shardOf(q.Group).callWrite(w, func(m *group.Machine, now kafka.Timestamp, id group.CallID) group.Effects {
		return m.Sync(now, id, q)
	})
}

// Heartbeat handles Heartbeat: *wire.HeartbeatResponse.
func (c *Coordinator) Heartbeat(w *purgatory.Waiter, q *wire.HeartbeatRequest) *Ticket {
	return c.shardOf(q.Group).call(w, func(m *group.Machine, now kafka.Timestamp, id group.CallID) group.Effects {
		return m.Heartbeat(now, id, q)
	})
}

// Leave handles LeaveGroup: *wire.LeaveGroupResponse.
func (c *Coordinator) Leave(w *purgatory.Waiter, version int16, q *wire.LeaveGroupRequest) *Ticket {
	return c.shardOf(q.Group).call(w, func(m *group.Machine, now kafka.Timestamp, id group.CallID) group.Effects {
		return m.Leave(now, id, version, q)
	})
}

// Commit handles OffsetCommit of partitions that exist:
// *wire.OffsetCommitResponse. Where one of them does not exist any more the
// caller has to look again: COORDINATOR_LOAD_IN_PROGRESS.
func (c *Coordinator) Commit(w *purgatory.Waiter, version int16, q *wire.OffsetCommitRequest) *Ticket {
	// What goes later than this look is forgotten later than this commit.
	gone := func() kafka.ErrorCode {
		image := c.o.Image()
		for i := range q.Topics {
			if image.TopicByID(q.Topics[i].TopicID) == nil {
				return kafka.ErrCoordinatorLoadInProgress
			}
		}
		return kafka.ErrNone
	}
	return c.shardOf(q.Group).callWrite(w, func(m *group.Machine, now kafka.Timestamp, id group.CallID) group.Effects {
		return m.Commit(now, id, group.CommitRequest{OffsetCommitRequest: q, Version: version})
	}, gone)
}

// DeleteOffsets handles OffsetDelete: *wire.OffsetDeleteResponse.
func (c *Coordinator) DeleteOffsets(w *purgatory.Waiter, q *wire.OffsetDeleteRequest) *Ticket {
	return c.shardOf(q.Group).callWrite(w, func(m *group.Machine, now kafka.Timestamp, id group.CallID) group.Effects {
		return m.DeleteOffsets(now, id, q)
	})
}

// DeleteGroup handles one group of DeleteGroups: *wire.DeleteGroupsResponse with
// one group.
func (c *Coordinator) DeleteGroup(w *purgatory.Waiter, name string) *Ticket {
	return c.shardOf(name).callWrite(w, func(m *group.Machine, now kafka.Timestamp, id group.CallID) group.Effects {
		return m.DeleteGroup(now, id, name)
	})
}

// Fetch handles one group of OffsetFetch: wire.OffsetFetchResponseGroup.
func (c *Coordinator) Fetch(w *purgatory.Waiter, q wire.OffsetFetchRequestGroup, requireStable bool) *Ticket {
	return read(c.shardOf(q.Group), w, func(m *group.Machine) group.Read[wire.OffsetFetchResponseGroup] {
		return m.Fetch(q, requireStable)
	})
}

// Describe handles one group of DescribeGroups: wire.DescribeGroupsResponseGroup.
func (c *Coordinator) Describe(w *purgatory.Waiter, version int16, name string) *Ticket {
	return read(c.shardOf(name), w, func(m *group.Machine) group.Read[wire.DescribeGroupsResponseGroup] {
		return m.Describe(version, name)
	})
}

// Shards are the partitions that are hosted here, and with them how many tickets
// List returns. nil stands for one whose log does not open.
type Shards []*shard

// Shards returns what List asks.
func (c *Coordinator) Shards() Shards {
	t := c.shards.Load()
	var out Shards
	for i := range int32(t.count) {
		if s := t.byID[i]; s != nil {
			out = append(out, s)
		}
	}
	return append(out, make(Shards, t.offline)...)
}

// List handles ListGroups, one ticket for each shard:
// []wire.ListGroupsResponseGroup.
func (s Shards) List(w *purgatory.Waiter, q *wire.ListGroupsRequest) []*Ticket {
	out := make([]*Ticket, len(s))
	for i, one := range s {
		if one == nil { // the list would be wrong, not short
			out[i] = Refused(w, kafka.ErrCoordinatorNotAvailable)
			continue
		}
		out[i] = read(one, w, func(m *group.Machine) group.Read[[]wire.ListGroupsResponseGroup] { return m.List(q) })
	}
	return out
}
