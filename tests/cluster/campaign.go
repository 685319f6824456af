package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/tests/history"
	"holdfast/tests/rig"
)

// Accident is what happens to a cluster under load. Brokers may be down when it
// returns; links are whole and nobody is paused.
type Accident func(*Cluster, *rand.Rand) error

// Campaign is a number of rounds: load, accident, everything up again and in
// sync, every answer, and a complete read that the ledger judges.
type Campaign struct {
	Cluster  Options
	Rounds   int
	Seed     uint64
	Accident Accident
	// Prepared, if any, is called when the topics of a new cluster exist.
	Prepared func() error
	// AuditEvery is how many rounds go by between two complete reads; 0: one. What
	// the writers and the tail readers saw is judged in every case.
	AuditEvery int
	// Deadline ends the campaign between two rounds; the zero time is never.
	Deadline time.Time
	// Until stops at the first anomaly of the kind, for planted faults; empty: every
	// round is made, and none is expected.
	Until history.Kind
}

// roundsPerCluster is how many accidents one cluster lives through: each complete
// read takes all of its records.
const roundsPerCluster = 20

// Run makes the campaign. An error is a failure that is not an anomaly: the
// cluster did not come back, did not answer, or refused a write for good.
func (c Campaign) Run(tb testing.TB) (rig.Outcome, error) {
	tb.Helper()
	began := time.Now()
	rng := rand.New(rand.NewPCG(c.Seed, 2))
	out := rig.Outcome{Report: history.Report{Counts: map[history.Kind]int64{}}}
	defer func() { out.Seconds = time.Since(began).Seconds() }()
	for number := 0; out.Rounds < c.Rounds; number++ {
		e := era{Campaign: c, rng: rng, out: &out, before: out.Report}
		err := e.run(tb, number, min(roundsPerCluster, c.Rounds-out.Rounds))
		out.Seconds = time.Since(began).Seconds()
		switch {
		case err != nil:
			return out, fmt.Errorf("round %d: %w", out.Rounds+1, err)
		case out.Found > 0 && c.Until != "":
			return out, nil
		case !c.Deadline.IsZero() && time.Now().After(c.Deadline) && out.Rounds < c.Rounds:
			return out, fmt.Errorf("out of time after %d of %d rounds", out.Rounds, c.Rounds)
		}
	}
	return out, nil
}

// era is the life of one cluster.
type era struct {
	Campaign
	rng     *rand.Rand
	out     *rig.Outcome
	before  history.Report // of the eras that have ended
	cluster *Cluster
	ledger  *rig.Ledger
	load    *rig.Load
}

func (e *era) run(tb testing.TB, number, rounds int) error {
	o := e.Cluster
	o.Dir = filepath.Join(o.Dir, fmt.Sprintf("cluster-%d", number))
	e.cluster = New(tb, o)
	defer e.cluster.End()
	if err := e.cluster.Start(); err != nil {
		return err
	}
	if err := e.cluster.CreateTopics(Topics()...); err != nil {
		return err
	}
	if e.Prepared != nil {
		if err := e.Prepared(); err != nil {
			return err
		}
	}
	e.ledger = rig.NewLedger()
	e.load = rig.StartLoad(tb, e.cluster.Addr(), e.ledger, e.rng.Uint64(), Writers())
	defer e.load.Stop()
	for i := range rounds {
		last := i == rounds-1
		if err := e.round(tb, last || e.AuditEvery <= 1 || (i+1)%e.AuditEvery == 0); err != nil {
			return err
		}
		if e.Until != "" && e.out.Found > 0 {
			return nil
		}
	}
	return nil
}

// End kills what still runs and removes the data: a campaign has many clusters,
// and one disk.
func (c *Cluster) End() {
	for _, n := range c.Nodes {
		if n.Alive() {
			n.Kill()
		}
		if !c.tb.Failed() {
			_ = n.Wipe()
		}
	}
}

