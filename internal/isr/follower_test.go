package isr

// Goal: a follower's log becomes a prefix of its leader's by epochs alone, without
// cutting a record that both have.
//
// Method: every pair of logs of up to five records and four epochs that replicas can
// have (a record of the same epoch at the same offset is the same record, and then
// so is everything before it), with and without an epoch at the end of the follower's
// log that has no record. Each mutant must be refuted.

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"holdfast/internal/kafka"
)

// history is a log as the epochs of its records, and one more that has none.
type history struct {
	log   []kafka.LeaderEpoch
	empty kafka.LeaderEpoch // begun at the end; 0: none
}

func (h history) EndOf(epoch kafka.LeaderEpoch) EpochEnd {
	if h.empty != 0 && h.empty <= epoch {
		return EpochEnd{h.empty, kafka.Offset(len(h.log))}
	}
	for k := len(h.log) - 1; k >= 0; k-- {
		if h.log[k] <= epoch {
			return EpochEnd{h.log[k], kafka.Offset(k + 1)}
		}
	}
	return EpochEnd{kafka.NoLeaderEpoch, 0}
}

func (h history) Last() EpochEnd { return h.EndOf(1 << 30) }

func (h history) cut(to kafka.Offset) history {
	if kafka.Offset(len(h.log)) >= to {
		h.empty = 0 // it starts at the end
	}
	return history{slices.Clone(h.log[:to]), h.empty}
}

// logs lists every log of up to n records of epochs first..4.
func logs(n int, first kafka.LeaderEpoch) (all [][]kafka.LeaderEpoch) {
	all = append(all, nil)
	if n == 0 {
		return all
	}
	for e := first; e <= 4; e++ {
		for _, rest := range logs(n-1, e) {
			all = append(all, append([]kafka.LeaderEpoch{e}, rest...))
		}
	}
	return all
}

// shared is the length of the prefix that both have. ok is false for logs that
// cannot both exist: past the point where they part they share no epoch at the same
// offset.
func shared(a, b []kafka.LeaderEpoch) (n int, ok bool) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	for k := n; k < len(a) && k < len(b); k++ {
		if a[k] == b[k] {
			return n, false
		}
	}
	// An epoch has one leader and so one run of records: where the logs part within
	// epoch e of the one, the other has no more records of e.
	for k := n; k < len(a); k++ {
		if n < len(b) && slices.Contains(b[n:], a[k]) {
			return n, false
		}
	}
	return n, true
}

type cutter func(own History, leader EpochEnd) (kafka.Offset, error)

func matchAll(cut func(f *Follower) cutter) (pairs, rounds int, err error) {
	all := logs(5, 1)
	for _, leader := range all {
		for _, follower := range all {
			common, ok := shared(leader, follower)
			if !ok {
				continue
			}
			for empty := kafka.LeaderEpoch(0); empty <= 4; empty++ {
				if empty != 0 && len(follower) > 0 && empty <= follower[len(follower)-1] {
					continue
				}
				if at := slices.Index(leader, empty); at >= 0 && (at != len(follower) || common != at) {
					continue // the follower led that epoch: nobody has records of it elsewhere
				}
				pairs++
				n, err := match(history{log: leader}, history{follower, empty}, kafka.Offset(common), cut)
				if rounds = max(rounds, n); err != nil {
					return pairs, rounds, fmt.Errorf("leader %v, follower %v and empty epoch %d: %w", leader, follower, empty, err)
				}
			}
		}
	}
	return pairs, rounds, nil
}

func match(leader, own history, common kafka.Offset, cut func(*Follower) cutter) (rounds int, err error) {
	f := NewFollower(9, common)
	for ; rounds <= 10; rounds++ {
		part, diverges := Diverges(leader, own.Last())
		if !diverges {
			end := kafka.Offset(len(own.log))
			if end != common {
				return rounds, fmt.Errorf("ends with %v, they share %d", own.log, common)
			}
			return rounds, nil
		}
		to, err := cut(&f)(own, part)
		if err != nil {
			return rounds, err
		}
		if to < common {
			return rounds, fmt.Errorf("cuts to %d of %d that they share", to, common)
		}
		own = own.cut(to)
	}
	return rounds, errors.New("they never match")
}

