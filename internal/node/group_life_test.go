package node_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/clock"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// groupRig is a broker with a topic "t" and a coordinator that is ready.
func groupRig(t *testing.T, seed uint64, extra ...string) *rig {
	r := newRig(t, seed, append([]string{"offsets.topic.num.partitions", "1"}, extra...)...)
	r.mustStart()
	c := r.client()
	defer c.Close()
	r.createTopic(c, "t", 1)
	r.findCoordinator()
	return r
}

// TestGroups_RequestsDuringALoadAreToldToWait: while the log of groups is read
// every request but a heartbeat is answered COORDINATOR_LOAD_IN_PROGRESS, none with
// a guess, from the moment on at which the door opens.
func TestGroups_RequestsDuringALoadAreToldToWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := groupRig(t, 1)
		l := r.line()
		if code := l.commit(commitAt(8, "g", "t", 7)); code != kafka.ErrNone {
			t.Fatal(code)
		}
		r.powerCut(1)
		r.ground.Disk.SetLatency(clock.Real{}, func(op vfs.Op, name string, _ int) time.Duration {
			if op&vfs.OpRead != 0 && strings.Contains(name, "__consumer_offsets") {
				return time.Second
			}
			return 0
		})
		r.mustStart()
		defer func() { _ = r.stop() }()
		l = r.line()
		defer l.close()
		loading := kafka.ErrCoordinatorLoadInProgress
		if code := l.commit(commitAt(8, "g", "t", 8)); code != loading {
			t.Errorf("commit: %v", code)
		}
		if _, code := l.offset("g", "t", false); code != loading {
			t.Errorf("fetch: %v", code)
		}
		if code := kafka.ErrorCode(ask[*kmsg.JoinGroupResponse](l, joinAs("g", "")).ErrorCode); code != loading {
			t.Errorf("join: %v", code)
		}
		if code := kafka.ErrorCode(ask[*kmsg.HeartbeatResponse](l, beatAs("g", &kmsg.JoinGroupResponse{})).ErrorCode); code != kafka.ErrNone { // as Kafka: a member need not be sent away for this
			t.Errorf("heartbeat: %v", code)
		}
		list := kmsg.NewPtrListGroupsRequest()
		list.Version = 4
		if code := kafka.ErrorCode(ask[*kmsg.ListGroupsResponse](l, list).ErrorCode); code != loading {
			t.Errorf("list: %v", code)
		}
		if code := kafka.ErrorCode(l.describe("g").ErrorCode); code != loading {
			t.Errorf("describe: %v", code)
		}
		if code := r.deleteGroup(l, "g"); code != loading {
			t.Errorf("delete: %v", code)
		}
		<-time.After(10 * time.Second)
		l.wantOffset("g", "t", 7)
	})
}

func (r *rig) deleteGroup(l *line, group string) kafka.ErrorCode {
	q := kmsg.NewPtrDeleteGroupsRequest()
	q.Version, q.Groups = 1, []string{group}
	return kafka.ErrorCode(ask[*kmsg.DeleteGroupsResponse](l, q).Groups[0].ErrorCode)
}

// TestGroups_AFailedAppendIsNeverASuccess: on a full disk and after a failed sync
// no commit is acknowledged, and everybody who waits in the same partition is
// sent back with a code that every client retries; who waits on a disk that is known
// to be full goes on waiting. What was acknowledged is there afterwards.
func TestGroups_AFailedAppendIsNeverASuccess(t *testing.T) {
	for _, mode := range []string{"full", "journal", "refused write"} {
		t.Run(mode, func(t *testing.T) {
			bubble(t, func(t *testing.T) { failedAppend(t, mode) })
		})
	}
}

