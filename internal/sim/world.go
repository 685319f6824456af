package sim

import (
	"container/heap"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"holdfast/internal/env"
	"holdfast/internal/kafka"
)

// Options say which world.
type Options struct {
	Seed uint64
	// Steps is how many events the safety phase has; 0: StepsDefault.
	Steps int
	// Faults are the kinds of faults that happen; nil: the seed chooses.
	Faults []string
	// Planted is the name of a fault that is built into the brokers on purpose, see
	// Plants; empty: none.
	Planted string
	// Trace, when set, is told line by line what happens.
	Trace func(line string)
}

// StepsDefault is the length of the safety phase in events.
const StepsDefault = 20_000

// Result is what became of a world.
type Result struct {
	Seed    uint64
	Finding string // what a checker found; empty: nothing
	Steps   int
	// Safety is how long the safety phase took in the world's time, Loaded for how
	// much of it a producer waited for an answer or had got one just before, and
	// Liveness how long the world took to come to rest after it.
	Safety, Loaded, Liveness time.Duration
	Acknowledged             int // records
	Read                     int // records that consumers read
	Epochs                   int // leaderships of partitions
	Faults                   map[string]int
	Digest                   uint64 // of all that happened
}

// World is a cluster and all that happens to it, driven by one goroutine.
type World struct {
	o     Options
	plant plant
	r     *rand.Rand
	now   time.Duration
	seq   uint64
	queue queue
	steps int

	nodes   []*node
	net     network
	plan    plan
	check   *checker
	load    *workload
	context context.Context
	healing bool // the liveness phase has begun

	result Result
	hash   uint64
}

// finding ends a world.
type finding struct{ what string }

// find ends the world with what a checker has found.
func (w *World) find(format string, args ...any) {
	panic(finding{fmt.Sprintf(format, args...)})
}

// note writes a line of the trace.
func (w *World) note(format string, args ...any) {
	if w.o.Trace != nil {
		w.o.Trace(fmt.Sprintf("%6d %10.6f ", w.steps, w.now.Seconds()) + fmt.Sprintf(format, args...))
	}
}

func (w *World) count(fault string) { w.result.Faults[fault]++ }

// epochOfWorld is when a world begins.
var epochOfWorld = time.Unix(1_800_000_000, 0)

// Run lives through one world. The same options give the same result.
func Run(o Options) (result Result) {
	env.FixSystemRandom()
	if o.Steps == 0 {
		o.Steps = StepsDefault
	}
	w := &World{o: o, r: rand.New(rand.NewPCG(o.Seed, 0x73696d)), hash: 14695981039346656037}
	w.result = Result{Seed: o.Seed, Faults: map[string]int{}}
	defer func() {
		what := recover()
		switch x := what.(type) {
		case nil:
		case finding:
			w.result.Finding = x.what
		default:
			w.result.Finding = fmt.Sprintf("a broker's invariant does not hold: %v", x)
			w.note("%s", debug.Stack())
		}
		w.note("found: %s", w.result.Finding)
		result = w.end()
	}()
	w.begin()
	w.live()
	w.heal()
	return
}

// end sums up.
func (w *World) end() Result {
	w.result.Steps, w.result.Digest = w.steps, w.hash
	if w.check != nil {
		w.result.Epochs = len(w.check.leaders)
	}
	return w.result
}

func (w *World) begin() {
	w.context = background()
	w.plant = plants[w.o.Planted]
	w.plan = w.choose()
	w.check = newChecker(w)
	for id := range w.plan.nodes {
		w.nodes = append(w.nodes, newNode(w, kafka.BrokerID(id+1)))
	}
	w.found()
	w.load = newWorkload(w)
	w.armFaults()
}

// live is the safety phase.
func (w *World) live() {
	for w.steps < w.o.Steps {
		w.step()
	}
	w.result.Safety = w.now
}

// step lets the next event happen, and looks at what it has done.
func (w *World) step() {
	e := heap.Pop(&w.queue).(*event)
	if n := e.node; n != nil {
		if n.isDown() || e.life != anyLife && e.life != n.life {
			return
		}
		if n.pausedUntil > e.at {
			e.at = n.pausedUntil
			w.push(e)
			return
		}
	}
	w.pass(e.at)
	w.steps++
	e.run()
	if n := e.node; n != nil {
		w.hash = (w.hash ^ uint64(n.id)) * 1099511628211
		n.look()
	}
	w.check.step(e.node)
}

// pass lets time pass.
func (w *World) pass(to time.Duration) {
	d := to - w.now
	if d <= 0 {
		return
	}
	if w.load != nil && w.load.isBusy() && !w.healing {
		w.result.Loaded += d
	}
	w.hash = (w.hash ^ uint64(d)) * 1099511628211
	w.now = to
	for _, n := range w.nodes {
		n.clock.Advance(d)
	}
}

// node returns a node by its id.
func (w *World) node(id kafka.BrokerID) *node {
	i := slices.IndexFunc(w.nodes, func(n *node) bool { return n.id == id })
	if i < 0 {
		return nil
	}
	return w.nodes[i]
}

// someNode draws a node that runs, nil where none does.
func (w *World) someNode() *node {
	var up []*node
	for _, n := range w.nodes {
		if !n.isDown() {
			up = append(up, n)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return up[w.r.IntN(len(up))]
}
