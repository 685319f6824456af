//go:build faults

package node_test

import (
	"errors"
	"testing"
)

// TestNode_CrashTestSeesPlantedFaults: in a build that can plant them, the crash
// test notices each one.
func TestNode_CrashTestSeesPlantedFaults(t *testing.T) {
	for _, fault := range []string{"ack-before-write", "no-fsync", "no-producer-table"} {
		const seeds = 20
		caught := 0
		for seed := range uint64(seeds) {
			bubble(t, func(t *testing.T) {
				if err := (crashPlan{seed: seed, cycles: 3, faults: fault}).run(t); err != nil {
					t.Logf("%s, seed %d: %v", fault, seed, err)
					caught++
				}
			})
		}
		if caught < seeds/4 {
			t.Errorf("%s was noticed in %d of %d runs", fault, caught, seeds)
		}
	}
}

// TestNode_PowerCutsSeeACommitAnsweredTooEarly: the test of committed offsets
// notices the fault that it is there for.
func TestNode_PowerCutsSeeACommitAnsweredTooEarly(t *testing.T) {
	const seeds = 8
	caught := 0
	for seed := range uint64(seeds) {
		bubble(t, func(t *testing.T) {
			if err := (commitPlan{seed: seed, cycles: 2, faults: "commit-early"}).run(t); err != nil {
				t.Logf("seed %d: %v", seed, err)
				caught++
			}
		})
	}
	if caught < seeds/2 {
		t.Errorf("noticed in %d of %d runs", caught, seeds)
	}
}

// TestNode_GroupsSeeACommitAnsweredTooEarly: so does the test of whole groups.
func TestNode_GroupsSeeACommitAnsweredTooEarly(t *testing.T) {
	const seeds = 6
	caught := 0
	for seed := range uint64(seeds) {
		bubble(t, func(t *testing.T) {
			if _, err := (membersPlan{seed: seed, cycles: 12, members: 2, faults: "commit-early"}).run(t); err != nil {
				t.Logf("seed %d: %v", seed, err)
				caught++
			}
		})
	}
	if caught < seeds/2 {
		t.Errorf("noticed in %d of %d runs", caught, seeds)
	}
}

// TestNode_TheCleanerTestSeesItsMutants: a cleaner that keeps too little is
// caught, at once or at some crash.
func TestNode_TheCleanerTestSeesItsMutants(t *testing.T) {
	for _, fault := range []string{"clean-moves-nothing", "clean-raises-early"} {
		bubble(t, func(t *testing.T) {
			crashes, err := cleaningPlan{faults: fault}.run(t)
			if !errors.Is(err, errGroups) {
				t.Errorf("%s was not noticed in %d crashes: %v", fault, crashes, err)
			}
			t.Logf("%s, after %d crashes: %v", fault, crashes, err)
		})
	}
}
