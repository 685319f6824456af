package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/tests/rig"
)

// report collects measurements and renders the tables.
type report struct {
	o     options
	f     *field
	rows  []row
	began time.Time
	// got is by row, system and block.
	got   map[string]map[string]map[int]measurement
	noisy int
}

func newReport(o options, f *field, rows []row) *report {
	return &report{o: o, f: f, rows: rows, began: time.Now(), got: map[string]map[string]map[int]measurement{}}
}

func (r *report) add(block int, row row, s *system, m measurement) {
	if r.got[row.name] == nil {
		r.got[row.name] = map[string]map[int]measurement{}
	}
	if r.got[row.name][s.name] == nil {
		r.got[row.name][s.name] = map[int]measurement{}
	}
	r.got[row.name][s.name][block] = m
	if m.noisy {
		r.noisy++
	}
}

// The generated section stands between these lines.
const (
	sectionStart = "<!-- measured by tests/bench; do not edit between these lines -->"
	sectionEnd   = "<!-- end of what tests/bench measured -->"
)

// markdown is the section.
func (r *report) markdown() string {
	var b strings.Builder
	b.WriteString(sectionStart + "\n\n")
	commit := "unknown commit"
	if out, err := exec.Command("git", "-C", rig.Root(), "rev-parse", "--short=12", "HEAD").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	var u unix.Utsname
	_ = unix.Uname(&u)
	fmt.Fprintf(&b, "Commit %s, %s UTC, %.0f minutes, %d blocks of %v, %s, %d CPUs, Linux %s. Medians of the blocks [min-max]; ratios are medians of per-block ratios [min-max]. Runs with more than %.2f cores of foreign CPU after %d tries: %d.\n\n",
		commit, r.began.UTC().Format("2006-01-02 15:04"), time.Since(r.began).Minutes(), r.o.blocks, r.o.dur, runtime.Version(), runtime.NumCPU(), unix.ByteSliceToString(u.Release[:]), noiseMax, r.o.tries, r.noisy)
	fmt.Fprintf(&b, "Command: `go run ./tests/bench -blocks %d -dur %v -warm %v`. Loads, by kbench:\n\n", r.o.blocks, r.o.dur, r.o.warm)
	for _, row := range r.rows {
		if row.args != nil {
			fmt.Fprintf(&b, "- %s: `kbench %s -parts %d -dur %v`%s\n", row.title, strings.Join(row.args, " "), row.partitions, r.o.dur, after(row.fill))
		}
	}
	r.ratios(&b)
	r.absolutes(&b)
	for _, n := range r.f.notShown {
		fmt.Fprintf(&b, "NOT SHOWN %s\n\n", n)
	}
	b.WriteString(sectionEnd + "\n")
	return b.String()
}

func after(fill []string) string {
	if fill == nil {
		return ""
	}
	return fmt.Sprintf(" after `kbench %s`", strings.Join(fill, " "))
}

// ratios is the table of the floors.
func (r *report) ratios(b *strings.Builder) {
	b.WriteString("\n### Floors\n\n| row | figure | against | ratio | floor | |\n|---|---|---|---|---|---|\n")
	for _, row := range r.rows {
		for _, fig := range row.figures {
			for _, fl := range fig.floors {
				fmt.Fprintf(b, "| %s | %s | %s | %s |\n", row.title, fig.title, title(fl.against), r.verdict(row, fig, fl))
			}
		}
	}
}

// verdict is ratio, floor and whether it holds.
func (r *report) verdict(row row, fig figure, fl floor) string {
	var ratios []float64
	for block, ours := range r.got[row.name]["holdfast"] {
		if fl.against == "" {
			ratios = append(ratios, ours.values[fig.key])
		} else if theirs, ok := r.got[row.name][fl.against][block]; ok && theirs.values[fig.key] > 0 {
			ratios = append(ratios, ours.values[fig.key]/theirs.values[fig.key])
		}
	}
	bound, holds := fmt.Sprintf("at least %g", fl.least), func(v float64) bool { return v >= fl.least }
	if fl.most > 0 {
		bound, holds = fmt.Sprintf("at most %g", fl.most), func(v float64) bool { return v <= fl.most }
	}
	if len(ratios) == 0 {
		return "NOT SHOWN | " + bound + " | "
	}
	word := "**below the floor**"
	if holds(median(ratios)) {
		word = "holds"
	}
	return spread(ratios) + " | " + bound + " | " + word
}

// absolutes is the table of the figures themselves.
func (r *report) absolutes(b *strings.Builder) {
	b.WriteString("\n### Figures\n\n| row | figure |")
	for _, s := range r.f.systems {
		fmt.Fprintf(b, " %s |", s.title)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(r.f.systems)) + "\n")
	for _, row := range r.rows {
		for _, fig := range row.figures {
			fmt.Fprintf(b, "| %s | %s |", row.title, strings.TrimSuffix(fig.title+", "+fig.unit, ", "))
			for _, s := range r.f.systems {
				fmt.Fprintf(b, " %s |", r.cell(row, fig, s))
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n")
}

func (r *report) cell(row row, fig figure, s *system) string {
	var values []float64
	for _, m := range r.got[row.name][s.name] {
		values = append(values, m.values[fig.key])
	}
	if len(values) == 0 {
		return "-"
	}
	return spread(values)
}

func title(name string) string {
	for _, t := range titles {
		if t.name == name {
			return t.title
		}
	}
	return "the clock"
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// spread is the median with the range.
func spread(v []float64) string {
	return fmt.Sprintf("%s [%s-%s]", short(median(v)), short(slices.Min(v)), short(slices.Max(v)))
}

// short is three digits, with k and M.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.1f k", v/1e3)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}

// writeSection replaces the section in the file, or makes the file.
func writeSection(path, section string) error {
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		b = []byte("# Performance\n\n" + sectionStart + "\n" + sectionEnd + "\n")
	} else if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(b), sectionStart)
	_, tail, ok2 := strings.Cut(rest, sectionEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no section between %q and %q", path, sectionStart, sectionEnd)
	}
	return os.WriteFile(path, []byte(head+strings.TrimSuffix(section, "\n")+tail), 0o644)
}
