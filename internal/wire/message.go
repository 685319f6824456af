package wire

import "holdfast/internal/kafka"

// Message is a request or a response body.
type Message interface {
	// Decode replaces the message with the one in body. It fails with a
	// *VersionError for a version that is not in the table and with a
	// *DecodeError for everything else; after a failure the content is
	// undefined. Byte fields refer to body.
	Decode(body []byte, version int16) error
	// Append appends the encoding to dst. A version that is not in the table is
	// a bug and panics. Strings that a non-flexible version cannot carry (above
	// 32767 bytes) are cut.
	Append(dst []byte, version int16) []byte
	// Default sets every field to its default.
	Default()
	// Key returns the API that the message belongs to.
	Key() kafka.APIKey
}

// Request is a message from a client.
type Request interface {
	Message
	isRequest()
}

// Response is a message to a client.
type Response interface {
	Message
	isResponse()
}

// API describes one request kind.
type API struct {
	Key           kafka.APIKey
	Name          string // the protocol's own name
	MaxVersion    int16  // versions 0 to MaxVersion have a codec
	FlexibleSince int16  // -1: never
	FrameCap      int    // largest request frame in bytes, header included
	DecodeFactor  int    // bytes allocated per byte of a request, at most
}

// maker holds the constructors of one API's messages.
type maker struct {
	request  func() Request
	response func() Response
}

func freshRequest[T any, P interface {
	*T
	Request
}]() Request {
	m := P(new(T))
	m.Default()
	return m
}

func freshResponse[T any, P interface {
	*T
	Response
}]() Response {
	m := P(new(T))
	m.Default()
	return m
}

// NewRequest returns an empty request with its defaults, or nil for an unknown
// key.
func NewRequest(key kafka.APIKey) Request {
	if m := makerOf(key); m != nil {
		return m.request()
	}
	return nil
}

// NewResponse returns an empty response with its defaults, or nil for an unknown
// key.
func NewResponse(key kafka.APIKey) Response {
	if m := makerOf(key); m != nil {
		return m.response()
	}
	return nil
}

func makerOf(key kafka.APIKey) *maker {
	switch i := int(key) - int(PrivateFirst); {
	case key >= 0 && int(key) < len(apiMakers):
		return &apiMakers[key]
	case i >= 0 && i < len(privateMakers):
		return &privateMakers[i]
	}
	return nil
}

// BudgetSlack is what decoding may allocate beyond the factor, in bytes.
const BudgetSlack = 4096

// APIs returns the table of the protocol's APIs by ascending key.
func APIs() []API { return append([]API(nil), apis[:]...) }

// PrivateAPIs returns the table of the APIs that brokers speak among themselves,
// by ascending key. They are never advertised.
func PrivateAPIs() []API { return append([]API(nil), private[:]...) }

// IsPrivate reports whether only brokers may send requests of key.
func IsPrivate(key kafka.APIKey) bool { return key >= PrivateFirst }

// Lookup returns the row of key.
func Lookup(key kafka.APIKey) (API, bool) {
	if a := rowOf(key); a != nil {
		return *a, true
	}
	return API{}, false
}

func rowOf(key kafka.APIKey) *API {
	switch i := int(key) - int(PrivateFirst); {
	case key >= 0 && int(key) < len(apis):
		return &apis[key]
	case i >= 0 && i < len(private):
		return &private[i]
	}
	return nil
}

// Name returns the protocol's name of key, or "" for an unknown one.
func Name(key kafka.APIKey) string {
	a, _ := Lookup(key)
	return a.Name
}

// MaxVersion returns the highest version that has a codec, -1 for an unknown key.
func MaxVersion(key kafka.APIKey) int16 {
	if a, ok := Lookup(key); ok {
		return a.MaxVersion
	}
	return -1
}

// FlexibleSince returns the first flexible version, -1 when there is none.
func FlexibleSince(key kafka.APIKey) int16 {
	if a, ok := Lookup(key); ok {
		return a.FlexibleSince
	}
	return -1
}

// Flexible reports whether the version of key has compact lengths and tagged
// fields.
func Flexible(key kafka.APIKey, version int16) bool {
	since := FlexibleSince(key)
	return since >= 0 && version >= since
}

// Limits returns the largest frame in bytes that a request of key may have and
// the memory that decoding it takes at most per byte of the frame (besides the
// frame). An unknown key gets zeroes: no frame is acceptable.
func Limits(key kafka.APIKey) (frameCap, decodeFactor int) {
	a, _ := Lookup(key)
	return a.FrameCap, a.DecodeFactor
}
