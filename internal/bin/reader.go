package bin

import (
	"encoding/binary"
	"errors"
	"math"
)

// The reasons why a Reader fails.
var (
	// ErrShort: the input ends inside a value.
	ErrShort = errors.New("input too short")
	// ErrVarint: a varint is longer than its type allows.
	ErrVarint = errors.New("varint too long")
	// ErrCount: more elements are announced than the bytes left can hold.
	ErrCount = errors.New("count exceeds input")
	// ErrNull: null stands where it is not allowed, or a length is negative.
	ErrNull = errors.New("unexpected null or negative length")
	// ErrTags: tagged fields are not in ascending order, or one of them does
	// not fill its announced size.
	ErrTags = errors.New("malformed tagged fields")
	// ErrTrailing: bytes are left where the input must end.
	ErrTrailing = errors.New("trailing bytes")
	// ErrBudget: decoding would allocate more than the budget.
	ErrBudget = errors.New("memory budget exceeded")
)

// Reader takes values from the front of a byte slice. The zero Reader reads
// nothing; use NewReader. It is not safe for concurrent use.
type Reader struct {
	b         []byte // what is left
	size      int    // bytes at the start, for Position
	outer     int    // bytes set aside while tagged fields are open
	budget    int
	err       error
	chunk     []string
	chunkLeft int
	chunkSize int
}

// NewReader reads b without a memory budget. The Reader keeps b.
func NewReader(b []byte) Reader { return Reader{b: b, size: len(b), budget: Unlimited} }

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// Fail makes the Reader fail with err unless it has failed already.
func (r *Reader) Fail(err error) { r.fail(err) }

// Err returns the first failure or nil.
func (r *Reader) Err() error { return r.err }

// OK reports whether nothing has failed so far.
func (r *Reader) OK() bool { return r.err == nil }

// Left returns the number of unread bytes.
func (r *Reader) Left() int { return len(r.b) }

// Position returns how many bytes were consumed; after a failure, where the
// value that failed begins or a little behind it.
func (r *Reader) Position() int { return r.size - len(r.b) - r.outer }

// Rest returns the unread bytes without consuming them.
func (r *Reader) Rest() []byte { return r.b[:len(r.b):len(r.b)] }

// Done fails the Reader when bytes are left and returns its error.
func (r *Reader) Done() error {
	if r.err == nil && len(r.b) > 0 {
		r.err = ErrTrailing
	}
	return r.err
}

// Span consumes n bytes and returns them as a sub-slice with capacity n.
func (r *Reader) Span(n int) []byte {
	if n < 0 || n > len(r.b) || r.err != nil {
		r.fail(ErrShort)
		return nil
	}
	s := r.b[:n:n]
	r.b = r.b[n:]
	return s
}

// Int8 consumes one byte.
func (r *Reader) Int8() int8 {
	if len(r.b) < 1 || r.err != nil {
		r.fail(ErrShort)
		return 0
	}
	v := int8(r.b[0])
	r.b = r.b[1:]
	return v
}

// Bool consumes one byte; every value but 0 is true.
func (r *Reader) Bool() bool { return r.Int8() != 0 }

// Uint16 consumes two bytes.
func (r *Reader) Uint16() uint16 {
	if len(r.b) < 2 || r.err != nil {
		r.fail(ErrShort)
		return 0
	}
	v := binary.BigEndian.Uint16(r.b)
	r.b = r.b[2:]
	return v
}

// Int16 consumes two bytes.
func (r *Reader) Int16() int16 { return int16(r.Uint16()) }

// Uint32 consumes four bytes.
func (r *Reader) Uint32() uint32 {
	if len(r.b) < 4 || r.err != nil {
		r.fail(ErrShort)
		return 0
	}
	v := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

// Int32 consumes four bytes.
func (r *Reader) Int32() int32 { return int32(r.Uint32()) }

// Uint64 consumes eight bytes.
func (r *Reader) Uint64() uint64 {
	if len(r.b) < 8 || r.err != nil {
		r.fail(ErrShort)
		return 0
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// Int64 consumes eight bytes.
func (r *Reader) Int64() int64 { return int64(r.Uint64()) }

// Float64 consumes eight bytes.
func (r *Reader) Float64() float64 { return math.Float64frombits(r.Uint64()) }

// UUID consumes sixteen bytes.
func (r *Reader) UUID() (u [16]byte) {
	if len(r.b) < len(u) || r.err != nil {
		r.fail(ErrShort)
		return u
	}
	copy(u[:], r.b)
	r.b = r.b[len(u):]
	return u
}

// Uvarint consumes an unsigned varint of at most 32 bits.
func (r *Reader) Uvarint() uint32 {
	if len(r.b) > 0 && r.b[0] < 0x80 && r.err == nil {
		v := r.b[0]
		r.b = r.b[1:]
		return uint32(v)
	}
	v := r.uvarint(5)
	if v > math.MaxUint32 {
		r.fail(ErrVarint)
		return 0
	}
	return uint32(v)
}

// Uvarlong consumes an unsigned varint of at most 64 bits.
func (r *Reader) Uvarlong() uint64 { return r.uvarint(binary.MaxVarintLen64) }

// Varint consumes a zig-zag varint of at most 32 bits.
func (r *Reader) Varint() int32 {
	u := r.Uvarint()
	return int32(u>>1) ^ -int32(u&1)
}

// Varlong consumes a zig-zag varint of at most 64 bits.
func (r *Reader) Varlong() int64 {
	u := r.Uvarlong()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *Reader) uvarint(most int) uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b[:min(len(r.b), most)])
	switch {
	case n > 0:
		r.b = r.b[n:]
		return v
	case n == 0 && len(r.b) < most:
		r.fail(ErrShort)
	default:
		r.fail(ErrVarint)
	}
	return 0
}
