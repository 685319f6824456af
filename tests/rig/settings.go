package rig

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Full reports whether the sizes of docs/PROOF.md were asked for.
func Full() bool { return os.Getenv("HOLDFAST_RIG_FULL") == "1" }

// Rounds is the number of accidents to make: HOLDFAST_RIG_ROUNDS, or full with
// HOLDFAST_RIG_FULL, or small.
func Rounds(tb testing.TB, small, full int) int {
	tb.Helper()
	if s := os.Getenv("HOLDFAST_RIG_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			tb.Fatalf("HOLDFAST_RIG_ROUNDS=%q is not a positive number", s)
		}
		return n
	}
	if Full() {
		return full
	}
	return small
}

// Seed is HOLDFAST_RIG_SEED, or the clock, and is printed.
func Seed(tb testing.TB) uint64 {
	tb.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("HOLDFAST_RIG_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			tb.Fatalf("HOLDFAST_RIG_SEED=%q is not a number", s)
		}
		seed = n
	}
	tb.Logf("seed %d (HOLDFAST_RIG_SEED repeats the plan)", seed)
	return seed
}

// Missing ends the test because the machine lacks what: it fails, or is skipped
// with NOT SHOWN where HOLDFAST_ALLOW_MISSING names what.
func Missing(tb testing.TB, what, why string) {
	tb.Helper()
	allowed := strings.Split(os.Getenv("HOLDFAST_ALLOW_MISSING"), ",")
	if !slices.Contains(allowed, what) {
		tb.Fatalf("%s is missing: %s (HOLDFAST_ALLOW_MISSING=%s runs the rest without it)", what, why, what)
	}
	fmt.Printf("NOT SHOWN %s: %s\n", tb.Name(), why)
	Record(tb, Result{NotShown: why})
	tb.Skip("NOT SHOWN: " + why)
}

// Result is one line for docs/PROOF.md.
type Result struct {
	Test         string  `json:"test"`
	What         string  `json:"what,omitempty"` // one sentence: what was done
	Seed         uint64  `json:"seed,omitempty"`
	Rounds       int     `json:"rounds,omitempty"`
	Sent         int64   `json:"sent,omitempty"`
	Acknowledged int64   `json:"acknowledged,omitempty"`
	Lost         int64   `json:"lost"`
	Duplicated   int64   `json:"duplicated"`
	Other        int64   `json:"other"` // anomalies of every other kind
	Figures      string  `json:"figures,omitempty"`
	Seconds      float64 `json:"seconds"`
	NotShown     string  `json:"notShown,omitempty"`
	Failed       bool    `json:"failed,omitempty"`
}

// Record prints the result and appends it to HOLDFAST_RIG_RESULTS.
func Record(tb testing.TB, r Result) {
	tb.Helper()
	r.Test, r.Failed = tb.Name(), tb.Failed()
	line, err := json.Marshal(r)
	if err != nil {
		tb.Fatalf("record a result: %v", err)
	}
	tb.Logf("RESULT %s", line)
	path := os.Getenv("HOLDFAST_RIG_RESULTS")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		tb.Fatalf("record a result: %v", err)
	}
	defer f.Close()
	if _, err := f.Write(append(line, '\n')); err != nil {
		tb.Fatalf("record a result: %v", err)
	}
}

// Root is the top of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Kafka is the script that runs Apache Kafka's own tools: HOLDFAST_PEER_KAFKA,
// or shared/peers/kafka/kafka.sh beside the checkout.
func Kafka(tb testing.TB) string {
	tb.Helper()
	path := os.Getenv("HOLDFAST_PEER_KAFKA")
	if path == "" {
		path = filepath.Join(Root(), "..", "shared", "peers", "kafka", "kafka.sh")
	}
	if _, err := os.Stat(path); err != nil {
		Missing(tb, "kafka", fmt.Sprintf("no script for Apache Kafka's tools: %v", err))
	}
	return path
}

// TempDir is a directory that stays when the test fails, for a look at what the
// broker left in it.
func TempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "holdfast-rig-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("kept for a look: %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			tb.Logf("remove %s: %v", dir, err)
		}
	})
	return dir
}
