package broker_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/vfs"
)

// A partition is led, followed and led again as the metadata says, and what was
// written meanwhile stays.
func TestRoles_LeadFollowLead(t *testing.T) {
	inBubble(t, func(r *rig) {
		id := r.create("t", "1", 1, 2)
		p := r.partition(id)
		if o := p.Offsets(); !o.Leading {
			t.Fatalf("%+v, want it to lead", o)
		}
		if got := r.followers.told(); len(got) != 0 {
			t.Errorf("a leader is fetched for: %v", got)
		}
		r.produce(id, 10)
		synctest.Wait()

		r.fence(1) // broker 2 takes over
		if o := p.Offsets(); o.Leading || !o.Following || o.LogEnd != 1 {
			t.Errorf("%+v, want it to follow with what it has", o)
		}
		if got := r.followers.told(); !slices.Equal(got, []string{"follow 2"}) {
			t.Errorf("fetching: %v", got)
		}
		if res, _ := r.produce(id, 10); res.Code != kafka.ErrNotLeaderOrFollower {
			t.Errorf("a follower appends: %v", res.Code)
		}
		r.heartbeat(1)
		r.alterISR(id, 1, 2)
		r.must(controller.ElectLeaders{Kind: controller.ElectPreferred})
		if o := p.Offsets(); !o.Leading || o.Epoch != r.state(id).LeaderEpoch {
			t.Errorf("%+v, want it to lead in epoch %d", o, r.state(id).LeaderEpoch)
		}
		if got := r.followers.told(); !slices.Equal(got, []string{"forget"}) {
			t.Errorf("fetching: %v", got)
		}
		if res, _ := r.produce(id, 10); res.Code != kafka.ErrNone {
			t.Errorf("the leader does not append: %v", res.Code)
		}

		// Nobody leads: it does neither.
		r.fence(2)
		r.fence(1)
		if o := p.Offsets(); r.state(id).Leader != kafka.NoBroker || o.Leading || o.Following {
			t.Errorf("%+v with leader %d, want it to do nothing", o, r.state(id).Leader)
		}
	})
}

// A partition that lives elsewhere is known and not here: clients look for its
// leader. Of a topic that does not exist they are told that.
func TestRoles_ElsewhereIsNotUnknown(t *testing.T) {
	inBubble(t, func(r *rig) {
		id := r.create("t", "1", 2, 3)
		if _, code := r.ByID(id.TopicID, 0); code != kafka.ErrNotLeaderOrFollower {
			t.Errorf("partition of others: %v", code)
		}
		if _, code := r.ByName("t", 0); code != kafka.ErrNotLeaderOrFollower {
			t.Errorf("partition of others by name: %v", code)
		}
		if _, code := r.ByName("t", 1); code != kafka.ErrUnknownTopicOrPartition {
			t.Errorf("partition that does not exist: %v", code)
		}
		if _, code := r.ByName("u", 0); code != kafka.ErrUnknownTopicOrPartition {
			t.Errorf("topic that does not exist: %v", code)
		}
		if dirs, err := r.dir.PartitionDirs(); err != nil || len(dirs) != 0 {
			t.Errorf("directories %v, %v", dirs, err)
		}
	})
}

// A topic that is deleted while it is followed is fetched no more, and its directory
// goes. One of the same name is another one.
func TestRoles_DeletedWhileFollowed(t *testing.T) {
	inBubble(t, func(r *rig) {
		id := r.create("t", "1", 2, 1)
		old := r.partition(id)
		r.followers.told()
		r.must(controller.DeleteTopics{Topics: []controller.TopicRef{{ID: id.TopicID}}})
		if got := r.followers.told(); !slices.Equal(got, []string{"forget"}) {
			t.Errorf("fetching: %v", got)
		}
		if _, code := r.ByID(id.TopicID, 0); code != kafka.ErrUnknownTopicID {
			t.Errorf("a deleted topic: %v", code)
		}
		if _, ok := old.FetchPosition(); ok {
			t.Error("a deleted partition still follows")
		}
		if dirs, err := r.dir.PartitionDirs(); err != nil || len(dirs) != 0 {
			t.Errorf("directories %v, %v", dirs, err)
		}
		again := r.create("t", "1", 2, 1)
		if p := r.partition(again); p == old || p.Offsets().LogEnd != 0 || again == id {
			t.Error("the new topic has something of the old one")
		}
	})
}

