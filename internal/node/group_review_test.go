package node_test

import (
	"sync/atomic"
	"testing"
	"time"

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
