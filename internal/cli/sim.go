package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/clock"
	"holdfast/internal/sim"
)

const simLong = `Run clusters of brokers in memory, with everything drawn from one seed: disks that
lose what was not synced, a network that loses, delays and repeats, processes that
die at the worst moment. Checkers look after every event whether an acknowledged
write can still be lost; at the end everything heals, and the cluster has to come
to rest with every acknowledged record readable.

The same seed gives the same run. The exit status is 10 when a checker has found
something; the trace of that seed shows what led to it.`

const simExample = `  holdfast sim --seeds 1000
  holdfast sim --seed 4711 --trace
  holdfast sim --planted ack-before-sync --seeds 100    a broker that lies must be found`

// simFlags are the flags of sim.
type simFlags struct {
	seed, seeds uint64
	steps       int
	faults      []string
	planted     string
	workers     int
	trace       bool
}

func (a *app) simCommand() *cobra.Command {
	var f simFlags
	c := &cobra.Command{Use: "sim", Short: "Put clusters in memory through faults drawn from a seed", Long: simLong, Example: simExample, Args: words(0, 0)}
	c.Flags().Uint64Var(&f.seed, "seed", 0, "the first seed")
	c.Flags().Uint64Var(&f.seeds, "seeds", 1, "how many worlds: this seed and those after it")
	c.Flags().IntVar(&f.steps, "steps", sim.StepsDefault, "events before everything heals")
	c.Flags().StringSliceVar(&f.faults, "faults", nil, "only these kinds of faults; default: each seed chooses. One of: "+strings.Join(sim.Faults(), ", "))
	c.Flags().StringVar(&f.planted, "planted", "", "build a fault into the brokers, which the checkers must find. One of: "+strings.Join(sim.Plants(), ", "))
	c.Flags().IntVar(&f.workers, "workers", 2, "worlds side by side")
	c.Flags().BoolVar(&f.trace, "trace", false, "print everything that happens; for one world")
	a.outputFlag(c)
	c.RunE = run(func(*cobra.Command, []string) error { return a.simulate(&f) })
	return c
}

// simView is what sim prints as data.
type simView struct {
	Seed            uint64         `json:"seed"`
	Worlds          int            `json:"worlds"`
	Events          int            `json:"events"`
	SafetySeconds   float64        `json:"safety_seconds"`
	UnderLoad       int            `json:"under_load_percent"`
	RestSeconds     float64        `json:"longest_way_to_rest_seconds"`
	Acknowledged    int            `json:"acknowledged_records"`
	Read            int            `json:"read_records"`
	Leaderships     int            `json:"leaderships"`
	FaultsInjected  int            `json:"faults_injected"`
	Faults          map[string]int `json:"faults"`
	DurationSeconds float64        `json:"duration_seconds"`
	Findings        []simFinding   `json:"findings"`
}

type simFinding struct {
	Seed    uint64 `json:"seed"`
	Finding string `json:"finding"`
	Digest  string `json:"digest"`
}

// findingsMax is after how many findings a run ends.
const findingsMax = 10

func (a *app) simulate(f *simFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	fmt.Fprintf(a.Streams.Err, "seed %d, %d worlds of %d events, version %s\n", f.seed, f.seeds, f.steps, a.version())
	began := clock.Real{}.Now()
	o := sim.Options{Seed: f.seed, Steps: f.steps, Faults: f.faults, Planted: f.planted}
	if f.trace {
		o.Trace = func(line string) { fmt.Fprintln(a.Streams.Err, line) }
	}
	var total sim.Total
	sim.Campaign(o, f.seeds, f.workers, func(r sim.Result) bool {
		total.Add(r)
		return len(total.Failed) < findingsMax
	})
	view := viewOfSim(f, &total)
	view.DurationSeconds = clock.Real{}.Since(began).Seconds()
	err := a.print(listing{value: view, text: func(bool) error { return a.simText(&view, &total) }})
	if err == nil && len(view.Findings) > 0 {
		return exit(ExitBad)
	}
	return err
}

func (f *simFlags) check() error {
	for _, kind := range f.faults {
		if !slices.Contains(sim.Faults(), kind) {
			return usagef("there is no kind of fault %q; want some of: %s", kind, strings.Join(sim.Faults(), ", "))
		}
	}
	switch {
	case f.planted != "" && !slices.Contains(sim.Plants(), f.planted):
		return usagef("there is no planted fault %q; want one of: %s", f.planted, strings.Join(sim.Plants(), ", "))
	case f.steps < 1 || f.seeds < 1:
		return usagef("a run has at least one world and one event")
	case f.trace && f.seeds > 1:
		return usagef("--trace is for one world")
	}
	return nil
}

func viewOfSim(f *simFlags, t *sim.Total) simView {
	v := simView{Seed: f.seed, Worlds: t.Worlds, Events: t.Steps, SafetySeconds: t.Safety.Seconds(), UnderLoad: t.Share(), RestSeconds: t.Longest.Seconds(),
		Acknowledged: t.Acknowledged, Read: t.Read, Leaderships: t.Epochs, FaultsInjected: t.Injected(), Faults: maps.Clone(t.Faults), Findings: []simFinding{}}
	for _, r := range t.Failed {
		v.Findings = append(v.Findings, simFinding{Seed: r.Seed, Finding: r.Finding, Digest: fmt.Sprintf("%016x", r.Digest)})
	}
	return v
}

func (a *app) simText(v *simView, t *sim.Total) error {
	fmt.Fprint(a.Streams.Out, t)
	fmt.Fprintf(a.Streams.Out, "in %.1f s\n", v.DurationSeconds)
	for _, x := range v.Findings {
		fmt.Fprintf(a.Streams.Out, "seed %d: %s\n", x.Seed, x.Finding)
	}
	return nil
}
