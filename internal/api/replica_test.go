package api_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// threeBrokers is a cluster of broker 1, which is real, and 2 and 3 in racks b
// and c.
func threeBrokers(t *testing.T) *cluster {
	c := startCluster(t)
	c.register(2, "b", kafka.DirectoryID{2})
	c.register(3, "c", kafka.DirectoryID{3})
	return c
}

// TestFetch_Followers: a follower is woken by what was written, before it is on any
// disk; a write is answered when all in-sync replicas have it on theirs; and then a
// follower that is parked learns of the high watermark.
func TestFetch_Followers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := threeBrokers(t)
		id := c.topic("t", 1, 2, 3)
		two, three := c.follower(2), c.follower(3)
		report2, report3 := c.follower(2), c.follower(3) // connections of their own: a parked fetch is in the way
		for _, f := range []*follower{two, three} {
			if _, p := f.fetch(id, 0); p.ErrorCode != 0 || p.HighWatermark != 0 || len(p.RecordBatches) > 0 {
				t.Fatalf("the first fetch of %d: %+v", f.id, p)
			}
		}
		type got struct {
			p  wire.FetchResponseTopicPartition
			at time.Duration
		}
		began := time.Now()
		fetch := func(f *follower, from int64) chan got {
			ch := make(chan got, 1)
			go func() {
				_, p := f.fetch(id, from)
				ch <- got{p, time.Since(began)}
			}()
			synctest.Wait()
			return ch
		}
		parked := fetch(two, -1)
		client := c.client()
		client.send(produceTo(9, -1, "t", one("a")))
		if g := <-parked; len(g.p.RecordBatches) == 0 || g.p.HighWatermark != 0 || g.at > time.Second {
			t.Fatalf("the write woke with %d bytes, high watermark %d, after %v", len(g.p.RecordBatches), g.p.HighWatermark, g.at)
		}
		three.fetch(id, 0)
		again := fetch(two, 1)
		if code := report2.durable(id, 1); code != 0 {
			t.Fatalf("progress of 2: %s", code)
		}
		answered := make(chan error, 1)
		go func() {
			_, _, err := client.read()
			answered <- err
		}()
		synctest.Wait()
		select {
		case <-answered:
			t.Fatal("a write was answered that broker 3 has not on its disk")
		case g := <-again:
			t.Fatalf("a fetch was answered with nothing to tell: %+v", g)
		default:
		}
		_ = fetch(three, 1) // it has fetched, and says nothing of its disk
		if len(answered) > 0 {
			t.Fatal("a write was answered by a fetch")
		}
		if code := report3.durable(id, 1); code != 0 {
			t.Fatalf("progress of 3: %s", code)
		}
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		if g := <-again; g.p.HighWatermark != 1 || len(g.p.RecordBatches) > 0 {
			t.Errorf("the high watermark woke with %+v", g.p)
		}
		if code := report2.durable(id, 99); code == kafka.ErrNone {
			t.Error("progress past the leader's end was taken")
		}
		idle := fetch(two, -1)
		if g := <-idle; g.at < 9*time.Second || g.p.HighWatermark > 0 {
			t.Errorf("an idle fetch was answered after %v with %+v", g.at, g.p)
		}
	})
}

// TestFetch_OnlyAsOneself: clients are no replicas, and a broker is one only.
func TestFetch_OnlyAsOneself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := threeBrokers(t)
		id := c.topic("t", 1, 2, 3)
		for what, try := range map[string]func() bool{
			"a client as a replica": func() bool {
				q := wire.NewFetchRequest()
				q.ReplicaState.ID = 2
				return c.visit().sayAt(18, &q, &wire.FetchResponse{})
			},
			"a client as a replica of an old version": func() bool {
				q := wire.NewFetchRequest()
				q.ReplicaID = 2
				return c.visit().sayAt(12, &q, &wire.FetchResponse{})
			},
			"a broker as another one": func() bool {
				q := wire.NewFetchRequest()
				q.ReplicaState.ID = 3
				return c.follower(2).sayAt(18, &q, &wire.FetchResponse{})
			},
			"progress of another broker": func() bool {
				return c.follower(2).say(&wire.ReplicaProgressRequest{BrokerID: 3}, &wire.ReplicaProgressResponse{})
			},
		} {
			if try() {
				t.Errorf("%s was answered", what)
			}
		}
		stranger := c.follower(9) // knows the secret, and hosts nothing
		stranger.epoch = 1
		if _, p := stranger.fetch(id, 0); p.ErrorCode != int16(kafka.ErrUnknownLeaderEpoch) {
			t.Errorf("a broker that is no replica: %s", kafka.ErrorCode(p.ErrorCode))
		}
	})
}

