package record

import (
	"encoding/binary"
	"fmt"
)

const (
	lz4Magic           = 0x184d2204
	lz4FlagVersionMask = 0xc0
	lz4FlagVersion     = 0x40
	lz4FlagIndependent = 0x20
	lz4FlagBlockSum    = 0x10
	lz4FlagContentSize = 0x08
	lz4FlagContentSum  = 0x04
	lz4FlagReserved    = 0x02
	lz4FlagDictionary  = 0x01
)

// checkLZ4Frame walks the block sizes of an lz4 frame. Accepted is what every
// client can read: exactly one frame, of independent blocks, without a
// dictionary. Java clients refuse dependent blocks and stop silently after the
// first frame, so that a second one would be records that only some consumers
// see.
func checkLZ4Frame(b []byte) error {
	if len(b) < 7 || binary.LittleEndian.Uint32(b) != lz4Magic {
		return fmt.Errorf("lz4 frame: no magic: %w", ErrCompression)
	}
	flags := b[4]
	if flags&lz4FlagVersionMask != lz4FlagVersion || flags&lz4FlagIndependent == 0 ||
		flags&(lz4FlagReserved|lz4FlagDictionary) != 0 {
		return fmt.Errorf("lz4 frame: flags %02x: %w", flags, ErrCompression)
	}
	p := 7
	if flags&lz4FlagContentSize != 0 {
		p += 8
	}
	for {
		if len(b)-p < 4 {
			return fmt.Errorf("lz4 frame: no end mark: %w", ErrCompression)
		}
		size := int(binary.LittleEndian.Uint32(b[p:]) &^ (1 << 31)) // the top bit says: not compressed
		p += 4
		if size == 0 {
			break
		}
		if flags&lz4FlagBlockSum != 0 {
			size += 4
		}
		if size > len(b)-p {
			return fmt.Errorf("lz4 frame: block of %d bytes, %d left: %w", size, len(b)-p, ErrCompression)
		}
		p += size
	}
	if flags&lz4FlagContentSum != 0 {
		p += 4
	}
	if p != len(b) {
		return fmt.Errorf("lz4 frame: ends at %d of %d bytes: %w", p, len(b), ErrCompression)
	}
	return nil
}