// round is one accident.
func (e *era) round(tb testing.TB, audit bool) error {
	e.load.Resume()
	if err := e.load.WaitAcks(20, 60*time.Second); err != nil {
		return fmt.Errorf("under load: %w\n%s", err, e.cluster.Tails(3000))
	}
	time.Sleep(upTo(e.rng, 700*time.Millisecond))
	if err := e.Accident(e.cluster, e.rng); err != nil {
		return fmt.Errorf("accident: %w", err)
	}
	began := time.Now()
	if err := e.cluster.Start(); err != nil {
		return err
	}
	e.out.Restarts = append(e.out.Restarts, time.Since(began))
	patience := 90 * time.Second
	if e.Until != "" {
		patience = 10 * time.Second // a lying broker may never be in sync again
	}
	if err := e.cluster.WaitISR(patience, names(Topics())...); err != nil && e.Until == "" {
		return fmt.Errorf("in sync again: %w", err)
	}
	if _, ours := e.cluster.o.Target.(rig.Holdfast); ours && e.Until == "" {
		// A second vote may not be taken away before the first one is back.
		if err := e.cluster.WaitVoters(60 * time.Second); err != nil {
			return fmt.Errorf("every vote again: %w", err)
		}
	}
	e.out.Rounds++
	if !audit && e.Until == "" {
		return nil
	}
	return e.judge(tb)
}

// judge waits for every answer, reads everything and lets the ledger say.
func (e *era) judge(tb testing.TB) error {
	patience := 90 * time.Second
	if e.Until != "" {
		patience = 15 * time.Second // a lying broker may hang its clients, too
	}
	err := e.load.Pause(patience)
	if err != nil {
		e.load.Stop() // the answers that are still out stay unknown
	}
	err = errors.Join(err, rig.Audit(e.cluster.Addr(), e.ledger, Topics(), patience))
	e.out.Report = rig.Sum(e.before, e.ledger.Report())
	if bad := e.out.Report.Count(e.Until) > 0 || e.Until == "" && !e.out.Report.OK(); bad && e.out.Found == 0 {
		e.out.Found = e.out.Rounds
		tb.Logf("first anomaly in round %d: %s", e.out.Rounds, e.out.Report)
	}
	if e.Until != "" && e.out.Found > 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, e.cluster.Tails(3000))
	}
	if c := e.load.Complaints(); len(c) > 0 {
		return fmt.Errorf("%d writes refused for good, such as: %s", len(c), c[0])
	}
	return nil
}

// CreateTopics creates the topics and waits until every replica is in sync.
func (c *Cluster) CreateTopics(topics ...rig.Topic) error {
	rig.CreateTopics(c.tb, c.ask, topics...)
	return c.WaitISR(startLimit, names(topics)...)
}

// Topics are those of a campaign: one partition; six that roll their segments
// often, with the replicas that the cluster makes by itself; and three with two
// replicas, of which each death leaves one too few.
func Topics() []rig.Topic {
	return []rig.Topic{
		{Name: "one", Partitions: 1, Replicas: 3},
		{Name: "six", Partitions: 6, Replicas: rig.DefaultReplicas, Configs: map[string]string{"segment.bytes": "4194304"}},
		{Name: "pair", Partitions: 3, Replicas: 2},
	}
}

// Writers are producers of several habits: small records many at a time, one at
// a time, compressed ones of mixed sizes, batches that pass any journal by, and
// one with acks=1 that has no idempotence.
func Writers() []rig.WriterSpec {
	t := Topics()
	list := []rig.WriterSpec{
		{Name: "small", Topics: t, SizeMin: 16, SizeMax: 200, Window: 64, Pace: 500 * time.Microsecond, Compress: kgo.NoCompression()},
		{Name: "single", Topics: t[:1], SizeMin: 100, Window: 1, Pace: time.Millisecond, Compress: kgo.NoCompression()},
		{Name: "mixed", Topics: t[1:], SizeMin: 100, SizeMax: 16 << 10, Window: 32, Pace: 2 * time.Millisecond, Linger: 5 * time.Millisecond, Compress: kgo.SnappyCompression()},
		{Name: "large", Topics: t[:2], SizeMin: 50 << 10, SizeMax: 400 << 10, Window: 8, Pace: 100 * time.Millisecond, Compress: kgo.NoCompression()},
		{Name: "acks-one", AcksOne: true, Topics: t[:2], SizeMin: 100, SizeMax: 1000, Window: 16, Pace: 2 * time.Millisecond, Compress: kgo.ZstdCompression()},
	}
	for i := range list {
		list[i].Timeout = time.Second // a leader that is paused never answers, and its connection stays
	}
	return list
}

// upTo is a random time below d.
func upTo(rng *rand.Rand, d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }
