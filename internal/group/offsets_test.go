package group

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/record"
	"holdfast/internal/wire"
)

func TestCommit_WhoMay(t *testing.T) {
	instance := "i"
	for what, c := range map[string]struct {
		group      string // "none", "empty", "stable"
		id         string
		generation int32
		instance   *string
		version    int16
		want       kafka.ErrorCode
	}{
		"standalone makes a group":           {"none", "", -1, nil, 9, kafka.ErrNone},
		"a member of no group":               {"none", "a", 1, nil, 9, kafka.ErrGroupIDNotFound},
		"a member of no group, old":          {"none", "a", 1, nil, 8, kafka.ErrIllegalGeneration},
		"standalone, empty group":            {"empty", "", -1, nil, 9, kafka.ErrNone},
		"standalone with an id, empty group": {"empty", "admin", -1, nil, 9, kafka.ErrNone},
		"a past member of an empty group":    {"empty", "a", 1, nil, 9, kafka.ErrUnknownMemberID},
		"a member":                           {"stable", "a", 1, nil, 9, kafka.ErrNone},
		"standalone, while there are":        {"stable", "", -1, nil, 9, kafka.ErrUnknownMemberID},
		"no generation, but a member":        {"stable", "a", -1, nil, 9, kafka.ErrIllegalGeneration},
		"generation of the past":             {"stable", "a", 0, nil, 9, kafka.ErrIllegalGeneration},
		"generation of the future":           {"stable", "a", 2, nil, 9, kafka.ErrIllegalGeneration},
		"a stranger":                         {"stable", "z", 1, nil, 9, kafka.ErrUnknownMemberID},
		"an instance of nobody":              {"stable", "a", 1, &instance, 9, kafka.ErrUnknownMemberID},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t, testSettings())
			if c.group != "none" {
				r = stableOf(t, testSettings(), "a", "b")
			}
			if c.group == "empty" {
				r.advance(2 * time.Minute)
				r.want("state", r.state(), "Empty")
			}
			before := len(r.log)
			q := commitRequest(c.id, c.generation, 42)
			q.InstanceID, q.Version = c.instance, c.version
			r.want("code", commitCode(r, r.commit(q)), c.want)
			if c.want != kafka.ErrNone {
				r.want("records", len(r.log), before)
				r.want("offset", r.fetch("t", kafka.TopicID{}), -1)
				return
			}
			r.want("offset", r.fetch("t", kafka.TopicID{}), 42)
			r.reload()
			r.want("offset after a restart", r.fetch("t", kafka.TopicID{}), 42)
		})
	}
}

func TestCommit_AnswersFollowTheRecords(t *testing.T) {
	r := newRig(t, testSettings())
	r.hold = true
	c := r.commit(commitRequest("", -1, 42))
	r.want("too early", commitCode(r, c), kafka.ErrorCode(-99))
	if read := r.m.Fetch(wire.OffsetFetchRequestGroup{Group: "g"}, true); read.After <= r.committed {
		t.Fatal("the offset can be read before it is committed")
	}
	if read := r.m.Describe(0, "g"); read.After <= r.committed {
		t.Fatal("the group can be seen before it is committed")
	}
	r.flush()
	r.want("code", commitCode(r, c), kafka.ErrNone)
	if read := r.m.Fetch(wire.OffsetFetchRequestGroup{Group: "g"}, true); read.After > r.committed {
		t.Fatal("the offset cannot be read after it is committed")
	}
}

func TestCommit_PerPartition(t *testing.T) {
	r := newRig(t, testSettings())
	long, fits, wide := strings.Repeat("m", 4097), strings.Repeat("m", 4096), strings.Repeat("ü", 4096)
	q := commitRequest("", -1, 1)
	q.Topics[0].Partitions = []wire.OffsetCommitRequestTopicPartition{
		{Partition: 0, Offset: 1, Metadata: &long}, {Partition: 1, Offset: 2, Metadata: &fits}, {Partition: 2, Offset: 3, Metadata: &wide},
	}
	a := answer[*wire.OffsetCommitResponse](r, r.commit(q))
	for i, want := range []kafka.ErrorCode{kafka.ErrOffsetMetadataTooLarge, kafka.ErrNone, kafka.ErrNone} {
		r.want(fmt.Sprint("partition ", i), kafka.ErrorCode(a.Topics[0].Partitions[i].ErrorCode), want)
	}
	all := r.m.Fetch(wire.OffsetFetchRequestGroup{Group: "g"}, false).Value
	r.want("kept", len(all.Topics[0].Partitions), 2)
	r.want("metadata", *all.Topics[0].Partitions[1].Metadata, wide)
}

