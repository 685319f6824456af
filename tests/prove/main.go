// Command prove runs the rigs and writes docs/PROOF.md.
//
//	go run ./tests/prove                  full counts; docs/PROOF.md when all of them ran
//	go run ./tests/prove -only kill9,restart   some of them; prints only
//	go run ./tests/prove -ci              small counts; prints only
//
// The file is never edited by hand: what it says was run by this command on the
// commit that it names.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"holdfast/tests/rig"
)

// suite is one package of process tests.
type suite struct {
	name string
	pkg  string
	tags string
	full time.Duration // limit of a full run
	ci   time.Duration
	// young: the suite is not part of an ordinary run with small counts yet. On a
	// loaded machine it still finds what nobody has explained; it is run by name.
	young bool
}

// suites in the order in which they run. The unit suite is counted, not listed.
var suites = []suite{
	{"unit", "./...", "", 10 * time.Minute, 0, false},
	{"quickstart", "./tests/quickstart", "rig", 10 * time.Minute, 5 * time.Minute, false},
	{"badinput", "./tests/badinput", "rig", 20 * time.Minute, 10 * time.Minute, false},
	{"compat", "./tests/compat", "rig", 45 * time.Minute, 10 * time.Minute, false},
	{"kill9", "./tests/kill9", "rig", 60 * time.Minute, 10 * time.Minute, false},
	{"groups", "./tests/groups", "rig", 60 * time.Minute, 10 * time.Minute, false},
	{"powercut", "./tests/powercut", "rig", 90 * time.Minute, 15 * time.Minute, false},
	{"accident", "./tests/accident", "rig", 30 * time.Minute, 10 * time.Minute, true},
	{"cluster", "./tests/cluster", "rig", 120 * time.Minute, 15 * time.Minute, true},
	{"failover", "./tests/failover", "rig", 60 * time.Minute, 10 * time.Minute, true},
	{"hostile", "./tests/hostile", "rig", 20 * time.Minute, 10 * time.Minute, false},
	{"restart", "./tests/restart", "rig", 30 * time.Minute, 10 * time.Minute, false},
}

// options of the command line.
type options struct {
	ci    bool
	only  []string
	out   string
	skip  []string // suites that a full run leaves out
	small []string // suites with small counts in a full run
}

func main() {
	var o options
	flag.BoolVar(&o.ci, "ci", false, "small counts, and print only")
	small := flag.String("small", "", "comma-separated suites that run with small counts in a full run; the file says so")
	skip := flag.String("skip", "", "comma-separated suites that a full run leaves out; the file says so")
	only := flag.String("only", "", "comma-separated suites: unit, quickstart, badinput, compat, kill9, groups, powercut, accident, cluster, failover, hostile, restart")
	flag.StringVar(&o.out, "out", "docs/PROOF.md", "file for a full run of every suite, below the repository's root")
	flag.Parse()
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	if *skip != "" {
		o.skip = strings.Split(*skip, ",")
	}
	if *small != "" {
		o.small = strings.Split(*small, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := prove(ctx, o, os.Stdout)
	stop()
	rig.RemoveBuilds()
	if err != nil {
		fmt.Fprintln(os.Stderr, "prove:", err)
		os.Exit(1)
	}
}

// prove runs what was asked for and writes the proof.
func prove(ctx context.Context, o options, w io.Writer) error {
	for _, name := range slices.Concat(o.only, o.small, o.skip) {
		if !slices.ContainsFunc(suites, func(s suite) bool { return s.name == name }) {
			return fmt.Errorf("no suite is called %q", name)
		}
	}
	p := proof{began: time.Now(), commit: commit(), machine: machine()}
	binary, err := rig.Build("./cmd/holdfast", "")
	if err != nil {
		return err
	}
	var failed []string
	for _, s := range suites {
		if len(o.only) > 0 && !slices.Contains(o.only, s.name) || len(o.only) == 0 && o.ci && (s.ci == 0 || s.young) {
			continue
		}
		if slices.Contains(o.skip, s.name) {
			p.absent = append(p.absent, s.name)
			continue
		}
		r := s.run(ctx, o.ci || slices.Contains(o.small, s.name), binary, w)
		p.runs = append(p.runs, r)
		if r.err != nil {
			failed = append(failed, s.name)
		}
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
	}
	p.took = time.Since(p.began)
	text := p.markdown()
	if !o.ci && len(o.only) == 0 {
		path := filepath.Join(rig.Root(), o.out)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(w, "wrote %s\n", path)
	}
	fmt.Fprintf(w, "\n%s", text)
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}

// outcome is what one suite did.
type outcome struct {
	suite   suite
	small   bool // with small counts
	results []rig.Result
	passed  int
	failed  int
	skipped int
	took    time.Duration
	err     error
}

// event is a line of go test -json.
type event struct {
	Action, Package, Test, Output string
}

// run is one go test, whose output is passed on.
func (s suite) run(ctx context.Context, ci bool, binary string, w io.Writer) outcome {
	out := outcome{suite: s, small: ci}
	began := time.Now()
	limit := s.full
	if ci {
		limit = s.ci
	}
	results, err := os.CreateTemp("", "holdfast-results-")
	if err != nil {
		out.err = err
		return out
	}
	results.Close()
	defer os.Remove(results.Name())
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count", "1", "-tags", s.tags, "-timeout", limit.String(), s.pkg)
	// The whole group, so that the test binary ends too; its brokers die with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = time.Minute
	cmd.Dir = rig.Root()
	cells := results.Name() + ".compat"
	defer os.Remove(cells)
	cmd.Env = append(os.Environ(), "HOLDFAST_RIG_RESULTS="+results.Name(), "HOLDFAST_COMPAT_RESULTS="+cells, "HOLDFAST_RIG_BINARY="+binary)
	if !ci {
		cmd.Env = append(cmd.Env, "HOLDFAST_RIG_FULL=1")
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		out.err = err
		return out
	}
	cmd.Stderr = os.Stderr
	fmt.Fprintf(w, "== %s: %s\n", s.name, strings.Join(cmd.Args, " "))
	if out.err = cmd.Start(); out.err != nil {
		return out
	}
	out.count(pipe, w, s.name != "unit")
	out.err = cmd.Wait()
	out.took = time.Since(began)
	out.results = readResults(results.Name())
	if s.name == "compat" && !ci {
		if err := writeCompatibility(cells, began); err != nil && out.err == nil {
			out.err = err
		}
	}
	fmt.Fprintf(w, "== %s: %d passed, %d failed, %d skipped in %.0f s\n", s.name, out.passed, out.failed, out.skipped, out.took.Seconds())
	return out
}

// count reads the events. Without verbose only failures and packages are shown.
func (o *outcome) count(r io.Reader, w io.Writer, verbose bool) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(w, lines.Text())
			continue
		}
		switch {
		case e.Action == "output" && (verbose || strings.Contains(e.Output, "FAIL") || e.Test == ""):
			fmt.Fprint(w, e.Output)
		case e.Test == "":
		case e.Action == "pass":
			o.passed++
		case e.Action == "fail":
			o.failed++
		case e.Action == "skip":
			o.skipped++
		}
	}
	_, _ = io.Copy(io.Discard, r) // a line above the scanner's limit must not stop the test
}

func readResults(path string) []rig.Result {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var out []rig.Result
	for line := range strings.Lines(string(b)) {
		var r rig.Result
		if json.Unmarshal([]byte(line), &r) == nil {
			out = append(out, r)
		}
	}
	return out
}
