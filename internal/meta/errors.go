package meta

import (
	"errors"
	"fmt"
)

// CorruptionError reports bytes that are no metadata records, or records that
// cannot follow each other. Nothing after them may be believed.
type CorruptionError struct {
	Position int // in the decoded bytes; -1 for records that decode
	Cause    error
}

// Error says where and why.
func (e *CorruptionError) Error() string {
	if e.Position < 0 {
		return fmt.Sprintf("apply metadata record: %v", e.Cause)
	}
	return fmt.Sprintf("decode metadata records at %d: %v", e.Position, e.Cause)
}

// Unwrap returns the cause.
func (e *CorruptionError) Unwrap() error { return e.Cause }

// VersionError reports metadata that a newer version of the program has written.
type VersionError struct {
	What    string // "partition record", "feature level"
	Version int
	Known   int // the newest that this program knows; 0: nothing of the kind
}

// Error says in plain words what to do.
func (e *VersionError) Error() string {
	if e.Known == 0 {
		return fmt.Sprintf("read metadata: %s %d is unknown to this program: a newer version of holdfast has written it, use that one", e.What, e.Version)
	}
	return fmt.Sprintf("read metadata: %s has version %d, and this program knows up to %d: a newer version of holdfast has written it, use that one",
		e.What, e.Version, e.Known)
}

// The reasons why records do not follow each other.
var (
	errFrame     = errors.New("the record does not fill its frame")
	errValue     = errors.New("value out of range")
	errUnknown   = errors.New("names something that does not exist")
	errDuplicate = errors.New("exists already")
	errOrder     = errors.New("out of order")
	errLevel     = errors.New("not allowed yet")
)
