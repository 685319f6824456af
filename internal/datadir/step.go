package datadir

import "holdfast/internal/invariant"

// A stepped directory has no goroutines: whoever opened it with Options.Stepped says
// when a flush round begins and ends, and when the ring is looked after. It is for a
// world in which one goroutine drives everything. What waits for a round elsewhere
// runs it here.

// BeginRound takes what was submitted: what comes from here on belongs to the next
// round. It reports whether there is anything to make durable.
func (d *Dir) BeginRound() bool {
	d.mustStep()
	if d.taken == nil {
		if g := d.take(); !g.empty() {
			d.taken = g
		}
	}
	return d.taken != nil
}

// EndRound makes what BeginRound took durable and reports it.
func (d *Dir) EndRound() {
	d.mustStep()
	if g := d.taken; g != nil {
		d.taken = nil
		d.flush(g)
	}
}

// Upkeep looks at the ring once, as the goroutine of checkpoints does. With all,
// every log is checkpointed.
func (d *Dir) Upkeep(all bool) bool {
	d.mustStep()
	ok := d.upkeep(all)
	if ok && all && d.Err() == nil {
		d.exportPoints()
	}
	return ok
}

// LookAtSpace looks at the free space once.
func (d *Dir) LookAtSpace() error {
	d.mustStep()
	return d.look()
}

// runRounds runs flush rounds until nothing is left that was submitted.
func (d *Dir) runRounds() {
	for d.EndRound(); d.BeginRound(); {
		d.EndRound()
	}
}

func (d *Dir) mustStep() { invariant.Check(d.o.Stepped, "a step of a directory that runs") }
