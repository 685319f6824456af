//go:build !race && !invariants

package invariant

// ExpensiveEnabled tells whether Expensive runs its checks. It is a constant,
// so that code behind it costs nothing where it is false.
const ExpensiveEnabled = false
