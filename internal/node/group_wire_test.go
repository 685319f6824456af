package node_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/kafka"
)

// line is one connection on which a test says exactly what it wants to say.
type line struct {
	t    testing.TB
	conn net.Conn
	n    int32
}

func (r *rig) line() *line {
	r.t.Helper()
	conn, err := r.world.Network.Host("line").Dial(address, time.Second)
	if err != nil {
		r.t.Fatal(err)
	}
	return &line{t: r.t, conn: conn}
}

func (l *line) close() { _ = l.conn.Close() }

// send writes one request, of the version that it names.
func (l *line) send(q kmsg.Request) {
	l.t.Helper()
	l.n++
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("line")).AppendRequest(nil, q, l.n)
	if _, err := l.conn.Write(frame); err != nil {
		l.t.Fatalf("%T: %v", q, err)
	}
}

// receive reads the reply to q, which is the oldest request without one.
func (l *line) receive(q kmsg.Request, within time.Duration) (kmsg.Response, error) {
	_ = l.conn.SetReadDeadline(time.Now().Add(within))
	var size [4]byte
	if _, err := io.ReadFull(l.conn, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(l.conn, b); err != nil {
		return nil, err
	}
	p := q.ResponseKind()
	p.SetVersion(q.GetVersion())
	b = b[4:]
	if p.IsFlexible() {
		b = b[1:]
	}
	return p, p.ReadFrom(b)
}

// hear reads the reply to q and demands one.
func hear[T kmsg.Response](l *line, q kmsg.Request, within time.Duration) T {
	l.t.Helper()
	p, err := l.receive(q, within)
	if err != nil {
		l.t.Fatalf("%T: %v", q, err)
	}
	return p.(T)
}

// ask sends q and reads its reply.
func ask[T kmsg.Response](l *line, q kmsg.Request) T {
	l.t.Helper()
	l.send(q)
	return hear[T](l, q, time.Minute)
}

// findCoordinator makes the internal topic, if nobody has, and waits until all of
// it is loaded.
func (r *rig) findCoordinator() {
	r.t.Helper()
	l := r.line()
	defer l.close()
	q := kmsg.NewPtrFindCoordinatorRequest()
	q.Version, q.CoordinatorKeys = 4, []string{"g"}
	r.until("a coordinator", func() error {
		if code := ask[*kmsg.FindCoordinatorResponse](l, q).Coordinators[0].ErrorCode; code != 0 {
			return kafka.ErrorCode(code)
		}
		for i := range 40 { // names in every partition of a small topic
			if code := kafka.ErrorCode(ask[*kmsg.OffsetFetchResponse](l, askOffset(fmt.Sprint("g-", i))).ErrorCode); code != kafka.ErrNone {
				return code
			}
		}
		return nil
	})
}

// joinAs is a JoinGroup of version 3, in which a new member needs no id first.
func joinAs(group, member string) *kmsg.JoinGroupRequest {
	q := kmsg.NewPtrJoinGroupRequest()
	q.Version, q.Group, q.MemberID, q.ProtocolType = 3, group, member, "consumer"
	q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = 10_000, 60_000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	q.Protocols = append(q.Protocols, p)
	return q
}

func syncAs(group string, j *kmsg.JoinGroupResponse) *kmsg.SyncGroupRequest {
	q := kmsg.NewPtrSyncGroupRequest()
	q.Version, q.Group, q.MemberID, q.Generation = 2, group, j.MemberID, j.Generation
	for _, m := range j.Members {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = m.MemberID, []byte("x")
		q.GroupAssignment = append(q.GroupAssignment, a)
	}
	return q
}

func beatAs(group string, j *kmsg.JoinGroupResponse) *kmsg.HeartbeatRequest {
	q := kmsg.NewPtrHeartbeatRequest()
	q.Version, q.Group, q.MemberID, q.Generation = 2, group, j.MemberID, j.Generation
	return q
}

// found makes a group of one member that has its assignment.
func (l *line) found(group string) *kmsg.JoinGroupResponse {
	l.t.Helper()
	j := ask[*kmsg.JoinGroupResponse](l, joinAs(group, ""))
	if j.ErrorCode != 0 {
		l.t.Fatalf("join %s: %v", group, kafka.ErrorCode(j.ErrorCode))
	}
	if s := ask[*kmsg.SyncGroupResponse](l, syncAs(group, j)); s.ErrorCode != 0 {
		l.t.Fatalf("sync %s: %v", group, kafka.ErrorCode(s.ErrorCode))
	}
	return j
}

// commitAt is an OffsetCommit of nobody's, for partition 0 of a topic.
func commitAt(version int16, group, topic string, at int64) *kmsg.OffsetCommitRequest {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Version, q.Group = version, group
	t, p := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	t.Topic, p.Offset = topic, at
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	return q
}

func (l *line) commit(q *kmsg.OffsetCommitRequest) kafka.ErrorCode {
	l.t.Helper()
	return kafka.ErrorCode(ask[*kmsg.OffsetCommitResponse](l, q).Topics[0].Partitions[0].ErrorCode)
}

// askOffset asks for all offsets of a group.
func askOffset(group string) *kmsg.OffsetFetchRequest {
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Version, q.Group, q.Topics = 5, group, nil
	return q
}

// offset is what a group has committed for partition 0 of a topic, -1 for
// nothing; all says to ask for all topics instead of this one.
func (l *line) offset(group, topic string, all bool) (int64, kafka.ErrorCode) {
	l.t.Helper()
	q := askOffset(group)
	if !all {
		t := kmsg.NewOffsetFetchRequestTopic()
		t.Topic, t.Partitions = topic, []int32{0}
		q.Topics = append(q.Topics, t)
	}
	p := ask[*kmsg.OffsetFetchResponse](l, q)
	for _, t := range p.Topics {
		if t.Topic == topic {
			return t.Partitions[0].Offset, kafka.ErrorCode(p.ErrorCode)
		}
	}
	return -1, kafka.ErrorCode(p.ErrorCode)
}

func (l *line) wantOffset(group, topic string, want int64) {
	l.t.Helper()
	for _, all := range []bool{false, true} {
		if got, code := l.offset(group, topic, all); got != want || code != kafka.ErrNone {
			l.t.Errorf("group %s has committed %d of %s (%v; all topics: %v), want %d", group, got, topic, code, all, want)
		}
	}
}

// describe is one group as DescribeGroups shows it.
func (l *line) describe(group string) kmsg.DescribeGroupsResponseGroup {
	l.t.Helper()
	q := kmsg.NewPtrDescribeGroupsRequest()
	q.Version, q.Groups = 4, []string{group}
	return ask[*kmsg.DescribeGroupsResponse](l, q).Groups[0]
}

// wantMembers waits until a group has so many members.
func (r *rig) wantMembers(group string, n int) {
	r.t.Helper()
	l := r.line()
	defer l.close()
	r.until(fmt.Sprintf("group %s has %d members", group, n), func() error {
		if d := l.describe(group); d.ErrorCode != 0 || len(d.Members) != n {
			return fmt.Errorf("%s, %d members, %v", d.State, len(d.Members), kafka.ErrorCode(d.ErrorCode))
		}
		return nil
	})
}