func failedAppend(t *testing.T, mode string) {
	r := groupRig(t, 2, "group.initial.rebalance.delay.ms", "20000")
	defer func() { _ = r.stop() }()
	r.ground.Disk.SetCapacity(1 << 30)
	parked, l := r.line(), r.line()
	defer parked.close()
	defer l.close()
	if code := l.commit(commitAt(8, "g", "t", 7)); code != kafka.ErrNone {
		t.Fatal(code)
	}
	join := joinAs("other", "")
	parked.send(join)
	switch mode {
	case "full":
		r.ground.Disk.SetCapacity(1)
	case "journal":
		r.ground.Disk.Inject(vfs.Fault{Op: vfs.OpWrite | vfs.OpSync, Path: "holdfast.journal"})
	default:
		r.ground.Disk.Inject(vfs.Fault{Op: vfs.OpWrite, Path: dataDir + "/__consumer_offsets-0/*.log", Err: vfs.ErrNoSpace})
	}
	<-time.After(3 * time.Second)
	// A fetch that comes right behind the commit must not show what it tried.
	commit, fetch := commitAt(8, "g", "t", 8), askOffset("g")
	l.send(commit)
	l.send(fetch)
	if code := kafka.ErrorCode(hear[*kmsg.OffsetCommitResponse](l, commit, time.Minute).Topics[0].Partitions[0].ErrorCode); code == kafka.ErrNone || !code.Retriable() {
		t.Errorf("a commit that could not be written: %v", code)
	}
	if p := hear[*kmsg.OffsetFetchResponse](l, fetch, time.Minute); p.ErrorCode == 0 && p.Topics[0].Partitions[0].Offset != 7 || p.ErrorCode != 0 && !kafka.ErrorCode(p.ErrorCode).Retriable() {
		t.Errorf("the fetch behind it: %+v", p)
	}
	if mode != "full" {
		if code := kafka.ErrorCode(hear[*kmsg.JoinGroupResponse](parked, join, time.Second).ErrorCode); code == kafka.ErrNone || !code.Retriable() {
			t.Errorf("a parked join: %v", code)
		}
	}
	for range 20 { // whatever the shell tries meanwhile
		if code := l.commit(commitAt(8, "g", "t", 8)); code == kafka.ErrNone || !code.Retriable() {
			t.Fatalf("a commit while nothing can be written: %v", code)
		}
		<-time.After(300 * time.Millisecond)
	}
	want := int64(7) // a refused write is not there at all
	r.ground.Disk.Heal()
	r.ground.Disk.SetCapacity(1 << 30)
	if mode == "journal" {
		r.powerCut(3)
		r.mustStart()
		l = r.line()
	}
	r.until("the coordinator is back", func() error {
		if _, code := l.offset("g", "t", true); code != kafka.ErrNone {
			return code
		}
		return nil
	})
	if got, _ := l.offset("g", "t", true); got != want && !(mode == "journal" && got == 8) {
		t.Errorf("acknowledged was %d, the broker says %d", want, got)
	}
	<-time.After(3 * time.Second) // until the broker looks for room again
	if code := l.commit(commitAt(8, "g", "t", 9)); code != kafka.ErrNone {
		t.Errorf("a commit after the disk is well again: %v", code)
	}
	l.wantOffset("g", "t", 9)
	if mode == "full" {
		if code := kafka.ErrorCode(hear[*kmsg.JoinGroupResponse](parked, join, time.Minute).ErrorCode); code != kafka.ErrNone {
			t.Errorf("a join that was parked when the disk was full: %v", code)
		}
	}
}

