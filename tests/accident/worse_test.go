//go:build rig

package accident_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/kafka"
	"holdfast/tests/cluster"
	"holdfast/tests/rig"
)

// scene is a cluster under load, whose history is judged at the end.
type scene struct {
	t      *testing.T
	c      *cluster.Cluster
	ledger *rig.Ledger
	load   *rig.Load
	began  time.Time
	told   []string // figures for the record
}

// watched is the partition whose leader the accidents are about.
var watched = kafka.TopicPartition{Topic: "one"}

func newScene(t *testing.T, o cluster.Options) *scene {
	t.Helper()
	o.Dir = rig.TempDir(t)
	s := &scene{t: t, began: time.Now(), c: cluster.Run(t, o), ledger: rig.NewLedger()}
	if err := s.c.CreateTopics(cluster.Topics()...); err != nil {
		t.Fatal(err)
	}
	s.load = rig.StartLoad(t, s.c.Addr(), s.ledger, rig.Seed(t), cluster.Writers())
	t.Cleanup(s.load.Stop)
	s.mustFlow(30*time.Second, "before the accident")
	return s
}

// mustFlow demands that a hundred writes are acknowledged within the limit, and
// returns how long they took.
func (s *scene) mustFlow(limit time.Duration, when string) time.Duration {
	s.t.Helper()
	began := time.Now()
	if err := s.load.WaitAcks(100, limit); err != nil {
		s.t.Fatalf("%s: %v\n%s", when, err, s.c.Tails(3000))
	}
	return time.Since(began)
}

// must ends the test with what the brokers said when err is not nil.
func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.c.Tails(3000))
	}
}

// leader is who leads the watched partition now.
func (s *scene) leader() kafka.BrokerID {
	s.t.Helper()
	p, err := s.c.WaitPartition(30*time.Second, watched, "a leader", func(p cluster.Partition) bool { return p.Leader > 0 && len(p.ISR) == 3 })
	s.must(err)
	return p.Leader
}

// newLeader waits until another broker than the old one leads, as the others see it.
func (s *scene) newLeader(old kafka.BrokerID, limit time.Duration) kafka.BrokerID {
	s.t.Helper()
	began := time.Now()
	p, err := s.c.WaitPartition(limit, watched, fmt.Sprintf("another leader than %d", old), func(p cluster.Partition) bool { return p.Leader > 0 && p.Leader != old }, s.c.Others(old)...)
	s.must(err)
	s.figure("another leader after %v", time.Since(began).Round(10*time.Millisecond))
	return p.Leader
}

func (s *scene) figure(format string, args ...any) {
	s.told = append(s.told, fmt.Sprintf(format, args...))
	s.t.Log(s.told[len(s.told)-1])
}

// judge brings everybody back, waits for every answer, reads everything and lets
// the ledger say.
func (s *scene) judge(what string) {
	s.t.Helper()
	s.must(s.c.Start())
	var names []string
	for _, t := range cluster.Topics() {
		names = append(names, t.Name)
	}
	s.must(s.c.WaitISR(90*time.Second, names...))
	s.mustFlow(30*time.Second, "after everybody is back")
	err := errors.Join(s.load.Pause(60*time.Second), rig.Audit(s.c.Addr(), s.ledger, cluster.Topics(), 60*time.Second))
	report := s.ledger.Report()
	if err != nil {
		s.t.Errorf("%v\n%s", err, s.c.Tails(3000))
	}
	if !report.OK() {
		s.t.Errorf("the promise is broken: %s", report)
	}
	if c := s.load.Complaints(); len(c) > 0 {
		s.t.Errorf("%d writes refused for good, such as: %s", len(c), c[0])
	}
	out := rig.Outcome{Report: report, Rounds: 1, Seconds: time.Since(s.began).Seconds()}
	r := out.Result(what, 0)
	r.Figures = strings.Join(append(s.told, fmt.Sprintf("%d records read back", report.Polled)), "; ")
	rig.Record(s.t, r)
}

