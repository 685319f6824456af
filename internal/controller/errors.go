package controller

import (
	"fmt"

	"holdfast/internal/kafka"
)

// Error is a refusal: the protocol's code and the reason in plain words.
type Error struct {
	Code    kafka.ErrorCode
	Message string
}

// Error is code and reason.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }

// Unwrap makes errors.As find the code.
func (e *Error) Unwrap() error { return e.Code }

func refuse(code kafka.ErrorCode, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// clip bounds what a refusal repeats of a stranger's text.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
