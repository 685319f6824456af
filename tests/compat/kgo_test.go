//go:build rig

package compat_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/tests/rig"
)

// kgoExceptions are the tests of franz-go's own suite that are left out.
var kgoExceptions = map[string]string{"TestTxnEtl": "the broker has no transactions yet"}

var kgoVerdict = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (\S+)`)

// TestKgoSuite runs the tests that franz-go has of its kgo package against the
// product; the source comes from the module cache. It belongs to the full runs.
func TestKgoSuite(t *testing.T) {
	if !tools.chosen() {
		t.Skip("belongs to full runs (HOLDFAST_RIG_FULL=1)")
	}
	const name, module = "franz-go's own kgo tests", "github.com/twmb/franz-go"
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}} {{.Version}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	source, version, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	version = strings.TrimPrefix(version, "v")
	dir, err := cacheDir("kgo-" + version)
	if err != nil {
		t.Fatal(err)
	}
	if err := copyTree(source, dir); err != nil {
		t.Fatal(err)
	}
	pkg := filepath.Join(dir, "pkg", "kgo")
	build := exec.Command("go", "test", "-c", "-o", filepath.Join(dir, "kgo.test"), ".")
	build.Dir = pkg
	if out, err := build.CombinedOutput(); err != nil {
		report(t, name, version, "suite", "not run", string(out))
		t.Skipf("NOT SHOWN: the suite does not build: %v\n%s", err, out)
	}
	began, skip := time.Now(), []string{}
	for test, why := range kgoExceptions {
		report(t, name, version, "suite "+test, "differs", why)
		skip = append(skip, "^"+test+"$")
	}
	b := start(t)
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, filepath.Join(dir, "kgo.test"), "-test.v", "-test.timeout", "5m", "-test.skip", strings.Join(skip, "|"))
	run.Dir = pkg
	run.Env = append(os.Environ(), "KGO_SEEDS="+b.addr, "KGO_TEST_RF=1", "KGO_TEST_RECORDS=5000")
	text, err := run.CombinedOutput()
	passed := int64(0)
	for _, m := range kgoVerdict.FindAllStringSubmatch(string(text), -1) {
		switch m[1] {
		case "PASS":
			passed++
			report(t, name, version, "suite "+m[2], "passed", "")
		case "SKIP":
			report(t, name, version, "suite "+m[2], "differs", "the suite skips it: the broker does not offer what it needs")
		default:
			report(t, name, version, "suite "+m[2], "failed", "see the test's output")
		}
	}
	if err != nil || passed == 0 {
		t.Errorf("the suite: %v, %d passed\n%s", err, passed, tail(string(text)))
	}
	rig.Record(t, rig.Result{What: "franz-go's own kgo tests, but those of transactions", Rounds: int(passed), Seconds: time.Since(began).Seconds()})
}
