package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// row is one kind of load.
type row struct {
	name       string
	title      string
	partitions int
	args       []string // of kbench
	fill       []string // load before it, on the same topic, or nil
	systems    []string
	figures    []figure
	starts     bool // measures a start, not a load
	commit     int  // partitions written in each round, or 0
	once       bool // in the first block only
}

// figure is one number of a row, and its floors.
type figure struct {
	title  string
	key    string // in kbench's line
	unit   string
	floors []floor
}

// floor is what the ratio ours / theirs must reach.
type floor struct {
	against string
	least   float64 // ratio at least this, or
	most    float64 // at most this
}

func least(against string, r float64) floor { return floor{against: against, least: r} }
func most(against string, r float64) floor  { return floor{against: against, most: r} }

var (
	everyone = []string{"holdfast", "kafka", "kafkaf", "l1", "l1f", "l1j"}
	readers  = []string{"holdfast", "kafka", "l1"}
)

// table is the list of rows, in the order in which a block runs them.
func table() []row {
	return []row{
		{name: "start", title: "start to open port, empty directory", starts: true, systems: []string{"holdfast", "kafka"},
			figures: []figure{{"seconds", "seconds", "s", []floor{most("kafka", 0.05)}}}},
		{name: "prod100", title: "produce 100 B", partitions: 6, args: []string{"prod", "-size", "100", "-linger", "5ms"}, systems: everyone,
			figures: []figure{
				{"records/s", "msgs/s", "", []floor{least("kafkaf", 1.3), least("kafka", 0.85), least("l1f", 0.8)}},
				{"broker CPU-s per GB", "brokerCPUs/GB", "", nil},
			}},
		{name: "prod1k", title: "produce 1 KiB", partitions: 6, args: []string{"prod", "-size", "1024", "-linger", "5ms"}, systems: everyone,
			figures: []figure{
				{"records/s", "msgs/s", "", []floor{least("kafkaf", 2.5), least("kafka", 2), least("l1f", 0.8)}},
				{"broker CPU-s per GB", "brokerCPUs/GB", "", []floor{most("kafkaf", 0.6), most("kafka", 0.6), most("l1f", 1.8)}},
				{"memory loaded", "brokerRSS", "MB", []floor{most("kafka", 0.1)}},
			}},
		{name: "sync1", title: "1 synchronous producer, 100 B", partitions: 6, args: []string{"sync", "-clients", "1", "-size", "100"}, systems: everyone,
			figures: []figure{
				{"p50", "p50", "us", []floor{most("kafkaf", 0.6), most("l1f", 1.1)}},
				{"p99", "p99", "us", nil},
				{"requests/s", "req/s", "", nil},
			}},
		{name: "sync32", title: "32 synchronous producers on 6 partitions, 1 KiB", partitions: 6, args: []string{"sync", "-clients", "32", "-size", "1024"}, systems: everyone,
			figures: []figure{
				{"requests/s", "req/s", "", []floor{least("kafkaf", 2), least("kafka", 0.45), least("l1f", 1)}},
				{"p99", "p99", "us", nil},
				{"broker CPU-us per request", "brokerCPUus/req", "", nil},
			}},
		{name: "sync200", title: "200 synchronous producers on 200 partitions, 100 B", partitions: 200, args: []string{"sync", "-clients", "200", "-size", "100"}, systems: everyone,
			figures: []figure{
				{"requests/s", "req/s", "", []floor{least("kafkaf", 2), least("l1j", 0.7)}},
				{"p50", "p50", "us", nil},
				{"p99", "p99", "us", nil},
			}},
		{name: "lat10k", title: "open loop, 10,000/s of 1 KiB", partitions: 6, args: []string{"lat", "-rate", "10000", "-size", "1024"}, systems: everyone,
			figures: []figure{
				{"produce p99", "produce.p99", "ms", []floor{most("kafkaf", 0.35), most("kafka", 1.5), most("l1f", 1.5)}},
				{"produce p50", "produce.p50", "ms", nil},
				{"end to end p99", "e2e.p99", "ms", nil},
			}},
		consume("cons100", "consume 100 B, hot", "100", 8_000_000),
		consume("cons1k", "consume 1 KiB, hot", "1024", 1_500_000),
		{name: "commit1000", title: "1,000 partitions, one record each per round", commit: 1000, systems: []string{"holdfast"}, once: true, figures: commitFigures(15, 40)},
		{name: "commit10000", title: "10,000 partitions, one record each per round", commit: 10000, systems: []string{"holdfast"}, once: true, figures: commitFigures(0, 0)},
	}
}

// consume fills a topic with total records and reads them all.
func consume(name, title, size string, total int) row {
	n := strconv.Itoa(total)
	return row{name: name, title: title, partitions: 6, systems: readers,
		fill: []string{"prod", "-size", size, "-linger", "5ms", "-warm", "0s", "-total", n},
		args: []string{"cons", "-total", n},
		figures: []figure{
			{"records/s", "msgs/s", "", []floor{least("l1", 0.9)}},
			{"broker CPU-s per GB", "brokerCPUs/GB", "", []floor{most("l1", 1.3)}},
		}}
}