func TestFollower_MatchesByEpochsAlone(t *testing.T) {
	pairs, rounds, err := matchAll(func(f *Follower) cutter { return f.Cut })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d pairs of logs, at most %d rounds", pairs, rounds)
	mutants := map[string]func(*Follower) cutter{
		"cut at the leader's end of its epoch, whatever the own epochs are": func(f *Follower) cutter {
			return func(own History, leader EpochEnd) (kafka.Offset, error) { return min(leader.End, own.Last().End), nil }
		},
		"cut at the own end of the leader's epoch only": func(f *Follower) cutter {
			return func(own History, leader EpochEnd) (kafka.Offset, error) { return own.EndOf(leader.Epoch).End, nil }
		},
		"cut one record and ask again": func(f *Follower) cutter {
			return func(own History, leader EpochEnd) (kafka.Offset, error) { return max(0, own.Last().End-1), nil }
		},
		"an answer that cuts no record is refused": func(f *Follower) cutter {
			return func(own History, leader EpochEnd) (kafka.Offset, error) {
				to, err := f.Cut(own, leader)
				if err == nil && to == own.Last().End {
					err = errors.New("refused")
				}
				return to, err
			}
		},
	}
	for name, m := range mutants {
		if n, _, err := matchAll(m); err == nil {
			t.Errorf("mutant %q was not refuted", name)
		} else {
			t.Logf("mutant %q, refuted after %d pairs: %v", name, n, err)
		}
	}
}

func TestFollower_NeverCutsBelowItsHighWatermark(t *testing.T) {
	own := history{log: []kafka.LeaderEpoch{1, 1, 1}}
	f := NewFollower(2, 2)
	_, err := f.Cut(own, EpochEnd{1, 1})
	var below *DivergedBelowHighWatermarkError
	if !errors.As(err, &below) || below.Cut != 1 || below.HighWatermark != 2 || below.Leader != (EpochEnd{1, 1}) {
		t.Fatalf("error %v", err)
	}
	t.Log(err)
	if to, err := f.Cut(own, EpochEnd{1, 2}); to != 2 || err != nil {
		t.Errorf("cut to %d, %v", to, err)
	}
}

func TestFollower_AnswerThatCutsNothingIsAnError(t *testing.T) {
	own := history{log: []kafka.LeaderEpoch{1, 1}}
	f := NewFollower(2, 0)
	_, err := f.Cut(own, EpochEnd{1, 2})
	var not *NotDivergingError
	if !errors.As(err, &not) || not.Own != (EpochEnd{1, 2}) {
		t.Fatalf("error %v", err)
	}
	t.Log(err)
}

func TestFollower_ReportsOnlyWhatItHasMatched(t *testing.T) {
	f := NewFollower(2, 0)
	if _, ok := f.Progress(5); ok {
		t.Error("progress before the first match of the epoch")
	}
	if !f.Matched(3, 9) || f.Matched(4, 2) {
		t.Error("the first match of the epoch is told once")
	}
	if f.HighWatermark() != 3 { // min(the leader's, the own end), and never back
		t.Errorf("high watermark %d", f.HighWatermark())
	}
	if got, ok := f.Progress(9); !ok || got != 4 {
		t.Errorf("progress %d %v", got, ok)
	}
	if got, ok := f.Progress(1); !ok || got != 1 {
		t.Errorf("progress %d %v", got, ok)
	}
	if to, err := f.Cut(history{log: []kafka.LeaderEpoch{1, 1, 1, 1}}, EpochEnd{1, 3}); to != 3 || err != nil {
		t.Errorf("cut to %d, %v", to, err)
	}
	if got, ok := f.Progress(9); !ok || got != 3 {
		t.Errorf("after a cut: progress %d %v", got, ok)
	}
	f.Restarted(8)
	if got, ok := f.Progress(8); !ok || got != 8 || f.HighWatermark() != 8 {
		t.Errorf("progress %d %v, high watermark %d", got, ok, f.HighWatermark())
	}
}

func TestFollower_DropsOldAnswers(t *testing.T) {
	f := NewFollower(2, 0)
	if !f.Accepts(2, 7, 7) || f.Accepts(1, 7, 7) || f.Accepts(2, 6, 7) || f.Accepts(3, 7, 7) {
		t.Error("accepts what does not fit, or not what does")
	}
	if f.Epoch() != 2 {
		t.Errorf("epoch %d", f.Epoch())
	}
}