// TestHints_SayWhoLeads: produce and fetch requests for partitions that others lead
// are told who does, and where (KIP-951).
func TestHints_SayWhoLeads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := threeBrokers(t)
		client := c.client()
		for name, brokers := range map[string][]kafka.BrokerID{"followed": {2, 1, 3}, "elsewhere": {2, 3}} {
			id := c.topic(name, brokers...)
			for version := int16(9); version <= 13; version++ {
				q := produceTo(version, -1, name, one("a"))
				q.Topics[0].TopicID = id
				p := ask[*kmsg.ProduceResponse](client, q)
				x := p.Topics[0].Partitions[0]
				if x.ErrorCode != int16(kafka.ErrNotLeaderOrFollower) {
					t.Errorf("%s, produce version %d: %s", name, version, kafka.ErrorCode(x.ErrorCode))
				}
				if named := x.CurrentLeader.LeaderID == 2 && x.CurrentLeader.LeaderEpoch == 0 && len(p.Brokers) == 1 && p.Brokers[0].Host == "b2" && p.Brokers[0].Port == 9092; named != (version >= 10) {
					t.Errorf("%s, produce version %d: leader %+v, brokers %+v", name, version, x.CurrentLeader, p.Brokers)
				}
			}
			silent := c.client()
			silent.send(produceTo(9, 0, name, one("a")))
			if _, _, err := silent.read(); err != errClosed {
				t.Errorf("%s: acks=0 at the wrong broker: %v, want a closed connection", name, err)
			}
			for version := int16(12); version <= 18; version++ {
				q := fetchFrom(0, nil)
				q.Version, q.Topics[0].Topic, q.Topics[0].TopicID = version, name, id
				p := ask[*kmsg.FetchResponse](client, q)
				x := p.Topics[0].Partitions[0]
				if x.ErrorCode != int16(kafka.ErrNotLeaderOrFollower) {
					t.Errorf("%s, fetch version %d: %s", name, version, kafka.ErrorCode(x.ErrorCode))
				}
				if named := x.CurrentLeader.LeaderID == 2 && len(p.Brokers) == 1 && p.Brokers[0].Host == "b2" && *p.Brokers[0].Rack == "b"; named != (version >= 16) {
					t.Errorf("%s, fetch version %d: leader %+v, brokers %+v", name, version, x.CurrentLeader, p.Brokers)
				}
			}
		}
	})
}

