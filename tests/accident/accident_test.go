//go:build rig

package accident_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/internal/kafka"
	"holdfast/tests/cluster"
	"holdfast/tests/rig"
)

// patience keeps a stopped follower in sync for as long as the telling takes: what
// is shown is what happens before anybody notices.
var patience = []string{"broker.session.timeout.ms=60000", "replica.lag.time.max.ms=60000"}

// TestAccident tells the classic accident twice, step by step.
func TestAccident(t *testing.T) {
	began := time.Now()
	s := &stage{t: t, c: cluster.Run(t, cluster.Options{Dir: rig.TempDir(t), Set: patience}), page: os.Stdout}
	s.loses()
	s.keeps()
	rig.Record(t, rig.Result{What: "the classic accident: with acks.policy=allow the acknowledged record is lost, with the defaults it is there once", Rounds: 2, Seconds: time.Since(began).Seconds()})
}

// loses is the accident on a topic that allows acknowledgements of the leader
// alone. It must lose the record, or the rig shows nothing.
func (s *stage) loses() {
	t := s.t
	s.open("The accident: acks.policy=allow, two replicas, acks=1")
	s.tp = kafka.TopicPartition{Topic: "careless"}
	if err := s.c.CreateTopics(rig.Topic{Name: s.tp.Topic, Partitions: 1, Replicas: 2, Configs: map[string]string{"acks.policy": "allow"}}); err != nil {
		t.Fatal(err)
	}
	s.choose()
	s.writeLeaderOnly("first")
	if _, err := s.c.WaitPartition(10*time.Second, s.tp, "the first record everywhere", s.everywhere(1)); err != nil {
		t.Fatal(err)
	}
	s.show()
	s.stopFollower()
	s.writeLeaderOnly("second")
	s.show()
	s.killLeader()
	got := s.read()
	s.tell("A consumer reads everything: %q.", got)
	if slices.Contains(got, "second") || !slices.Contains(got, "first") {
		t.Errorf("want the first record only, read %q: the accident did not happen, and the rig shows nothing", got)
	} else {
		fmt.Fprintln(s.page, "      The second record was ACKNOWLEDGED and is LOST.")
	}
	s.revive(true)
}

// everywhere is a partition whose replicas all hold so many records durably.
func (s *stage) everywhere(end int64) func(cluster.Partition) bool {
	return func(p cluster.Partition) bool {
		for _, id := range p.Replicas {
			if r, ok := p.On(id); !ok || r.Durable < end || r.HighWatermark < end {
				return false
			}
		}
		return true
	}
}

// keeps is the same on a topic with the defaults.
func (s *stage) keeps() {
	t := s.t
	s.open("The same with the defaults: acks.policy=upgrade, min.insync.replicas=2")
	s.tp = kafka.TopicPartition{Topic: "careful"}
	if err := s.c.CreateTopics(rig.Topic{Name: s.tp.Topic, Partitions: 1, Replicas: 2}); err != nil {
		t.Fatal(err)
	}
	s.choose()
	s.writeLeaderOnly("first")
	if _, err := s.c.WaitPartition(10*time.Second, s.tp, "the first record everywhere", s.everywhere(1)); err != nil {
		t.Fatal(err)
	}
	s.show()
	s.stopFollower()

	cl := rig.NewClient(t, s.c.Addr(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	acked := make(chan *kgo.Record, 1)
	cl.Produce(context.Background(), s.record("second"), func(r *kgo.Record, err error) {
		if err != nil {
			t.Errorf("the producer gave up: %v", err)
		}
		acked <- r
	})
	if _, err := s.c.WaitPartition(10*time.Second, s.tp, "the second record at the leader", func(p cluster.Partition) bool {
		r, ok := p.On(s.leader)
		return ok && r.End >= 2
	}, s.witnesses()...); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-acked:
		t.Fatalf("%q was acknowledged at offset %d while the follower is stopped", "second", r.Offset)
	case <-time.After(2 * time.Second):
	}
	s.tell("\"second\" is written by a producer with its own defaults: after 2 s NOT acknowledged. It waits for the follower.")
	s.show()
	s.killLeader()
	select {
	case r := <-acked:
		t.Fatalf("%q was acknowledged at offset %d with one replica in sync", "second", r.Offset)
	case <-time.After(time.Second):
	}
	s.tell("The producer tries again: refused, one replica is in sync and two are needed.")
	s.revive(true)
	select {
	case r := <-acked:
		s.tell("The producer's retry: ACKNOWLEDGED at offset %d.", r.Offset)
	case <-time.After(15 * time.Second):
		t.Fatalf("the producer has no answer although both replicas are in sync\n%s", s.c.Tails(2000))
	}
	got := s.read()
	s.tell("A consumer reads everything: %q.", got)
	if strings.Join(got, ",") != "first,second" {
		t.Errorf("read %q, want each record once", got)
	} else {
		fmt.Fprintln(s.page, "      Every ACKNOWLEDGED record is there, once.")
	}
	s.show()
}
