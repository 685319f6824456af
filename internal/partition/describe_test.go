package partition_test

import (
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/partition"
	"holdfast/internal/purgatory"
)

// What waits is counted, and what has its answer is not.
func TestPartition_WaitingCountsWhatWaits(t *testing.T) {
	w := newWorld(t, nil)
	want := func(when string, writes, fetches int) {
		t.Helper()
		if gotWrites, gotFetches := w.Waiting(); gotWrites != writes || gotFetches != fetches {
			t.Errorf("%s: %d writes and %d fetches wait, want %d and %d", when, gotWrites, gotFetches, writes, fetches)
		}
	}
	want("at first", 0, 0)
	w.append(partition.WaitISR, nil, "a")
	fetch := purgatory.New(1, func() {})
	if !w.AwaitData(0, fetch) {
		t.Fatal("there is nothing to read and nothing to wait for")
	}
	want("unflushed", 1, 1)
	fetch.Finish()
	want("the fetch has its answer", 1, 0)
	w.storage.flush()
	want("flushed", 0, 0)
}

// The planted fault answers a write at once, though nothing is durable.
func TestFaults_AckEarlyWaitsForNothing(t *testing.T) {
	for _, early := range []bool{false, true} {
		w := newWorld(t, func(_ *config.Topic, o *partition.Options) { o.Faults.AckEarly = early })
		if p := w.append(partition.WaitISR, nil, "a"); p.Code != 0 || p.Waiting == early || w.Log().End() != 1 {
			t.Errorf("early %v: %+v, log end %d", early, p.AppendResult, w.Log().End())
		}
	}
}
