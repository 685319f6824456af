package group

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// The same conversation is held with the machine and, once, with Apache Kafka
// 4.3.0; what Kafka answered is in testdata. To record it again, start Kafka with
// group.initial.rebalance.delay.ms=0 and offsets.topic.num.partitions=1, and run
//
//	go test ./internal/group -run Golden -record-from 127.0.0.1:9092
var recordFrom = flag.String("record-from", "", "address of an Apache Kafka whose answers become the golden ones")

const goldenFile = "testdata/kafka-4.3.0.txt"

// peer answers a request of the version set in it.
type peer interface {
	ask(q kmsg.Request) kmsg.Response
}

// socket is a peer behind TCP.
type socket struct {
	t testing.TB
	c net.Conn
}

func (s *socket) ask(q kmsg.Request) kmsg.Response {
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("client")).AppendRequest(nil, q, 1)
	s.c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := s.c.Write(frame); err != nil {
		s.t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(s.c, size[:]); err != nil {
		s.t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(s.c, body); err != nil {
		s.t.Fatal(err)
	}
	body = body[4:]
	r := q.ResponseKind()
	if r.IsFlexible() {
		body = body[1:]
	}
	if err := r.ReadFrom(body); err != nil {
		s.t.Fatal(err)
	}
	return r
}

// machinePeer translates between the two codecs by way of the bytes.
type machinePeer struct {
	*rig
	ids int
}

func (p *machinePeer) ask(q kmsg.Request) kmsg.Response {
	version := q.GetVersion()
	request := wire.NewRequest(kafka.APIKey(q.Key()))
	if err := request.Decode(q.AppendTo(nil), version); err != nil {
		p.t.Fatal(err)
	}
	c := p.call()
	answered := p.dispatch(c, request, version)
	p.advance(0)
	if answered == nil {
		answered = p.answers[c]
	}
	if answered == nil {
		p.t.Fatalf("%T waits", request)
	}
	r := q.ResponseKind()
	r.SetVersion(version)
	if err := r.ReadFrom(answered.Append(nil, version)); err != nil {
		p.t.Fatal(err)
	}
	return r
}

func (p *machinePeer) dispatch(c CallID, request wire.Request, version int16) wire.Response {
	switch q := request.(type) {
	case *wire.JoinGroupRequest:
		p.ids++
		id := fmt.Sprintf("%s-%036d", MemberIDPrefix("client", q.InstanceID), p.ids)
		p.take(p.m.Join(p.now, c, JoinRequest{JoinGroupRequest: q, Version: version, Caller: Caller{"client", "/127.0.0.1"}, NewMemberID: id}))
	case *wire.SyncGroupRequest:
		p.take(p.m.Sync(p.now, c, q))
	case *wire.HeartbeatRequest:
		p.take(p.m.Heartbeat(p.now, c, q))
	case *wire.LeaveGroupRequest:
		p.take(p.m.Leave(p.now, c, version, q))
	case *wire.OffsetCommitRequest:
		p.take(p.m.Commit(p.now, c, CommitRequest{q, version}))
	case *wire.OffsetDeleteRequest:
		p.take(p.m.DeleteOffsets(p.now, c, q))
	case *wire.DeleteGroupsRequest:
		p.take(p.m.DeleteGroup(p.now, c, q.Groups[0]))
	case *wire.OffsetFetchRequest:
		r := wire.NewOffsetFetchResponse()
		r.Groups = append(r.Groups, p.m.Fetch(q.Groups[0], q.RequireStable).Value)
		return &r
	case *wire.DescribeGroupsRequest:
		r := wire.NewDescribeGroupsResponse()
		r.Groups = append(r.Groups, p.m.Describe(version, q.Groups[0]).Value)
		return &r
	case *wire.ListGroupsRequest:
		r := wire.NewListGroupsResponse()
		r.Groups = p.m.List(q).Value
		return &r
	}
	return nil
}

// conversation asks and writes down what is answered, with ids that were drawn
// replaced by numbers.
type conversation struct {
	p    peer
	out  bytes.Buffer
	ids  []string
	last string // member id of the last answer
	gen  int32
}

func (c *conversation) say(what, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for i, id := range c.ids {
		text = strings.ReplaceAll(text, id, fmt.Sprintf("<id %d>", i+1))
	}
	fmt.Fprintf(&c.out, "%s: %s\n", what, text)
}

func show[T any](p *T) string {
	if p == nil {
		return "null"
	}
	return fmt.Sprintf("%v", *p)
}

func (c *conversation) join(what string, version int16, change func(q *kmsg.JoinGroupRequest)) {
	q := kmsg.NewJoinGroupRequest()
	q.SetVersion(version)
	q.Group, q.ProtocolType, q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = "g", "consumer", 30_000, 30_000
	q.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte(subscriptionOf("t"))}}
	if change != nil {
		change(&q)
	}
	r := c.p.ask(&q).(*kmsg.JoinGroupResponse)
	if len(r.MemberID) > 36 && r.MemberID != q.MemberID {
		c.ids = append(c.ids, r.MemberID)
		c.last = r.MemberID
	}
	var members []string
	for _, m := range r.Members {
		members = append(members, fmt.Sprintf("%s/%s/%x", m.MemberID, show(m.InstanceID), m.ProtocolMetadata))
	}
	c.gen = r.Generation
	c.say("join, "+what, "error %d generation %d type %s protocol %q leader %q id %q skip %v members %v",
		r.ErrorCode, r.Generation, show(r.ProtocolType), show(r.Protocol), r.LeaderID, r.MemberID, r.SkipAssignment, members)
}

