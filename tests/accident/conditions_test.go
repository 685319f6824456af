//go:build rig

package accident_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/internal/kafka"
	"holdfast/tests/cluster"
	"holdfast/tests/rig"
)

// The three conditions under which a replicated log may not go on as if nothing
// were: too few replicas, no majority, a replica that does not keep up. Each is
// shown with its bound.

// refusedMax bounds how long after a follower's death a write is refused instead
// of waiting: the death is proven, the controller takes it out of the in-sync set.
const refusedMax = 5 * time.Second

// TestTooFewReplicas: two replicas, the follower killed. Writes are refused with
// NOT_ENOUGH_REPLICAS, reads go on, and idempotent producers that are left trying
// succeed when it returns, each record once.
func TestTooFewReplicas(t *testing.T) {
	began := time.Now()
	s := &stage{t: t, c: cluster.Run(t, cluster.Options{Dir: rig.TempDir(t)}), page: testPage{t}, tp: kafka.TopicPartition{Topic: "pair"}}
	if err := s.c.CreateTopics(rig.Topic{Name: s.tp.Topic, Partitions: 1, Replicas: 2}); err != nil {
		t.Fatal(err)
	}
	s.choose()
	s.writeLeaderOnly("before")
	s.c.Node(s.other).Kill()
	killed := time.Now()
	refused := s.awaitCode(t, kerr.NotEnoughReplicas, refusedMax)
	if got := s.read(); len(got) == 0 || got[0] != "before" { // tries that were not answered may stand behind it
		t.Errorf("reads while writes are refused: %q", got)
	}
	patient := startPatient(t, s)
	left := 10 * time.Second
	if rig.Full() {
		left = 60 * time.Second
	}
	time.Sleep(left)
	if n := patient.done.Load(); n > 0 {
		t.Errorf("%d producers have an acknowledgement with one replica in sync", n)
	}
	if err := s.c.Node(s.other).Start(); err != nil {
		t.Fatal(err)
	}
	took := patient.wait(t, 40*time.Second)
	counts := map[string]int{}
	for _, v := range s.read() {
		counts[v]++
	}
	for _, want := range append([]string{"before"}, patient.texts...) {
		if counts[want] != 1 {
			t.Errorf("%q is there %d times", want, counts[want])
		}
	}
	rig.Record(t, rig.Result{What: fmt.Sprintf("two replicas, the follower killed: NOT_ENOUGH_REPLICAS, reads go on, %d idempotent producers left trying for %v succeed on its return, each record once", len(patient.texts), left),
		Figures: fmt.Sprintf("refused %v after the kill; all acknowledged %v after the start of the follower", refused.Sub(killed).Round(10*time.Millisecond), took.Round(10*time.Millisecond)),
		Rounds:  1, Seconds: time.Since(began).Seconds()})
}

// awaitCode writes without trying again until a write is answered with the code.
func (s *stage) awaitCode(t *testing.T, code *kerr.Error, limit time.Duration) time.Time {
	t.Helper()
	last := errors.New("no answer")
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		if last = s.writeOnce(time.Second); errors.Is(last, code) {
			return time.Now()
		}
	}
	t.Fatalf("no write was answered with %s within %v; the last answer: %v\n%s", code.Message, limit, last, s.c.Tails(2000))
	return time.Time{}
}

// writeOnce sends one record without idempotence and returns what the leader
// answers the first time. The record is thrown away by the caller's count: its text
// is "once".
func (s *stage) writeOnce(limit time.Duration) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(s.c.Addr(), ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite(),
		kgo.RecordRetries(0), kgo.ProduceRequestTimeout(limit), kgo.RecordDeliveryTimeout(2*limit), kgo.DisableClientMetrics())
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 3*limit)
	defer cancel()
	return cl.ProduceSync(ctx, s.record("once")).FirstErr()
}

// testPage is a page in the log of the test.
type testPage struct{ t *testing.T }

// Write implements io.Writer.
func (p testPage) Write(b []byte) (int, error) {
	if text := strings.TrimRight(string(b), "\n"); text != "" {
		p.t.Log(text)
	}
	return len(b), nil
}

// patient is idempotent producers of several makes that try until they succeed.
type patient struct {
	texts []string
	done  atomic.Int32
	ends  chan error
}

func startPatient(t *testing.T, s *stage) *patient {
	p := &patient{ends: make(chan error, 2), texts: []string{"patience of franz-go"}}
	cl := rig.NewClient(t, s.c.Addr(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	cl.Produce(context.Background(), s.record(p.texts[0]), func(_ *kgo.Record, err error) { p.end(err) })
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Log("NOT SHOWN: librdkafka; kcat is not installed")
		return p
	}
	p.texts = append(p.texts, "patience of librdkafka")
	cmd := exec.CommandContext(t.Context(), kcat, "-P", "-b", s.c.Addr(), "-t", s.tp.Topic, "-p", "0", "-X", "enable.idempotence=true", "-X", "message.timeout.ms=300000")
	cmd.Stdin = strings.NewReader(p.texts[1] + "\n")
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.end(cmd.Wait()) }()
	return p
}

func (p *patient) end(err error) {
	p.done.Add(1)
	p.ends <- err
}

// wait waits until every producer has its acknowledgement.
func (p *patient) wait(t *testing.T, limit time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	timer := time.After(limit)
	for range p.texts {
		select {
		case err := <-p.ends:
			if err != nil {
				t.Errorf("a producer gave up: %v", err)
			}
		case <-timer:
			t.Fatalf("%d of %d producers are acknowledged after %v", p.done.Load(), len(p.texts), limit)
		}
	}
	return time.Since(began)
}