func TestCommit_MoreThanABatch(t *testing.T) {
	r := newRig(t, testSettings())
	q := commitRequest("", -1, 1)
	text := strings.Repeat("m", 4096)
	for i := range int32(400) {
		q.Topics[0].Partitions = append(q.Topics[0].Partitions, wire.OffsetCommitRequestTopicPartition{Partition: i, Metadata: &text})
	}
	r.want("code", commitCode(r, r.commit(q)), kafka.ErrInvalidCommitOffsetSize)
	r.want("groups", len(r.m.groups), 0)
	r.want("records", len(r.log), 0)
}

func TestFetch_Semantics(t *testing.T) {
	r := newRig(t, testSettings())
	r.commit(commitRequest("", -1, 42))
	read := r.m.Fetch(wire.OffsetFetchRequestGroup{Group: "g", Topics: []wire.OffsetFetchRequestGroupTopic{{Topic: "t", TopicID: [16]byte{1}, Partitions: []int32{0, 1}}, {Topic: "u", Partitions: []int32{3}}}}, false).Value
	p := read.Topics[0].Partitions
	r.want("offset", p[0].Offset, 42)
	r.want("epoch", p[0].LeaderEpoch, 5)
	r.want("metadata", *p[0].Metadata, "")
	r.want("id", read.Topics[0].TopicID[0], 1)
	r.want("none", fmt.Sprintf("%d %d %q %d", p[1].Offset, p[1].LeaderEpoch, *p[1].Metadata, p[1].ErrorCode), `-1 -1 "" 0`)
	r.want("none", read.Topics[1].Partitions[0].Offset, -1)

	all := r.m.Fetch(wire.OffsetFetchRequestGroup{Group: "g"}, false).Value
	r.want("all", len(all.Topics), 1)
	r.want("id of the commit", all.Topics[0].TopicID[0], 1)
	none := r.m.Fetch(wire.OffsetFetchRequestGroup{Group: "h"}, false).Value
	r.want("no group", fmt.Sprint(none.ErrorCode, len(none.Topics), none.Topics == nil), "0 0 false")
	r.want("a topic of the same name that came later", r.fetch("t", kafka.TopicID{2}), -1)
}

func TestExpiry_NeverWhileThereAreMembers(t *testing.T) {
	s := testSettings()
	s.OffsetRetention = time.Hour
	r := stableOf(t, s, "a")
	q := commitRequest("a", 1, 42)
	q.Topics = append(q.Topics, wire.OffsetCommitRequestTopic{Topic: "left", Partitions: q.Topics[0].Partitions})
	r.commit(q)
	for range 30 * 60 {
		r.advance(6 * time.Second)
		r.heartbeat("a", 1)
	}
	r.want("after three hours", r.fetch("t", kafka.TopicID{}), 42)
	r.want("a topic that nobody subscribes to", r.fetch("left", kafka.TopicID{}), 42)
	r.advance(50 * time.Minute)
	r.want("state", r.state(), "Empty")
	r.want("an hour begins when the last one leaves", r.fetch("t", kafka.TopicID{}), 42)
	r.advance(25 * time.Minute)
	r.want("expired", r.fetch("t", kafka.TopicID{}), -1)
	r.want("the group is gone", r.state(), "Dead")
	r.reload()
	r.want("for good", len(r.m.groups), 0)
}

func TestExpiry_StandaloneAndEmptyGroups(t *testing.T) {
	s := testSettings()
	s.OffsetRetention = time.Hour
	r := newRig(t, s)
	r.commit(commitRequest("", -1, 1))
	r.advance(55 * time.Minute)
	r.commit(commitRequest("", -1, 2))
	r.reload()
	r.advance(55 * time.Minute)
	r.want("since the last commit", r.fetch("t", kafka.TopicID{}), 2)
	r.advance(20 * time.Minute)
	r.want("expired", r.state(), "Dead")

	r = stableOf(t, s, "a")
	r.advance(58 * time.Minute)
	r.commit(commitRequest("", -1, 3)) // an administrator resets what nobody reads
	r.advance(50 * time.Minute)
	r.want("a commit to an empty group counts anew", r.fetch("t", kafka.TopicID{}), 3)
}

func TestExpiry_OfTheClient(t *testing.T) {
	r := newRig(t, testSettings())
	q := commitRequest("", -1, 1)
	q.Version, q.RetentionTimeMillis = 4, 60_000
	r.commit(q)
	r.reload()
	r.advance(59 * time.Second)
	r.want("before", r.fetch("t", kafka.TopicID{}), 1)
	r.advance(20 * time.Minute)
	r.want("after", r.fetch("t", kafka.TopicID{}), -1)
}

