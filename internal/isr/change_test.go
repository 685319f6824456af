package isr

// Goal: the high watermark is exact, not only safe: the largest that the rules
// allow, through changes of min ISR, reports of strangers, and from one leadership
// to the next.
//
// Bounds: ISR of one to three replicas, offsets 0 to 2, every order of three
// steps, each a report (stale ones and a stranger's included), a change of min ISR
// to 1, 2 or 3, or the next leadership of replica 0.

import (
	"fmt"
	"slices"
	"testing"

	"holdfast/internal/kafka"
)

// step is one thing that happens to a leader.
type step struct {
	name string
	do   func(*Leader)
	// model does the same to what must be true.
	model func(*truth)
}

// truth is what the rules say, computed anew after each step.
type truth struct {
	durable map[kafka.BrokerID]kafka.Offset // by member of the ISR
	self    kafka.Offset                    // the leader's own durable end
	minISR  int
	hw      kafka.Offset
}

func (t *truth) settle() {
	if len(t.durable) < t.minISR {
		return
	}
	least := kafka.Offset(1 << 60)
	for _, d := range t.durable {
		least = min(least, d)
	}
	t.hw = max(t.hw, least)
}

func (t truth) clone() truth {
	next := t
	next.durable = map[kafka.BrokerID]kafka.Offset{}
	for id, d := range t.durable {
		next.durable[id] = d
	}
	return next
}

func steps(size int) (all []step) {
	for id := range kafka.BrokerID(size + 1) { // one more than there are: a stranger
		for end := kafka.Offset(0); end <= 2; end++ {
			all = append(all, step{fmt.Sprintf("flushed(%d,%d)", id, end), func(l *Leader) { l.Flushed(id, end) }, func(t *truth) {
				if d, member := t.durable[id]; member {
					t.durable[id] = max(d, end)
				}
			}})
		}
	}
	for n := 1; n <= 3; n++ {
		all = append(all, step{fmt.Sprintf("minISR(%d)", n), func(l *Leader) { l.SetMinISR(n) }, func(t *truth) { t.minISR = n }})
	}
	return append(all, step{"next leadership", func(l *Leader) {
		var ids []kafka.BrokerID
		var own kafka.Offset
		for _, m := range l.members {
			ids = append(ids, m.id)
			if m.id == l.self {
				own = m.durable
			}
		}
		*l = NewLeader(Term{Self: l.self, Epoch: l.epoch + 1, ISR: ids, MinISR: l.minISR, Durable: own, HighWatermark: l.highWatermark})
	}, func(t *truth) {
		for id := range t.durable {
			if id != 0 {
				t.durable[id] = 0 // counts as having nothing until it reports
			}
		}
	}})
}

func walk(l Leader, t truth, all []step, depth int, trace string, change func(*Leader, *step)) error {
	if depth == 0 {
		return nil
	}
	for i := range all {
		next, must := l, t.clone()
		next.members = slices.Clone(l.members)
		change(&next, &all[i])
		all[i].model(&must)
		must.settle()
		path := trace + " " + all[i].name
		if next.HighWatermark() != must.hw || next.CanAppend() != (len(must.durable) >= must.minISR) {
			return fmt.Errorf("high watermark %d, must be %d; appends %v:%s", next.HighWatermark(), must.hw, next.CanAppend(), path)
		}
		if err := walk(next, must, all, depth-1, path, change); err != nil {
			return err
		}
	}
	return nil
}

func walkAll(change func(*Leader, *step)) error {
	for size := 1; size <= 3; size++ {
		for minISR := 1; minISR <= 3; minISR++ {
			t := Term{Self: 0, MinISR: minISR}
			must := truth{durable: map[kafka.BrokerID]kafka.Offset{}, minISR: minISR}
			for id := range kafka.BrokerID(size) {
				t.ISR, must.durable[id] = append(t.ISR, id), 0
			}
			if err := walk(NewLeader(t), must, steps(size), 3, fmt.Sprintf("isr of %d, min ISR %d:", size, minISR), change); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestLeader_HighWatermarkIsExact(t *testing.T) {
	if err := walkAll(func(l *Leader, s *step) { s.do(l) }); err != nil {
		t.Error(err)
	}
	mutants := map[string]func(*Leader, *step){
		"a change of min ISR moves nothing": func(l *Leader, s *step) {
			before := l.highWatermark
			if s.do(l); s.name == "minISR(1)" {
				l.highWatermark = before
			}
		},
		"a stranger counts": func(l *Leader, s *step) {
			if s.do(l); s.name == fmt.Sprintf("flushed(%d,2)", len(l.members)) {
				l.highWatermark = 2
			}
		},
		"followers keep what they reported to the leader before": func(l *Leader, s *step) {
			before := slices.Clone(l.members)
			if s.do(l); s.name == "next leadership" {
				l.members = before
			}
		},
		"it never moves": func(l *Leader, s *step) { s.do(l); l.highWatermark = 0 },
	}
	for name, m := range mutants {
		if err := walkAll(m); err == nil {
			t.Errorf("mutant %q was not refuted", name)
		} else {
			t.Logf("mutant %q: %v", name, err)
		}
	}
}
