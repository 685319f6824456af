// Package bin reads and writes the primitive values of Kafka's formats: big
// endian numbers, zig-zag varints, strings and byte arrays with 16-bit, 32-bit
// or varint lengths, identities, array counts, tagged-field sections, CRC32C.
//
// It is pure. It is NOT a message codec: which field follows which is the
// business of package wire (generated) and of the packages that own a format.
//
// Invariants:
//
//  1. No input makes a Reader panic. The first failure is kept, every later
//     read returns a zero value, and the position does not move any more.
//  2. A count is accepted only if that many elements of the smallest possible
//     size fit into the bytes that are left.
//  3. Memory is charged before it is allocated. A Reader with a budget fails
//     with ErrBudget instead of allocating more than the budget.
//  4. Byte slices returned by a Reader are sub-slices of its input whose
//     capacity ends where they end, so an append to one never writes into its
//     neighbour. Strings are copies.
//  5. Append functions only append; given capacity they do not allocate.
//
// File map:
//
//	reader.go   Reader: numbers, spans, errors
//	lengths.go  Reader: counts, strings, byte arrays, tagged fields
//	budget.go   Reader: the memory budget
//	append.go   the writers
//	crc.go      CRC32C
package bin
