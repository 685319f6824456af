package rig

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/tests/history"
)

// Accident is what happens to a broker under load. It returns when the process
// is dead and its directory can be opened again.
type Accident func(*Process, *rand.Rand) error

// Campaign is a number of rounds: load, accident, restart, every answer, and a
// complete read that the ledger judges.
type Campaign struct {
	Target   Target
	Dir      string // for the log of the broker
	DataRoot string // where data directories are made; Dir when empty
	Fault    string
	Rounds   int
	Seed     uint64
	Accident Accident
	// Prepared, if any, is called when the topics of a new directory exist.
	Prepared func() error
	// Deadline ends the campaign between two rounds; the zero time is never.
	Deadline time.Time
	// UntilFound stops at the first anomaly, for planted faults.
	UntilFound bool
}

// Outcome sums up a campaign.
type Outcome struct {
	Report   history.Report
	Rounds   int // made
	Found    int // the round of the first anomaly, counted from 1, or 0
	Restarts []time.Duration
	Seconds  float64
}

// roundsPerDirectory is how many accidents one data directory lives through.
// Every round reads the whole directory, so that more would cost the square.
const roundsPerDirectory = 10

// Run makes the campaign. An error is a failure of the broker that is not an
// anomaly: it did not start, did not answer, or refused a write for good.
func (c Campaign) Run(tb testing.TB) (Outcome, error) {
	tb.Helper()
	start := time.Now()
	rng := rand.New(rand.NewPCG(c.Seed, 1))
	out := Outcome{Report: history.Report{Counts: map[history.Kind]int64{}}}
	defer func() { out.Seconds = time.Since(start).Seconds() }()
	for out.Rounds < c.Rounds {
		e := era{Campaign: c, rng: rng, number: out.Rounds / roundsPerDirectory, out: &out}
		err := e.run(tb, min(roundsPerDirectory, c.Rounds-out.Rounds))
		out.Seconds = time.Since(start).Seconds()
		if err != nil {
			return out, fmt.Errorf("round %d: %w", out.Rounds+1, err)
		}
		if c.UntilFound && out.Found > 0 {
			return out, nil
		}
		if !c.Deadline.IsZero() && time.Now().After(c.Deadline) && out.Rounds < c.Rounds {
			return out, fmt.Errorf("out of time after %d of %d rounds", out.Rounds, c.Rounds)
		}
	}
	return out, nil
}

// era is the life of one data directory.
type era struct {
	Campaign
	rng    *rand.Rand
	number int
	out    *Outcome
	place  Place
	proc   *Process
	ledger *Ledger
	load   *Load
	before history.Report // of the eras that have ended
}

func (e *era) run(tb testing.TB, rounds int) error {
	e.before = e.out.Report
	root := e.DataRoot
	if root == "" {
		root = e.Dir
	}
	e.place = NewPlace(tb, e.Dir)
	e.place.DataDir = filepath.Join(root, fmt.Sprintf("data-%d", e.number))
	e.place.Fault = e.Fault
	if err := e.start(tb); err != nil {
		return err
	}
	defer func() { e.proc.Kill() }()
	CreateTopics(tb, NewClient(tb, e.place.Addr), campaignTopics()...)
	if e.Prepared != nil {
		if err := e.Prepared(); err != nil {
			return err
		}
	}
	e.ledger = NewLedger()
	e.load = StartLoad(tb, e.place.Addr, e.ledger, e.rng.Uint64(), campaignWriters())
	defer e.load.Stop()
	for range rounds {
		if err := e.round(tb); err != nil {
			return err
		}
		if e.UntilFound && e.out.Found > 0 {
			return nil
		}
	}
	return e.cleanStop(tb)
}

// round is one accident.
func (e *era) round(tb testing.TB) error {
	e.load.Resume()
	if err := e.load.WaitAcks(20, 30*time.Second); err != nil {
		return fmt.Errorf("under load: %w\n%s", err, e.proc.Tail(4000))
	}
	time.Sleep(time.Duration(e.rng.Int64N(int64(700 * time.Millisecond))))
	if err := e.Accident(e.proc, e.rng); err != nil {
		return fmt.Errorf("accident: %w", err)
	}
	// A quarter of the restarts dies while it starts.
	for e.rng.IntN(4) == 0 {
		e.proc = StartBroker(tb, e.Target, e.place)
		time.Sleep(time.Duration(e.rng.Int64N(int64(150 * time.Millisecond))))
		if err := e.Accident(e.proc, e.rng); err != nil {
			return fmt.Errorf("accident during the start: %w", err)
		}
	}
	return e.recover(tb)
}

