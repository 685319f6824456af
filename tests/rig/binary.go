package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// builds remembers what this test process has built.
var builds struct {
	sync.Mutex
	paths map[string]string
}

// Build compiles a package of this repository into a place of its own, once per
// process, and returns the path. RemoveBuilds deletes it.
func Build(pkg, tags string) (string, error) {
	builds.Lock()
	defer builds.Unlock()
	key := pkg + " " + tags
	if path, ok := builds.paths[key]; ok {
		return path, nil
	}
	path := filepath.Join(buildDir(), filepath.Base(pkg)+tags)
	cmd := exec.Command("go", "build", "-o", path, "-tags", tags, pkg)
	cmd.Dir = Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	if builds.paths == nil {
		builds.paths = map[string]string{}
	}
	builds.paths[key] = path
	return path, nil
}

// RemoveBuilds deletes what Build made.
func RemoveBuilds() { os.RemoveAll(buildDir()) }

func buildDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("holdfast-rig-bin-%d", os.Getpid()))
}

func mustBuild(tb testing.TB, pkg, tags string) string {
	tb.Helper()
	path, err := Build(pkg, tags)
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// Binary is the broker under test: HOLDFAST_RIG_BINARY, or what ./cmd/holdfast
// builds to.
func Binary(tb testing.TB) string {
	tb.Helper()
	if path := os.Getenv("HOLDFAST_RIG_BINARY"); path != "" {
		return path
	}
	return mustBuild(tb, "./cmd/holdfast", "")
}

// FaultyBinary is the broker with the planted faults in it, which HOLDFAST_FAULT
// switches on. It is never the binary that is shipped.
func FaultyBinary(tb testing.TB) string {
	tb.Helper()
	return mustBuild(tb, "./cmd/holdfast", "faults")
}

// Main runs the tests of a package and removes what they built. Call it from
// TestMain.
func Main(m *testing.M) int {
	sweepDisks()
	code := m.Run()
	RemoveBuilds()
	return code
}
