package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/tests/rig"
)

// proof is everything that goes into docs/PROOF.md.
type proof struct {
	began   time.Time
	took    time.Duration
	commit  string
	machine string
	runs    []outcome
	absent  []string // suites that were left out
}

// markdown renders the proof.
func (p proof) markdown() string {
	var b strings.Builder
	b.WriteString("# Proof\n\nWritten by `make prove` (tests/prove); never edited by hand.\n\n")
	fmt.Fprintf(&b, "- commit: %s\n- date: %s UTC, %.0f minutes\n- machine: %s\n", p.commit, p.began.UTC().Format("2006-01-02 15:04"), p.took.Minutes(), p.machine)
	b.WriteString("- repeat one plan: `HOLDFAST_RIG_SEED=<seed> go run ./tests/prove -only <suite>`\n\n")
	b.WriteString("| suite | passed | failed | skipped | seconds |\n|---|---|---|---|---|\n")
	for _, r := range p.runs {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %.0f |\n", r.name(), r.passed, r.failed, r.skipped, r.took.Seconds())
	}
	for _, name := range p.absent {
		fmt.Fprintf(&b, "| %s | **not run** | | | |\n", name)
	}
	b.WriteString("\n| test | what was done | rounds | acknowledged | lost | duplicated | other anomalies | figures | seed | seconds | verdict |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	var missing []string
	for _, r := range p.runs {
		for _, x := range r.results {
			if x.NotShown != "" {
				missing = append(missing, fmt.Sprintf("NOT SHOWN %s: %s", x.Test, x.NotShown))
				continue
			}
			b.WriteString(row(x))
		}
	}
	b.WriteString("\n")
	for _, m := range missing {
		b.WriteString(m + "\n\n")
	}
	b.WriteString("A row of a planted fault shows what the fault lost before the rig caught it: there, a loss is the success.\n")
	return b.String()
}

// name is the suite's name, and whether its counts were the small ones.
func (o *outcome) name() string {
	if o.small {
		return o.suite.name + " (small counts)"
	}
	return o.suite.name
}

func row(x rig.Result) string {
	verdict := "holds"
	if strings.HasPrefix(x.What, "planted fault") {
		verdict = "caught"
	}
	if x.Failed {
		verdict = "**FAILED**"
	}
	seed := ""
	if x.Seed != 0 {
		seed = fmt.Sprint(x.Seed)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %d | %d | %d | %s | %s | %.1f | %s |\n",
		cell(x.Test), cell(x.What), number(int64(x.Rounds)), number(x.Acknowledged), x.Lost, x.Duplicated, x.Other, cell(x.Figures), seed, x.Seconds, verdict)
}

func cell(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "|", "/"), "\n", " ") }

// number is empty for 0, which here means "does not apply".
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// commit names the commit, and says when the tree differs from it.
func commit() string {
	hash, err := git("rev-parse", "HEAD")
	if err != nil {
		return "unknown: " + err.Error()
	}
	changed, err := git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)docs/PROOF.md", ":(exclude)docs/PERFORMANCE.md", ":(exclude)docs/COMPATIBILITY.md")
	if err != nil || changed == "" {
		return hash
	}
	return hash + " **with uncommitted changes**"
}

func git(args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = rig.Root()
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// machine says what the figures were taken on.
func machine() string {
	var u unix.Utsname
	kernel := "unknown kernel"
	if unix.Uname(&u) == nil {
		kernel = "Linux " + unix.ByteSliceToString(u.Release[:])
	}
	memory := ""
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib int64
		if _, err := fmt.Sscanf(string(b), "MemTotal: %d kB", &kib); err == nil {
			memory = fmt.Sprintf(", %d GiB", kib>>20)
		}
	}
	return fmt.Sprintf("%s, %d CPUs%s, %s", kernel, runtime.NumCPU(), memory, runtime.Version())
}
