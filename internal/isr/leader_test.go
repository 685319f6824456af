package isr

import (
	"slices"
	"testing"
	"time"

	"holdfast/internal/kafka"
)

// rig is a leader and its time. LagMax is 8 s, so a joiner must have been at the
// leader's end within 1 s and is held for at most 1 s.
type rig struct {
	t *testing.T
	l Leader
	s time.Time
}

// newRig begins a term of replica 0 at time 0 with replicas 0 to 2, all of them
// candidates in incarnation 7, and a log that ends at 10, all durable.
func newRig(t *testing.T, minISR int, isr ...kafka.BrokerID) *rig {
	r := &rig{t: t, s: now}
	r.l = NewLeader(Term{Self: 0, Epoch: 3, PartitionEpoch: 5, Replicas: ids(0, 1, 2), ISR: isr, Candidates: candidates(7, 0, 1, 2),
		MinISR: minISR, End: 10, Durable: 10, HighWatermark: 10, LagMax: lagMax, Now: r.s})
	return r
}

func ids(list ...kafka.BrokerID) []kafka.BrokerID { return list }

func candidates(epoch kafka.BrokerEpoch, list ...kafka.BrokerID) (all []Candidate) {
	for _, id := range list {
		all = append(all, Candidate{id, epoch})
	}
	return all
}

func (r *rig) pass(d time.Duration) { r.s = r.s.Add(d) }

func (r *rig) append(end kafka.Offset) Effects {
	r.l.Appended(end, r.s)
	return r.l.Flushed(end, r.s)
}

func (r *rig) fetch(id kafka.BrokerID, from kafka.Offset) Effects {
	return r.l.Fetched(Fetch{id, 7, from}, r.s)
}

func (r *rig) report(id kafka.BrokerID, end kafka.Offset) Effects {
	return r.l.Reported(Report{id, 7, end}, r.s)
}

// follow makes id fetch and flush everything.
func (r *rig) follow(id kafka.BrokerID) Effects {
	first := r.fetch(id, r.l.end)
	if second := r.report(id, r.l.end); second.Propose != nil {
		return second
	}
	return first
}

func (r *rig) changed(epoch kafka.PartitionEpoch, isr ...kafka.BrokerID) Effects {
	return r.l.Changed(Change{PartitionEpoch: epoch, Replicas: ids(0, 1, 2), ISR: isr, Candidates: candidates(7, 0, 1, 2), MinISR: r.l.minISR}, r.s)
}

func (r *rig) wantHighWatermark(want kafka.Offset) {
	r.t.Helper()
	if got := r.l.HighWatermark(); got != want {
		r.t.Errorf("high watermark %d, want %d: %+v", got, want, r.l.Describe())
	}
}

func (r *rig) wantProposal(e Effects, want ...kafka.BrokerID) {
	r.t.Helper()
	var got []kafka.BrokerID
	if e.Propose != nil {
		for _, c := range e.Propose.ISR {
			got = append(got, c.ID)
		}
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("proposed %v, want %v: %+v", got, want, r.l.Describe())
	}
}

func TestLeader_AloneCommitsWhatItHasFlushed(t *testing.T) {
	l := NewLeader(Term{Self: 1, Replicas: ids(1), ISR: ids(1), MinISR: 1, LagMax: lagMax})
	if l.Appended(5, now).Moved || l.HighWatermark() != 0 {
		t.Error("an append committed something")
	}
	if !l.Flushed(3, now).Moved || l.HighWatermark() != 3 || !l.CanAppend() {
		t.Errorf("high watermark %d after a flush to 3", l.HighWatermark())
	}
	if l.Flushed(2, now).Moved || l.HighWatermark() != 3 {
		t.Error("an old flush moved something")
	}
}

func TestLeader_MinISRIsLiteral(t *testing.T) {
	l := NewLeader(Term{Self: 1, Replicas: ids(1), ISR: ids(1), MinISR: 2, LagMax: lagMax})
	if l.Flushed(3, now); l.CanAppend() || l.HighWatermark() != 0 {
		t.Error("one replica, min ISR 2: accepted")
	}
	if e := l.Changed(Change{Replicas: ids(1), ISR: ids(1), MinISR: 1}, now); !e.Moved || l.HighWatermark() != 3 {
		t.Errorf("min ISR 1: high watermark %d", l.HighWatermark())
	}
}

