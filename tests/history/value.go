package history

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Writer names one producer for the whole of a history, from 0.
type Writer uint16 // below 1<<15

// Value names one record: the counter-th that the writer sent.
type Value struct {
	Writer  Writer
	Counter uint32
}

// String is w3:17.
func (v Value) String() string { return fmt.Sprintf("w%d:%d", v.Writer, v.Counter) }

// ValueSizeMin is the smallest encoded value, in bytes.
const ValueSizeMin = 16

const valueMagic = 0x48

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode writes v into the whole of buf: its name, filling that depends on the
// name, and a CRC32C over both. len(buf) is at least ValueSizeMin.
func (v Value) Encode(buf []byte) {
	buf[0] = valueMagic
	buf[1] = 0
	binary.BigEndian.PutUint16(buf[2:], uint16(v.Writer))
	binary.BigEndian.PutUint32(buf[4:], v.Counter)
	binary.BigEndian.PutUint32(buf[8:], uint32(len(buf)))
	seed := uint64(v.Counter)*0x9e3779b97f4a7c15 + uint64(v.Writer)
	fill(buf[12:len(buf)-4], seed)
	binary.BigEndian.PutUint32(buf[len(buf)-4:], crc32.Checksum(buf[:len(buf)-4], castagnoli))
}

// fill writes a pattern that compresses a little: half of it is text.
func fill(b []byte, x uint64) {
	for len(b) > 0 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		var w [16]byte
		binary.LittleEndian.PutUint64(w[:], x)
		copy(w[8:], "holdfast")
		b = b[copy(b, w[:]):]
	}
}

// Decode reads what Encode wrote. An error means that the bytes are not what
// any writer sent.
func Decode(buf []byte) (Value, error) {
	if len(buf) < ValueSizeMin || buf[0] != valueMagic {
		return Value{}, fmt.Errorf("decode value: %d bytes that no writer sent", len(buf))
	}
	if n := binary.BigEndian.Uint32(buf[8:]); int(n) != len(buf) {
		return Value{}, fmt.Errorf("decode value: %d bytes, %d were sent", len(buf), n)
	}
	sum := binary.BigEndian.Uint32(buf[len(buf)-4:])
	if got := crc32.Checksum(buf[:len(buf)-4], castagnoli); got != sum {
		return Value{}, fmt.Errorf("decode value: checksum %08x, want %08x", got, sum)
	}
	return Value{Writer: Writer(binary.BigEndian.Uint16(buf[2:])), Counter: binary.BigEndian.Uint32(buf[4:])}, nil
}