func TestDeleteOffsets(t *testing.T) {
	ask := func(r *rig, topic string) *wire.OffsetDeleteResponse {
		q := wire.NewOffsetDeleteRequest()
		q.Group = "g"
		q.Topics = []wire.OffsetDeleteRequestTopic{{Topic: topic, Partitions: []wire.OffsetDeleteRequestTopicPartition{{Partition: 0}, {Partition: 9}}}}
		c := r.call()
		r.take(r.m.DeleteOffsets(r.now, c, &q))
		return answer[*wire.OffsetDeleteResponse](r, c)
	}
	r := newRig(t, testSettings())
	r.want("no group", kafka.ErrorCode(ask(r, "t").ErrorCode), kafka.ErrGroupIDNotFound)
	r = stableOf(t, testSettings(), "a")
	q := commitRequest("a", 1, 42)
	q.Topics = append(q.Topics, wire.OffsetCommitRequestTopic{Topic: "left", Partitions: q.Topics[0].Partitions})
	r.commit(q)
	a := ask(r, "t")
	r.want("subscribed", kafka.ErrorCode(a.Topics[0].Partitions[0].ErrorCode), kafka.ErrGroupSubscribedToTopic)
	a = ask(r, "left")
	r.want("not subscribed", a.Topics[0].Partitions[0].ErrorCode, 0)
	r.want("never committed", a.Topics[0].Partitions[1].ErrorCode, 0)
	r.want("gone", r.fetch("left", kafka.TopicID{}), -1)
	r.want("kept", r.fetch("t", kafka.TopicID{}), 42)
	r.advance(2 * time.Minute)
	r.want("empty group", ask(r, "t").Topics[0].Partitions[0].ErrorCode, 0)

	r = newRig(t, testSettings())
	j := joinRequest("")
	j.ProtocolType, j.Version = "connect", 3
	r.join(j)
	r.want("of other members", kafka.ErrorCode(ask(r, "t").ErrorCode), kafka.ErrNonEmptyGroup)
}

func deleteGroup(r *rig, name string) kafka.ErrorCode {
	c := r.call()
	r.take(r.m.DeleteGroup(r.now, c, name))
	return kafka.ErrorCode(answer[*wire.DeleteGroupsResponse](r, c).Groups[0].ErrorCode)
}

func TestDeleteGroup(t *testing.T) {
	r := stableOf(t, testSettings(), "a")
	r.commit(commitRequest("a", 1, 42))
	r.want("members", deleteGroup(r, "g"), kafka.ErrNonEmptyGroup)
	r.want("no group", deleteGroup(r, "h"), kafka.ErrGroupIDNotFound)
	r.advance(2 * time.Minute)
	r.join(joinRequest("")) // an id is out
	r.want("empty", deleteGroup(r, "g"), kafka.ErrNone)
	r.want("state", r.state(), "Dead")
	a := answer[*wire.JoinGroupResponse](r, r.join(joinRequest("client-x")))
	r.want("that id", kafka.ErrorCode(a.ErrorCode), kafka.ErrUnknownMemberID)
	r.reload()
	r.want("after a restart", len(r.m.groups), 0)
}

func TestDeleteGroup_StepByStep(t *testing.T) {
	r := newRig(t, testSettings())
	name := strings.Repeat("g", 200)
	for topic := range 200 {
		q := commitRequest("", -1, 1)
		q.Group = name
		q.Topics[0].Topic = fmt.Sprint(strings.Repeat("t", 200), topic)
		q.Topics[0].Partitions = nil
		for p := range int32(40) {
			q.Topics[0].Partitions = append(q.Topics[0].Partitions, wire.OffsetCommitRequestTopicPartition{Partition: p})
		}
		r.commit(q)
	}
	r.want("first", deleteGroup(r, name), kafka.ErrCoordinatorLoadInProgress)
	calls := 1
	for deleteGroup(r, name) != kafka.ErrNone {
		if calls++; calls > 10 {
			t.Fatal("never done")
		}
	}
	r.want("groups", len(r.m.groups), 0)
	size, last := 0, Seq(0)
	for _, l := range r.log {
		if l.seq != last {
			size, last = batchOverhead, l.seq
		}
		if size += len(l.Key) + len(l.Value) + recordOverhead; size > r.m.settings.MaxBatchBytes {
			t.Fatalf("effects %d have more than %d bytes", l.seq, size)
		}
	}
}

func TestDeleteTopics(t *testing.T) {
	r := newRig(t, testSettings())
	commit := func(group, topic string, id byte) {
		q := commitRequest("", -1, 7)
		q.Group, q.Topics[0].Topic, q.Topics[0].TopicID = group, topic, [16]byte{id}
		r.commit(q)
	}
	commit("g", "t", 1)
	commit("h", "t", 2)
	commit("i", "t", 0)
	commit("j", "u", 3)
	r.want("topics", len(r.m.Topics()), 4)
	r.take(r.m.DeleteTopics(r.now, []TopicRef{{"t", kafka.TopicID{1}}}))
	r.want("groups", r.m.names(), "[h j]")
	r.take(r.m.DeleteTopics(r.now, []TopicRef{{Name: "u"}, {Name: "never"}}))
	r.want("groups", r.m.names(), "[h]")
	r.reload()
	r.want("groups", r.m.names(), "[h]")
}

