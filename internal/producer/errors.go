package producer

import (
	"errors"
	"fmt"
)

// What can be wrong with an encoded table. A *CorruptionError wraps one.
var (
	// ErrTruncated: the bytes end before the table does, or go on after it.
	ErrTruncated = errors.New("wrong size")
	// ErrVersion: written by a version that this one does not know.
	ErrVersion = errors.New("unknown version")
	// ErrChecksum: the CRC32C does not match.
	ErrChecksum = errors.New("checksum mismatch")
	// ErrContent: a value that no table can hold.
	ErrContent = errors.New("impossible value")
)

// CorruptionError says that an encoded table is not usable. Position is the
// byte at which this shows; Cause wraps one of the sentinels above.
type CorruptionError struct {
	Position int
	Cause    error
}

func (e *CorruptionError) Error() string {
	return fmt.Sprintf("decode producer table at byte %d: %v", e.Position, e.Cause)
}

// Unwrap gives the cause.
func (e *CorruptionError) Unwrap() error { return e.Cause }