// TestFetch_NearestFollower: a consumer in the rack of an in-sync follower that has
// what it wants is sent there (KIP-392).
func TestFetch_NearestFollower(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := threeBrokers(t)
		id := c.topic("t", 1, 2, 3)
		client := c.client()
		preferred := func(rack string) int32 {
			q := fetchFrom(0, func(q *kmsg.FetchRequest) { q.Rack, q.MaxWaitMillis = rack, 0 })
			return ask[*kmsg.FetchResponse](client, q).Topics[0].Partitions[0].PreferredReadReplica
		}
		if got := preferred("b"); got != -1 {
			t.Errorf("before the follower has fetched: %d", got)
		}
		c.follower(2).fetch(id, 0)
		for rack, want := range map[string]int32{"": -1, "a": -1, "b": 2, "c": -1, "nowhere": -1} {
			if got := preferred(rack); got != want {
				t.Errorf("rack %q: %d, want %d", rack, got, want)
			}
		}
		c.decide(controller.FenceBroker{Broker: 2, Epoch: c.epochs[2], Reason: "test"})
		if got := preferred("b"); got != -1 {
			t.Errorf("a fenced follower is preferred: %d", got)
		}
		c.topic("followed", 3, 1)
		for rack, want := range map[string]kafka.ErrorCode{"": kafka.ErrNotLeaderOrFollower, "a": kafka.ErrNone} {
			began := time.Now()
			q := fetchFrom(0, func(q *kmsg.FetchRequest) { q.Rack, q.MaxWaitMillis, q.Topics[0].Topic = rack, 1000, "followed" })
			got := kafka.ErrorCode(ask[*kmsg.FetchResponse](client, q).Topics[0].Partitions[0].ErrorCode)
			if parked := time.Since(began) == time.Second; got != want || parked != (want == kafka.ErrNone) {
				t.Errorf("at a follower, with rack %q: %s after %v", rack, got, time.Since(began))
			}
		}
	})
}

// TestMetadata_OfSeveralBrokers: clients see who is there, on their listener.
func TestMetadata_OfSeveralBrokers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := threeBrokers(t)
		c.topic("t", 3, 1, 2)
		c.topic("alone", 3)
		client := c.client()
		see := func() (brokers []int32, topics map[string]kmsg.MetadataResponseTopicPartition) {
			q := kmsg.NewPtrMetadataRequest()
			q.Version = 12
			p := ask[*kmsg.MetadataResponse](client, q)
			for _, b := range p.Brokers {
				brokers = append(brokers, b.NodeID)
			}
			topics = map[string]kmsg.MetadataResponseTopicPartition{}
			for _, x := range p.Topics {
				topics[*x.Topic] = x.Partitions[0]
			}
			if p.ControllerID != 1 {
				t.Errorf("controller %d", p.ControllerID)
			}
			return brokers, topics
		}
		brokers, topics := see()
		if !slices.Equal(brokers, []int32{1, 2, 3}) || topics["t"].Leader != 3 || !slices.Equal(topics["t"].ISR, []int32{3, 1, 2}) || len(topics["t"].OfflineReplicas) > 0 {
			t.Errorf("at first: %v %+v", brokers, topics["t"])
		}
		c.decide(controller.FenceBroker{Broker: 3, Epoch: c.epochs[3], Reason: "test"})
		brokers, topics = see()
		if !slices.Equal(brokers, []int32{1, 2}) || topics["t"].Leader != 1 || !slices.Equal(topics["t"].ISR, []int32{1, 2}) || !slices.Equal(topics["t"].OfflineReplicas, []int32{3}) {
			t.Errorf("without broker 3: %v %+v", brokers, topics["t"])
		}
		if p := topics["alone"]; p.Leader != -1 || p.ErrorCode != int16(kafka.ErrLeaderNotAvailable) || !slices.Equal(p.OfflineReplicas, []int32{3}) {
			t.Errorf("the topic of broker 3: %+v", p)
		}
		c.decide(controller.FenceBroker{Broker: 2, Epoch: c.epochs[2], Reason: "test"})
		d := kmsg.NewPtrDescribeTopicPartitionsRequest()
		d.Topics, d.ResponsePartitionLimit = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "t"}}, 10
		x := ask[*kmsg.DescribeTopicPartitionsResponse](client, d).Topics[0].Partitions[0]
		if x.LeaderID != 1 || !slices.Equal(x.ISR, []int32{1}) || !slices.Equal(x.EligibleLeaderReplicas, []int32{2}) {
			t.Errorf("described: %+v", x)
		}
		for include, want := range map[bool]int{false: 1, true: 3} {
			q := kmsg.NewPtrDescribeClusterRequest()
			q.Version, q.EndpointType, q.IncludeFencedBrokers = 2, 1, include
			if got := ask[*kmsg.DescribeClusterResponse](client, q).Brokers; len(got) != want {
				t.Errorf("with fenced ones %v: %+v", include, got)
			}
		}
	})
}