func TestDeleteTopics_MoreThanABatch(t *testing.T) {
	r := newRig(t, testSettings())
	for g := range 300 {
		q := commitRequest("", -1, 1)
		q.Group = fmt.Sprint(strings.Repeat("g", 200), g)
		q.Topics[0].Partitions = nil
		for p := range int32(40) {
			q.Topics[0].Partitions = append(q.Topics[0].Partitions, wire.OffsetCommitRequestTopicPartition{Partition: p})
		}
		r.commit(q)
	}
	r.take(r.m.DeleteTopics(r.now, []TopicRef{{Name: "t"}}))
	if len(r.m.groups) == 0 {
		t.Fatal("one batch was enough: the test shows nothing")
	}
	r.advance(0)
	r.want("groups", len(r.m.groups), 0)
}

func TestList_Filters(t *testing.T) {
	r := stableOf(t, testSettings(), "a")
	q := commitRequest("", -1, 1)
	q.Group = "simple"
	r.commit(q)
	list := func(states, types []string) string {
		v := r.m.List(&wire.ListGroupsRequest{StatesFilter: states, TypesFilter: types}).Value
		var names []string
		for _, g := range v {
			names = append(names, g.Group+"/"+g.ProtocolType+"/"+g.GroupState+"/"+g.GroupType)
		}
		return strings.Join(names, " ")
	}
	r.want("all", list(nil, nil), "g/consumer/Stable/classic simple//Empty/classic")
	r.want("stable", list([]string{"sTABLE"}, []string{"Classic"}), "g/consumer/Stable/classic")
	r.want("empty", list([]string{"Empty", "Dead"}, nil), "simple//Empty/classic")
	r.want("other type", list(nil, []string{"consumer"}), "")
	r.want("other state", list([]string{"Odd"}, nil), "")
}

func TestDescribe(t *testing.T) {
	r := stableOf(t, testSettings(), "a")
	d := r.m.Describe(5, "g").Value
	r.want("state", fmt.Sprint(d.State, d.ProtocolType, d.Protocol, len(d.Members)), fmt.Sprint("Stable", "consumer", "range", 1))
	m := d.Members[0]
	r.want("member", fmt.Sprint(m.MemberID, m.ClientID, m.ClientHost, string(m.ProtocolMetadata), string(m.MemberAssignment)), fmt.Sprint("a", "client", "/127.0.0.1", subscriptionOf("t"), "1/a"))
	r.enter("b")
	d = r.m.Describe(5, "g").Value
	r.want("state", fmt.Sprint(d.State, d.Protocol, len(d.Members), len(d.Members[0].ProtocolMetadata)), fmt.Sprint("PreparingRebalance", "", 2, 0))
	d = r.m.Describe(5, "none").Value
	r.want("none, old", fmt.Sprintf("%s %d %v", d.State, d.ErrorCode, d.ErrorMessage == nil), "Dead 0 true")
	d = r.m.Describe(6, "none").Value
	r.want("none", fmt.Sprintf("%s %d %s", d.State, d.ErrorCode, *d.ErrorMessage), "Dead 69 Group none not found.")
}

// TestBatches_AreNotLargerThanTheySay builds the batch of the largest commit that
// is accepted.
func TestBatches_AreNotLargerThanTheySay(t *testing.T) {
	r := newRig(t, testSettings())
	text := strings.Repeat("m", 100)
	biggest := 0
	for n := int32(4000); n < 8000; n += 25 {
		q := commitRequest("", -1, 1<<62)
		q.Topics[0].Partitions = nil
		for i := range n {
			q.Topics[0].Partitions = append(q.Topics[0].Partitions, wire.OffsetCommitRequestTopicPartition{Partition: i, Offset: 1 << 62, Metadata: &text})
		}
		before := len(r.log)
		if commitCode(r, r.commit(q)) != kafka.ErrNone {
			break
		}
		b := record.NewBuilder(record.Options{})
		for _, l := range r.log[before:] {
			b.Append(l.at, l.Key, l.Value)
		}
		batch, err := b.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		biggest = max(biggest, len(batch))
	}
	if limit := r.m.settings.MaxBatchBytes; biggest > limit || biggest < limit*7/10 {
		t.Errorf("the largest batch has %d bytes of %d", biggest, limit)
	}
}
