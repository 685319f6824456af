package log

import (
	"errors"
	"fmt"
	"io/fs"

	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrOffsetOutOfRange: the offset is below Start or above End.
	ErrOffsetOutOfRange = errors.New("offset out of range")
	// ErrTooLarge: the batches of one append are larger than a segment may be.
	ErrTooLarge = errors.New("larger than segment.bytes")
	// ErrNoSpace: the file system is full; nothing was appended and the log goes on.
	ErrNoSpace = vfs.ErrNoSpace
	// ErrOffline: a write or sync failed earlier. The log takes no writes any
	// more in this process; reads go on. The error wraps the first failure.
	ErrOffline = errors.New("log is offline")
	// ErrUnfinished: the directory holds no log, or one whose creation a crash
	// interrupted before it held anything. Create finishes it.
	ErrUnfinished = errors.New("not created yet")
	// ErrExists: Create found a log.
	ErrExists = errors.New("log exists")
	// ErrForeign: the directory holds another log than the one asked for.
	ErrForeign = errors.New("directory belongs to another log")
	// ErrNewerFormat: a newer version of the program wrote the directory.
	ErrNewerFormat = errors.New("written by a newer version of Holdfast, which this one cannot read; start the newer version")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("log is closed")
)

// What can be wrong with stored bytes. A *CorruptionError wraps one of these or
// one of package record's.
var (
	ErrChecksum  = errors.New("checksum mismatch")
	ErrTruncated = errors.New("wrong size")
	ErrContent   = errors.New("impossible value")
	ErrMissing   = errors.New("missing")
	ErrOrder     = errors.New("out of order")
)

// CorruptionError says that stored bytes are not what was written. Whoever gets
// one leaves the bytes alone: they may be all that is left of an acknowledged
// write.
type CorruptionError struct {
	File     string       // the file's name with its directory
	Position int64        // in bytes
	Offset   kafka.Offset // of the batch concerned, NoOffset where there is none
	Cause    error
}

func (e *CorruptionError) Error() string {
	if e.Offset == kafka.NoOffset {
		return fmt.Sprintf("read %s at %d: %v", e.File, e.Position, e.Cause)
	}
	return fmt.Sprintf("read %s at %d, offset %d: %v", e.File, e.Position, e.Offset, e.Cause)
}

// Unwrap gives the cause.
func (e *CorruptionError) Unwrap() error { return e.Cause }

// harmless reports whether an operation that failed with err can be tried again:
// the file system was full, or a file could not be opened (no descriptor left, for
// one), which changes nothing. After a failed write, sync or rename nobody knows
// what is on the disk.
func harmless(err error) bool {
	if errors.Is(err, ErrNoSpace) {
		return true
	}
	path, ok := errors.AsType[*fs.PathError](err)
	return ok && path.Op == "open"
}

func corrupt(file string, position int64, cause error, format string, args ...any) *CorruptionError {
	return &CorruptionError{File: file, Position: position, Offset: kafka.NoOffset,
		Cause: fmt.Errorf(format+": %w", append(args, cause)...)}
}