func (c *conversation) sync(what string, id string, generation int32, change func(q *kmsg.SyncGroupRequest)) {
	q := kmsg.NewSyncGroupRequest()
	q.SetVersion(5)
	q.Group, q.MemberID, q.Generation = "g", id, generation
	q.ProtocolType, q.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	q.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: id, MemberAssignment: []byte("mine")}}
	if change != nil {
		change(&q)
	}
	r := c.p.ask(&q).(*kmsg.SyncGroupResponse)
	c.say("sync, "+what, "error %d type %s protocol %s assignment %q", r.ErrorCode, show(r.ProtocolType), show(r.Protocol), r.MemberAssignment)
}

func (c *conversation) heartbeat(what, group, id string, generation int32, instance *string) {
	q := kmsg.NewHeartbeatRequest()
	q.SetVersion(4)
	q.Group, q.MemberID, q.Generation, q.InstanceID = group, id, generation, instance
	c.say("heartbeat, "+what, "error %d", c.p.ask(&q).(*kmsg.HeartbeatResponse).ErrorCode)
}

func (c *conversation) leave(what string, version int16, group string, members ...kmsg.LeaveGroupRequestMember) {
	q := kmsg.NewLeaveGroupRequest()
	q.SetVersion(version)
	q.Group, q.Members = group, members
	if version < 3 {
		q.MemberID, q.Members = members[0].MemberID, nil
	}
	r := c.p.ask(&q).(*kmsg.LeaveGroupResponse)
	text := fmt.Sprintf("error %d", r.ErrorCode)
	for _, m := range r.Members {
		text += fmt.Sprintf(" (%q %s %d)", m.MemberID, show(m.InstanceID), m.ErrorCode)
	}
	c.say("leave, "+what, "%s", text)
}

func (c *conversation) commit(what string, version int16, group, id string, generation int32, change func(q *kmsg.OffsetCommitRequest)) {
	q := kmsg.NewOffsetCommitRequest()
	q.SetVersion(version)
	q.Group, q.MemberID, q.Generation = group, id, generation
	q.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: 0, Offset: 7, LeaderEpoch: 0}}}}
	if change != nil {
		change(&q)
	}
	r := c.p.ask(&q).(*kmsg.OffsetCommitResponse)
	c.say("commit, "+what, "error %d", r.Topics[0].Partitions[0].ErrorCode)
}

func (c *conversation) fetch(what, group string, all bool) {
	q := kmsg.NewOffsetFetchRequest()
	q.SetVersion(9)
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	if !all {
		g.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0, 1}}}
	}
	q.Groups = []kmsg.OffsetFetchRequestGroup{g}
	r := c.p.ask(&q).(*kmsg.OffsetFetchResponse)
	text := fmt.Sprintf("error %d", r.Groups[0].ErrorCode)
	for _, t := range r.Groups[0].Topics {
		for _, p := range t.Partitions {
			text += fmt.Sprintf(" (%s-%d %d %d %s %d)", t.Topic, p.Partition, p.Offset, p.LeaderEpoch, show(p.Metadata), p.ErrorCode)
		}
	}
	c.say("fetch, "+what, "%s", text)
}

