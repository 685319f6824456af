package record

import "encoding/binary"

// badPos is the position after a varint that could not be read. Every reader
// answers it with itself, so that a walk checks once per record and not once
// per number.
const badPos = -1

// varint reads a zigzag number of at most 32 bits at p and returns the position
// after it, or badPos. The one-byte case, which nearly all are, is inlined.
func varint(b []byte, p int) (int32, int) {
	if uint(p) < uint(len(b)) && b[p] < 0x80 {
		c := int32(b[p])
		return c>>1 ^ -(c & 1), p + 1
	}
	return varintLong(b, p)
}

func varintLong(b []byte, p int) (int32, int) {
	v, p := varlong(b, p)
	if v < -1<<31 || v > 1<<31-1 {
		return 0, badPos
	}
	return int32(v), p
}

// varlong is varint for 64 bits.
func varlong(b []byte, p int) (int64, int) {
	if uint(p) >= uint(len(b)) {
		return 0, badPos
	}
	u, n := binary.Uvarint(b[p:])
	if n <= 0 {
		return 0, badPos
	}
	return int64(u>>1) ^ -int64(u&1), p + n
}

func appendVarint(dst []byte, v int64) []byte {
	return binary.AppendUvarint(dst, uint64(v)<<1^uint64(v>>63))
}
