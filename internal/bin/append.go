package bin

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// AppendInt8 appends one byte.
func AppendInt8(dst []byte, v int8) []byte { return append(dst, byte(v)) }

// AppendBool appends 1 for true and 0 for false.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendInt16 appends two bytes.
func AppendInt16(dst []byte, v int16) []byte { return binary.BigEndian.AppendUint16(dst, uint16(v)) }

// AppendUint16 appends two bytes.
func AppendUint16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }

// AppendInt32 appends four bytes.
func AppendInt32(dst []byte, v int32) []byte { return binary.BigEndian.AppendUint32(dst, uint32(v)) }

// AppendUint32 appends four bytes.
func AppendUint32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }

// AppendInt64 appends eight bytes.
func AppendInt64(dst []byte, v int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(v)) }

// AppendUint64 appends eight bytes.
func AppendUint64(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }

// AppendFloat64 appends eight bytes.
func AppendFloat64(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(v))
}

// AppendUUID appends sixteen bytes.
func AppendUUID(dst []byte, v [16]byte) []byte { return append(dst, v[:]...) }

// AppendUvarint appends an unsigned varint.
func AppendUvarint(dst []byte, v uint32) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// AppendUvarlong appends an unsigned varint of up to 64 bits.
func AppendUvarlong(dst []byte, v uint64) []byte { return binary.AppendUvarint(dst, v) }

// AppendVarint appends a zig-zag varint.
func AppendVarint(dst []byte, v int32) []byte {
	return AppendUvarint(dst, uint32(v)<<1^uint32(v>>31))
}

// AppendVarlong appends a zig-zag varint of up to 64 bits.
func AppendVarlong(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

// UvarintSize is the number of bytes that AppendUvarint appends for v.
func UvarintSize(v uint32) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}

// AppendString appends a string with its length. The older encoding carries at
// most 32767 bytes; a longer string is cut there, between two characters,
// because a reply must be possible for every value that is stored.
func AppendString(dst []byte, s string, compact bool) []byte {
	if compact {
		dst = AppendUvarint(dst, uint32(len(s))+1)
		return append(dst, s...)
	}
	if len(s) > math.MaxInt16 {
		s = cut(s, math.MaxInt16)
	}
	dst = AppendInt16(dst, int16(len(s)))
	return append(dst, s...)
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:n]
}

// AppendNullableString appends a string; nil is null.
func AppendNullableString(dst []byte, s *string, compact bool) []byte {
	switch {
	case s != nil:
		return AppendString(dst, *s, compact)
	case compact:
		return append(dst, 0)
	default:
		return AppendInt16(dst, -1)
	}
}

// AppendStringOrEmpty appends a string where null is not legal; nil is empty.
func AppendStringOrEmpty(dst []byte, s *string, compact bool) []byte {
	if s == nil {
		return AppendString(dst, "", compact)
	}
	return AppendString(dst, *s, compact)
}

// AppendBytes appends a byte array with its length; nil is empty.
func AppendBytes(dst, b []byte, compact bool) []byte {
	return append(AppendCount(dst, len(b), compact), b...)
}

// AppendNullableBytes appends a byte array with its length; nil is null.
func AppendNullableBytes(dst, b []byte, compact bool) []byte {
	if b == nil {
		return AppendNullCount(dst, compact)
	}
	return AppendBytes(dst, b, compact)
}

// AppendCount appends the number of elements of an array, or the length of a
// byte array.
func AppendCount(dst []byte, n int, compact bool) []byte {
	if compact {
		return AppendUvarint(dst, uint32(n)+1)
	}
	return AppendInt32(dst, int32(n))
}

// AppendNullCount appends the count of an array that is null.
func AppendNullCount(dst []byte, compact bool) []byte {
	if compact {
		return append(dst, 0)
	}
	return AppendInt32(dst, -1)
}

// CloseTag puts the size of a tagged field in front of its payload, which is
// dst[mark:]. The caller has appended the tag's number before mark.
func CloseTag(dst []byte, mark int) []byte {
	n := len(dst) - mark
	shift := UvarintSize(uint32(n))
	var room [5]byte
	dst = append(dst, room[:shift]...)
	copy(dst[mark+shift:], dst[mark:mark+n])
	AppendUvarint(dst[mark:mark:mark+shift], uint32(n))
	return dst
}