// TestReassignments_BeginAreListedAndEnd: over the wire and through the controller.
func TestReassignments_BeginAreListedAndEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := threeBrokers(t)
		c.topic("t", 1, 2)
		client := c.client()
		alter := func(replicas []int32) int16 {
			q := kmsg.NewPtrAlterPartitionAssignmentsRequest()
			q.Version, q.TimeoutMillis, q.AllowReplicationFactorChange = 1, 5000, true
			q.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: "t", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Replicas: replicas}}}}
			p := ask[*kmsg.AlterPartitionAssignmentsResponse](client, q)
			if p.ErrorCode != 0 {
				t.Fatal(kafka.ErrorCode(p.ErrorCode))
			}
			return p.Topics[0].Partitions[0].ErrorCode
		}
		list := func(topics ...kmsg.ListPartitionReassignmentsRequestTopic) []kmsg.ListPartitionReassignmentsResponseTopic {
			q := kmsg.NewPtrListPartitionReassignmentsRequest()
			q.Topics = topics
			return ask[*kmsg.ListPartitionReassignmentsResponse](client, q).Topics
		}
		if code := alter([]int32{1, 3}); code != 0 {
			t.Fatalf("begin: %s", kafka.ErrorCode(code))
		}
		for what, got := range map[string][]kmsg.ListPartitionReassignmentsResponseTopic{
			"all": list(), "by name": list(kmsg.ListPartitionReassignmentsRequestTopic{Topic: "t", Partitions: []int32{0}})} {
			if len(got) != 1 || !slices.Equal(got[0].Partitions[0].AddingReplicas, []int32{3}) || !slices.Equal(got[0].Partitions[0].RemovingReplicas, []int32{2}) {
				t.Errorf("%s: %+v", what, got)
			}
		}
		if got := list(kmsg.ListPartitionReassignmentsRequestTopic{Topic: "t", Partitions: []int32{7}}); len(got) > 0 {
			t.Errorf("of another partition: %+v", got)
		}
		if code := alter(nil); code != 0 {
			t.Errorf("cancel: %s", kafka.ErrorCode(code))
		}
		if got := list(); len(got) > 0 {
			t.Errorf("after the end: %+v", got)
		}
		if code := alter(nil); code != int16(kafka.ErrNoReassignmentInProgress) {
			t.Errorf("cancel again: %s", kafka.ErrorCode(code))
		}
		q := kmsg.NewPtrUnregisterBrokerRequest()
		q.BrokerID = 3
		if p := ask[*kmsg.UnregisterBrokerResponse](client, q); p.ErrorCode == 0 {
			t.Error("a live broker was forgotten")
		}
		c.decide(controller.FenceBroker{Broker: 3, Epoch: c.epochs[3], Reason: "test"})
		if p := ask[*kmsg.UnregisterBrokerResponse](client, q); p.ErrorCode != 0 {
			t.Errorf("forget a broker: %s %s", kafka.ErrorCode(p.ErrorCode), *p.ErrorMessage)
		}
	})
}

// TestElectLeaders_Preferred: the preferred leader takes over, and is told by the
// answer when it leads already.
func TestElectLeaders_Preferred(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := threeBrokers(t)
		c.topic("t", 2, 1)
		client := c.client()
		elect := func() kafka.ErrorCode {
			q := kmsg.NewPtrElectLeadersRequest()
			q.Version, q.TimeoutMillis = 2, 5000
			q.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{0}}}
			return kafka.ErrorCode(ask[*kmsg.ElectLeadersResponse](client, q).Topics[0].Partitions[0].ErrorCode)
		}
		if code := elect(); code != kafka.ErrElectionNotNeeded {
			t.Errorf("it leads: %s", code)
		}
		c.decide(controller.FenceBroker{Broker: 2, Epoch: c.epochs[2], Reason: "test"})
		if code := elect(); code != kafka.ErrPreferredLeaderNotAvailable {
			t.Errorf("it is gone: %s", code)
		}
	})
}
