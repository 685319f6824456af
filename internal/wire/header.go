package wire

import (
	"holdfast/internal/bin"
	"holdfast/internal/kafka"
)

// RequestHeader is what precedes every request body.
type RequestHeader struct {
	Key           kafka.APIKey
	Version       int16
	CorrelationID int32
	ClientID      *string // nil is null
}

// headerBudget bounds the copy of a client id (at most 32767 bytes).
const headerBudget = 48 << 10

// ParseRequestHeader reads the header at the front of a frame (without the
// frame's length) and returns it with the body. See Parse for the errors.
func ParseRequestHeader(frame []byte) (RequestHeader, []byte, error) {
	var h RequestHeader
	body, err := h.Parse(frame)
	return h, body, err
}

// Parse is ParseRequestHeader into h. When h already holds the client id of the
// frame, its string stays in use, so that a connection that parses into the same
// header allocates nothing.
//
// A key or version without a codec gives a *VersionError with Key, Version and
// CorrelationID set, since the answer to ApiVersions needs them; everything else
// that is wrong gives a *DecodeError. Version 0 of ControlledShutdown, the one
// request without a client id, counts as unsupported.
func (h *RequestHeader) Parse(frame []byte) ([]byte, error) {
	r := bin.NewReader(frame)
	r.Limit(headerBudget)
	h.Key = kafka.APIKey(r.Int16())
	h.Version = r.Int16()
	h.CorrelationID = r.Int32()
	if r.OK() && !hasHeader(h.Key, h.Version) {
		return nil, &VersionError{Key: h.Key, Version: h.Version}
	}
	h.readClientID(&r)
	if Flexible(h.Key, h.Version) {
		r.SkipTags()
	}
	if err := r.Err(); err != nil {
		return nil, &DecodeError{Key: h.Key, Version: h.Version, Position: r.Position(), Cause: err}
	}
	return r.Rest(), nil
}

func hasHeader(key kafka.APIKey, version int16) bool {
	if key == KeyControlledShutdown && version == 0 {
		return false
	}
	return version >= 0 && version <= MaxVersion(key)
}

// readClientID reads the client id, whose length is never compact.
func (h *RequestHeader) readClientID(r *bin.Reader) {
	id := r.StringSpan(false)
	switch {
	case id == nil:
		h.ClientID = nil
	case h.ClientID == nil || *h.ClientID != string(id):
		s := string(id)
		h.ClientID = &s
	}
}

// Append appends the header as a client sends it.
func (h *RequestHeader) Append(dst []byte) []byte {
	dst = bin.AppendInt16(dst, int16(h.Key))
	dst = bin.AppendInt16(dst, h.Version)
	dst = bin.AppendInt32(dst, h.CorrelationID)
	if !hasHeader(h.Key, h.Version) {
		return dst
	}
	dst = bin.AppendNullableString(dst, h.ClientID, false)
	if Flexible(h.Key, h.Version) {
		dst = append(dst, 0)
	}
	return dst
}

// AppendResponseHeader appends the header of a response. That of ApiVersions
// never has tagged fields, because a client reads it before it knows which
// versions the broker speaks.
func AppendResponseHeader(dst []byte, key kafka.APIKey, version int16, correlationID int32) []byte {
	dst = bin.AppendInt32(dst, correlationID)
	if flexibleResponseHeader(key, version) {
		dst = append(dst, 0)
	}
	return dst
}

func flexibleResponseHeader(key kafka.APIKey, version int16) bool {
	return key != KeyApiVersions && Flexible(key, version)
}

// ParseResponseHeader reads the header at the front of a response frame and
// returns the correlation id and the body.
func ParseResponseHeader(frame []byte, key kafka.APIKey, version int16) (int32, []byte, error) {
	r := bin.NewReader(frame)
	id := r.Int32()
	if flexibleResponseHeader(key, version) {
		r.SkipTags()
	}
	if err := r.Err(); err != nil {
		return 0, nil, &DecodeError{Key: key, Version: version, Position: r.Position(), Cause: err}
	}
	return id, r.Rest(), nil
}
