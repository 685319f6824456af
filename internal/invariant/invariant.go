// Package invariant holds the assertions. An assertion that fails is a bug in
// this program: it panics in production too, because going on could break the
// promise that an acknowledged write is never lost.
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
