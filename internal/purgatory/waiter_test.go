package purgatory_test

import (
	"sync"
	"testing"

	"holdfast/internal/purgatory"
)

func TestWaiter_CompletesOnceAtTheLastArrival(t *testing.T) {
	woken := 0
	w := purgatory.New(3, func() { woken++ })
	w.Arrive()
	w.Arrive()
	if w.Done() || woken != 0 {
		t.Fatalf("after 2 of 3 arrivals: done %v, woken %d", w.Done(), woken)
	}
	w.Arrive()
	w.Arrive() // one too many
	if w.Finish() {
		t.Error("Finish after completion claims to have completed it")
	}
	if !w.Done() || woken != 1 {
		t.Fatalf("after the last arrival: done %v, woken %d, want true, 1", w.Done(), woken)
	}
}

func TestWaiter_FinishRacesWithArrivals(t *testing.T) {
	for range 200 {
		woken := 0
		w := purgatory.New(4, func() { woken++ })
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(w.Arrive)
		}
		wg.Go(func() { w.Finish() })
		wg.Wait()
		if woken != 1 {
			t.Fatalf("woken %d times, want 1", woken)
		}
	}
}

func TestList_ForgetsFinishedWaiters(t *testing.T) {
	var l purgatory.List
	live := purgatory.New(1, func() {})
	l.Add(live)
	for range 10_000 {
		w := purgatory.New(1, func() {})
		l.Add(w)
		w.Finish()
	}
	if l.Len() > 64 {
		t.Errorf("list holds %d waiters for one that waits", l.Len())
	}
	found := false
	for _, w := range l.TakeAll(nil) {
		found = found || w == live
	}
	if !found {
		t.Error("the list lost the waiter that still waits")
	}
	if l.Len() != 0 {
		t.Errorf("after TakeAll the list holds %d", l.Len())
	}
}