// TestGroups_AParkedJoinEndsWithItsConnection: the request goes, the member goes
// with its session, and the group lives on without it.
func TestGroups_AParkedJoinEndsWithItsConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := groupRig(t, 3)
		defer func() { _ = r.stop() }()
		one, two := r.line(), r.line()
		defer one.close()
		j := one.found("g")
		two.send(joinAs("g", "")) // waits for the first member
		<-time.After(100 * time.Millisecond)
		r.wantMembers("g", 2)
		two.close()
		if code := kafka.ErrorCode(ask[*kmsg.HeartbeatResponse](one, beatAs("g", j)).ErrorCode); code != kafka.ErrRebalanceInProgress {
			t.Fatalf("heartbeat during the rebalance: %v", code)
		}
		again := joinAs("g", j.MemberID)
		j = ask[*kmsg.JoinGroupResponse](one, again)
		if j.ErrorCode != 0 || len(j.Members) != 2 {
			t.Fatalf("join: %+v", j)
		}
		if s := ask[*kmsg.SyncGroupResponse](one, syncAs("g", j)); s.ErrorCode != 0 {
			t.Fatalf("sync: %+v", s)
		}
		left := time.Now()
		for {
			code := kafka.ErrorCode(ask[*kmsg.HeartbeatResponse](one, beatAs("g", j)).ErrorCode)
			if code == kafka.ErrRebalanceInProgress {
				break
			}
			if code != kafka.ErrNone || time.Since(left) > 12*time.Second {
				t.Fatalf("after %v: %v", time.Since(left), code)
			}
			<-time.After(time.Second)
		}
		if j = ask[*kmsg.JoinGroupResponse](one, again); j.ErrorCode != 0 || len(j.Members) != 1 {
			t.Errorf("after the session: %+v", j)
		}
	})
}

// TestGroups_StopAnswersWhoWaits: a broker that stops sends parked members back
// at once instead of waiting for their rebalance.
func TestGroups_StopAnswersWhoWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := groupRig(t, 4, "group.initial.rebalance.delay.ms", "600000")
		var lines []*line
		var asked []kmsg.Request
		for i := range 20 {
			l, q := r.line(), joinAs([]string{"g", "h", "i"}[i%3], "")
			l.send(q)
			lines, asked = append(lines, l), append(asked, q)
		}
		<-time.After(time.Second)
		began := time.Now()
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the stop took %v", took)
		}
		for i, l := range lines {
			p, err := l.receive(asked[i], time.Second)
			if err != nil {
				t.Errorf("member %d: %v", i, err)
			} else if code := kafka.ErrorCode(p.(*kmsg.JoinGroupResponse).ErrorCode); code == kafka.ErrNone || !code.Retriable() {
				t.Errorf("member %d: %v", i, code)
			}
			l.close()
		}
	})
}

// TestGroups_OffsetsGoWithTheirTopic: a topic of the same name begins without
// offsets, however quickly it comes, also across a power cut.
func TestGroups_OffsetsGoWithTheirTopic(t *testing.T) {
	for _, mode := range []string{"slowly", "at once", "power cut", "broken", "broken, no ids"} {
		t.Run(mode, func(t *testing.T) {
			bubble(t, func(t *testing.T) { offsetsGo(t, mode) })
		})
	}
}

func offsetsGo(t *testing.T, mode string) {
	r := groupRig(t, 5)
	defer func() { _ = r.stop() }()
	c := r.client()
	defer c.Close()
	r.createTopic(c, "stays", 1)
	l := r.line()
	// A ref with the topic's id takes those without one along: here there is none.
	first := commitAt(8, "new", "t", 7)
	if mode == "broken, no ids" {
		first = old(commitAt(4, "new", "t", 7))
	}
	for _, q := range []*kmsg.OffsetCommitRequest{
		first, commitAt(8, "new", "stays", 17), commitAt(8, "other", "stays", 18), old(commitAt(4, "old", "t", 8)),
	} {
		if code := l.commit(q); code != kafka.ErrNone {
			t.Fatal(code)
		}
	}
	l.wantOffset("new", "t", 7)
	l.wantOffset("old", "t", 8)
	if strings.HasPrefix(mode, "broken") { // nothing can be written when the topic goes
		r.ground.Disk.Inject(vfs.Fault{Op: vfs.OpWrite, Path: dataDir + "/__consumer_offsets-0/*.log", Err: vfs.ErrNoSpace})
	}
	r.deleteTopic("t")
	switch mode {
	case "slowly":
		<-time.After(5 * time.Second)
		l.wantOffset("new", "t", -1)
		l.wantOffset("old", "t", -1)
	case "power cut":
		r.powerCut(1)
		r.mustStart()
		l = r.line()
	}
	r.createTopic(c, "t", 1)
	if strings.HasPrefix(mode, "broken") {
		<-time.After(5 * time.Second)
		r.ground.Disk.Heal()
	}
	r.until("the coordinator is ready", func() error {
		if _, code := l.offset("other", "stays", true); code != kafka.ErrNone {
			return code
		}
		return nil
	})
	l.wantOffset("new", "t", -1)
	l.wantOffset("old", "t", -1)
	l.wantOffset("new", "stays", 17)
	l.wantOffset("other", "stays", 18)
	if code := l.commit(commitAt(8, "new", "t", 1)); code != kafka.ErrNone {
		t.Error(code)
	}
	r.powerCut(2)
	r.mustStart()
	r.findCoordinator()
	l = r.line()
	l.wantOffset("new", "t", 1)
	l.wantOffset("old", "t", -1)
	l.wantOffset("new", "stays", 17)
}

