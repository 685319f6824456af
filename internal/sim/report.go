package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Total sums results up.
type Total struct {
	Worlds, Steps           int
	Safety, Loaded, Longest time.Duration // Longest: of the liveness phases
	Acknowledged, Read      int
	Epochs                  int
	Faults                  map[string]int
	Failed                  []Result // those with a finding
}

// Add adds one result.
func (t *Total) Add(r Result) {
	if t.Faults == nil {
		t.Faults = map[string]int{}
	}
	t.Worlds++
	t.Steps += r.Steps
	t.Safety += r.Safety
	t.Loaded += r.Loaded
	t.Longest = max(t.Longest, r.Liveness)
	t.Acknowledged += r.Acknowledged
	t.Read += r.Read
	t.Epochs += r.Epochs
	for kind, n := range r.Faults {
		t.Faults[kind] += n
	}
	if r.Finding != "" {
		t.Failed = append(t.Failed, r)
	}
}

// Injected is how many faults happened, single messages not counted.
func (t *Total) Injected() (n int) {
	for _, kind := range Faults() {
		n += t.Faults[kind]
	}
	return n
}

// Share is the part of the safety phases under load, in hundredths.
func (t *Total) Share() int {
	if t.Safety == 0 {
		return 0
	}
	return int(100 * t.Loaded / t.Safety)
}

// String is the sum in a few lines.
func (t *Total) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d worlds, %d events, %s of safety phases, %d%% of it under load; longest way to rest %s\n",
		t.Worlds, t.Steps, t.Safety.Round(time.Second), t.Share(), t.Longest.Round(time.Millisecond))
	fmt.Fprintf(&b, "%d records acknowledged, %d read, %d leaderships, %d faults, %d worlds with a finding\n", t.Acknowledged, t.Read, t.Epochs, t.Injected(), len(t.Failed))
	for _, kind := range slices.Sorted(maps.Keys(t.Faults)) {
		fmt.Fprintf(&b, "  %-22s %d\n", kind, t.Faults[kind])
	}
	return b.String()
}
