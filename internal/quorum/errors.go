package quorum

import (
	"errors"
	"fmt"

	"holdfast/internal/kafka"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrClosed: the quorum is shutting down. What was submitted and not answered
	// may or may not have happened.
	ErrClosed = errors.New("the metadata quorum is shutting down")
	// ErrLeadershipLost: this controller stopped leading before the entry was
	// committed. It may still be committed.
	ErrLeadershipLost = errors.New("the controller lost its leadership; the outcome is unknown")
	// ErrNoSpace: the disk is full and the reserve is used up. Nothing was done.
	ErrNoSpace = errors.New("no disk space is left for metadata")
	// ErrForeign: the metadata belongs to another directory or cluster.
	ErrForeign = errors.New("the metadata belongs to another directory or cluster")
)

// NotLeaderError refuses a command where another controller leads. Nothing was
// done.
type NotLeaderError struct {
	Leader kafka.BrokerID // NoBroker: not known at the moment
}

// Error names the leader.
func (e *NotLeaderError) Error() string {
	if e.Leader == kafka.NoBroker {
		return "this node does not lead the metadata quorum, and no leader is known"
	}
	return fmt.Sprintf("this node does not lead the metadata quorum; node %d does", e.Leader)
}

// Unwrap gives the protocol's code.
func (e *NotLeaderError) Unwrap() error { return kafka.ErrNotController }

// CorruptionError says that stored metadata is not what was written. The files
// stay as they are, and the quorum does not start.
type CorruptionError struct {
	File     string
	Position int64
	Cause    error
}

// Error says where and why.
func (e *CorruptionError) Error() string {
	return fmt.Sprintf("metadata file %s is damaged at %d: %v", e.File, e.Position, e.Cause)
}

// Unwrap gives the cause.
func (e *CorruptionError) Unwrap() error { return e.Cause }

// VersionError reports a file that a newer version of the program has written.
type VersionError struct {
	File           string
	Version, Known int
}

// Error says in plain words what to do.
func (e *VersionError) Error() string {
	return fmt.Sprintf("metadata file %s has format version %d, and this program knows up to %d: a newer version of holdfast has written it, use that one",
		e.File, e.Version, e.Known)
}

var (
	errChecksum   = errors.New("checksum mismatch")
	errMagic      = errors.New("not a file of this kind")
	errSize       = errors.New("wrong size")
	errValue      = errors.New("impossible value")
	errStalled    = errors.New("no disk space for an entry")
	errRolledBack = errors.New("this directory is an older copy of itself: restore nothing under a running cluster, start with an empty directory")
	errMissing    = errors.New("missing, although metadata was written here")
	errWiped      = errors.New("missing: this directory belongs to a cluster that was founded long ago, and its metadata is gone. " +
		"Put " + StateDirectory + " and " + LogDirectory + " back as they were; no second cluster is founded over the first. " +
		"To begin anew, use an empty directory")
)