// pauseTime is how long a leader is paused or cut off.
func pauseTime() time.Duration {
	if rig.Full() {
		return 30 * time.Second
	}
	return 8 * time.Second
}

// writesResumeMax bounds how long writes stand still when a leader is paused or cut
// off: the session timeout (2 s), an election, and the clients' own search.
const writesResumeMax = 8 * time.Second

// TestAllKilledAtOnce kills every broker in one moment.
func TestAllKilledAtOnce(t *testing.T) {
	s := newScene(t, cluster.Options{})
	s.must(cluster.KillAll(s.c, rand.New(rand.NewPCG(1, 1))))
	s.judge("three brokers under load, all killed (kill -9) at once")
}

// TestLeaderPaused stops the leader's process and lets it go on later, as a machine
// that is suspended does: what it held in memory is old by then.
func TestLeaderPaused(t *testing.T) {
	s := newScene(t, cluster.Options{})
	old := s.leader()
	s.must(s.c.Node(old).Pause())
	s.newLeader(old, writesResumeMax)
	s.figure("a hundred writes after %v", s.mustFlow(writesResumeMax, "with the leader paused").Round(10*time.Millisecond))
	time.Sleep(pauseTime())
	s.c.Node(old).Resume()
	s.judge(fmt.Sprintf("the leader paused (SIGSTOP) for %v and resumed", pauseTime()))
}

// TestLeaderCutOff cuts the leader off from both followers, while clients reach
// all of them.
func TestLeaderCutOff(t *testing.T) {
	s := newScene(t, cluster.Options{Links: true})
	old := s.leader()
	s.must(s.c.Isolate(old))
	s.newLeader(old, writesResumeMax)
	s.figure("a hundred writes after %v", s.mustFlow(writesResumeMax, "with the leader cut off").Round(10*time.Millisecond))
	time.Sleep(pauseTime())
	s.must(s.c.Heal())
	s.judge(fmt.Sprintf("the leader cut off from both followers and not from clients for %v", pauseTime()))
}

// TestOneWayCuts cuts one direction only: what the leader sends, then what it gets.
func TestOneWayCuts(t *testing.T) {
	for _, c := range []struct {
		name string
		cut  func(*scene, kafka.BrokerID, kafka.BrokerID) error
	}{
		{"nothing leaves the leader", func(s *scene, leader, follower kafka.BrokerID) error { return s.c.Cut(leader, follower) }},
		{"nothing reaches the leader", func(s *scene, leader, follower kafka.BrokerID) error { return s.c.Cut(follower, leader) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, cluster.Options{Links: true})
			old := s.leader()
			for _, f := range s.c.Others(old) {
				s.must(c.cut(s, old, f.ID))
			}
			s.newLeader(old, writesResumeMax+2*time.Second)
			s.figure("a hundred writes after %v", s.mustFlow(writesResumeMax, "with a one-way cut").Round(10*time.Millisecond))
			time.Sleep(pauseTime() / 2)
			s.must(s.c.Heal())
			s.judge("one-way cut between the leader and its followers: " + c.name)
		})
	}
}

// TestLastInSyncReturnsWithoutItsTail kills the followers, then the leader, which
// is the last in sync, and gives it back a directory from before: its disk has
// lost its tail. Whatever was acknowledged is at one of the followers too, because
// two had to have it; the leader's own end counts for nothing, and neither does its
// vote.
func TestLastInSyncReturnsWithoutItsTail(t *testing.T) {
	s := newScene(t, cluster.Options{Set: slowBackup})
	last := s.leader()
	backup := s.backup(last)
	s.mustFlow(30*time.Second, "after the backup")
	for _, n := range s.c.Others(last) {
		n.Kill()
		time.Sleep(2500 * time.Millisecond) // so that it leaves the in-sync set before the next accident
	}
	s.c.Node(last).Kill()
	s.restore(last, backup)
	s.must(s.c.Node(last).Launch())
	time.Sleep(3 * time.Second)
	s.foundOut(last)
	s.judge("followers killed, then the last in sync, which returns with a directory without its tail")
}

