package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"holdfast/internal/api"
	"holdfast/internal/auth"
	"holdfast/internal/broker"
	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/coord"
	"holdfast/internal/datadir"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/quorum"
	"holdfast/internal/server"
	"holdfast/internal/wire"
)

// cluster is broker 1 with its doors open, and brokers that exist in the metadata
// only: what they would say, a test says.
type cluster struct {
	t      *testing.T
	ground *env.Test
	quorum *quorum.Quorum
	broker *broker.Broker
	secret auth.Secret
	epochs map[kafka.BrokerID]kafka.BrokerEpoch
	id     kafka.ClusterID
	dir    kafka.DirectoryID // of broker 1
	starts uint64            // registrations so far
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c := &cluster{t: t, ground: env.NewTest(3), epochs: map[kafka.BrokerID]kafka.BrokerEpoch{}}
	c.secret = auth.NewSecret(c.ground.Rand)
	settings, _, err := config.Load(config.Sources{Flags: []config.Setting{{Key: "node.id", Value: "1"}}})
	must(err)
	quiet := slog.New(slog.DiscardHandler)
	dir, err := datadir.Open(datadir.Options{Env: c.ground.Env, Dir: "/data", NodeID: 1, Log: quiet})
	must(err)
	id := dir.Identity()
	c.id, c.dir = id.ClusterID, id.DirectoryID
	c.quorum, err = quorum.Open(quorum.Options{Env: c.ground.Env, Dir: "/data", Self: 1, ClusterID: id.ClusterID, DirectoryID: id.DirectoryID, Config: settings, Log: quiet})
	must(err)
	must(dir.MarkFounded())
	c.broker = broker.New(broker.Options{Self: 1, Env: c.ground.Env, Dir: dir, Config: settings, Log: quiet, Controller: c.quorum,
		Epoch: func() kafka.BrokerEpoch { return c.epochs[1] }})
	c.quorum.Subscribe(c.broker.Changed)
	c.quorum.Start()
	c.register(1, "a", id.DirectoryID)
	ctx, cancel := context.WithCancel(context.Background())
	c.broker.Start(ctx, c.quorum.Image())
	done := make(chan struct{})
	go func() {
		c.broker.Run(ctx)
		close(done)
	}()
	groups := coord.New(coord.Options{Broker: c.broker, Image: c.quorum.Image, Clock: c.ground.Clock, Rand: c.ground.Rand, Log: quiet, Submit: c.quorum.Submit})
	a := api.New(api.Options{Broker: c.broker, Coord: groups, Quorum: c.quorum, Clock: c.ground.Clock, Log: quiet, Self: 1, BrokerEpoch: c.epochs[1]})
	door := api.NewDoor(api.DoorOptions{Self: func() auth.Identity { return auth.Identity{Broker: 1, Cluster: c.id} }, Secret: c.secret, Rand: c.ground.Rand, Log: quiet})
	door.Open(a)
	s := server.New(server.Options{Handler: door, Clock: c.ground.Clock, Limits: server.DefaultLimits(), Log: quiet})
	l, err := c.ground.Net.Listen("127.0.0.1:9092")
	must(err)
	s.Serve(server.Listener{Name: "PLAINTEXT", Listener: l})
	t.Cleanup(func() {
		gone, stop := context.WithCancel(context.Background())
		stop()
		s.Stop(gone)
		cancel()
		<-done
		_ = c.quorum.Close()
		_ = dir.Close()
	})
	return c
}

// decide has the controller decide, and waits until broker 1 is what it says.
func (c *cluster) decide(command controller.Command) controller.Reply {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	reply, err := c.quorum.Submit(ctx, command)
	if err == nil {
		err = c.broker.AwaitApplied(ctx, reply.Offset)
	}
	if err != nil {
		c.t.Fatalf("%T: %v", command, err)
	}
	for _, r := range reply.Topics {
		if r.Code != kafka.ErrNone {
			c.t.Fatalf("%T: %s: %s", command, r.Name, r.Message)
		}
	}
	return reply
}

