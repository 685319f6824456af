package log

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Our own files share one frame, big-endian:
//
//	0    magic    4 bytes, says which file it is
//	4    version  uint16, 1
//	6    body
//	n-4  crc      uint32, CRC32C of everything before it
const (
	sealHeaderSize = 6
	sealSize       = sealHeaderSize + 4
	sealVersion    = 1
)

// seal puts the frame around the bytes that body appends.
func seal(magic string, body func(dst []byte) []byte) []byte {
	out := append(make([]byte, 0, 128), magic...)
	out = binary.BigEndian.AppendUint16(out, sealVersion)
	out = body(out)
	return binary.BigEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
}

// unseal checks the frame and returns the body, which aliases b. A newer version
// is ErrNewerFormat, anything else a *CorruptionError without a file. The
// version is believed only with a right checksum: rot must not look like the
// future.
func unseal(magic string, b []byte) ([]byte, error) {
	if len(b) < sealSize {
		return nil, corrupt("", int64(len(b)), ErrTruncated, "%d bytes", len(b))
	}
	if string(b[:4]) != magic {
		return nil, corrupt("", 0, ErrContent, "magic %q, want %q", b[:4], magic)
	}
	end := len(b) - 4
	if stored, computed := binary.BigEndian.Uint32(b[end:]), crc32.Checksum(b[:end], castagnoli); stored != computed {
		return nil, corrupt("", int64(end), ErrChecksum, "stored %08x, computed %08x", stored, computed)
	}
	if v := binary.BigEndian.Uint16(b[4:]); v != sealVersion {
		return nil, fmt.Errorf("format version %d: %w", v, ErrNewerFormat)
	}
	return b[sealHeaderSize:end], nil
}

// fields reads big-endian numbers of a body whose length was checked before.
type fields struct{ b []byte }

func (f *fields) u32() uint32 {
	v := binary.BigEndian.Uint32(f.b)
	f.b = f.b[4:]
	return v
}

func (f *fields) i64() int64 {
	v := int64(binary.BigEndian.Uint64(f.b))
	f.b = f.b[8:]
	return v
}

func (f *fields) id() (id [16]byte) {
	copy(id[:], f.b)
	f.b = f.b[16:]
	return id
}