// foundOut starts the others and waits until they have told a broker that its directory
// is an older copy: the metadata has moved on since, with its acknowledgement. It does
// what the broker then asks for.
func (s *scene) foundOut(id kafka.BrokerID) {
	s.t.Helper()
	for _, n := range s.c.Others(id) {
		s.must(n.Launch())
	}
	n := s.c.Node(id)
	for deadline := time.Now().Add(20 * time.Second); n.Alive(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("broker %d runs on an older copy of its directory and does not know\n%s", id, s.c.Tails(3000))
		}
	}
	if said := n.Said("older copy of itself"); len(said) == 0 {
		s.t.Fatalf("broker %d ended without saying why:\n%s", id, n.Process().Tail(3000))
	}
	s.figure("the copy is found out and refused")
	s.must(n.Wipe())
}

// TestRestoredSnapshot gives a follower a directory from a backup: older than what
// it has said it holds.
func TestRestoredSnapshot(t *testing.T) {
	s := newScene(t, cluster.Options{Set: slowBackup})
	leader := s.leader()
	n := s.c.Others(leader)[0]
	backup := s.backup(n.ID)
	s.mustFlow(30*time.Second, "after the backup")
	n.Kill()
	s.restore(n.ID, backup)
	s.must(n.Launch())
	time.Sleep(time.Second)
	s.c.Node(leader).Kill() // the restored one must not be what takes over with holes
	s.mustFlow(30*time.Second, "with the leader killed beside a restored follower")
	s.judge("a follower's directory replaced by an older copy, then the leader killed")
}

// TestTwoWipedBrokersFoundNothing wipes two of three while the third is down: they
// must wait for it, and found no second cluster over the addresses of the first.
func TestTwoWipedBrokersFoundNothing(t *testing.T) {
	s := newScene(t, cluster.Options{})
	s.must(cluster.KillAll(s.c, rand.New(rand.NewPCG(1, 1))))
	two := s.c.Others(1)
	for _, n := range two {
		s.must(os.Rename(n.Place.DataDir, n.Place.DataDir+".aside"))
		s.must(n.Launch())
	}
	for deadline := time.Now().Add(pauseTime()); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		for _, n := range two {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			p, err := s.c.Partitions(ctx, watched.Topic, n)
			cancel()
			if err == nil {
				t.Fatalf("broker %d is empty and serves %v: a second cluster was founded", n.ID, p)
			}
			if ok := n.Ready(); ok {
				t.Fatalf("broker %d is empty, one of its two peers is too, and it says that it is ready\n%s", n.ID, s.c.Tails(2000))
			}
		}
	}
	for _, n := range two {
		if said := n.Said(s.c.Node(1).Place.Addr); len(said) == 0 {
			t.Errorf("broker %d does not say that it waits for %s:\n%s", n.ID, s.c.Node(1).Place.Addr, n.Process().Tail(2000))
		}
		n.Kill()
		s.must(n.Wipe())
		s.must(os.Rename(n.Place.DataDir+".aside", n.Place.DataDir))
	}
	s.judge("two brokers wiped while the third is down: they wait and found no cluster; with their directories back everything is there")
}

// slowBackup keeps a broker in its place while its directory is copied.
var slowBackup = []string{"broker.session.timeout.ms=10000"}

// backup copies a broker's directory while it runs, as a careless tool does.
func (s *scene) backup(id kafka.BrokerID) string {
	s.t.Helper()
	to := filepath.Join(rig.TempDir(s.t), "copy")
	s.must(s.c.Node(id).Pause()) // of one moment: a torn copy is another accident
	defer s.c.Node(id).Resume()
	s.must(os.CopyFS(to, os.DirFS(s.c.Node(id).Place.DataDir)))
	return to
}

// restore replaces the directory of a broker that is down by a copy.
func (s *scene) restore(id kafka.BrokerID, copied string) {
	s.t.Helper()
	n := s.c.Node(id)
	s.must(n.Wipe())
	s.must(os.CopyFS(n.Place.DataDir, os.DirFS(copied)))
}
