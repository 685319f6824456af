//go:build rig

package compat_test

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/tests/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// broker is what a test talks to. stop ends it cleanly and may be nil.
type broker struct {
	addr, data string
	stop       func()
}

// start runs the product for one test, or takes the broker that HOLDFAST_RIG_ADDR names.
func start(t *testing.T) broker {
	t.Helper()
	if addr := os.Getenv("HOLDFAST_RIG_ADDR"); addr != "" {
		return broker{addr: addr, data: os.Getenv("HOLDFAST_RIG_DATA"), stop: func() {}}
	}
	target := rig.DefaultTarget(t)
	p := rig.NewPlace(t, rig.TempDir(t))
	proc := rig.RunBroker(t, target, p)
	return broker{addr: p.Addr, data: p.DataDir, stop: func() {
		if err := proc.Terminate(20 * time.Second); err != nil {
			t.Errorf("clean stop: %v", err)
		}
	}}
}

var topicNumber atomic.Int32

// topicName is a name that no earlier run used.
func topicName(base string) string {
	return fmt.Sprintf("%s-%d-%d", base, os.Getpid(), topicNumber.Add(1))
}
