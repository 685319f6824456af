package record

import (
	"errors"
	"fmt"

	"holdfast/internal/kafka"
)

// What can be wrong with the bytes of a batch. A *CorruptionError wraps one.
var (
	// ErrTruncated: fewer bytes than the batch declares, or than a header needs.
	// At the end of a log it is the sign of a torn write.
	ErrTruncated = errors.New("truncated")
	// ErrLength: a length that no batch can have.
	ErrLength = errors.New("impossible length")
	// ErrMagic: not magic 2.
	ErrMagic = errors.New("not magic 2")
	// ErrChecksum: the CRC32C does not match.
	ErrChecksum = errors.New("checksum mismatch")
	// ErrRecords: the records do not follow the format or do not match the header.
	ErrRecords = errors.New("malformed records")
	// ErrCompression: the compressed records cannot be decompressed.
	ErrCompression = errors.New("malformed compression")
	// ErrCodec: a codec number that the format does not know.
	ErrCodec = errors.New("unknown codec")
	// ErrTooLarge: the records decompress to more than the caller allows.
	ErrTooLarge = errors.New("decompresses to more than allowed")
)

// CorruptionError says that bytes are not what they must be. Base is the base
// offset that the batch claims, NoOffset where even that is unreadable; Cause
// wraps one of the sentinels above.
type CorruptionError struct {
	Base  kafka.Offset
	Cause error
}

func (e *CorruptionError) Error() string {
	return fmt.Sprintf("read batch at offset %d: %v", e.Base, e.Cause)
}

// Unwrap gives the cause.
func (e *CorruptionError) Unwrap() error { return e.Cause }

func corrupt(base kafka.Offset, cause error, format string, args ...any) error {
	return &CorruptionError{Base: base, Cause: fmt.Errorf(format+": %w", append(args, cause)...)}
}

// recordErrorsMax bounds Rejection.Records: a batch of a million bad records
// must not make an answer larger than the request.
const recordErrorsMax = 64

// RecordError is the fault of one record of a refused batch (KIP-467). Index
// counts from 0 in the batch.
type RecordError struct {
	Index   int32
	Message string
}

// Rejection says why a client's batch was refused: the code that api answers,
// a sentence for a person, and the records at fault where it was records (the
// first 64 of them).
type Rejection struct {
	Code    kafka.ErrorCode
	Message string
	Records []RecordError
}

func (r *Rejection) Error() string {
	return fmt.Sprintf("validate batch: %s: %s", r.Code, r.Message)
}

// Unwrap gives the code, so that errors.As finds a kafka.ErrorCode.
func (r *Rejection) Unwrap() error { return r.Code }

func reject(code kafka.ErrorCode, format string, args ...any) *Rejection {
	return &Rejection{Code: code, Message: fmt.Sprintf(format, args...)}
}
