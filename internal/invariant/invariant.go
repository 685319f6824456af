package invariant

import "fmt"

// Check panics with the message when ok is false.
func Check(ok bool, format string, args ...any) {
	if !ok {
		panic("invariant: " + fmt.Sprintf(format, args...))
	}
}

// Unreachable panics: the caller believed that this line cannot run.
func Unreachable(format string, args ...any) {
	panic("invariant: unreachable: " + fmt.Sprintf(format, args...))
}

// Expensive panics when check returns an error. It runs only where
// ExpensiveEnabled is true, for checks whose cost grows with the state.
func Expensive(check func() error) {
	if !ExpensiveEnabled {
		return
	}
	if err := check(); err != nil {
		panic("invariant: " + err.Error())
	}
}