func (c *conversation) describe(what string, version int16, group string) {
	q := kmsg.NewDescribeGroupsRequest()
	q.SetVersion(version)
	q.Groups = []string{group}
	g := c.p.ask(&q).(*kmsg.DescribeGroupsResponse).Groups[0]
	text := fmt.Sprintf("error %d %s state %s type %q protocol %q", g.ErrorCode, show(g.ErrorMessage), g.State, g.ProtocolType, g.Protocol)
	for _, m := range g.Members {
		text += fmt.Sprintf(" (%s %s %s %s %x %q)", m.MemberID, show(m.InstanceID), m.ClientID, m.ClientHost, m.ProtocolMetadata, m.MemberAssignment)
	}
	c.say("describe, "+what, "%s", text)
}

func (c *conversation) list(what string, states, types []string) {
	q := kmsg.NewListGroupsRequest()
	q.SetVersion(5)
	q.StatesFilter, q.TypesFilter = states, types
	r := c.p.ask(&q).(*kmsg.ListGroupsResponse)
	text := fmt.Sprintf("error %d", r.ErrorCode)
	for _, g := range r.Groups {
		if g.Group == "g" || g.Group == "simple" {
			text += fmt.Sprintf(" (%s %q %s %s)", g.Group, g.ProtocolType, g.GroupState, g.GroupType)
		}
	}
	c.say("list, "+what, "%s", text)
}

func (c *conversation) deleteOffsets(what, group, topic string) {
	q := kmsg.NewOffsetDeleteRequest()
	q.Group = group
	q.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}}}
	r := c.p.ask(&q).(*kmsg.OffsetDeleteResponse)
	text := fmt.Sprintf("error %d", r.ErrorCode)
	for _, t := range r.Topics {
		text += fmt.Sprintf(" (%d)", t.Partitions[0].ErrorCode)
	}
	c.say("delete offsets, "+what, "%s", text)
}

func (c *conversation) deleteGroup(what, group string) {
	q := kmsg.NewDeleteGroupsRequest()
	q.SetVersion(2)
	q.Groups = []string{group}
	c.say("delete, "+what, "error %d", c.p.ask(&q).(*kmsg.DeleteGroupsResponse).Groups[0].ErrorCode)
}

// talk is the conversation.
func (c *conversation) talk() {
	c.join("a member of no group", 9, func(q *kmsg.JoinGroupRequest) { q.MemberID = "who" })
	c.join("no group", 9, func(q *kmsg.JoinGroupRequest) { q.Group = "" })
	c.join("session too short", 9, func(q *kmsg.JoinGroupRequest) { q.SessionTimeoutMillis = 1 })
	c.heartbeat("no group", "", "who", 1, nil)
	c.heartbeat("unknown group", "nobody", "who", 1, nil)
	c.leave("unknown group, old", 2, "nobody", kmsg.LeaveGroupRequestMember{MemberID: "who"})
	c.leave("unknown group", 4, "nobody", kmsg.LeaveGroupRequestMember{MemberID: "who"})
	c.leave("no group", 4, "", kmsg.LeaveGroupRequestMember{MemberID: "who"})
	c.sync("unknown group", "who", 1, nil)
	c.commit("unknown group", 9, "nobody", "who", 1, nil)
	c.commit("unknown group, old", 8, "nobody", "who", 1, nil)
	c.fetch("unknown group", "nobody", false)
	c.fetch("unknown group, all", "nobody", true)
	c.describe("unknown group, old", 5, "nobody")
	c.describe("unknown group", 6, "nobody")
	c.deleteOffsets("unknown group", "nobody", "t")
	c.deleteGroup("unknown group", "nobody")
	c.talkSimple()
	c.talkDynamic()
	c.talkStatic()
}

func (c *conversation) talkSimple() {
	c.commit("standalone", 9, "simple", "", -1, nil)
	c.commit("metadata too large", 9, "simple", "", -1, func(q *kmsg.OffsetCommitRequest) {
		q.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(strings.Repeat("x", 5000))
	})
	c.commit("a member of a simple group", 9, "simple", "who", 1, nil)
	c.fetch("simple", "simple", false)
	c.fetch("simple, all", "simple", true)
	c.describe("simple", 6, "simple")
	c.list("all", nil, nil)
	c.list("by state", []string{"empty"}, nil)
	c.list("by type", nil, []string{"consumer"})
	c.deleteOffsets("simple", "simple", "t")
	c.fetch("simple, deleted", "simple", true)
}

