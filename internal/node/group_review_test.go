package node_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/clock"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
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

// TestNode_GroupsOutliveAClockThatIsSetForward: nobody's session ends because the
// wall clock was wrong.
func TestNode_GroupsOutliveAClockThatIsSetForward(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 1)
		wall := &jumping{}
		r.ground.Clock = wall
		r.mustStart()
		defer func() { _ = r.stop() }()
		c := r.client()
		defer c.Close()
		one := joinNow(t, c, "g")
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Group, sync.MemberID, sync.Generation = "g", one.MemberID, one.Generation
		if got := request[*kmsg.SyncGroupResponse](t, c, sync); got.ErrorCode != 0 {
			t.Fatalf("sync: %d", got.ErrorCode)
		}
		for range 8 {
			wall.skew.Add(int64(6 * time.Hour))
			<-time.After(5 * time.Second)
			beat := kmsg.NewPtrHeartbeatRequest()
			beat.Group, beat.MemberID, beat.Generation = "g", one.MemberID, one.Generation
			if got := request[*kmsg.HeartbeatResponse](t, c, beat); got.ErrorCode != 0 {
				t.Fatalf("heartbeat: %d", got.ErrorCode)
			}
		}
	})
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

// fullDisk is a broker whose only partition of groups has the offset 1 of group
// "a", and whose disk is full.
func fullDisk(t *testing.T) (*rig, *kgo.Client, *committer) {
	r := newRig(t, 5, "offsets.topic.num.partitions", "1")
	r.ground.Disk.SetCapacity(1 << 30)
	r.mustStart()
	c := r.client(kgo.RetryTimeout(time.Second))
	r.createTopic(c, "t", 1)
	r.createTopic(c, "gone", 1)
	k := &committer{admin: kadm.NewClient(c), acked: map[string]int64{}}
	if err := k.commit(context.Background(), "a", 1); err != nil {
		t.Fatal(err)
	}
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: "gone", At: 1, LeaderEpoch: -1})
	if got, err := k.admin.CommitOffsets(context.Background(), "a", offsets); err != nil || got.Error() != nil {
		t.Fatal(err, got.Error())
	}
	r.ground.Disk.SetCapacity(1) // everything that is there is more than that
	<-time.After(3 * time.Second)
	return r, c, k
}

// TestNode_AFullDiskRefusesCommitsOnly: what groups have committed can be read,
// members live on, and when space returns commits are taken again at once.
func TestNode_AFullDiskRefusesCommitsOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, c, k := fullDisk(t)
		defer func() { _ = r.stop() }()
		defer c.Close()
		silent := joinNow(t, c, "b")
		other := joinNow(t, c, "c")
		q := kmsg.NewPtrSyncGroupRequest()
		q.Group, q.MemberID, q.Generation = "c", other.MemberID, other.Generation
		if code := kafka.ErrorCode(request[*kmsg.SyncGroupResponse](t, c, q).ErrorCode); code == kafka.ErrNone || !code.Retriable() {
			t.Fatalf("an assignment on a full disk: %v", code)
		}
		for range 8 {
			err := k.commit(context.Background(), "a", 2)
			if code := kafka.ErrorCode(codeOf(err)); code == kafka.ErrNone || !code.Retriable() {
				t.Fatalf("commit on a full disk: %v", err)
			}
			beat := kmsg.NewPtrHeartbeatRequest()
			beat.Group, beat.MemberID, beat.Generation = "b", silent.MemberID, silent.Generation
			if got := request[*kmsg.HeartbeatResponse](t, c, beat); got.ErrorCode != 0 {
				t.Fatalf("a heartbeat on a full disk: %d", got.ErrorCode)
			}
			if got, err := k.admin.FetchOffsets(context.Background(), "a"); err != nil {
				t.Fatalf("fetch on a full disk: %v", err)
			} else if o, _ := got.Lookup("t", 0); o.At != 1 {
				t.Fatalf("found %d", o.At)
			}
		}
		r.ground.Disk.SetCapacity(1 << 30)
		<-time.After(3 * time.Second)
		if err := k.commit(context.Background(), "a", 3); err != nil {
			t.Errorf("commit when there is space again: %v", err)
		}
	})
}

// TestNode_ATopicIsDeletedOnAFullDisk: the offsets of a topic that is deleted to
// make room go later; until then groups can be asked.
func TestNode_ATopicIsDeletedOnAFullDisk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, c, k := fullDisk(t)
		defer func() { _ = r.stop() }()
		defer c.Close()
		if _, err := k.admin.DeleteTopics(context.Background(), "gone"); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			<-time.After(200 * time.Millisecond)
			got, err := k.admin.FetchOffsets(context.Background(), "a")
			if o, _ := got.Lookup("t", 0); err != nil || o.At != 1 {
				t.Fatalf("fetch on a full disk: %d, %v", o.At, err)
			}
		}
		r.ground.Disk.SetCapacity(1 << 30)
		r.until("the offsets of the deleted topic are gone", func() error {
			got, err := k.admin.FetchOffsets(context.Background(), "a")
			if _, there := got.Lookup("gone", 0); err != nil || there {
				return fmt.Errorf("%v, %v", got, err)
			}
			return nil
		})
	})
}

// TestNode_GroupsComeBackBySchedule: a partition of groups that could not be
// written is there again soon, also where nothing else happens.
func TestNode_GroupsComeBackBySchedule(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, c, k := fullDisk(t)
		defer func() { _ = r.stop() }()
		defer c.Close()
		// The last member leaves: that writes, and cannot.
		q := kmsg.NewPtrLeaveGroupRequest()
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID = joinNow(t, c, "b").MemberID
		q.Group, q.Members = "b", append(q.Members, m)
		if got := request[*kmsg.LeaveGroupResponse](t, c, q); got.ErrorCode == 0 {
			t.Fatal("an empty group was written on a full disk")
		}
		r.ground.Disk.SetCapacity(1 << 30)
		<-time.After(4 * time.Second)
		if err := k.commit(context.Background(), "a", 3); err != nil {
			t.Errorf("commit a moment later: %v", err)
		}
	})
}

// TestNode_TheCleanerReadsOnlyWhatIsNew: where nothing was written since the last
// look, the next one costs nothing.
func TestNode_TheCleanerReadsOnlyWhatIsNew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 1, "offsets.topic.segment.bytes", "1048576", "offsets.topic.num.partitions", "1", "log.retention.check.interval.ms", "1000")
		var reads atomic.Int64
		r.ground.Disk.SetLatency(clock.Real{}, func(op vfs.Op, name string, n int) time.Duration {
			if op == vfs.OpRead && strings.Contains(name, "__consumer_offsets-0/") {
				reads.Add(1)
			}
			return 0
		})
		r.mustStart()
		defer func() { _ = r.stop() }()
		c := r.client()
		defer c.Close()
		r.createTopic(c, "t", 1)
		k := &committer{admin: kadm.NewClient(c), acked: map[string]int64{}}
		for i := range 600 { // all live: nothing to clean
			if err := k.commit(context.Background(), fmt.Sprint("still-", i), 1); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(3 * time.Second)
		reads.Store(0)
		<-time.After(100 * time.Second)
		if n := reads.Load(); n > 10 {
			t.Errorf("100 looks at a log that did not change cost %d reads", n)
		}
	})
}
