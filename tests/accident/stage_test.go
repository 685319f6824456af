//go:build rig

package accident_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/internal/kafka"
	"holdfast/tests/cluster"
	"holdfast/tests/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// stage is one telling: a cluster, the partition that it is about, and a page that
// the steps are written on.
type stage struct {
	t       *testing.T
	c       *cluster.Cluster
	tp      kafka.TopicPartition
	page    io.Writer
	step    int
	leader  kafka.BrokerID
	other   kafka.BrokerID // the follower
	started time.Time
}

// open writes the heading of a telling.
func (s *stage) open(title string) {
	s.step = 0
	fmt.Fprintf(s.page, "\n%s\n%s\n", title, strings.Repeat("-", len(title)))
}

// tell writes one step and the state after it.
func (s *stage) tell(format string, args ...any) {
	s.step++
	fmt.Fprintf(s.page, "%2d. %s\n", s.step, fmt.Sprintf(format, args...))
}

// show writes who leads and what each replica holds, as the brokers say.
func (s *stage) show() cluster.Partition {
	s.t.Helper()
	var p cluster.Partition
	err := s.c.Await(10*time.Second, func(ctx context.Context) (err error) {
		p, err = s.c.Partition(ctx, s.tp, s.witnesses()...)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.picture(p)
	return p
}

func (s *stage) picture(p cluster.Partition) {
	leader := "none"
	if p.Leader >= 0 {
		leader = fmt.Sprint(p.Leader)
	}
	fmt.Fprintf(s.page, "      leader %-4s  epoch %d  in sync %v\n", leader, p.Epoch, p.ISR)
	for _, id := range p.Replicas {
		n := s.c.Node(id)
		switch r, ok := p.On(id); {
		case ok:
			fmt.Fprintf(s.page, "      broker %d     end %d  durable %d  high watermark %d\n", id, r.End, r.Durable, r.HighWatermark)
		case n.Alive():
			fmt.Fprintf(s.page, "      broker %d     stopped (SIGSTOP)\n", id)
		default:
			fmt.Fprintf(s.page, "      broker %d     dead\n", id)
		}
	}
}

// witnesses are the brokers that can be asked, whoever holds no replica first: it
// is neither killed nor stopped.
func (s *stage) witnesses() []*cluster.Node {
	return append(s.c.Others(s.leader, s.other), s.c.Others()...)
}

// choose finds the leader and the follower of the partition, once both are in sync.
func (s *stage) choose() {
	s.t.Helper()
	p, err := s.c.WaitPartition(30*time.Second, s.tp, "two replicas in sync", func(p cluster.Partition) bool { return p.Leader > 0 && len(p.ISR) == 2 })
	if err != nil {
		s.t.Fatal(err)
	}
	s.leader, s.other = p.Leader, p.Follower()
}

// stopFollower stops the follower and waits until the leader holds no fetch of it.
func (s *stage) stopFollower() {
	s.t.Helper()
	if err := s.c.Node(s.other).Pause(); err != nil {
		s.t.Fatal(err)
	}
	err := s.c.Await(10*time.Second, func(ctx context.Context) error {
		held, err := s.c.Node(s.leader).Holds(ctx, s.tp.Topic)
		if err != nil {
			return err
		}
		for _, r := range held {
			if r.Index == int32(s.tp.Partition) && r.Fetches > 0 {
				return fmt.Errorf("broker %d still holds %d fetch(es) of %s", s.leader, r.Fetches, s.tp)
			}
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.tell("Broker %d, the follower, is stopped (SIGSTOP); the leader, broker %d, holds no fetch of it any more.", s.other, s.leader)
}

// writeLeaderOnly produces one record with acks=1 and without idempotence, and
// checks that the leader's log has it.
func (s *stage) writeLeaderOnly(text string) {
	s.t.Helper()
	cl := rig.NewClient(s.t, s.c.Addr(), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := cl.ProduceSync(ctx, s.record(text)).First()
	if err != nil {
		s.t.Fatalf("write %q with acks=1: %v\n%s", text, err, s.c.Tails(2000))
	}
	held, err := s.c.Node(s.leader).Holds(ctx, s.tp.Topic)
	if err != nil || len(held) == 0 || held[0].End <= r.Offset {
		s.t.Fatalf("%q was acknowledged at offset %d, and the leader holds %+v (%v)", text, r.Offset, held, err)
	}
	s.tell("%q is written with acks=1: ACKNOWLEDGED at offset %d.", text, r.Offset)
}

func (s *stage) record(text string) *kgo.Record {
	return &kgo.Record{Topic: s.tp.Topic, Partition: int32(s.tp.Partition), Value: []byte(text)}
}

// killLeader kills the leader, lets the follower go on and waits until it leads.
func (s *stage) killLeader() {
	s.t.Helper()
	s.c.Node(s.leader).Kill()
	s.tell("Broker %d, the leader, is killed (kill -9).", s.leader)
	s.c.Node(s.other).Resume()
	s.tell("Broker %d, the follower, goes on.", s.other)
	began := time.Now()
	p, err := s.c.WaitPartition(20*time.Second, s.tp, fmt.Sprintf("broker %d to lead", s.other), func(p cluster.Partition) bool { return p.Leader == s.other }, s.c.Node(s.other))
	if err != nil {
		s.t.Fatal(err)
	}
	s.tell("It leads, %v later.", time.Since(began).Round(10*time.Millisecond))
	s.picture(p)
}

// read returns every value of the partition, from its start to its end.
func (s *stage) read() (values []string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cl := rig.NewClient(s.t, s.c.Addr(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.tp.Topic: {int32(s.tp.Partition): kgo.NewOffset().At(0)}}), kgo.FetchMaxWait(200*time.Millisecond))
	defer cl.Close()
	// The end is whatever two quiet seconds leave: a record that is there comes at once.
	for {
		one, stop := context.WithTimeout(ctx, 2*time.Second)
		fetches := cl.PollFetches(one)
		quiet := one.Err() != nil
		stop()
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
		if quiet {
			return values
		}
	}
}

// revive starts the old leader again and shows what it said of offsets that it cut.
func (s *stage) revive(cut bool) {
	s.t.Helper()
	if err := s.c.Node(s.leader).Start(); err != nil {
		s.t.Fatal(err)
	}
	p, err := s.c.WaitPartition(30*time.Second, s.tp, "both replicas in sync", func(p cluster.Partition) bool { return len(p.ISR) == 2 })
	if err != nil {
		s.t.Fatal(err)
	}
	s.tell("Broker %d, the old leader, is started again and follows.", s.leader)
	s.picture(p)
	said := s.c.Node(s.leader).Said("cut what the leader does not have", "topic="+s.tp.Topic)
	for _, line := range said {
		fmt.Fprintf(s.page, "      broker %d: %s\n", s.leader, line)
	}
	if cut && len(said) == 0 {
		s.t.Errorf("broker %d cut its suffix and does not name the offsets:\n%s", s.leader, s.c.Node(s.leader).Process().Tail(3000))
	}
}
