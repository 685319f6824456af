package partition_test

import (
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/partition"
)

// TestReplicas_CommitWaitsForTheWholeISR: with another replica in the ISR the
// leader's own flush commits nothing: acks=all waits, the high watermark stands
// still, acks=1 under acks.policy=allow does not wait for it. When the metadata
// says that the other has left, what is durable here is committed.
func TestReplicas_CommitWaitsForTheWholeISR(t *testing.T) {
	w := newWorld(t, nil)
	w.Lead(partition.Leadership{Epoch: 2, ISR: []kafka.BrokerID{1, 2}, MinISR: 2})
	all := w.append(partition.WaitISR, nil, "a", "b")
	local := w.append(partition.WaitLocal, nil, "c")
	w.storage.flush()
	w.wantWaiting(all)
	w.wantCode(local, kafka.ErrNone)
	if o := w.Offsets(); o.HighWatermark != 0 || o.Durable != 3 || o.LogEnd != 3 {
		t.Errorf("with a replica that has reported nothing: %+v", o)
	}
	w.Lead(partition.Leadership{Epoch: 3, ISR: []kafka.BrokerID{1}, MinISR: 2})
	if o := w.Offsets(); o.HighWatermark != 0 {
		t.Errorf("below min ISR: %+v", o)
	}
	w.wantCode(w.append(partition.WaitISR, nil, "refused"), kafka.ErrNotEnoughReplicas)
	if _, waiting := w.outcome(all); waiting {
		t.Error("a produce of the epoch before still waits")
	}
	w.Lead(partition.Leadership{Epoch: 4, ISR: []kafka.BrokerID{1}, MinISR: 1})
	if o := w.Offsets(); o.HighWatermark != 3 || o.Epoch != 4 {
		t.Errorf("alone in the ISR: %+v", o)
	}
}
