package isr

// Goal: prove rules 1 to 3 of doc.go by exhausting every interleaving, and prove
// that the check can fail by refuting three mutants of the rule.
//
// Bounds: ISR of one to three replicas, min ISR 1 to 3, offsets 0 to 3, every
// order of durable reports (stale ones included) and of one min ISR change.

import (
	"fmt"
	"testing"

	"holdfast/internal/kafka"
)

type rule func(l *Leader, id kafka.BrokerID, end kafka.Offset)

type world struct {
	l       Leader
	durable [3]kafka.Offset // the truth
	trace   string
}

func explore(w world, apply rule, depth int) error {
	if depth == 0 {
		return nil
	}
	for id := range w.l.members {
		for end := kafka.Offset(0); end <= 3; end++ {
			n := w
			n.l.members = append([]member(nil), w.l.members...)
			n.trace += fmt.Sprintf(" flushed(%d,%d)", id, end)
			n.durable[id] = max(n.durable[id], end)
			apply(&n.l, kafka.BrokerID(id), end)
			if err := check(w, n); err != nil {
				return err
			}
			if err := explore(n, apply, depth-1); err != nil {
				return err
			}
		}
	}
	return nil
}

func check(before, after world) error {
	hw := after.l.HighWatermark()
	if hw < before.l.HighWatermark() {
		return fmt.Errorf("high watermark went back:%s", after.trace)
	}
	if hw > 0 && after.l.Size() < after.l.minISR {
		return fmt.Errorf("committed with an ISR below min ISR:%s", after.trace)
	}
	for i := range after.l.members {
		if after.durable[i] < hw {
			return fmt.Errorf("high watermark %d, but replica %d has only %d:%s", hw, i, after.durable[i], after.trace)
		}
	}
	return nil
}

func run(apply rule) error {
	for size := 1; size <= 3; size++ {
		for minISR := 1; minISR <= 3; minISR++ {
			t := Term{Self: 0, MinISR: minISR}
			for i := range size {
				t.ISR = append(t.ISR, kafka.BrokerID(i))
			}
			if err := explore(world{l: NewLeader(t)}, apply, 4); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestLeader_HighWatermarkModel(t *testing.T) {
	if err := run(func(l *Leader, id kafka.BrokerID, end kafka.Offset) { l.Flushed(id, end) }); err != nil {
		t.Fatal(err)
	}
}

func TestLeader_MutantsAreRefuted(t *testing.T) {
	mutants := map[string]rule{
		"believe a stale report": func(l *Leader, id kafka.BrokerID, end kafka.Offset) {
			l.members[id].durable = end
			l.highWatermark = l.members[0].durable
		},
		"acknowledge at the leader alone": func(l *Leader, id kafka.BrokerID, end kafka.Offset) {
			l.Flushed(id, end)
			if id == 0 {
				l.highWatermark = max(l.highWatermark, end)
			}
		},
		"ignore min ISR": func(l *Leader, id kafka.BrokerID, end kafka.Offset) {
			keep := l.minISR
			l.minISR = 1
			l.Flushed(id, end)
			l.minISR = keep
		},
	}
	for name, m := range mutants {
		err := run(m)
		if err == nil {
			t.Errorf("mutant %q was not refuted", name)
			continue
		}
		t.Logf("mutant %q: %v", name, err)
	}
}

func TestLeader_CanAppend(t *testing.T) {
	l := NewLeader(Term{Self: 1, ISR: []kafka.BrokerID{1}, MinISR: 1})
	if !l.CanAppend() {
		t.Error("one replica, min ISR 1: refused")
	}
	l.SetMinISR(2)
	if l.CanAppend() {
		t.Error("one replica, min ISR 2: accepted; min ISR must be literal")
	}
}
