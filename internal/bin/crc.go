package bin

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC32C returns the Castagnoli checksum of b, the one of record batches.
func CRC32C(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// UpdateCRC32C returns the checksum of the bytes summed in crc followed by b.
func UpdateCRC32C(crc uint32, b []byte) uint32 { return crc32.Update(crc, castagnoli, b) }

// CombineCRC32C returns the checksum of a followed by b, given that of a, that of
// b and the length of b, [0, 2^28) bytes: about a microsecond instead of reading b.
//
// A checksum is the remainder of a polynomial over the two numbers; b behind a
// means a times x^(8 length) plus b. The inversions at both ends of each checksum
// cancel out.
func CombineCRC32C(a, b uint32, length int64) uint32 {
	for k := 3; length > 0; k, length = k+1, length>>1 {
		if length&1 != 0 {
			a = multiplyCRC(powersCRC[k], a)
		}
	}
	return a ^ b
}

// powersCRC[k] is x^(2^k) modulo the polynomial, lowest power in the highest bit.
var powersCRC = func() (p [32]uint32) {
	p[0] = 1 << 30 // x
	for k := 1; k < len(p); k++ {
		p[k] = multiplyCRC(p[k-1], p[k-1])
	}
	return p
}()

// multiplyCRC multiplies two polynomials modulo that of CRC32C.
func multiplyCRC(a, b uint32) uint32 {
	product := uint32(0)
	for bit := uint32(1) << 31; bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ crc32.Castagnoli
		} else {
			b >>= 1
		}
	}
	return product
}
