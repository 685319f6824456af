// Package clock is the only way to the time. Every package that waits or reads
// the time takes a Clock; internal/lint refuses time.Now and its kin elsewhere.
package clock