// commitFigures have absolute floors: milliseconds, or 0 for "stated".
func commitFigures(p50, p99 float64) []figure {
	absolute := func(ms float64) []floor {
		if ms == 0 {
			return nil
		}
		return []floor{most("", ms)}
	}
	return []figure{
		{"commit p50", "p50", "ms", absolute(p50)},
		{"commit p99", "p99", "ms", absolute(p99)},
		{"commit max", "max", "ms", nil},
		{"rounds", "rounds", "", nil},
		{"wraps of the journal", "wraps", "", nil},
	}
}

// chosen are the rows with the names; all when there are none.
func chosen(names []string) ([]row, error) {
	all := table()
	if len(names) == 0 {
		return all, nil
	}
	var out []row
	for _, n := range names {
		i := slices.IndexFunc(all, func(r row) bool { return r.name == n })
		if i < 0 {
			return nil, fmt.Errorf("no row is called %q", n)
		}
		out = append(out, all[i])
	}
	return out, nil
}

// measurement is what one run gave.
type measurement struct {
	values  map[string]float64
	foreign float64 // cores that others used
	noisy   bool    // foreign stayed above noiseMax in every try
}

// noiseMax is how much of a core others may use during a run.
const noiseMax = 0.25

func (m measurement) String() string {
	var parts []string
	for k, v := range m.values {
		parts = append(parts, fmt.Sprintf("%s=%g", k, v))
	}
	slices.Sort(parts)
	if m.noisy {
		parts = append(parts, "NOISY")
	}
	return strings.Join(parts, " ")
}

// measure runs the row on the system, again while the machine is noisy.
func (r row) measure(ctx context.Context, f *field, s *system, topic string) (measurement, error) {
	if r.starts {
		return r.start(ctx, f, s)
	}
	if r.commit > 0 {
		return commitLatency(ctx, s, r.commit, f.o.commit)
	}
	var best measurement
	for try := range f.o.tries {
		m, err := r.attempt(ctx, f, s, fmt.Sprintf("%s-%d", topic, try))
		if err != nil {
			return m, err
		}
		if try == 0 || m.foreign < best.foreign {
			best = m
		}
		if best.foreign <= noiseMax {
			return best, nil
		}
	}
	best.noisy = true
	return best, nil
}

// attempt is one run: a topic of its own, or a fresh limit broker.
func (r row) attempt(ctx context.Context, f *field, s *system, topic string) (measurement, error) {
	if s.limit != "" {
		if err := f.startLimit(s, r.partitions); err != nil {
			return measurement{}, err
		}
		defer f.stopSystem(s)
	}
	defer f.drop(ctx, s, topic)
	if r.fill != nil {
		if _, err := f.load(ctx, s, topic, r.partitions, r.fill); err != nil {
			return measurement{}, err
		}
	}
	args := slices.Clone(r.args)
	if r.fill == nil {
		args = append(args, "-dur", f.o.dur.String())
	}
	line, err := f.load(ctx, s, topic, r.partitions, args)
	if err != nil {
		return measurement{}, err
	}
	m := parse(line)
	// A closed loop ends by giving up what it has buffered: that is no error.
	if r.args[0] == "lat" && m.values["errs"] > 0 {
		return m, fmt.Errorf("the load had errors: %s", line)
	}
	for _, fig := range r.figures {
		if _, ok := m.values[fig.key]; !ok {
			return m, fmt.Errorf("kbench printed no %s: %s", fig.key, line)
		}
	}
	return m, nil
}

// start measures a start on an empty directory, beside the running systems.
func (r row) start(ctx context.Context, f *field, s *system) (measurement, error) {
	fresh := &system{name: s.name + "-start", title: s.title, dir: s.dir + "-start"}
	defer os.RemoveAll(fresh.dir)
	defer f.stopSystem(fresh)
	var took time.Duration
	var err error
	if s.name == "holdfast" {
		took, err = f.startHoldfast(fresh)
	} else {
		took, err = f.startKafka(ctx, fresh)
	}
	return measurement{values: map[string]float64{"seconds": took.Seconds()}}, err
}

// pair matches key=number in kbench's line; group matches produce[...].
var (
	pair  = regexp.MustCompile(`([A-Za-z0-9/.]+)=(-?[0-9.]+)`)
	group = regexp.MustCompile(`(produce|e2e)\[([^\]]*)\]`)
)

// parse reads the figures of kbench's line. Those in brackets get the name in
// front as a prefix.
func parse(line string) measurement {
	m := measurement{values: map[string]float64{}}
	read := func(prefix, text string) {
		for _, p := range pair.FindAllStringSubmatch(text, -1) {
			if v, err := strconv.ParseFloat(strings.TrimRight(p[2], "."), 64); err == nil {
				m.values[prefix+p[1]] = v
			}
		}
	}
	for _, g := range group.FindAllStringSubmatch(line, -1) {
		read(g[1]+".", g[2])
	}
	read("", group.ReplaceAllString(line, ""))
	m.foreign = m.values["foreign"]
	return m
}