func TestLeader_HighWatermarkWaitsForTheWholeISR(t *testing.T) {
	r := newRig(t, 2, 0, 1, 2)
	r.append(12)
	r.follow(1)
	r.wantHighWatermark(10)
	r.fetch(2, 12)
	r.wantHighWatermark(10)
	if !r.report(2, 11).Moved {
		t.Error("not moved")
	}
	r.wantHighWatermark(11)
	r.report(2, 12)
	r.report(1, 3) // late
	r.wantHighWatermark(12)
}

func TestLeader_PageCacheCountsWhatIsNotDurable(t *testing.T) {
	l := NewLeader(Term{Self: 0, Replicas: ids(0, 1), ISR: ids(0, 1), Candidates: candidates(7, 0, 1), MinISR: 1, LagMax: lagMax, Now: now, PageCache: true})
	l.Appended(4, now)
	if e := l.Fetched(Fetch{1, 7, 3}, now); !e.Moved || l.HighWatermark() != 3 {
		t.Errorf("high watermark %d", l.HighWatermark())
	}
	if l.Changed(Change{Replicas: ids(0, 1), ISR: ids(0, 1), Candidates: candidates(7, 0, 1), MinISR: 1}, now); l.HighWatermark() != 3 {
		t.Errorf("out of page-cache mode: %d", l.HighWatermark())
	}
	if l.Fetched(Fetch{1, 7, 4}, now); l.HighWatermark() != 3 {
		t.Errorf("out of page-cache mode a fetch counts: %d", l.HighWatermark())
	}
}

func TestLeader_BeginsBelowWhatItHas(t *testing.T) {
	// Only a forced recovery makes a leader of a replica that lacks what it knew to
	// be committed.
	l := NewLeader(Term{Self: 0, Replicas: ids(0), ISR: ids(0), MinISR: 1, End: 4, Durable: 4, HighWatermark: 9, LagMax: lagMax})
	if l.HighWatermark() != 4 || l.EpochStart() != 4 {
		t.Errorf("high watermark %d, epoch start %d", l.HighWatermark(), l.EpochStart())
	}
}

func TestLeader_StrangersOldIncarnationsAndImpossibleEndsCountForNothing(t *testing.T) {
	r := newRig(t, 1, 0, 1)
	r.l.Appended(12, r.s)
	r.report(1, 10)
	r.report(0, 12) // its own flush tells it, and nothing else
	if s := r.l.Describe()[0]; s.DurableEnd != 10 {
		t.Errorf("%+v", s)
	}
	r.append(12)
	r.report(9, 12)
	r.l.Reported(Report{1, 6, 12}, r.s)
	r.l.Reported(Report{1, 8, 12}, r.s)
	r.report(1, 13)
	r.report(1, -1)
	r.fetch(1, 13)
	r.fetch(1, -1)
	r.l.Fetched(Fetch{1, 6, 12}, r.s)
	r.wantHighWatermark(10)
	if s := r.l.Describe()[1]; s.FetchEnd != kafka.NoOffset || s.DurableEnd != 10 {
		t.Errorf("%+v", s)
	}
	// A new incarnation starts from nothing.
	r.report(1, 11)
	r.wantHighWatermark(11)
	r.l.Changed(Change{PartitionEpoch: 5, Replicas: ids(0, 1, 2), ISR: ids(0, 1), Candidates: append(candidates(7, 0, 2), Candidate{1, 8}), MinISR: 1}, r.s)
	if s := r.l.Describe()[1]; s.DurableEnd != kafka.NoOffset || s.FetchEnd != kafka.NoOffset || s.Epoch != 8 {
		t.Errorf("%+v", s)
	}
	r.report(1, 12)
	r.wantHighWatermark(11)
	r.l.Reported(Report{1, 8, 12}, r.s)
	r.wantHighWatermark(12)
}

func TestLeader_ShrinksWhenAReplicaLagsForLagMax(t *testing.T) {
	r := newRig(t, 1, 0, 1, 2)
	r.follow(1)
	r.follow(2)
	r.pass(time.Hour)
	r.wantProposal(r.l.Tick(r.s)) // idle: nobody lags
	r.append(11)
	r.follow(1)
	r.pass(lagMax)
	r.wantProposal(r.l.Tick(r.s))
	r.pass(time.Millisecond)
	e := r.l.Tick(r.s)
	r.wantProposal(e, 0, 1)
	if p := e.Propose; p.PartitionEpoch != 5 || p.LeaderEpoch != 3 || p.ISR[1].Epoch != 7 {
		t.Errorf("%+v", p)
	}
	r.wantHighWatermark(10) // both outcomes are possible
	if r.l.Size() != 2 {
		t.Errorf("size %d: min ISR counts who is in sync whatever happens", r.l.Size())
	}
	r.wantProposal(r.l.Tick(r.s)) // one at a time
	r.l.Answered(Answer{LeaderEpoch: 3, Number: 1}, r.s)
	r.wantHighWatermark(10)
	if e := r.changed(6, 0, 1); !e.Moved {
		t.Error("not moved")
	}
	r.wantHighWatermark(11)
}

