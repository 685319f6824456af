package sim_test

import (
	"flag"
	"testing"
	"time"

	"holdfast/internal/sim"
)

var (
	seeds     = flag.Uint64("seeds", 20, "worlds of TestWorld")
	from      = flag.Uint64("from", 0, "the first seed")
	trace     = flag.Bool("tell", false, "print what happens in the first world")
	plantFlag = flag.String("planted", "", "")
)

func TestWorld(t *testing.T) {
	began := time.Now()
	for seed := *from; seed < *from+*seeds; seed++ {
		o := sim.Options{Seed: seed, Planted: *plantFlag}
		if *trace {
			o.Trace = func(line string) { t.Log(line) }
		}
		r := sim.Run(o)
		t.Logf("%+v %s", r, time.Since(began))
		if r.Finding != "" {
			t.Errorf("seed %d: %s", seed, r.Finding)
			break
		}
	}
}

func TestPlants(t *testing.T) {
	for _, name := range sim.Plants() {
		began, found, n := time.Now(), "", 0
		for seed := uint64(0); seed < uint64(sim.PlantSeeds(name)) && found == ""; seed++ {
			found = sim.Run(sim.Options{Seed: seed, Planted: name}).Finding
			n++
		}
		if found == "" {
			t.Errorf("%s: not found in %d seeds, %s", name, n, time.Since(began))
		}
		t.Logf("%s: %d seeds, %s: %.200s", name, n, time.Since(began).Round(time.Millisecond), found)
	}
}
