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

// build compiles the package into a place of its own, once per test process.
func build(tb testing.TB, pkg, tags string) string {
	tb.Helper()
	builds.Lock()
	defer builds.Unlock()
	key := pkg + " " + tags
	if path, ok := builds.paths[key]; ok {
		return path
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("holdfast-rig-bin-%d", os.Getpid()), filepath.Base(pkg)+tags)
	cmd := exec.Command("go", "build", "-o", path, "-tags", tags, pkg)
	cmd.Dir = Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	if builds.paths == nil {
		builds.paths = map[string]string{}
	}
	builds.paths[key] = path
	return path
}

// Binary is the broker under test: HOLDFAST_RIG_BINARY, or what ./cmd/holdfast
// builds to.
func Binary(tb testing.TB) string {
	tb.Helper()
	if path := os.Getenv("HOLDFAST_RIG_BINARY"); path != "" {
		return path
	}
	return build(tb, "./cmd/holdfast", "")
}

// FaultyBinary is the broker with the planted faults in it, which HOLDFAST_FAULT
// switches on. It is never the binary that is shipped.
func FaultyBinary(tb testing.TB) string {
	tb.Helper()
	return build(tb, "./cmd/holdfast", "faults")
}

// Main runs the tests of a package and removes what they built. Call it from
// TestMain.
func Main(m *testing.M) int {
	sweepDisks()
	code := m.Run()
	os.RemoveAll(filepath.Join(os.TempDir(), fmt.Sprintf("holdfast-rig-bin-%d", os.Getpid())))
	return code
}
