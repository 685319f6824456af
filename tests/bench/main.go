// Command bench measures Holdfast beside a warmed-up Apache Kafka (its default,
// and with an fsync for every append) and beside the limit brokers of a load
// generator called kbench, in alternating blocks, and writes the measured
// section of docs/PERFORMANCE.md.
//
//	go run ./tests/bench                         everything, five blocks
//	go run ./tests/bench -rows sync1 -blocks 1 -systems holdfast,l1f -print
//
// kbench and the script that runs Kafka lie beside the checkout (-shared); what
// is not there is left out of the table and named NOT SHOWN. Quote ratios: an
// absolute figure is a figure of the machine and the hour.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"holdfast/tests/rig"
)

// options of the command line.
type options struct {
	shared  string
	blocks  int
	dur     time.Duration
	warm    time.Duration
	commit  time.Duration
	rows    []string
	systems []string
	out     string
	print   bool
	tries   int
}

func main() {
	var o options
	rowList := flag.String("rows", "", "comma-separated rows; all when empty")
	systemList := flag.String("systems", "holdfast,kafka,kafkaf,l1,l1f,l1j", "comma-separated systems")
	flag.StringVar(&o.shared, "shared", "", "directory with kbench and peers/kafka; ../shared when empty")
	flag.IntVar(&o.blocks, "blocks", 5, "blocks; each system runs once in each")
	flag.DurationVar(&o.dur, "dur", 3*time.Second, "length of one measurement")
	flag.DurationVar(&o.warm, "warm", 2*time.Minute, "load on each Kafka before the first block")
	flag.DurationVar(&o.commit, "commit", 5*time.Minute, "limit for each commit row, which ends by itself after ten wraps of the journal")
	flag.StringVar(&o.out, "out", "docs/PERFORMANCE.md", "file whose measured section is written, below the repository's root")
	flag.BoolVar(&o.print, "print", false, "print only")
	flag.IntVar(&o.tries, "tries", 3, "runs of one measurement while others use more than a quarter of a core")
	flag.Parse()
	o.systems = strings.Split(*systemList, ",")
	if *rowList != "" {
		o.rows = strings.Split(*rowList, ",")
	}
	if o.shared == "" {
		o.shared = filepath.Join(rig.Root(), "..", "shared")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, o)
	stop()
	rig.RemoveBuilds()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench starts the systems, warms the peers, runs the blocks, writes the table.
func bench(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "holdfast-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f, err := newField(dir, o)
	if err != nil {
		return err
	}
	defer f.stop()
	rows, err := chosen(o.rows)
	if err != nil {
		return err
	}
	r := newReport(o, f, rows)
	if slices.ContainsFunc(rows, func(r row) bool { return !r.starts }) {
		if err := f.start(ctx); err != nil {
			return err
		}
		if err := f.warm(ctx, o.warm); err != nil {
			return err
		}
	}
	if err := r.run(ctx, f); err != nil {
		fmt.Println(r.markdown()) // what there is; it is not written
		return err
	}
	text := r.markdown()
	fmt.Println(text)
	if o.print {
		return nil
	}
	return writeSection(filepath.Join(rig.Root(), o.out), text)
}

// run measures every row on every system in every block.
func (r *report) run(ctx context.Context, f *field) error {
	for block := range r.o.blocks {
		for _, row := range r.rows {
			for _, s := range f.order(block) {
				if ctx.Err() != nil {
					return errors.New("interrupted")
				}
				if !slices.Contains(row.systems, s.name) || row.once && block > 0 {
					continue
				}
				m, err := row.measure(ctx, f, s, fmt.Sprintf("b%d-%s", block, row.name))
				if err != nil {
					return fmt.Errorf("block %d, %s on %s: %w", block, row.name, s.name, err)
				}
				fmt.Printf("block %d %-9s %-9s %s\n", block, row.name, s.name, m)
				r.add(block, row, s, m)
			}
		}
	}
	return nil
}
