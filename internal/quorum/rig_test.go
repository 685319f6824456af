package quorum

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

var (
	testCluster   = kafka.ClusterID{1, 2, 3}
	testDirectory = kafka.DirectoryID{4, 5, 6}
	defaultConfig = config.Default()
)

// testOptions are those of node 1 on the ground.
func testOptions(g *env.Test) Options {
	return Options{Env: g.Env, Dir: "data", Self: 1, ClusterID: testCluster, DirectoryID: testDirectory, Log: slog.New(slog.DiscardHandler)}
}

// rig drives a core without its goroutine.
type rig struct {
	t *testing.T
	g *env.Test
	*core
}

// openRig opens a core, lets it elect itself and drains it.
func openRig(t *testing.T, g *env.Test) (*rig, error) {
	t.Helper()
	r := &rig{t: t, g: g}
	o := testOptions(g)
	if err := g.FS.MkdirAll(o.Dir); err != nil {
		return nil, err
	}
	o.Transport = NoTransport{}
	o.Config = defaultConfig
	c, err := openCore(&o)
	if err != nil {
		return nil, err
	}
	r.core = c
	if err := c.campaign(); err != nil {
		return r, err
	}
	return r, c.drain()
}

// submit decides on commands in one batch and drains. A command that was not
// answered has the outcome errOpen.
func (r *rig) submit(commands ...controller.Command) ([]controller.Reply, []error) {
	var batch []*submission
	for _, c := range commands {
		batch = append(batch, newSubmission(c))
	}
	r.propose(batch)
	err := r.drain()
	replies, errs := make([]controller.Reply, len(batch)), make([]error, len(batch))
	for i, s := range batch {
		select {
		case <-s.done:
			replies[i], errs[i] = s.reply, s.err
		default:
			errs[i] = errors.Join(errOpen, err)
		}
	}
	return replies, errs
}

var errOpen = errors.New("not answered")

func (r *rig) must(command controller.Command) controller.Reply {
	r.t.Helper()
	replies, errs := r.submit(command)
	if errs[0] != nil {
		r.t.Fatalf("%T: %v", command, errs[0])
	}
	return replies[0]
}

func register(starts uint64) controller.RegisterBroker {
	return controller.RegisterBroker{ID: 1, Incarnation: kafka.UUID{9, byte(starts), byte(starts >> 8)}, Starts: starts, Directories: []kafka.DirectoryID{testDirectory},
		Endpoints: []meta.Endpoint{{Listener: "PLAINTEXT", Host: "localhost", Port: 9092}}}
}

func create(name string, partitions int) controller.CreateTopics {
	return controller.CreateTopics{Topics: []controller.NewTopic{{Name: name, Partitions: partitions, ReplicationFactor: 1}}}
}

// TestQuorum_FoundsAndComesBack is the whole life: found, decide, close, open.
func TestQuorum_FoundsAndComesBack(t *testing.T) {
	g := env.NewTest(1)
	if err := g.FS.MkdirAll("data"); err != nil {
		t.Fatal(err)
	}
	var picture string
	for start := uint64(1); start <= 3; start++ {
		q, err := Open(testOptions(g))
		if err != nil {
			t.Fatal(err)
		}
		var last *meta.Image
		q.Subscribe(func(d meta.Delta, i *meta.Image) {
			if last != nil && d.From() != last {
				t.Errorf("delta from %d after image %d", d.From().Offset(), last.Offset())
			}
			last = i
		})
		q.Start()
		reply, err := q.Submit(context.Background(), register(start))
		if err != nil {
			t.Fatal(err)
		}
		if reply.BrokerEpoch != kafka.BrokerEpoch(reply.Offset) || q.Leader() != 1 {
			t.Errorf("reply %+v, leader %d", reply, q.Leader())
		}
		if start == 1 {
			r, err := q.Submit(context.Background(), create("orders", 3))
			if err != nil || r.Topics[0].Code != kafka.ErrNone {
				t.Fatalf("create: %+v, %v", r, err)
			}
		}
		image := q.Image()
		if image != last {
			t.Errorf("image %d, told %d", image.Offset(), last.Offset())
		}
		topic := image.TopicByName("orders")
		if topic == nil || topic.Partitions[2].LeaderEpoch != kafka.LeaderEpoch(start-1) || topic.Partitions[2].Leader != 1 {
			t.Fatalf("start %d:\n%s", start, image)
		}
		d := q.Describe()
		if len(d.Voters) != 1 || d.Voters[0].LogEnd != d.LogEnd || d.HighWatermark != d.LogEnd || d.LogEnd != image.Offset()+1 {
			t.Errorf("description %+v of\n%s", d, image)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Submit(context.Background(), register(99)); !errors.Is(err, ErrClosed) {
			t.Errorf("after close: %v", err)
		}
		picture = image.String()
	}
	t.Log("\n" + picture)
}
