package sim_test

import (
	"flag"
	"testing"
	"time"

	"holdfast/internal/sim"
)

var (
	seeds = flag.Uint64("seeds", 20, "worlds of TestWorld")
	from  = flag.Uint64("from", 0, "the first seed")
	trace = flag.Bool("tell", false, "print what happens in the first world")
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