// register makes a broker known, in a rack, and takes it in.
func (c *cluster) register(id kafka.BrokerID, rack string, dir kafka.DirectoryID) {
	c.t.Helper()
	c.starts++
	host := fmt.Sprintf("b%d", id)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	reply, err := c.quorum.Submit(ctx, controller.RegisterBroker{ID: id, Incarnation: kafka.UUID{byte(id), byte(c.starts)}, Starts: c.starts, Directories: []kafka.DirectoryID{dir},
		Endpoints: []meta.Endpoint{{Listener: "PLAINTEXT", Host: host, Port: 9092}}, Rack: rack, PreviousEpoch: -1, Features: meta.FeatureLevelMax})
	if err != nil {
		c.t.Fatal(err)
	}
	c.epochs[id] = reply.BrokerEpoch
	if _, err := c.quorum.Submit(ctx, controller.Heartbeat{Broker: id, Epoch: reply.BrokerEpoch, Applied: reply.Offset}); err != nil {
		c.t.Fatal(err)
	}
}

// topic makes a topic of one partition on these brokers and returns its id.
func (c *cluster) topic(name string, brokers ...kafka.BrokerID) kafka.TopicID {
	c.t.Helper()
	return c.decide(controller.CreateTopics{Topics: []controller.NewTopic{{Name: name, Partitions: controller.Default, ReplicationFactor: controller.Default,
		Assignments: []controller.Assignment{{Brokers: brokers}}}}}).Topics[0].ID
}

func (c *cluster) visit() *visitor {
	c.t.Helper()
	nc, err := c.ground.Net.Dial("127.0.0.1:9092", time.Second)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = nc.Close() })
	return &visitor{c.t, nc}
}

// client is a connection that speaks with another library's codec.
func (c *cluster) client() *conn {
	return &conn{t: c.t, c: c.visit().nc, again: func() *conn { return c.client() }}
}

// follower is the connection of another broker.
func (c *cluster) follower(id kafka.BrokerID) *follower {
	c.t.Helper()
	v := c.visit()
	if code := v.proveAs(auth.Identity{Broker: id, Cluster: c.id}, c.secret, func(*auth.Proof) {}); code != 0 {
		c.t.Fatalf("broker %d is refused: %d", id, code)
	}
	return &follower{visitor: v, id: id, epoch: c.epochs[id]}
}

// follower fetches one partition in a session.
type follower struct {
	*visitor
	id      kafka.BrokerID
	epoch   kafka.BrokerEpoch
	session int32
	next    int32 // epoch of the session
	leader  kafka.LeaderEpoch
}

// fetch asks for what is at an offset and after it; below 0: for what it asked
// before. It is answered when there is something to tell, or after 10 s.
func (f *follower) fetch(topic kafka.TopicID, from int64) (wire.FetchResponse, wire.FetchResponseTopicPartition) {
	f.t.Helper()
	q := wire.NewFetchRequest()
	q.ReplicaState.ID, q.ReplicaState.Epoch = int32(f.id), int64(f.epoch)
	q.MaxWaitMillis, q.MinBytes, q.SessionID, q.SessionEpoch = 10_000, 1, f.session, f.next
	if from >= 0 {
		p := wire.NewFetchRequestTopicPartition()
		p.FetchOffset, p.PartitionMaxBytes, p.LastFetchedEpoch = from, 1<<20, -1
		p.CurrentLeaderEpoch = int32(f.leader)
		if from > 0 {
			p.LastFetchedEpoch = p.CurrentLeaderEpoch
		}
		q.Topics = []wire.FetchRequestTopic{{TopicID: topic, Partitions: []wire.FetchRequestTopicPartition{p}}}
	}
	var out wire.FetchResponse
	if !f.sayAt(18, &q, &out) {
		f.t.Fatal("the leader closed the connection")
	}
	f.session = out.SessionID
	f.next++
	if out.ErrorCode != 0 {
		f.t.Fatalf("fetch: %s", kafka.ErrorCode(out.ErrorCode))
	}
	if len(out.Topics) == 0 {
		return out, wire.NewFetchResponseTopicPartition()
	}
	return out, out.Topics[0].Partitions[0]
}

// durable reports that everything below end is on the follower's disk.
func (f *follower) durable(topic kafka.TopicID, end int64) kafka.ErrorCode {
	f.t.Helper()
	var out wire.ReplicaProgressResponse
	if !f.say(&wire.ReplicaProgressRequest{BrokerID: int32(f.id), BrokerEpoch: int64(f.epoch), Topics: []wire.ReplicaProgressRequestTopic{{TopicID: topic,
		Partitions: []wire.ReplicaProgressRequestTopicPartition{{LeaderEpoch: int32(f.leader), DurableEnd: end}}}}}, &out) {
		f.t.Fatal("the leader closed the connection")
	}
	return kafka.ErrorCode(out.Topics[0].Partitions[0].ErrorCode)
}
