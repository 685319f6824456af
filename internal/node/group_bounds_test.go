package node_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// groupsMax is what the members of all groups may hold, see package coord.
const groupsMax = 128 << 20

func heapNow() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// heavyJoin is a JoinGroup with so many bytes of metadata.
func heavyJoin(group, member string, size int) *kmsg.JoinGroupRequest {
	q := joinAs(group, member)
	q.Protocols[0].Metadata = make([]byte, size)
	return q
}

// TestBounds_ParkedJoinsLeaveTheMemoryToOthers: members that wait for their group
// with megabytes of metadata do not take the memory that requests are read into.
func TestBounds_ParkedJoinsLeaveTheMemoryToOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := groupRig(t, 1, "group.initial.rebalance.delay.ms", "600000", "message.max.bytes", "20971520")
		defer func() { _ = r.stop() }()
		for i := range 6 {
			l := r.line()
			defer l.close()
			l.send(heavyJoin(fmt.Sprint("hostile-", i), "", 15<<20))
		}
		<-time.After(time.Second)
		c := r.once()
		defer c.Close()
		began := time.Now()
		if err := produceOne(c, "t", strings.Repeat("x", 500_000)); err != nil || time.Since(began) > time.Second {
			t.Errorf("beside six parked members a record takes %v: %v", time.Since(began), err)
		}
	})
}

// TestBounds_MembersOfAMegabyte: hostile members, each of a group of its own,
// hold no more than the bound; a group that was there goes on; when their
// sessions are over there is room again.
func TestBounds_MembersOfAMegabyte(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := groupRig(t, 2, "group.initial.rebalance.delay.ms", "0", "offsets.topic.num.partitions", "5")
		defer func() { _ = r.stop() }()
		good, l := r.line(), r.line()
		defer good.close()
		defer l.close()
		j := good.found("good")
		before := heapNow()
		refused := 0
		for i := range 250 {
			code := kafka.ErrorCode(ask[*kmsg.JoinGroupResponse](l, heavyJoin(fmt.Sprint("hostile-", i), "", 1<<20)).ErrorCode)
			switch code {
			case kafka.ErrNone:
			case kafka.ErrCoordinatorLoadInProgress:
				refused++
			default:
				t.Fatal(code)
			}
		}
		if held := heapNow() - before; refused < 100 || held > groupsMax+32<<20 {
			t.Errorf("250 members of a megabyte hold %d MiB, %d were turned away", held>>20, refused)
		}
		if code := kafka.ErrorCode(ask[*kmsg.HeartbeatResponse](good, beatAs("good", j)).ErrorCode); code != kafka.ErrNone {
			t.Errorf("heartbeat: %v", code)
		}
		if j = ask[*kmsg.JoinGroupResponse](good, joinAs("good", j.MemberID)); j.ErrorCode != 0 {
			t.Errorf("a member that joins again: %v", kafka.ErrorCode(j.ErrorCode))
		}
		if s := ask[*kmsg.SyncGroupResponse](good, syncAs("good", j)); s.ErrorCode != 0 {
			t.Errorf("sync: %v", kafka.ErrorCode(s.ErrorCode))
		}
		if code := good.commit(commitAt(8, "standalone", "t", 1)); code != kafka.ErrNone {
			t.Errorf("commit: %v", code)
		}
		<-time.After(2 * time.Minute)
		good.found("after")
		if held := heapNow() - before; held > 16<<20 {
			t.Errorf("after the sessions %d MiB are held", held>>20)
		}
	})
}

// TestBounds_AThousandParkedJoinsOfAConnection: a connection has so many requests
// under way and no more, however many it sends; other connections do not notice.
func TestBounds_AThousandParkedJoinsOfAConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := groupRig(t, 3, "group.initial.rebalance.delay.ms", "600000")
		defer func() { _ = r.stop() }()
		l := r.line()
		go func() { // the broker stops reading
			for i := range 1000 {
				q := joinAs("g", "")
				q.RebalanceTimeoutMillis = 3_600_000
				frame := kmsg.NewRequestFormatter().AppendRequest(nil, q, int32(i))
				if _, err := l.conn.Write(frame); err != nil {
					return
				}
			}
		}()
		<-time.After(time.Second)
		other := r.line()
		defer other.close()
		if n := len(other.describe("g").Members); n < 200 || n > 300 {
			t.Errorf("%d of 1000 joins are under way", n)
		}
		if code := other.commit(commitAt(8, "h", "t", 1)); code != kafka.ErrNone {
			t.Errorf("commit: %v", code)
		}
		l.close()
		r.wantNoMembers("g", 20*time.Minute)
	})
}

// wantNoMembers waits until the sessions of a group are over.
func (r *rig) wantNoMembers(group string, within time.Duration) {
	r.t.Helper()
	for end := time.Now().Add(within); ; <-time.After(10 * time.Second) {
		l := r.line()
		d := l.describe(group)
		l.close()
		if len(d.Members) == 0 {
			return
		}
		if time.Now().After(end) {
			r.t.Errorf("group %s has %d members (%s) after %v", group, len(d.Members), d.State, within)
			return
		}
	}
}

// TestBounds_CommitsBehindAStalledDisk: what is parked until the disk answers is
// admitted like any other memory.
func TestBounds_CommitsBehindAStalledDisk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := groupRig(t, 4, "offset.metadata.max.bytes", "32000")
		defer func() { _ = r.stop() }()
		c := r.client()
		defer c.Close()
		r.createTopic(c, "wide", 100)
		r.slowFor(dataDir+"/holdfast.journal", 20*time.Second)
		q := commitAt(8, "g", "wide", 1)
		q.Topics[0].Partitions = nil
		text := strings.Repeat("m", 25_000)
		for i := range int32(100) { // more than a batch takes, so that it is refused, behind the first
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Partition, p.Metadata = i, &text
			q.Topics[0].Partitions = append(q.Topics[0].Partitions, p)
		}
		before := heapNow()
		for range 8 {
			l := r.line()
			defer l.close()
			first := commitAt(8, "g", "t", 1)
			l.send(first)
			go func() {
				for range 100 {
					frame := kmsg.NewRequestFormatter().AppendRequest(nil, q, 1)
					if _, err := l.conn.Write(frame); err != nil {
						return
					}
				}
			}()
		}
		<-time.After(5 * time.Second)
		if held := (heapNow() - before) >> 20; held > 256+64 {
			t.Errorf("parked commits hold %d MiB; client memory is 256 MiB", held)
		} else {
			t.Logf("%d MiB", held)
		}
	})
}

// slowFor makes every write of one file take so long.
func (r *rig) slowFor(file string, d time.Duration) {
	r.ground.Disk.SetLatency(r.ground.Clock, func(op vfs.Op, name string, _ int) time.Duration {
		if op == vfs.OpWrite && name == file {
			return d
		}
		return 0
	})
}
