package invariant_test

import (
	"errors"
	"testing"

	"holdfast/internal/invariant"
)

func panicOf(f func()) (got any) {
	defer func() { got = recover() }()
	f()
	return nil
}

func TestCheck_PanicsWithItsMessageAndOnlyWhenItFails(t *testing.T) {
	if got := panicOf(func() { invariant.Check(true, "never") }); got != nil {
		t.Errorf("panic %v", got)
	}
	if got := panicOf(func() { invariant.Check(false, "end %d", 7) }); got != "invariant: end 7" {
		t.Errorf("panic %v", got)
	}
	if got := panicOf(func() { invariant.Unreachable("state %q", "x") }); got != `invariant: unreachable: state "x"` {
		t.Errorf("panic %v", got)
	}
}

func TestExpensive_RunsOnlyWhereItIsEnabled(t *testing.T) {
	ran := false
	got := panicOf(func() {
		invariant.Expensive(func() error { ran = true; return errors.New("broken") })
	})
	if ran != invariant.ExpensiveEnabled || (got != nil) != invariant.ExpensiveEnabled {
		t.Errorf("ran %v, panic %v, enabled %v", ran, got, invariant.ExpensiveEnabled)
	}
	if got := panicOf(func() { invariant.Expensive(func() error { return nil }) }); got != nil {
		t.Errorf("panic %v", got)
	}
}
