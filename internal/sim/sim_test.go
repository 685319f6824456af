package sim_test

import (
	"flag"
	"testing"
	"time"

	"holdfast/internal/sim"
)

// More of them: go test ./internal/sim -run 'TestWorld$' -seeds 5000
var (
	seeds   = flag.Uint64("seeds", 100, "worlds of TestWorld")
	from    = flag.Uint64("from", 0, "the first seed")
	planted = flag.String("planted", "", "a fault that is built in")
	tell    = flag.Bool("tell", false, "print what happens")
)

const workers = 2

func TestWorld(t *testing.T) {
	began := time.Now()
	o := sim.Options{Seed: *from, Planted: *planted}
	if *tell {
		o.Trace = func(line string) { t.Log(line) }
	}
	var total sim.Total
	sim.Campaign(o, *seeds, workers, func(r sim.Result) bool {
		total.Add(r)
		if r.Finding != "" {
			t.Errorf("seed %d: %s", r.Seed, r.Finding)
		}
		return len(total.Failed) < 3
	})
	t.Logf("%s\n%s", time.Since(began).Round(time.Millisecond), &total)
}

func TestPlants(t *testing.T) {
	for _, name := range sim.Plants() {
		began, found, n := time.Now(), sim.Result{}, 0
		sim.Campaign(sim.Options{Planted: name}, uint64(sim.PlantSeeds(name)), workers, func(r sim.Result) bool {
			n++
			found = r
			return r.Finding == ""
		})
		if found.Finding == "" {
			t.Errorf("%s: not found in %d seeds, %s", name, n, time.Since(began))
			continue
		}
		t.Logf("%s: %d seeds, %s: %.200s", name, n, time.Since(began).Round(time.Millisecond), found.Finding)
	}
}