// TestLeader_SteadyLagIsNoLag: a follower that is always one second behind under
// load has everything of a second ago, and stays; one that falls back leaves.
func TestLeader_SteadyLagIsNoLag(t *testing.T) {
	r := newRig(t, 1, 0, 1)
	for k := kafka.Offset(1); k < 100; k++ {
		r.pass(time.Second)
		r.append(10 + 10*k)
		r.report(1, 10*k)
		r.wantProposal(r.l.Tick(r.s))
	}
	for k := kafka.Offset(100); k < 130; k++ { // half as fast as the load
		r.pass(time.Second)
		r.append(10 + 10*k)
		r.report(1, 1000+5*(k-100))
		if e := r.l.Tick(r.s); e.Propose != nil {
			if behind := r.s.Sub(r.l.replica(1).durable.caughtUp); behind <= lagMax || behind > lagMax+2*time.Second {
				t.Errorf("left after %s", behind)
			}
			return
		}
	}
	t.Error("it stays for ever")
}

func TestLeader_SlowReplicaRejoinsByItself(t *testing.T) {
	r := newRig(t, 2, 0, 1)
	r.append(20)
	r.pass(2 * lagMax)
	r.wantProposal(r.l.Tick(r.s), 0)
	r.changed(6, 0)
	if r.l.CanAppend() {
		t.Error("appends below min ISR")
	}
	r.wantProposal(r.fetch(1, 10)) // back, and behind
	r.wantProposal(r.report(1, 10))
	r.wantProposal(r.fetch(1, 20))
	r.wantProposal(r.report(1, 20), 0, 1)
	r.wantHighWatermark(10) // strict min ISR: not before it is committed
	if r.l.CanAppend() {
		t.Error("appends on the strength of a proposal")
	}
	r.changed(7, 0, 1)
	r.wantHighWatermark(20)
}

// TestLeader_FrozenHighWatermarkAdmitsNobodyEarly is KAFKA-19996: below min ISR the
// high watermark stands still, and being above it says nothing.
func TestLeader_FrozenHighWatermarkAdmitsNobodyEarly(t *testing.T) {
	r := newRig(t, 2, 0)
	r.append(1000)
	r.wantProposal(r.fetch(1, 10))
	r.wantProposal(r.report(1, 10))
	r.wantProposal(r.report(1, 999))
	r.pass(time.Minute)
	r.wantProposal(r.report(1, 999))
	r.fetch(1, 1000)
	r.wantProposal(r.report(1, 1000), 0, 1)
}

func TestLeader_IneligibleReplicaNeitherJoinsNorHolds(t *testing.T) {
	r := newRig(t, 1, 0)
	r.append(11)
	r.follow(1)
	r.l.withdraw()
	change := Change{PartitionEpoch: 6, Replicas: ids(0, 1, 2), ISR: ids(0), Candidates: candidates(7, 0, 2), MinISR: 1}
	if e := r.l.Changed(change, r.s); e.Propose != nil {
		t.Errorf("proposed %+v", e.Propose)
	}
	r.append(12)
	r.wantProposal(r.fetch(1, 11))
	r.wantHighWatermark(12) // KAFKA-15021: nothing waits for it
	// And a leader that is itself no candidate proposes nothing.
	change.PartitionEpoch, change.Candidates = 7, candidates(7, 1, 2)
	r.l.Changed(change, r.s)
	r.wantProposal(r.follow(1))
}

func TestLeader_HoldEndsWithTheCandidate(t *testing.T) {
	r := newRig(t, 1, 0)
	r.report(1, 10)
	r.append(11)
	r.fetch(1, 11)
	r.append(12)
	r.wantHighWatermark(11) // held
	e := r.l.Changed(Change{PartitionEpoch: 5, Replicas: ids(0, 1, 2), ISR: ids(0), Candidates: candidates(7, 0, 2), MinISR: 1}, r.s)
	if !e.Moved {
		t.Error("a fenced replica holds the high watermark")
	}
	r.wantHighWatermark(12)
}

