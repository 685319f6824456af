package vfs

import (
	"fmt"
	"unsafe"
)

// AlignedBlock returns n zero bytes whose address is a multiple of BlockSize,
// as Direct files demand. n need not be a multiple; the capacity is rounded up
// to one. Slicing it at a multiple of BlockSize keeps the alignment.
func AlignedBlock(n int) []byte {
	rounded := (n + BlockSize - 1) / BlockSize * BlockSize
	raw := make([]byte, rounded+BlockSize)
	skip := 0
	if rest := int(uintptr(unsafe.Pointer(unsafe.SliceData(raw))) % BlockSize); rest != 0 {
		skip = BlockSize - rest
	}
	return raw[skip : skip+n : skip+rounded]
}

// checkAligned refuses what a Direct file cannot do. Both file systems call it,
// so that a test in memory finds the mistake that only some kernels punish.
func checkAligned(p []byte, off int64) error {
	if off%BlockSize != 0 || len(p)%BlockSize != 0 {
		return fmt.Errorf("direct I/O at %d of %d bytes: not a multiple of %d", off, len(p), BlockSize)
	}
	if len(p) > 0 && uintptr(unsafe.Pointer(unsafe.SliceData(p)))%BlockSize != 0 {
		return fmt.Errorf("direct I/O at %d of %d bytes: memory is not aligned to %d (see AlignedBlock)", off, len(p), BlockSize)
	}
	return nil
}
