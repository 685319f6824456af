package sim_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/sim"
)

// pinned is one file of testdata/seeds.
type pinned struct {
	o     sim.Options
	fails bool
}

// readSeed reads a file: lines "seed N", "steps N", "planted NAME" and "fails".
func readSeed(t *testing.T, name string) (p pinned) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "", "#":
			continue
		case "seed":
			_, err = fmt.Sscan(value, &p.o.Seed)
		case "steps":
			_, err = fmt.Sscan(value, &p.o.Steps)
		case "planted":
			p.o.Planted = value
		case "fails":
			p.fails = true
		default:
			err = fmt.Errorf("unknown line %q", line)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return p
}

// TestSeeds runs the worlds in which something was found once. The canary must fail.
func TestSeeds(t *testing.T) {
	names, err := filepath.Glob("testdata/seeds/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no seeds: %v", err)
	}
	canaries := 0
	for _, name := range names {
		p := readSeed(t, name)
		r := sim.Run(p.o)
		if failed := r.Finding != ""; failed != p.fails {
			t.Errorf("%s: found %q, want a finding: %v", name, r.Finding, p.fails)
		}
		if p.fails {
			canaries++
		}
	}
	if canaries == 0 {
		t.Error("no canary: nothing shows that a checker can fail")
	}
}

// TestRun_TheSeedDecidesEverything: the same options give the same world.
func TestRun_TheSeedDecidesEverything(t *testing.T) {
	for seed := range uint64(5) {
		one, other := sim.Run(sim.Options{Seed: seed, Steps: 8000}), sim.Run(sim.Options{Seed: seed, Steps: 8000, Trace: func(string) {}})
		if fmt.Sprint(one) != fmt.Sprint(other) {
			t.Errorf("seed %d:\n%+v\n%+v", seed, one, other)
		}
	}
}