func (c *conversation) talkDynamic() {
	c.join("needs an id", 9, nil)
	c.describe("an id is out", 6, "g")
	id := c.last
	with := func(q *kmsg.JoinGroupRequest) { q.MemberID = id }
	c.join("no protocols", 9, func(q *kmsg.JoinGroupRequest) { q.MemberID, q.Protocols = id, nil })
	c.join("with the id", 9, with)
	c.heartbeat("completing", "g", id, 1, nil)
	c.commit("completing", 9, "g", id, 1, nil)
	c.describe("completing", 6, "g")
	c.join("again, nothing new", 9, with)
	c.sync("generation", id, 2, nil)
	c.sync("protocol", id, 1, func(q *kmsg.SyncGroupRequest) { q.Protocol = kmsg.StringPtr("other") })
	c.sync("type", id, 1, func(q *kmsg.SyncGroupRequest) { q.ProtocolType = kmsg.StringPtr("connect") })
	c.sync("stranger", "who", 1, nil)
	c.sync("leader", id, 1, nil)
	c.sync("again", id, 1, nil)
	c.heartbeat("stable", "g", id, 1, nil)
	c.heartbeat("generation", "g", id, 0, nil)
	c.heartbeat("an instance", "g", id, 1, kmsg.StringPtr("i"))
	c.commit("member", 9, "g", id, 1, nil)
	c.commit("generation", 9, "g", id, 0, nil)
	c.commit("standalone", 9, "g", "", -1, nil)
	c.commit("member without generation", 9, "g", id, -1, nil)
	c.commit("stranger", 9, "g", "who", 1, nil)
	c.describe("stable", 6, "g")
	c.list("stable", []string{"Stable"}, []string{"classic"})
	c.join("other protocol", 9, func(q *kmsg.JoinGroupRequest) { q.Protocols[0].Name = "other" })
	c.join("other type", 9, func(q *kmsg.JoinGroupRequest) { q.ProtocolType = "connect" })
	c.deleteOffsets("subscribed", "g", "t")
	c.deleteGroup("members", "g")
	c.leave("stranger", 4, "g", kmsg.LeaveGroupRequestMember{MemberID: "who"}, kmsg.LeaveGroupRequestMember{InstanceID: kmsg.StringPtr("i")})
	c.join("the leader again", 9, with)
	c.sync("leader", id, 2, nil)
	c.leave("member", 4, "g", kmsg.LeaveGroupRequestMember{MemberID: id})
	c.describe("empty", 6, "g")
	c.heartbeat("empty", "g", id, 2, nil)
	c.commit("standalone, empty", 9, "g", "", -1, nil)
	c.commit("past member, empty", 9, "g", id, 2, nil)
	c.sync("empty", id, 2, nil)
	c.deleteOffsets("empty", "g", "t")
	c.deleteGroup("empty", "g")
	c.describe("deleted", 6, "g")
}

func (c *conversation) talkStatic() {
	instance := kmsg.StringPtr("inst")
	static := func(q *kmsg.JoinGroupRequest) { q.InstanceID = instance }
	c.join("static", 9, static)
	first, generation := c.last, c.gen
	c.sync("static", first, generation, func(q *kmsg.SyncGroupRequest) { q.InstanceID = instance })
	c.join("static, replaced", 9, static)
	second := c.last
	c.sync("static, replaced", second, generation, func(q *kmsg.SyncGroupRequest) { q.InstanceID = instance })
	c.heartbeat("fenced", "g", first, generation, instance)
	c.heartbeat("the old id alone", "g", first, generation, nil)
	c.commit("fenced", 9, "g", first, generation, func(q *kmsg.OffsetCommitRequest) { q.InstanceID = instance })
	c.sync("fenced", first, generation, func(q *kmsg.SyncGroupRequest) { q.InstanceID = instance })
	c.join("fenced", 9, func(q *kmsg.JoinGroupRequest) { q.InstanceID, q.MemberID = instance, first })
	c.leave("fenced", 4, "g", kmsg.LeaveGroupRequestMember{MemberID: first, InstanceID: instance})
	c.join("static, replaced, old version", 8, static)
	c.describe("static", 6, "g")
	c.leave("by an administrator", 4, "g", kmsg.LeaveGroupRequestMember{InstanceID: instance})
	c.describe("empty", 6, "g")
}

func TestMachine_GoldenConversationWithKafka(t *testing.T) {
	if *recordFrom != "" {
		conn, err := net.Dial("tcp", *recordFrom)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := &conversation{p: &socket{t, conn}}
		c.talk()
		if err := os.WriteFile(goldenFile, c.out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := testSettings()
	s.InitialDelay = 0
	c := &conversation{p: &machinePeer{rig: newRig(t, s)}}
	c.talk()
	golden, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	want, got := strings.Split(string(golden), "\n"), strings.Split(c.out.String(), "\n")
	if len(want) != len(got) {
		t.Fatalf("%d answers, Kafka gave %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("Kafka: %s\nwe:    %s", want[i], got[i])
		}
	}
}