// TestLeader_JoinsWithWhatIsBelowTheEpochsStart: a member has LagMax from the
// beginning of a term to match and report; when it is put out of the ISR
// meanwhile, that grace does not bring it back (KAFKA-7128).
func TestLeader_JoinsWithWhatIsBelowTheEpochsStart(t *testing.T) {
	r := newRig(t, 1, 0, 1)
	r.l = NewLeader(Term{Self: 0, Epoch: 4, PartitionEpoch: 5, Replicas: ids(0, 1), ISR: ids(0, 1), Candidates: candidates(7, 0, 1),
		MinISR: 2, End: 10, Durable: 10, HighWatermark: 5, LagMax: lagMax, Now: r.s})
	r.l.Changed(Change{PartitionEpoch: 6, Replicas: ids(0, 1), ISR: ids(0), Candidates: candidates(7, 0, 1), MinISR: 2}, r.s)
	r.wantProposal(r.fetch(1, 6))
	r.wantProposal(r.report(1, 6))
	r.wantHighWatermark(5)
	r.wantProposal(r.report(1, 10), 0, 1)
}

func TestLeader_JoinsWithAFetchEndAtTheLeadersEnd(t *testing.T) {
	r := newRig(t, 1, 0)
	r.wantProposal(r.report(1, 10)) // another connection: it may be first
	r.wantProposal(r.fetch(1, 3))
	r.wantProposal(r.fetch(1, 10), 0, 1)
}

func TestLeader_PageCacheTopicsAskForNoFlush(t *testing.T) {
	r := newRig(t, 1, 0, 1)
	r.l.pageCache = true
	for range 20 {
		r.pass(lagMax / 2)
		r.l.Appended(r.l.end+5, r.s)
		r.fetch(1, r.l.end)
		r.wantProposal(r.l.Tick(r.s))
	}
	r.wantHighWatermark(r.l.end)
	if s := r.l.Describe()[1]; !s.LagSince.IsZero() {
		t.Errorf("%+v", s)
	}
	r.l.Appended(r.l.end+1, r.s)
	if s := r.l.Describe()[1]; !s.LagSince.Equal(r.s) {
		t.Errorf("%+v", s)
	}
	r.wantProposal(r.fetch(2, r.l.end), 0, 1, 2)
}

func TestLeader_JoinerIsHeldAndLetGo(t *testing.T) {
	r := newRig(t, 1, 0)
	r.fetch(1, 10)
	r.l.withdraw()
	r.report(1, 10)
	r.l.withdraw()
	r.append(11)
	r.wantHighWatermark(11)
	r.wantProposal(r.fetch(1, 11)) // all but one flush
	r.append(12)
	r.wantHighWatermark(11) // held
	if s := r.l.Describe()[1]; !s.Held || s.InSync || s.Proposed {
		t.Errorf("%+v", s)
	}
	r.pass(time.Second)
	if e := r.l.Tick(r.s); !e.Moved {
		t.Error("the hold does not end")
	}
	r.wantHighWatermark(12)
	r.fetch(1, 12)
	r.append(13)
	r.wantHighWatermark(13) // no second hold so soon
	r.wantProposal(r.report(1, 12))
	r.fetch(1, 13)
	r.wantProposal(r.report(1, 13), 0, 1)
	r.append(14)
	r.wantHighWatermark(13) // proposed: counted until metadata says
}

