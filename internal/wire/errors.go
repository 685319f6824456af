package wire

import (
	"fmt"

	"holdfast/internal/kafka"
)

// VersionError says that there is no codec for a key or for a version of it.
type VersionError struct {
	Key     kafka.APIKey
	Version int16
}

func (e *VersionError) Error() string {
	if name := Name(e.Key); name != "" {
		return fmt.Sprintf("wire: %s version %d is not supported", name, e.Version)
	}
	return fmt.Sprintf("wire: api key %d is unknown", e.Key)
}

// DecodeError says why and where a body or header could not be decoded.
type DecodeError struct {
	Key      kafka.APIKey
	Version  int16
	Position int // bytes from the start of the body (or frame, for a header)
	Cause    error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("wire: decode %s version %d at byte %d: %v", Name(e.Key), e.Version, e.Position, e.Cause)
}

// Unwrap returns the cause, one of the errors of package bin.
func (e *DecodeError) Unwrap() error { return e.Cause }