// A reassignment takes the replica away: it is found no more, its directory goes,
// and it can come back, empty.
func TestRoles_ReplicaMovesAwayAndBack(t *testing.T) {
	inBubble(t, func(r *rig) {
		id := r.create("t", "1", 2, 1)
		r.followers.told()
		move := func(to ...kafka.BrokerID) {
			t.Helper()
			reply := r.must(controller.AlterReassignments{Reassignments: []controller.Reassignment{{Topic: "t", Replicas: to}}})
			if code := reply.Partitions[0].Code; code != kafka.ErrNone {
				t.Fatal(code, reply.Partitions[0].Message)
			}
		}
		move(2, 3)
		if len(r.followers.told()) != 0 {
			t.Error("the replica went before the new one was in sync")
		}
		r.alterISR(id, 1, 2, 3)
		if got := r.state(id).Replicas; !slices.Equal(got, []kafka.BrokerID{2, 3}) {
			t.Fatalf("replicas %v", got)
		}
		if got := r.followers.told(); !slices.Equal(got, []string{"forget"}) {
			t.Errorf("fetching: %v", got)
		}
		if _, code := r.ByID(id.TopicID, 0); code != kafka.ErrNotLeaderOrFollower {
			t.Errorf("a replica that has moved away: %v", code)
		}
		if dirs, err := r.dir.PartitionDirs(); err != nil || len(dirs) != 0 {
			t.Errorf("directories %v, %v", dirs, err)
		}
		move(1, 2)
		if got := r.followers.told(); !slices.Equal(got, []string{"follow 2"}) {
			t.Errorf("fetching: %v", got)
		}
		if end := r.partition(id).Offsets().LogEnd; end != 0 {
			t.Errorf("the replica came back with %d records", end)
		}
	})
}

// A leader learns of each incarnation of the others, also where nothing about its
// partition has changed: it believes the fetches of no other.
func TestRoles_IncarnationsOfOthers(t *testing.T) {
	inBubble(t, func(r *rig) {
		id := r.create("t", "1", 1, 2)
		r.fence(2)
		r.wantISR(id, 1)
		before := r.state(id).PartitionEpoch
		r.register(2)
		r.heartbeat(2)
		if now := r.state(id).PartitionEpoch; now != before {
			t.Fatalf("the partition has changed: epoch %d after %d", now, before)
		}
		r.catchUp(id, 2)
		synctest.Wait()
		r.wantISR(id, 1, 2)
	})
}

// A replica that lags leaves the ISR within replica.lag.time.max.ms and an eighth.
func TestRoles_LaggardLeaves(t *testing.T) {
	inBubble(t, func(r *rig) {
		id := r.create("t", "1", 1, 2)
		r.catchUp(id, 2)
		_, w := r.produce(id, 10)
		lag := r.Settings().ReplicaLagMax
		<-time.After(lag - time.Second)
		synctest.Wait()
		r.wantISR(id, 1, 2)
		if w.Done() {
			t.Error("acknowledged without the laggard")
		}
		<-time.After(time.Second + lag/8 + 50*time.Millisecond)
		synctest.Wait()
		r.wantISR(id, 1)
		if !w.Done() {
			t.Error("not acknowledged when the laggard has left")
		}
	})
}

// A change of one partition tells the others of its topic nothing, and a change of
// the topic's settings tells all of them.
func TestRoles_OnlyWhatHasChangedIsTold(t *testing.T) {
	inBubble(t, func(r *rig) {
		var where []controller.Assignment
		for i := range 20 {
			where = append(where, controller.Assignment{Partition: kafka.PartitionIndex(i), Brokers: []kafka.BrokerID{2, 1}})
		}
		reply := r.must(controller.CreateTopics{Topics: []controller.NewTopic{{Name: "t", Partitions: -1, ReplicationFactor: -1, Assignments: where}}})
		id := kafka.TopicIDPartition{TopicID: reply.Topics[0].ID, Partition: 7}
		before := r.followers.count()
		r.alterISR(id, 2)
		if n := r.followers.count() - before; n != 1 {
			t.Errorf("%d partitions were told of a change of one", n)
		}
		before = r.followers.count()
		value := "1000000"
		r.must(controller.AlterConfigs{Resources: []controller.ResourceChange{{Resource: meta.TopicResource("t"),
			Changes: []controller.ConfigChange{{Key: "retention.ms", Value: &value}}}}})
		if n := r.followers.count() - before; n != 20 {
			t.Errorf("%d of 20 partitions were told of new settings", n)
		}
		if got := r.partition(id).Config().RetentionMs; got != 1000000 {
			t.Errorf("retention.ms is %d", got)
		}
	})
}

// Who is to lead does not wait for the directories of others to be deleted.
func TestRoles_LeadingDoesNotWaitForTheDisk(t *testing.T) {
	inBubble(t, func(r *rig) {
		id := r.create("t", "1", 2, 1)
		doomed := r.create("u", "1", 2, 1)
		r.ground.Disk.SetLatency(r.ground.Clock, func(op vfs.Op, _ string, _ int) time.Duration {
			if op == vfs.OpSync || op == vfs.OpSyncDir || op == vfs.OpWrite {
				return 5 * time.Second
			}
			return 0
		})
		r.controller.holdBack()
		r.must(controller.DeleteTopics{Topics: []controller.TopicRef{{ID: doomed.TopicID}}})
		r.fence(2)
		began := time.Now()
		r.controller.release()
		for !r.partition(id).Offsets().Leading && time.Since(began) < 10*time.Second {
			<-time.After(time.Millisecond)
		}
		if d := time.Since(began); d > 100*time.Millisecond {
			t.Errorf("led after %s", d)
		}
		r.ground.Disk.SetLatency(r.ground.Clock, nil)
	})
}
