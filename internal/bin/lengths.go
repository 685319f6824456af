package bin

import "math"

// In this file compact selects between the two encodings of a length: the
// older one is a signed number of 16 (strings) or 32 bits with -1 for null, the
// compact one is a varint of the length plus one with 0 for null.

// length16 reads the length of a string; -1 is null.
func (r *Reader) length16(compact bool) int {
	if compact {
		return int(r.Uvarint()) - 1
	}
	return int(r.Int16())
}

// length32 reads the length of a byte array or array; -1 is null.
func (r *Reader) length32(compact bool) int {
	if compact {
		return int(r.Uvarint()) - 1
	}
	return int(r.Int32())
}

// String consumes a string that must not be null.
func (r *Reader) String(compact bool) string {
	n := r.length16(compact)
	if n < 0 {
		r.fail(ErrNull)
		return ""
	}
	return r.text(r.Span(n))
}

// NullableString consumes a string; nil is null.
func (r *Reader) NullableString(compact bool) *string {
	n := r.length16(compact)
	if n < 0 {
		r.nullOnly(n)
		return nil
	}
	b := r.Span(n)
	if r.err != nil {
		return nil
	}
	return r.textPointer(b)
}

// StringSpan consumes a string as bytes of the input, without a copy; nil is
// null.
func (r *Reader) StringSpan(compact bool) []byte {
	n := r.length16(compact)
	if n < 0 {
		r.nullOnly(n)
		return nil
	}
	return r.Span(n)
}

// Bytes consumes a byte array that must not be null, without a copy.
func (r *Reader) Bytes(compact bool) []byte {
	n := r.length32(compact)
	if n < 0 {
		r.fail(ErrNull)
		return nil
	}
	return r.Span(n)
}

// NullableBytes consumes a byte array without a copy; nil is null, and an empty
// array is not nil.
func (r *Reader) NullableBytes(compact bool) []byte {
	n := r.length32(compact)
	if n < 0 {
		r.nullOnly(n)
		return nil
	}
	return r.Span(n)
}

// nullOnly fails unless n is the one negative length that means null.
func (r *Reader) nullOnly(n int) {
	if n != -1 {
		r.fail(ErrNull)
	}
}

// Count consumes the number of elements of an array that must not be null. It
// fails when so many elements of least bytes each (at least 1) cannot follow.
func (r *Reader) Count(compact bool, least int) int {
	n := r.length32(compact)
	if n < 0 {
		r.fail(ErrNull)
		return 0
	}
	return r.bounded(n, least)
}

// NullableCount is Count for an array that may be null: then it returns -1.
func (r *Reader) NullableCount(compact bool, least int) int {
	n := r.length32(compact)
	if n < 0 {
		r.nullOnly(n)
		return -1
	}
	return r.bounded(n, least)
}

func (r *Reader) bounded(n, least int) int {
	if r.err != nil {
		return 0
	}
	if n > len(r.b)/max(least, 1) {
		r.fail(ErrCount)
		return 0
	}
	return n
}

// A tagged field takes at least two bytes: its number and its size.
const tagLeast = 2

// TagCount consumes the number of tagged fields. Fields then follow as OpenTag
// and CloseTag or SkipTag; a loop over them must also stop when OK is false.
func (r *Reader) TagCount() int {
	n := r.Uvarint()
	if n == 0 || r.err != nil {
		return 0
	}
	if n > math.MaxInt32 {
		r.fail(ErrCount)
		return 0
	}
	return r.bounded(int(n), tagLeast)
}

// OpenTag consumes the number and size of a tagged field and confines the
// Reader to its payload. The number must be above last (pass -1 at first). The
// second result is what follows the payload; it goes to CloseTag or SkipTag.
func (r *Reader) OpenTag(last int64) (tag int64, rest []byte) {
	tag = int64(r.Uvarint())
	n := int(r.Uvarint())
	if r.err != nil {
		return tag, nil
	}
	if tag <= last {
		r.fail(ErrTags)
		return tag, nil
	}
	if n > len(r.b) {
		r.fail(ErrShort)
		return tag, nil
	}
	rest = r.b[n:]
	r.b = r.b[:n]
	r.outer += len(rest)
	return tag, rest
}

// CloseTag ends the field that OpenTag began; all of its payload must have been
// consumed.
func (r *Reader) CloseTag(rest []byte) {
	if r.err != nil {
		return
	}
	if len(r.b) != 0 {
		r.fail(ErrTags)
		return
	}
	r.SkipTag(rest)
}

// SkipTag ends the field that OpenTag began and drops what is left of it.
func (r *Reader) SkipTag(rest []byte) {
	if r.err != nil {
		return
	}
	r.b = rest
	r.outer -= len(rest)
}

// SkipTags consumes a whole section of tagged fields, none of which is known.
func (r *Reader) SkipTags() {
	last := int64(-1)
	for n := r.TagCount(); n > 0 && r.err == nil; n-- {
		var rest []byte
		last, rest = r.OpenTag(last)
		r.SkipTag(rest)
	}
}

// StringPointer consumes a string that must not be null.
func (r *Reader) StringPointer(compact bool) *string {
	n := r.length16(compact)
	if n < 0 {
		r.fail(ErrNull)
		return nil
	}
	b := r.Span(n)
	if r.err != nil {
		return nil
	}
	return r.textPointer(b)
}

// Present consumes the marker in front of a structure that may be null: a
// negative byte is null.
func (r *Reader) Present() bool {
	return r.Int8() >= 0 && r.err == nil
}