// TestTwoOfThreeKilled takes the quorum away too: a retriable error for writes, and
// a health line that names the cause; never silence.
func TestTwoOfThreeKilled(t *testing.T) {
	began := time.Now()
	s := &stage{t: t, c: cluster.Run(t, cluster.Options{Dir: rig.TempDir(t)}), page: testPage{t}, tp: kafka.TopicPartition{Topic: "three"}}
	if err := s.c.CreateTopics(rig.Topic{Name: s.tp.Topic, Partitions: 1, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	p, err := s.c.WaitPartition(30*time.Second, s.tp, "a leader", func(p cluster.Partition) bool { return p.Leader > 0 && len(p.ISR) == 3 })
	if err != nil {
		t.Fatal(err)
	}
	s.leader, s.other = p.Leader, p.Follower()
	for _, n := range s.c.Others(s.leader) {
		n.Kill()
	}
	time.Sleep(refusedMax)
	answer := s.writeOnce(2 * time.Second)
	var code *kerr.Error
	switch {
	case answer == nil:
		t.Error("a write was acknowledged with one of three brokers left")
	case errors.As(answer, &code) && !code.Retriable:
		t.Errorf("a write is answered with %v, which no client tries again", answer)
	}
	s.tell("one of three brokers is left: a write is answered with %v", answer)
	text, status := s.health()
	if status != 10 || !strings.Contains(text, "controller") || !strings.Contains(text, "down") {
		t.Errorf("cluster health: status %d, want 10 with the cause:\n%s", status, text)
	}
	s.tell("holdfast cluster health:\n%s", text)
	for _, n := range s.c.Nodes {
		if !n.Alive() {
			if err := n.Launch(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.c.WaitISR(60*time.Second, s.tp.Topic); err != nil {
		t.Fatal(err)
	}
	s.writeSafely("after")
	rig.Record(t, rig.Result{What: "two of three brokers killed: writes get a retriable error, cluster health names the cause; with the two back everything goes on",
		Figures: fmt.Sprintf("the write was answered with %v", answer), Rounds: 1, Seconds: time.Since(began).Seconds()})
}

// health runs the product's own command against the broker that is left.
func (s *stage) health() (text string, status int) {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, rig.Binary(s.t), "cluster", "health", "-b", s.c.Node(s.leader).Place.Addr)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// writeSafely writes one record and demands its acknowledgement.
func (s *stage) writeSafely(text string) {
	s.t.Helper()
	cl := rig.NewClient(s.t, s.c.Addr(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := cl.ProduceSync(ctx, s.record(text)).FirstErr(); err != nil {
		s.t.Fatalf("write %q: %v\n%s", text, err, s.c.Tails(2000))
	}
}

// TestFollowerPausedAndSlowed: a follower that is stopped, and one that lives and
// does not keep up, leave the in-sync set by themselves; writes resume within the
// bound; both come back by themselves.
func TestFollowerPausedAndSlowed(t *testing.T) {
	const lag = 3 * time.Second
	// The session outlasts the pauses: what takes the follower out is its lag.
	s := newScene(t, cluster.Options{Set: []string{fmt.Sprintf("replica.lag.time.max.ms=%d", lag.Milliseconds()), "broker.session.timeout.ms=12000"}})
	leader := s.leader()
	follower := s.c.Others(leader)[0]
	out := func(p cluster.Partition) bool { return p.Leader > 0 && !p.Has(follower.ID) }

	s.must(follower.Pause())
	paused := time.Now()
	_, err := s.c.WaitPartition(writesResumeMax, watched, fmt.Sprintf("broker %d out of the in-sync set", follower.ID), out, s.c.Others(follower.ID)...)
	s.must(err)
	s.figure("paused: out of the in-sync set after %v", time.Since(paused).Round(10*time.Millisecond))
	s.mustFlow(writesResumeMax, "with a follower paused")
	s.figure("writes flow %v after the pause", time.Since(paused).Round(10*time.Millisecond))
	follower.Resume()
	s.leaderOf3("after the pause")

	stop := make(chan struct{})
	halted := make(chan struct{})
	go func() {
		defer close(halted)
		for {
			select {
			case <-stop:
				return
			default:
			}
			follower.Process().Signal(syscall.SIGSTOP)
			time.Sleep(2 * lag)
			follower.Process().Signal(syscall.SIGCONT)
			time.Sleep(20 * time.Millisecond) // alive: it says so now and then, and is behind for most of the time
		}
	}()
	slowed := time.Now()
	_, err = s.c.WaitPartition(4*lag+writesResumeMax, watched, fmt.Sprintf("broker %d out of the in-sync set", follower.ID), out, s.c.Others(follower.ID)...)
	close(stop)
	<-halted
	follower.Resume()
	s.must(err)
	s.figure("slowed: out of the in-sync set after %v", time.Since(slowed).Round(10*time.Millisecond))
	s.leaderOf3("after it was slowed")
	s.judge(fmt.Sprintf("a follower paused, then one slowed but alive (replica.lag.time.max.ms=%d): it leaves the in-sync set, writes resume, it returns by itself", lag.Milliseconds()))
}

// leaderOf3 waits until all three are in sync again.
func (s *scene) leaderOf3(when string) {
	s.t.Helper()
	began := time.Now()
	_, err := s.c.WaitPartition(60*time.Second, watched, "all three in sync", func(p cluster.Partition) bool { return p.Leader > 0 && len(p.ISR) == 3 })
	s.must(err)
	s.figure("%s: in sync again after %v", when, time.Since(began).Round(10*time.Millisecond))
}
