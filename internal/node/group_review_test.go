package node_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/clock"
)

// jumping is the real clock with a wall that can be set. It knows no other times
// for Since than those of before the first jump.
type jumping struct {
	clock.Real
	skew atomic.Int64
}

func (j *jumping) Now() time.Time { return j.Real.Now().Add(time.Duration(j.skew.Load())) }

// joinNow joins a group the way new clients do and waits for the generation.
func joinNow(t *testing.T, c *kgo.Client, group string) *kmsg.JoinGroupResponse {
	t.Helper()
	q := kmsg.NewPtrJoinGroupRequest()
	q.Group, q.ProtocolType, q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = group, "consumer", 10_000, 20_000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name = "range"
	q.Protocols = append(q.Protocols, p)
	q.MemberID = request[*kmsg.JoinGroupResponse](t, c, q).MemberID
	return request[*kmsg.JoinGroupResponse](t, c, q)
}

// TestNode_GroupsOutliveAClockThatIsSetBack: members come and go at the pace of
// the time that passes, whatever the wall clock says, and what they commit is
// written.
func TestNode_GroupsOutliveAClockThatIsSetBack(t *testing.T) {
	for name, back := range map[string]time.Duration{"minutes": 40 * time.Minute, "a day": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, 1)
				wall := &jumping{}
				r.ground.Clock = wall
				r.mustStart()
				defer func() { _ = r.stop() }()
				c := r.client()
				defer c.Close()
				r.createTopic(c, "t", 1)
				silent := joinNow(t, c, "g") // and never says a word again
				wall.skew.Store(-int64(back))
				began := time.Now()
				next := joinNow(t, c, "g")
				if took := time.Since(began); next.ErrorCode != 0 || took > time.Minute || next.LeaderID == silent.MemberID || next.Generation != 2 {
					t.Errorf("a member that comes when the clock was set back: code %d, generation %d, leader is the silent one: %v, after %v",
						next.ErrorCode, next.Generation, next.LeaderID == silent.MemberID, took)
				}
				sync := kmsg.NewPtrSyncGroupRequest()
				sync.Group, sync.MemberID, sync.Generation = "g", next.MemberID, next.Generation
				if got := request[*kmsg.SyncGroupResponse](t, c, sync); got.ErrorCode != 0 {
					t.Errorf("its sync: %d", got.ErrorCode)
				}
			})
		})
	}
}

// TestNode_TheInternalTopicIsCleanedWhateverItsSettings: limits on what clients
// may write do not keep the cleaner from its work.
func TestNode_TheInternalTopicIsCleanedWhateverItsSettings(t *testing.T) {
	for name, settings := range map[string][]string{
		"small batches":  {"message.max.bytes", "100000"},
		"no old records": {"log.message.timestamp.before.max.ms", "60000"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, 1, append(settings, "offsets.topic.segment.bytes", "1048576", "offsets.topic.num.partitions", "1", "log.retention.check.interval.ms", "300000")...)
				r.mustStart()
				defer func() { _ = r.stop() }()
				c := r.client()
				defer c.Close()
				r.createTopic(c, "t", 1)
				k := &committer{admin: kadm.NewClient(c), acked: map[string]int64{}}
				for i := range 100 {
					if err := k.commit(context.Background(), fmt.Sprint("still-", i), 1); err != nil {
						t.Fatal(err)
					}
				}
				for i := range 1000 {
					if err := k.commit(context.Background(), "busy", int64(i)); err != nil {
						t.Fatal(err)
					}
				}
				<-time.After(40 * time.Minute)
				start, end := r.marks(c, "__consumer_offsets")
				if start == 0 || end > 1500 {
					t.Errorf("after many passes the internal topic has the offsets [%d, %d)", start, end)
				}
				k.check(r, 1, 1)
			})
		})
	}
}

// TestNode_LargeGroupsAreMoved: what the cleaner appends at a time fits, also
// where the records are nearly as large as the topic takes.
func TestNode_LargeGroupsAreMoved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 1, "offsets.topic.segment.bytes", "1100000", "offsets.topic.num.partitions", "1", "log.retention.check.interval.ms", "300000")
		r.mustStart()
		defer func() { _ = r.stop() }()
		c := r.client()
		defer c.Close()
		r.createTopic(c, "t", 1)
		k := &committer{admin: kadm.NewClient(c), acked: map[string]int64{}}
		commit := func(group string, n int) {
			for i := range n {
				if err := k.commit(context.Background(), group, int64(i)+1); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range 30 {
			commit(fmt.Sprint("still-", i), 1)
		}
		large := joinNow(t, c, "large")
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Group, sync.MemberID, sync.Generation = "large", large.MemberID, large.Generation
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = large.MemberID, make([]byte, 1_000_000)
		sync.GroupAssignment = append(sync.GroupAssignment, a)
		if got := request[*kmsg.SyncGroupResponse](t, c, sync); got.ErrorCode != 0 {
			t.Fatalf("sync: %d", got.ErrorCode)
		}
		for range 60 { // the members' pace: it lives on
			commit("busy", 20)
			beat := kmsg.NewPtrHeartbeatRequest()
			beat.Group, beat.MemberID, beat.Generation = "large", large.MemberID, large.Generation
			if got := request[*kmsg.HeartbeatResponse](t, c, beat); got.ErrorCode != 0 {
				t.Fatalf("heartbeat: %d", got.ErrorCode)
			}
			<-time.After(8 * time.Second)
		}
		if start, end := r.marks(c, "__consumer_offsets"); start == 0 || end > 1500 {
			t.Errorf("after some passes the internal topic has the offsets [%d, %d)", start, end)
		}
		k.check(r, 1, 1)
	})
}