// old gives a commit the time to live that versions 2 to 4 have; its record
// names no topic id.
func old(q *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitRequest {
	q.RetentionTimeMillis = time.Hour.Milliseconds()
	return q
}

// TestGroups_NobodyTouchesTheInternalTopic: what only the coordinator may do is
// refused to clients.
func TestGroups_NobodyTouchesTheInternalTopic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := groupRig(t, 6)
		defer func() { _ = r.stop() }()
		const topic = "__consumer_offsets"
		c := r.client()
		defer c.Close()
		l := r.line()
		defer l.close()
		if code := l.commit(commitAt(8, "g", "t", 7)); code != kafka.ErrNone {
			t.Fatal(code)
		}
		admin := kadm.NewClient(c)
		once := r.once()
		defer once.Close()
		invalid := int16(kafka.ErrInvalidTopicException)
		if err := produceOne(once, topic, "x"); codeOf(err) != invalid {
			t.Errorf("produce: %v", err)
		}
		var before kadm.Offsets
		before.Add(kadm.Offset{Topic: topic, Partition: 0, At: 1})
		records, err := admin.DeleteRecords(context.Background(), before)
		if err == nil {
			err = records.Error()
		}
		if codeOf(err) != invalid {
			t.Errorf("delete records: %v", err)
		}
		gone, err := admin.DeleteTopics(context.Background(), topic)
		if err != nil || codeOf(gone[topic].Err) != int16(kafka.ErrPolicyViolation) {
			t.Errorf("delete: %v, %v", gone, err)
		}
		byID := kmsg.NewPtrDeleteTopicsRequest()
		one := kmsg.NewDeleteTopicsRequestTopic()
		all, err := admin.ListTopicsWithInternal(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		one.TopicID = all[topic].ID
		byID.Topics = append(byID.Topics, one)
		if code := request[*kmsg.DeleteTopicsResponse](t, c, byID).Topics[0].ErrorCode; code != int16(kafka.ErrPolicyViolation) {
			t.Errorf("delete by id: %v", kafka.ErrorCode(code))
		}
		more, err := admin.UpdatePartitions(context.Background(), 5, topic)
		if err != nil || codeOf(more[topic].Err) != int16(kafka.ErrInvalidRequest) {
			t.Errorf("more partitions: %v, %v", more, err)
		}
		l.wantOffset("g", "t", 7)
	})
}

// TestGroups_AGroupWithMembersIsNotDeleted: neither the group nor the offsets of
// a topic that it reads.
func TestGroups_AGroupWithMembersIsNotDeleted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := groupRig(t, 7)
		defer func() { _ = r.stop() }()
		c := r.client()
		defer c.Close()
		r.produceN(c, "t", 0, 3)
		m := r.member(kgo.SessionTimeout(10 * time.Second))
		defer m.Close()
		poll(t, m, 3)
		if err := m.CommitUncommittedOffsets(context.Background()); err != nil {
			t.Fatal(err)
		}
		l := r.line()
		defer l.close()
		if code := r.deleteGroup(l, "g"); code != kafka.ErrNonEmptyGroup {
			t.Errorf("delete: %v", code)
		}
		q := kmsg.NewPtrOffsetDeleteRequest()
		q.Group = "g"
		topic, part := kmsg.NewOffsetDeleteRequestTopic(), kmsg.NewOffsetDeleteRequestTopicPartition()
		topic.Topic, topic.Partitions = "t", append(topic.Partitions, part)
		q.Topics = append(q.Topics, topic)
		if code := ask[*kmsg.OffsetDeleteResponse](l, q).Topics[0].Partitions[0].ErrorCode; kafka.ErrorCode(code) != kafka.ErrGroupSubscribedToTopic {
			t.Errorf("delete an offset: %v", kafka.ErrorCode(code))
		}
		l.wantOffset("g", "t", 3)
		if code := r.deleteGroup(l, "nobody"); code != kafka.ErrGroupIDNotFound {
			t.Errorf("delete of a group that does not exist: %v", code)
		}
	})
}

