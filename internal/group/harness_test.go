package group

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func testSettings() Settings {
	return Settings{
		MinSession: 6 * time.Second, MaxSession: 30 * time.Minute, MaxSize: 1 << 30,
		InitialDelay: 3 * time.Second, OffsetRetention: 7 * 24 * time.Hour, RetentionCheck: 10 * time.Minute,
		MaxMetadata: 4096, MaxBatchBytes: 1 << 20,
	}
}

// logged is one record of the log.
type logged struct {
	Record
	seq Seq
	at  kafka.Timestamp
}

// rig is a shell in miniature: it keeps the log, and gives out replies only when
// what they wait for is committed.
type rig struct {
	t         testing.TB
	m         *Machine
	now       kafka.Timestamp
	log       []logged
	committed Seq
	calls     CallID
	waiting   []Reply
	answers   map[CallID]wire.Response
	hold      bool // records are not committed until flush
}

func newRig(t testing.TB, s Settings) *rig {
	r := &rig{t: t, m: New(s), now: 1_000_000, answers: map[CallID]wire.Response{}}
	r.take(r.m.Loaded(r.now))
	return r
}

func (r *rig) take(e Effects) {
	r.t.Helper()
	if (e.Seq != 0) != (len(e.Records) > 0) {
		r.t.Fatalf("effects %d carry %d records", e.Seq, len(e.Records))
	}
	for _, rec := range e.Records {
		r.log = append(r.log, logged{rec, e.Seq, r.now})
	}
	r.waiting = append(r.waiting, e.Replies...)
	if !r.hold {
		r.committed = r.m.seq
	}
	r.release()
}

// flush commits everything.
func (r *rig) flush() {
	r.t.Helper()
	r.committed = r.m.seq
	r.release()
}

func (r *rig) release() {
	r.t.Helper()
	kept := r.waiting[:0]
	for _, reply := range r.waiting {
		if reply.After > r.committed {
			kept = append(kept, reply)
			continue
		}
		if r.answers[reply.Call] != nil {
			r.t.Fatalf("call %d is answered twice", reply.Call)
		}
		r.answers[reply.Call] = reply.Response
	}
	r.waiting = kept
}

func (r *rig) call() CallID { r.calls++; return r.calls }

// answer returns the reply to a call, or nil while it waits.
func answer[T wire.Response](r *rig, call CallID) T {
	v, _ := r.answers[call].(T)
	return v
}

func (r *rig) advance(d time.Duration) {
	end := r.now + millis(d)
	for i := 0; ; i++ {
		at, ok := r.m.Next()
		if !ok || at > end {
			break
		}
		if i > 100_000 {
			r.t.Fatalf("Next stays at %d", at)
		}
		r.now = max(r.now, at)
		r.take(r.m.Tick(r.now))
	}
	r.now = end
}

// reload drops what is not committed, and the machine, and replays the log.
func (r *rig) reload() {
	r.t.Helper()
	r.log = slices.DeleteFunc(r.log, func(l logged) bool { return l.seq > r.committed })
	m := New(r.m.settings)
	for _, l := range r.log {
		if err := m.Replay(l.Key, l.Value, l.at); err != nil {
			r.t.Fatal(err)
		}
	}
	m.seq = r.committed
	r.m, r.waiting = m, nil
	r.take(m.Loaded(r.now))
}

func protocols(pairs ...string) []wire.JoinGroupRequestProtocol {
	var all []wire.JoinGroupRequestProtocol
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, wire.JoinGroupRequestProtocol{Name: pairs[i], Metadata: []byte(pairs[i+1])})
	}
	return all
}

func joinRequest(id string) JoinRequest {
	q := wire.NewJoinGroupRequest()
	q.Group, q.MemberID, q.ProtocolType = "g", id, "consumer"
	q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = 10_000, 60_000
	q.Protocols = protocols("range", subscriptionOf("t"))
	return JoinRequest{JoinGroupRequest: &q, Version: 9, Caller: Caller{"client", "/127.0.0.1"}, NewMemberID: "client-x"}
}

// subscriptionOf is what a consumer sends as its metadata.
func subscriptionOf(topics ...string) string {
	b := []byte{0, 0, 0, 0, 0, byte(len(topics))}
	for _, t := range topics {
		b = append(append(b, 0, byte(len(t))), t...)
	}
	return string(append(b, 0xff, 0xff, 0xff, 0xff))
}