// TestLeader_LoadKeepsNobodyOut drives a joiner whose flush takes longer than all
// that the leader commits meanwhile. Without holds it would never be admitted.
func TestLeader_LoadKeepsNobodyOut(t *testing.T) {
	joined := func(holds bool) (at time.Duration, stall time.Duration) {
		r := newRig(t, 1, 0)
		const flush, trip = 20 * time.Millisecond, 2 * time.Millisecond
		var got, flushing, fetched kafka.Offset
		var flushed, moved time.Duration
		reports := map[time.Duration]kafka.Offset{}
		for at = 0; at < time.Minute; at += time.Millisecond {
			r.pass(time.Millisecond)
			if !holds {
				r.l.replica(1).restUntil = r.s.Add(time.Hour)
			}
			end := r.l.end
			r.l.Appended(end+5, r.s)
			if r.l.Flushed(end, r.s).Moved {
				stall, moved = max(stall, at-moved), at
			}
			var effects []Effects
			if at%trip == 0 {
				effects = append(effects, r.fetch(1, fetched))
				got, fetched = fetched, r.l.end
			}
			if end, ok := reports[at]; ok {
				effects = append(effects, r.report(1, end))
			}
			if at >= flushed && got > flushing {
				flushing, flushed = got, at+flush
				reports[flushed+trip/2] = flushing
			}
			for _, e := range effects {
				if e.Propose != nil {
					if r.l.Describe()[1].Held {
						t.Error("held beyond the proposal")
					}
					return at, max(stall, at-moved)
				}
			}
		}
		return at, stall
	}
	at, stall := joined(true)
	if at > time.Second || stall > lagMax/8+time.Millisecond {
		t.Errorf("joined after %s, longest stall %s", at, stall)
	}
	t.Logf("5000 records a second, a flush of 20 ms: joined after %s, the high watermark stood still for %s at most", at, stall)
	if at, _ := joined(false); at < time.Minute {
		t.Errorf("without holds it joins after %s: the test shows nothing", at)
	}
}

func TestLeader_RefusalIsForItsProposalOnly(t *testing.T) {
	r := newRig(t, 1, 0)
	r.wantProposal(r.follow(1), 0, 1)
	p, outstanding := r.l.Outstanding()
	if !outstanding || p.Number != 1 {
		t.Errorf("outstanding %v %+v", outstanding, p)
	}
	r.append(11)
	for _, a := range []Answer{{3, 1, false}, {2, 1, true}, {3, 0, true}, {3, 2, true}} {
		if e := r.l.Answered(a, r.s); e.Moved {
			t.Errorf("%+v moved the high watermark", a)
		}
	}
	r.wantHighWatermark(10)
	if e := r.l.Answered(Answer{3, 1, true}, r.s); !e.Moved {
		t.Error("a refusal changes nothing")
	}
	r.wantHighWatermark(11)
	r.wantProposal(r.follow(1)) // not again at once
	r.pass(time.Second)
	r.wantProposal(r.follow(1), 0, 1)
	if p, _ := r.l.Outstanding(); p.Number != 2 {
		t.Errorf("%+v", p)
	}
}

func TestLeader_ProposalOutlivesMetadataOfTheSameEpoch(t *testing.T) {
	r := newRig(t, 1, 0)
	r.wantProposal(r.follow(1), 0, 1)
	r.append(11)
	r.changed(5, 0)
	r.wantHighWatermark(10)
	// Another incarnation of a member: the proposal can no longer be applied.
	e := r.l.Changed(Change{PartitionEpoch: 5, Replicas: ids(0, 1, 2), ISR: ids(0), Candidates: append(candidates(7, 0, 2), Candidate{1, 8}), MinISR: 1}, r.s)
	if _, outstanding := r.l.Outstanding(); outstanding || !e.Moved {
		t.Error("still outstanding")
	}
	r.wantHighWatermark(11)
}

func TestLeader_ReplicaThatLeavesTheAssignmentIsForgotten(t *testing.T) {
	r := newRig(t, 1, 0)
	r.follow(1)
	r.l.Changed(Change{PartitionEpoch: 6, Replicas: ids(0, 2), ISR: ids(0), Candidates: candidates(7, 0, 1, 2), MinISR: 1}, r.s)
	r.append(11)
	r.wantHighWatermark(11)
	r.wantProposal(r.follow(1))
	if len(r.l.Describe()) != 2 || r.l.InSync(1) || !r.l.InSync(0) || r.l.InSync(2) {
		t.Errorf("%+v", r.l.Describe())
	}
	r.changed(7, 0)
	if s := r.l.Describe()[1]; s.DurableEnd != kafka.NoOffset {
		t.Errorf("assigned again: %+v", s)
	}
}

func BenchmarkLeader_Append(b *testing.B) {
	r := newRig(nil, 2, 0, 1, 2)
	b.ReportAllocs()
	for k := range b.N {
		end := kafka.Offset(11 + k)
		r.l.Appended(end, now)
		r.l.Flushed(end, now)
		r.l.Fetched(Fetch{1, 7, end}, now)
		r.l.Reported(Report{1, 7, end}, now)
		r.l.Reported(Report{2, 7, end}, now)
	}
	if r.l.HighWatermark() != r.l.end {
		b.Fatal("nothing was committed")
	}
}