// TestGroups_APartitionThatDoesNotOpenIsNotAnEmptyOne: where the log of groups is
// rotten nobody is told that there are no groups.
func TestGroups_APartitionThatDoesNotOpenIsNotAnEmptyOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := groupRig(t, 8, "offset.metadata.max.bytes", "32000")
		defer func() { _ = r.stop() }()
		l := r.line()
		for range 40 {
			q, text := commitAt(8, "g", "t", 7), strings.Repeat("m", 31_000)
			q.Topics[0].Partitions[0].Metadata = &text
			for range 5 { // large: synced in its segment, the journal has no copy
				q.Topics[0].Partitions = append(q.Topics[0].Partitions, q.Topics[0].Partitions[0])
			}
			if code := l.commit(q); code != kafka.ErrNone {
				t.Fatal(code)
			}
		}
		r.kill(1)
		if err := r.ground.Disk.FlipBit(dataDir+"/__consumer_offsets-0/00000000000000000000.log", 300<<10); err != nil {
			t.Fatal(err)
		}
		r.mustStart()
		<-time.After(3 * time.Second)
		l = r.line()
		list := kmsg.NewPtrListGroupsRequest()
		list.Version = 4
		if p := ask[*kmsg.ListGroupsResponse](l, list); p.ErrorCode == 0 || !kafka.ErrorCode(p.ErrorCode).Retriable() {
			t.Errorf("list: %v, %d groups", kafka.ErrorCode(p.ErrorCode), len(p.Groups))
		}
		if at, code := l.offset("g", "t", true); code == kafka.ErrNone || !code.Retriable() {
			t.Errorf("fetch: %d, %v", at, code)
		}
		if code := l.commit(commitAt(8, "g", "t", 8)); code == kafka.ErrNone || !code.Retriable() {
			t.Errorf("commit: %v", code)
		}
	})
}

// TestGroups_ACommitBesideADeletion: a commit that was under way when its topic
// went leaves nothing for the next topic of the name.
func TestGroups_ACommitBesideADeletion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := groupRig(t, 9)
		defer func() { _ = r.stop() }()
		c := r.client()
		defer c.Close()
		for round := range 5 {
			stop := make(chan struct{})
			done := make(chan struct{})
			const writers = 4
			for i := range writers {
				l := r.line()
				go func() {
					defer func() { l.close(); done <- struct{}{} }()
					for n := int64(0); ; n++ {
						select {
						case <-stop:
							return
						default:
						}
						_ = l.commit(commitAt(8, []string{"a", "b", "c", "d"}[i], "t", n))
						<-time.After(10 * time.Microsecond)
					}
				}()
			}
			<-time.After(5 * time.Millisecond)
			r.deleteTopic("t")
			<-time.After(5 * time.Millisecond)
			close(stop)
			for range writers {
				<-done
			}
			r.createTopic(c, "t", 1)
			l := r.line()
			for _, g := range []string{"a", "b", "c", "d"} {
				if at, code := l.offset(g, "t", true); at != -1 || code != kafka.ErrNone {
					t.Fatalf("round %d: group %s of the new topic begins with %d (%v)", round, g, at, code)
				}
			}
			l.close()
		}
	})
}