func (r *rig) join(q JoinRequest) CallID {
	c := r.call()
	r.take(r.m.Join(r.now, c, q))
	return c
}

// enter brings a new member in, to where its JoinGroup is parked.
func (r *rig) enter(id string) CallID {
	q := joinRequest("")
	q.NewMemberID, q.Version = id, 3
	return r.join(q)
}

func (r *rig) sync(id string, generation int32, assignments ...string) CallID {
	q := wire.NewSyncGroupRequest()
	q.Group, q.MemberID, q.Generation = "g", id, generation
	for i := 0; i < len(assignments); i += 2 {
		q.GroupAssignment = append(q.GroupAssignment, wire.SyncGroupRequestGroupAssignment{MemberID: assignments[i], MemberAssignment: []byte(assignments[i+1])})
	}
	c := r.call()
	r.take(r.m.Sync(r.now, c, &q))
	return c
}

func (r *rig) heartbeat(id string, generation int32) kafka.ErrorCode {
	q := wire.NewHeartbeatRequest()
	q.Group, q.MemberID, q.Generation = "g", id, generation
	c := r.call()
	r.take(r.m.Heartbeat(r.now, c, &q))
	return kafka.ErrorCode(answer[*wire.HeartbeatResponse](r, c).ErrorCode)
}

func commitRequest(id string, generation int32, offset int64) CommitRequest {
	q := wire.NewOffsetCommitRequest()
	q.Group, q.MemberID, q.Generation = "g", id, generation
	q.Topics = []wire.OffsetCommitRequestTopic{{Topic: "t", TopicID: [16]byte{1}, Partitions: []wire.OffsetCommitRequestTopicPartition{{Partition: 0, Offset: offset, LeaderEpoch: 5}}}}
	return CommitRequest{OffsetCommitRequest: &q, Version: 9}
}

func (r *rig) commit(q CommitRequest) CallID {
	c := r.call()
	r.take(r.m.Commit(r.now, c, q))
	return c
}

func commitCode(r *rig, c CallID) kafka.ErrorCode {
	a := answer[*wire.OffsetCommitResponse](r, c)
	if a == nil {
		return -99
	}
	return kafka.ErrorCode(a.Topics[0].Partitions[0].ErrorCode)
}

func (r *rig) fetch(topic string, id kafka.TopicID) int64 {
	v := r.m.Fetch(wire.OffsetFetchRequestGroup{Group: "g", Topics: []wire.OffsetFetchRequestGroupTopic{{Topic: topic, TopicID: id, Partitions: []int32{0}}}}, false)
	return v.Value.Topics[0].Partitions[0].Offset
}

func (r *rig) state() string { return r.m.Describe(0, "g").Value.State }

func (r *rig) want(what string, got, want any) {
	r.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// stableOf makes a stable group of the members, the first of which leads.
func stableOf(t testing.TB, s Settings, ids ...string) *rig {
	r := newRig(t, s)
	for _, id := range ids {
		r.enter(id)
	}
	r.advance(6 * time.Second)
	var assignments []string
	for _, id := range ids {
		assignments = append(assignments, id, "1/"+id)
	}
	for _, id := range slices.Backward(ids) {
		if id == ids[0] {
			r.sync(id, 1, assignments...)
		} else {
			r.sync(id, 1)
		}
	}
	r.want("state", r.state(), "Stable")
	return r
}

// dump is everything that the log says, as text.
func dump(m *Machine) string {
	var b strings.Builder
	for _, name := range m.names() {
		g := m.groups[name]
		fmt.Fprintf(&b, "%q saved=%v %s gen=%d type=%q leader=%q since=%d", name, g.saved, g.phase, g.generation, g.protocolType, g.leader, g.since)
		if g.protocol != nil {
			fmt.Fprintf(&b, " protocol=%q", *g.protocol)
		}
		for e := g.first; e != nil; e = e.next {
			fmt.Fprintf(&b, "\n  %q %q %d %d %q %q", e.id, e.caller, e.sessionTimeout, e.rebalanceTimeout, g.metadata(e), e.assignment)
			if e.instance != nil {
				fmt.Fprintf(&b, " static %q", *e.instance)
			}
		}
		for _, tp := range g.partitions() {
			fmt.Fprintf(&b, "\n  %v %+v", tp, g.offsets[tp.Topic].partitions[tp.Partition])
		}
		fmt.Fprintf(&b, "\n  subscribed %v\n", slices.Sorted(maps.Keys(g.subscribed)))
	}
	return b.String()
}