// recover starts the broker again, waits for every answer and reads everything.
func (e *era) recover(tb testing.TB) error {
	if err := e.start(tb); err != nil {
		return err
	}
	patience := 60 * time.Second
	if e.UntilFound {
		patience = 8 * time.Second // a lying broker may hang its clients, too
	}
	err := e.load.Pause(patience)
	if err != nil {
		e.load.Stop() // the answers that are still out stay unknown
	}
	err = errors.Join(err, Audit(e.place.Addr, e.ledger, campaignTopics(), patience))
	e.out.Rounds++
	e.out.Report = Sum(e.before, e.ledger.Report())
	if !e.out.Report.OK() && e.out.Found == 0 {
		e.out.Found = e.out.Rounds
		tb.Logf("first anomaly in round %d: %s", e.out.Rounds, e.out.Report)
	}
	if e.UntilFound && e.out.Found > 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, e.proc.Tail(4000))
	}
	if c := e.load.Complaints(); len(c) > 0 {
		return fmt.Errorf("%d writes refused for good, such as: %s", len(c), c[0])
	}
	return nil
}

func (e *era) start(tb testing.TB) error {
	began := time.Now()
	e.proc = StartBroker(tb, e.Target, e.place)
	if err := WaitReady(e.Target, e.place, e.proc, 30*time.Second); err != nil {
		return err
	}
	e.out.Restarts = append(e.out.Restarts, time.Since(began))
	return nil
}

// cleanStop ends the era as an operator would: SIGTERM, exit status 0, and the
// records are there after the next start as well.
func (e *era) cleanStop(tb testing.TB) error {
	if e.Target.Name() != (Holdfast{}).Name() {
		return nil
	}
	e.load.Resume()
	if err := e.load.WaitAcks(20, 30*time.Second); err != nil {
		return fmt.Errorf("before a clean stop: %w", err)
	}
	if err := e.proc.Terminate(20 * time.Second); err != nil {
		return fmt.Errorf("clean stop: %w", err)
	}
	err := e.recover(tb)
	e.out.Rounds-- // a stop is no accident
	return err
}

// Result is the outcome as a line for docs/PROOF.md.
func (o Outcome) Result(what string, seed uint64) Result {
	r := Result{What: what, Seed: seed, Rounds: o.Rounds, Sent: o.Report.Sent, Acknowledged: o.Report.Acknowledged, Seconds: o.Seconds}
	for k, n := range o.Report.Counts {
		switch k {
		case history.LostWrite:
			r.Lost += n
		case history.Duplicate:
			r.Duplicated += n
		default:
			r.Other += n
		}
	}
	var worst time.Duration
	for _, d := range o.Restarts {
		worst = max(worst, d)
	}
	r.Figures = fmt.Sprintf("%d starts, slowest to ready %v; %d records read back", len(o.Restarts), worst.Round(time.Millisecond), o.Report.Polled)
	return r
}

// ErrNotCaught says that a planted fault went unseen: the rig proves nothing.
var ErrNotCaught = errors.New("the planted fault was not caught")

// Caught demands that the campaign found an anomaly of one of the kinds.
func (o Outcome) Caught(kinds ...history.Kind) error {
	for _, k := range kinds {
		if o.Report.Count(k) > 0 {
			return nil
		}
	}
	return fmt.Errorf("%w in %d rounds: want one of %v\n%s", ErrNotCaught, o.Rounds, kinds, o.Report)
}

// Sum is the report of two histories, a before b.
func Sum(a, b history.Report) history.Report {
	b.Sent += a.Sent
	b.Acknowledged += a.Acknowledged
	b.Unknown += a.Unknown
	b.Unplaced += a.Unplaced
	b.Polled += a.Polled
	b.Repeats += a.Repeats
	for k, n := range a.Counts {
		b.Counts[k] += n
	}
	b.Examples = append(append([]history.Anomaly(nil), a.Examples...), b.Examples...)
	return b
}

// campaignTopics are one topic of a single partition, one of six that rolls
// its segments often, and one of many that are each written rarely.
func campaignTopics() []Topic {
	return []Topic{
		{Name: "one", Partitions: 1},
		{Name: "six", Partitions: 6, Configs: map[string]string{"segment.bytes": "4194304"}},
		{Name: "many", Partitions: 24},
	}
}

// campaignWriters are producers of several habits: small records many at a
// time, one at a time, compressed ones of mixed sizes, batches large enough to
// pass any journal by, and one with acks=1 that has no idempotence.
func campaignWriters() []WriterSpec {
	t := campaignTopics()
	return []WriterSpec{
		{Name: "small", Topics: t, SizeMin: 16, SizeMax: 200, Window: 64, Pace: 100 * time.Microsecond, Compress: kgo.NoCompression()},
		{Name: "single", Topics: t[:2], SizeMin: 100, Window: 1, Compress: kgo.NoCompression()},
		{Name: "mixed", Topics: t[1:], SizeMin: 100, SizeMax: 16 << 10, Window: 32, Pace: time.Millisecond, Linger: 5 * time.Millisecond, Compress: kgo.SnappyCompression()},
		{Name: "large", Topics: t[:2], SizeMin: 50 << 10, SizeMax: 400 << 10, Window: 8, Pace: 25 * time.Millisecond, Compress: kgo.NoCompression()},
		{Name: "acks-one", AcksOne: true, Topics: t, SizeMin: 100, SizeMax: 1000, Window: 16, Pace: time.Millisecond, Compress: kgo.ZstdCompression()},
	}
}
