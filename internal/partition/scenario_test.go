package partition_test

// The traces by which Kafka has lost or forked acknowledged data (T1 to T18 of the
// protocol notes), as far as they are a matter of the partition: each is replayed
// on logs that a power cut can shorten.

import (
	"errors"
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/partition"
	"holdfast/internal/purgatory"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

// T1 (KIP-101, loss). A follower that restarts before it has heard of the newest
// high watermark keeps what is above the one that it knows: nothing is cut by high
// watermark, only where a leader's epochs say so.
func TestScenario_FollowerRestartsBehindTheHighWatermark(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(b, a, b)
	b.produce("m1").want(waits)
	c.catchUp(a)

	m2 := b.produce("m2")
	b.flush()
	a.fetch()
	a.flush()
	a.report()
	m2.want(kafka.ErrNone)
	a.wantHigh(1) // it has m2 and does not know that it is committed

	a.powerCut()
	b.powerCut()
	a.open()
	c.elect(a, a)
	a.wantHolds("m1@1 m2@1")
	a.wantHigh(2)
	b.start()
	c.catchUp(b)
	b.wantHolds("m1@1 m2@1")
	c.lostNothing()
}

// T2 (KIP-101, fork). Both lose power; the one without the newest record returns
// first and writes another at its offset. The other returns with a log that is as
// long: that is no reason to believe that it is the same.
func TestScenario_EqualLengthIsNotEqualContent(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(b, a, b)
	b.produce("m1")
	c.catchUp(a)
	m2 := b.produce("m2") // never reaches A, and is never acknowledged
	b.flush()
	a.powerCut()
	b.powerCut()
	m2.want(kafka.ErrNotLeaderOrFollower)

	a.open()
	c.elect(a, a)
	m3 := a.produce("m3")
	a.flush()
	m3.want(kafka.ErrNone)

	b.start()
	b.wantHolds("m1@1 m2@1")
	if _, ok := b.Progress(); ok {
		t.Error("B reports as durable what was not compared with the new leader")
	}
	b.fetch()
	b.wantHolds("m1@1")
	c.catchUp(b)
	b.wantHolds("m1@1 m3@2")
	c.lostNothing()
}

// T3 (KIP-279). Two quick elections; the new leader has never seen the epoch that a
// follower's suffix is of. It answers with the largest epoch below, and where that
// ends.
func TestScenario_EpochThatTheLeaderNeverSaw(t *testing.T) {
	c := newCluster(t, "ABC", 1)
	a, b, d := c.nodes[0], c.nodes[1], c.nodes[2]
	c.elect(a, a, b, d)
	a.produce("x")
	c.catchUp(b, d)
	a.produce("a") // only A has it
	c.elect(b)
	b.produce("b") // only B has it
	b.flush()
	c.elect(d)
	d.produce("c")
	d.flush()

	a.wantHolds("x@1 a@1")
	b.wantHolds("x@1 b@2")
	if f := b.ask(); f.answer.Diverging == nil || *f.answer.Diverging != (partition.EpochEnd{Epoch: 1, End: 1}) {
		t.Errorf("asked with epoch 2, the leader answers %+v, want epoch 1 up to offset 1", f.answer.Diverging)
	}
	c.catchUp(a, b)
	for _, n := range c.nodes {
		n.wantHolds("x@1 c@3")
	}
	c.lostNothing()
}

// T4 (KAFKA-7164). The follower misses an epoch and next hears of a later one with
// the same leader. The leader is not what it was: it has lost its tail in between.
// Every epoch matches anew.
func TestScenario_SameLeaderInALaterEpoch(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(a, a, b)
	a.produce("m1")
	c.catchUp(b)
	a.produce("m2") // shipped before it is flushed
	b.fetch()
	b.flush()
	late := b.ask() // answered in epoch 1, and under way for long
	b.wantHolds("m1@1 m2@1")

	b.deaf = true
	a.powerCut()
	a.open()
	c.elect(a, a)
	a.produce("other")
	a.flush()
	b.deaf = false
	c.elect(a, a)

	c.must(late.arrive())
	if p, ok := b.Progress(); ok {
		t.Errorf("B reports %+v: an answer of epoch 1 was taken for one of epoch 3", p)
	}
	c.catchUp(b)
	b.wantHolds("m1@1 other@2")
	c.lostNothing()
}

// A leadership in which nothing becomes durable is forgotten in a power cut, and
// leaves its records with a follower. The next one answers as if it knew of it.
func TestScenario_EpochThatTheLeaderForgot(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(b, a, b)
	b.produce("x")
	c.catchUp(a)
	c.elect(a)
	a.produce("forgotten")
	b.fetch()
	b.flush() // the follower is faster than its leader
	b.wantHolds("x@1 forgotten@2")
	a.powerCut()
	a.open()
	if epoch := a.Log().LastEpoch(); epoch != 1 {
		t.Errorf("A remembers epoch %d", epoch)
	}
	c.elect(a, a)
	if f := b.ask(); f.answer.Diverging == nil || f.answer.Diverging.End != 1 {
		t.Errorf("A answers %+v", f.answer)
	}
	a.produce("y")
	c.catchUp(b)
	b.wantHolds("x@1 y@3")
	c.lostNothing()
}

// Two fetches ask the same; the answer to the first cuts the log, which then grows
// to the same end again in the same epoch and is reported durable. The second answer
// arrives: it speaks of a log that is no more. (Found by seed 621 of the world.)
func TestScenario_LateDivergenceAfterTheMatch(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(b, a, b)
	b.produce("x")
	c.catchUp(a)
	b.produce("gone")
	b.flush()
	c.elect(a)
	kept := a.produce("kept")
	late := b.ask()
	b.fetch()
	b.wantHolds("x@1")
	b.fetch()
	b.flush()
	a.flush()
	b.report()
	kept.want(kafka.ErrNone)
	b.wantHolds("x@1 kept@2")
	if err := late.arrive(); !errors.Is(err, partition.ErrUnfit) {
		t.Errorf("the late answer: %v", err)
	}
	b.wantHolds("x@1 kept@2")
	c.elect(b, b)
	c.lostNothing()
}

// T5 (KAFKA-7128). The new leader does not know how far its predecessor committed.
// A replica that has reached the high watermark that it knows must not join: it
// lacks records that are committed.
func TestScenario_JoinerBelowTheEpochStart(t *testing.T) {
	c := newCluster(t, "ABC", 2)
	a, b, d := c.nodes[0], c.nodes[1], c.nodes[2]
	d.fenced = true // not a candidate yet
	c.elect(a, a, b)
	for range 3 {
		a.produce("x")
	}
	c.catchUp(b, d)
	var writes []*write
	for range 4 {
		writes = append(writes, a.produce("y"))
	}
	a.flush()
	b.fetch()
	b.flush()
	b.report()
	for _, w := range writes {
		w.want(kafka.ErrNone)
	}
	b.wantHigh(3)
	a.powerCut()

	d.fenced = false
	c.elect(b, b)
	b.wantHigh(3) // min ISR 2: it stays
	d.wantHolds("x@1 x@1 x@1")
	// C is at the high watermark of the leader, durable, and below the epoch start.
	f := d.ask()
	d.flush()
	f.answer.Records = nil // the records do not arrive
	c.must(f.arrive())
	if code := d.report(); code != kafka.ErrNone {
		t.Errorf("report answered %d", code)
	}
	b.wantProposal()
	c.catchUp(d)
	b.wantProposal(b, d)
	c.accept()
	c.catchUp(d)
	b.wantHigh(7)
	b.kill()
	c.elect(d)
	c.lostNothing()
}

// T6 (KIP-903). A replica fetches to the end, loses power before it has flushed, and
// returns shorter. What its former incarnation has said arrives late: it must not
// bring the new one into the ISR.
func TestScenario_OldIncarnationSpeaksLate(t *testing.T) {
	c := newCluster(t, "ABC", 1)
	a, b, d := c.nodes[0], c.nodes[1], c.nodes[2]
	c.elect(a, a, b)
	a.produce("m1")
	c.catchUp(b, d)
	a.proposals = nil
	d.fenced = true
	c.setISR() // C is out of the ISR
	m2 := a.produce("m2")
	a.flush()
	b.fetch()
	b.flush()
	b.report()
	m2.want(kafka.ErrNone)
	d.fetch() // has m2 in its page cache only
	old := d.epoch
	end := d.Log().End()
	d.powerCut()
	d.fenced = false
	d.start()
	c.setISR() // registered again
	d.wantHolds("m1@1")

	late := partition.ReadRequest{From: end, MaxBytes: 1, CurrentEpoch: c.epoch, LastFetchedEpoch: 1, Replica: d.id, ReplicaEpoch: old}
	if r := a.Read(late); r.Range.Source != nil {
		r.Range.Source.Release()
	}
	a.ReplicaDurable(d.id, old, c.epoch, end)
	a.wantProposal()
	c.catchUp(d)
	a.wantProposal(a, b, d)
	c.lostNothing()
}

// T7 (KIP-841). A replica that is fenced, or shutting down, is caught up and must
// not be proposed.
func TestScenario_FencedReplicaIsCaughtUp(t *testing.T) {
	c := newCluster(t, "ABC", 1)
	a, b, d := c.nodes[0], c.nodes[1], c.nodes[2]
	d.fenced = true
	c.elect(a, a, b)
	m1 := a.produce("m1")
	c.catchUp(b, d)
	m1.want(kafka.ErrNone)
	a.wantProposal()
	d.fenced = false
	c.setISR()
	c.catchUp(d)
	a.wantProposal(a, b, d)
}

// T8 (KIP-497). The leader proposes to do without two replicas, and nobody hears
// it. Until the metadata says so, it waits for them: one of them may be elected.
func TestScenario_ShrinkThatIsNeverCommitted(t *testing.T) {
	c := newCluster(t, "ABC", 1)
	a, b, d := c.nodes[0], c.nodes[1], c.nodes[2]
	c.elect(a, a, b, d)
	m1 := a.produce("m1")
	c.catchUp(b, d)
	m1.want(kafka.ErrNone)

	m2 := a.produce("m2")
	a.flush()
	for range 4 {
		c.clock.Jump(lagMax)
		a.Tick(c.clock.Now())
	}
	a.wantProposal(a)
	m2.want(waits)
	a.wantHigh(1)
	c.elect(b) // the controller has not heard of it, and A is gone
	m2.want(kafka.ErrNotLeaderOrFollower)
	c.lostNothing()

	// The same, committed.
	c.elect(a, a, b, d)
	c.catchUp(b, d)
	m3 := a.produce("m3")
	a.flush()
	a.proposals = nil
	for range 4 {
		c.clock.Jump(lagMax)
		a.Tick(c.clock.Now())
	}
	m3.want(waits)
	c.accept()
	m3.want(kafka.ErrNone)
}

// T10 (KAFKA-20634). An acknowledgement waits at an offset; the leadership goes and
// comes back, and another record is committed at that offset. Who waited is told
// that its epoch ended, and never that it is safe.
func TestScenario_SameOffsetInAnotherEpoch(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(a, a, b)
	pending := a.produce("lost")
	a.flush()
	c.elect(b)
	pending.want(kafka.ErrNotLeaderOrFollower)
	b.produce("kept")
	c.catchUp(a)
	a.wantHolds("kept@2")
	c.elect(a)
	c.catchUp(b)
	a.wantHigh(1)
	pending.want(kafka.ErrNotLeaderOrFollower)
	c.lostNothing()
}

// T11. A batch is replicated and its leader dies before it answers. The retry at
// the next leader gets the first offset, and no answer before it is committed.
func TestScenario_RetryAtTheNextLeader(t *testing.T) {
	c := newCluster(t, "ABC", 2)
	a, b, d := c.nodes[0], c.nodes[1], c.nodes[2]
	c.elect(a, a, b, d)
	a.produce("x")
	c.catchUp(b, d)
	producer := &record.Producer{ID: 7}
	first := a.produceAs(producer, "once")
	a.flush()
	b.fetch()
	b.flush()
	first.want(waits)
	a.powerCut()

	c.elect(b, b, d)
	again := b.produceAs(producer, "once")
	if again.Receipt.Base != 1 || b.Log().End() != 2 {
		t.Errorf("the retry is at %d, the log ends at %d", again.Receipt.Base, b.Log().End())
	}
	again.want(waits) // C has it not
	c.catchUp(d)
	again.want(kafka.ErrNone)
	b.wantHolds("x@1 once@1")
	c.lostNothing()
}

// T12. A batch is cut away. The producer's retry must not be taken for one of it.
func TestScenario_RetryOfWhatWasCut(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(a, a, b)
	a.produce("x")
	c.catchUp(b)
	producer := &record.Producer{ID: 7}
	a.produceAs(producer, "again")
	a.flush()
	c.elect(b)
	c.catchUp(a)
	a.wantHolds("x@1")
	c.elect(a)
	retry := a.produceAs(producer, "again")
	retry.want(waits)
	c.catchUp(b)
	retry.want(kafka.ErrNone)
	b.wantHolds("x@1 again@3")
	c.lostNothing()
}

// T15 (KAFKA-14704). A former leader has a record that nobody else has. The answer
// that tells it so moves its high watermark nowhere, or a consumer that reads here
// would see a record that another one replaces.
func TestScenario_DivergenceMovesNoHighWatermark(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(a, a, b)
	a.produce("x")
	c.catchUp(b)
	a.produce("gone")
	a.flush()
	c.elect(b, b)
	b.produce("kept")
	b.flush()
	b.wantHigh(2)

	consume := func() string {
		r := a.Read(partition.ReadRequest{MaxBytes: 1 << 20, MinOne: true, CurrentEpoch: c.epoch, LastFetchedEpoch: -1, Replica: kafka.NoBroker, FromFollower: true})
		if r.Code != kafka.ErrNone || r.Range.Source == nil {
			t.Fatalf("reading from the follower: %+v", r)
		}
		defer r.Range.Source.Release()
		data := make([]byte, r.Range.Length)
		if _, err := r.Range.Source.ReadAt(data, r.Range.Position); err != nil {
			t.Fatal(err)
		}
		return batches(t, data)[len(batches(t, data))-1]
	}
	f := a.ask()
	if f.answer.Diverging == nil || f.answer.HighWatermark != 2 {
		t.Fatalf("the leader answers %+v", f.answer)
	}
	if got := consume(); got != "x@1" {
		t.Errorf("a consumer reads up to %s", got)
	}
	c.must(f.arrive())
	a.wantHigh(1)
	if got := consume(); got != "x@1" {
		t.Errorf("a consumer reads up to %s", got)
	}
	c.catchUp(a)
	a.wantHigh(2)
	if got := consume(); got != "kept@2" {
		t.Errorf("a consumer reads up to %s", got)
	}
}

// The guard of the own high watermark: a leader that lacks what is committed here
// gets nothing cut. The replica keeps its bytes and is offline, also to consumers,
// also after a restart.
func TestScenario_LeaderLacksWhatIsCommitted(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(a, a, b)
	for _, v := range []string{"m1", "m2", "m3"} {
		a.produce(v)
		c.catchUp(b)
	}
	b.wantHigh(3)
	// A is replaced by an empty disk and elected all the same.
	wiped := newCluster(t, "AB", 1)
	c.nodes[0].powerCut()
	b.Resign()
	empty := wiped.nodes[0]
	c.epoch++
	empty.Lead(partition.Leadership{Epoch: c.epoch, ISR: []kafka.BrokerID{1}, Replicas: []kafka.BrokerID{1, 2}, MinISR: 1})
	for i := range 2 {
		b.Follow(partition.Following{Epoch: c.epoch, Leader: 1})
		err := b.askOf(empty, b.epoch).arrive()
		diverged, ok := errors.AsType[*partition.DivergedBelowHighWatermarkError](err)
		if !ok || diverged.HighWatermark < 2 || diverged.Cut != 0 {
			t.Fatalf("start %d: %v", i, err)
		}
		if _, ok := b.FetchPosition(); ok || b.Err() == nil {
			t.Error("it goes on")
		}
		r := b.Read(partition.ReadRequest{MaxBytes: 1 << 20, CurrentEpoch: c.epoch, LastFetchedEpoch: -1, Replica: kafka.NoBroker, FromFollower: true})
		if r.Code != kafka.ErrKafkaStorageError {
			t.Errorf("a consumer is answered %+v", r)
		}
		b.wantHolds("m1@1 m2@1 m3@1")
		b.powerCut()
		b.open()
	}
}

// A replica whose disk has forgotten what it had committed says so when it opens.
func TestScenario_LogEndsBelowTheHighWatermark(t *testing.T) {
	c := newCluster(t, "A", 1)
	a := c.nodes[0]
	if _, lost := a.Lost(); lost {
		t.Error("nothing is lost")
	}
	short := partition.New(partition.Options{Topic: "t", ID: topicID, Self: 1, Log: a.Log(), Storage: a.gate, Clock: c.clock, Config: &c.settings, HighWatermark: 5})
	if high, lost := short.Lost(); !lost || high != 5 {
		t.Errorf("lost %v, high watermark %d", lost, high)
	}
	if o := short.Offsets(); o.HighWatermark != 0 {
		t.Errorf("%+v", o)
	}
}

// A follower that is too far behind begins anew at the leader's log start; one that
// is not follows the log start without losing its own.
func TestScenario_FarBehindAndFollowingTheLogStart(t *testing.T) {
	c := newCluster(t, "ABC", 1)
	a, b, d := c.nodes[0], c.nodes[1], c.nodes[2]
	c.elect(a, a, b)
	for _, v := range []string{"m0", "m1", "m2", "m3"} {
		a.produce(v)
	}
	c.catchUp(b)
	if _, code := a.DeleteRecords(2); code != kafka.ErrNone {
		t.Fatal(code)
	}
	c.catchUp(b)
	if got := b.Log().Start(); got != 2 {
		t.Errorf("B's log starts at %d, want 2", got)
	}
	f := d.ask()
	if f.answer.Code != kafka.ErrOffsetOutOfRange || f.answer.LogStart != 2 {
		t.Fatalf("C is answered %+v", f.answer)
	}
	c.must(f.arrive())
	c.catchUp(d)
	d.wantHolds("m2@1 m3@1")
	a.wantProposal(a, b, d)
	d.powerCut()
	d.start()
	d.wantHolds("m2@1 m3@1")
	c.lostNothingFrom(2)
}

// What a leader sends is checked: bytes that are damaged, that do not continue the
// log, or that are of an epoch that cannot be, change nothing.
func TestReplicate_RefusesWhatDoesNotFit(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(a, a, b)
	a.produce("m1")
	a.produce("m2")
	good := b.ask()
	size := 0
	if h, err := record.ParseHeader(good.answer.Records); err == nil {
		size = h.Size()
	}
	change := func(f func(p []byte) []byte) partition.Replicated {
		answer := good.answer
		answer.Records = f(append([]byte(nil), answer.Records...))
		return answer
	}
	for name, answer := range map[string]partition.Replicated{
		"a flipped bit":       change(func(p []byte) []byte { p[size-1] ^= 1; return p }),
		"a torn batch":        change(func(p []byte) []byte { return p[:len(p)-1] }),
		"a torn header":       change(func(p []byte) []byte { return p[:size+10] }),
		"a hole":              change(func(p []byte) []byte { return p[size:] }),
		"a repetition":        change(func(p []byte) []byte { return append(p[:size:size], p[:size]...) }),
		"a later epoch":       change(func(p []byte) []byte { record.SetBase(p, 0, 9); return p }),
		"no epoch":            change(func(p []byte) []byte { record.SetBase(p, 0, -1); return p }),
		"a falling epoch":     change(func(p []byte) []byte { record.SetBase(p[size:], 1, 0); return p }),
		"garbage":             change(func(p []byte) []byte { clear(p); return p }),
		"out of a good range": {Epoch: 1, From: 0, Code: kafka.ErrOffsetOutOfRange},
	} {
		if err := b.Replicate(answer); !errors.Is(err, partition.ErrUnfit) {
			t.Errorf("%s: %v", name, err)
		}
		if o := b.Offsets(); o.LogEnd != 0 || o.HighWatermark != 0 || b.Err() != nil {
			t.Errorf("%s: %+v, %v", name, o, b.Err())
		}
	}
	for name, answer := range map[string]partition.Replicated{
		"of another epoch":    {Epoch: 2, From: 0, Records: good.answer.Records},
		"of another position": {Epoch: 1, From: 1, Records: good.answer.Records},
	} {
		if err := b.Replicate(answer); err != nil || b.Log().End() != 0 {
			t.Errorf("%s: %v, log end %d", name, err, b.Log().End())
		}
	}
	if err := b.Replicate(partition.Replicated{Epoch: 1, Code: kafka.ErrFencedLeaderEpoch}); !errors.Is(err, kafka.ErrFencedLeaderEpoch) {
		t.Errorf("a fenced epoch: %v", err)
	}
	c.must(good.arrive())
	c.must(good.arrive()) // late, and again: it is dropped
	b.wantHolds("m1@1 m2@1")
}

// Who may read as a replica, and in which epoch.
func TestRead_AsReplica(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(a, a, b)
	c.elect(a, a, b)
	a.produce("m1")
	for name, w := range map[string]struct {
		replica kafka.BrokerID
		epoch   kafka.LeaderEpoch
		from    kafka.Offset
		want    kafka.ErrorCode
	}{
		"a follower":          {b.id, 2, 0, kafka.ErrNone},
		"of the epoch before": {b.id, 1, 0, kafka.ErrFencedLeaderEpoch},
		"of the next epoch":   {b.id, 3, 0, kafka.ErrUnknownLeaderEpoch},
		"of no epoch":         {b.id, -1, 0, kafka.ErrFencedLeaderEpoch},
		"the leader itself":   {a.id, 2, 0, kafka.ErrUnknownLeaderEpoch},
		"a stranger":          {9, 2, 0, kafka.ErrUnknownLeaderEpoch},
		"beyond the end":      {b.id, 2, 2, kafka.ErrOffsetOutOfRange},
	} {
		r := a.Read(partition.ReadRequest{From: w.from, MaxBytes: 1 << 20, CurrentEpoch: w.epoch, LastFetchedEpoch: -1, Replica: w.replica, ReplicaEpoch: b.epoch})
		if r.Code != w.want {
			t.Errorf("%s: answered %d, want %d", name, r.Code, w.want)
		}
		if r.Range.Source != nil {
			r.Range.Source.Release()
		}
	}
	if code := a.ReplicaDurable(b.id, b.epoch, 2, 2); code != kafka.ErrInvalidRequest {
		t.Errorf("more than there is: %d", code)
	}
	if code := b.ReplicaDurable(a.id, a.epoch, 2, 0); code != kafka.ErrNotLeaderOrFollower {
		t.Errorf("to a follower: %d", code)
	}
	a.wantHigh(0) // its own flush has not ended, and B has reported nothing
}

// A parked follower wakes when the log grows and when the high watermark moves.
func TestAwait_Replica(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(a, a, b)
	wait := partition.Await{From: 0, Replica: b.id, HighWatermark: 0}
	w := purgatory.New(1, func() {})
	if !a.Await(wait, w) {
		t.Fatal("nothing to wait for")
	}
	a.produce("m1")
	if !w.Done() {
		t.Error("an append does not wake the follower")
	}
	if a.Await(wait, purgatory.New(1, func() {})) {
		t.Error("it waits for what is there")
	}
	b.fetch()
	w = purgatory.New(1, func() {})
	if wait.From = 1; !a.Await(wait, w) {
		t.Fatal("nothing to wait for")
	}
	a.flush()
	b.flush()
	b.report()
	if !w.Done() {
		t.Error("the moved high watermark does not wake the follower")
	}
	wait.HighWatermark = 1
	w = purgatory.New(1, func() {})
	if !a.Await(wait, w) {
		t.Fatal("nothing to wait for")
	}
	c.elect(b)
	if !w.Done() {
		t.Error("the end of the term does not wake the follower")
	}
}

// While a new leader does not know all that is committed, it does not say where the
// end is (KIP-207), and a consumer that knows more is answered with nothing.
func TestLookUp_WhileTheHighWatermarkLags(t *testing.T) {
	c := newCluster(t, "ABC", 2)
	a, b, d := c.nodes[0], c.nodes[1], c.nodes[2]
	c.elect(a, a, b, d)
	a.produce("m1")
	c.catchUp(b, d)
	m2 := a.produce("m2")
	a.flush()
	for _, n := range []*node{b, d} {
		n.fetch()
		n.flush()
		n.report()
	}
	m2.want(kafka.ErrNone)
	a.powerCut()
	c.elect(b, b, d)
	b.wantHigh(1)
	lookUp := func(ts kafka.Timestamp) error {
		_, _, err := b.LookUp(ts, kafka.NoLeaderEpoch, false)
		return err
	}
	for _, ts := range []kafka.Timestamp{kafka.TimestampLatest, kafka.TimestampMax, 5000} {
		if err := lookUp(ts); !errors.Is(err, kafka.ErrOffsetNotAvailable) {
			t.Errorf("timestamp %d: %v", ts, err)
		}
	}
	for _, ts := range []kafka.Timestamp{kafka.TimestampEarliest, 1000} {
		if err := lookUp(ts); err != nil {
			t.Errorf("timestamp %d: %v", ts, err)
		}
	}
	r := b.Read(partition.ReadRequest{From: 2, MaxBytes: 1 << 20, CurrentEpoch: -1, LastFetchedEpoch: -1, Replica: kafka.NoBroker})
	if r.Code != kafka.ErrNone || r.Range.Length != 0 {
		t.Errorf("a consumer that has read m2 is answered %+v", r)
	}
	r = d.Read(partition.ReadRequest{From: 2, MaxBytes: 1 << 20, CurrentEpoch: -1, LastFetchedEpoch: -1, Replica: kafka.NoBroker, FromFollower: true})
	if r.Code != kafka.ErrOffsetNotAvailable {
		t.Errorf("a consumer that has read m2 and asks a follower is answered %+v", r)
	}
	c.catchUp(d)
	if err := lookUp(kafka.TimestampLatest); err != nil {
		t.Error(err)
	}
	c.lostNothing()
}

// A follower in page-cache mode reports what it has, flushed or not, and says so at
// once: no flush will tell.
func TestScenario_PageCacheFollower(t *testing.T) {
	c := newCluster(t, "AB", 2)
	c.settings.Durability = config.DurabilityPageCache
	a, b := c.nodes[0], c.nodes[1]
	c.elect(a, a, b)
	m1 := a.produce("m1")
	m1.want(waits)
	b.fetch()
	if b.progress == 0 {
		t.Error("nobody was told")
	}
	b.fetch()
	b.report()
	m1.want(kafka.ErrNone)
	if o := b.Offsets(); o.Durable != 0 || len(b.gate.held) != 0 {
		t.Errorf("%+v", o)
	}
}

// Progress is told when there is more to report: at the first match of an epoch, also
// of an idle partition, and after each flush.
func TestProgressed(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	told := func(want int, when string) {
		t.Helper()
		if b.progress != want {
			t.Errorf("%s: told %d times, want %d", when, b.progress, want)
		}
	}
	c.elect(a, a, b)
	told(0, "unmatched")
	b.fetch()
	told(1, "the first match")
	b.fetch()
	told(1, "the next one")
	a.produce("m1")
	b.fetch()
	told(1, "unflushed")
	b.flush()
	told(2, "flushed")
	c.elect(a)
	b.flush()
	told(2, "the next epoch")
	b.fetch()
	told(3, "matched in it")
}

// A disk that fails, or is full, on a follower.
func TestReplicate_Disk(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(a, a, b)
	a.produce("m1")
	b.gate.full = true
	if err := b.ask().arrive(); !errors.Is(err, log.ErrNoSpace) || b.Log().End() != 0 || b.Err() != nil {
		t.Errorf("below the reserve: %v, log end %d, %v", err, b.Log().End(), b.Err())
	}
	b.gate.full = false
	b.fetch()
	b.wantHolds("m1@1")
	a.produce("m2")
	heal := b.ground.Disk.Inject(vfs.Fault{Op: vfs.OpWrite, Path: "00000000000000000000.log"})
	if err := b.ask().arrive(); err == nil || b.Err() == nil {
		t.Errorf("a failed write: %v, %v", err, b.Err())
	}
	heal()
	if _, ok := b.FetchPosition(); ok {
		t.Error("it asks for more")
	}
	if _, ok := b.Progress(); ok {
		t.Error("it reports")
	}
}

// What a description says of a leader and of a follower.
func TestDescribe(t *testing.T) {
	c := newCluster(t, "AB", 2)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(a, a, b)
	a.produce("m1")
	b.fetch()
	d := a.Describe()
	if d.Leader != 1 || d.MinISR != 2 || d.Waiting != 1 || len(d.Replicas) != 2 || d.Refused != kafka.ErrNone || d.PartitionEpoch != c.partitionEpoch {
		t.Errorf("%+v", d)
	}
	c.setISR(a)
	if d = a.Describe(); d.Refused != kafka.ErrNotEnoughReplicas {
		t.Errorf("%+v", d)
	}
	if d = b.Describe(); d.Leader != 1 || !d.Following || d.Replicas != nil || d.LastCut != (partition.Cut{}) {
		t.Errorf("%+v", d)
	}
	c.minISR = 1
	c.elect(a, a)
	a.produce("m2")
	c.elect(b, b)
	a.fetch()
	if d = a.Describe(); d.LastCut != (partition.Cut{Epoch: c.epoch, To: 1, From: 2}) || a.Counts().OffsetsCut != 1 {
		t.Errorf("%+v", d)
	}
}
