package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"holdfast/internal/vfs"
)

// The superblock. Two copies of it are at the start of the file.
const (
	superMagic   = 0x4844464a53555031 // "HDFJSUP1"
	superVersion = 1
	superSize    = 64
	superClean   = 1 // a flag
	ringStart    = 2 * vfs.BlockSize

	superAtVersion    = 8
	superAtFlags      = 12
	superAtGeneration = 16
	superAtTail       = 24
	superAtJournal    = 32 // 16 bytes
	superAtSize       = 48
	superAtLap        = 56
	superAtSum        = 60
)

// super is what must be known of a ring before its rounds are read.
type super struct {
	generation uint64 // grows with every write
	tail       uint64 // the first round that is needed
	id         [16]byte
	size       int64 // of the file as far as it is prewritten
	lap        uint32
	clean      bool // closed in order: no round is needed
}

func (s super) encode(b []byte) {
	clear(b)
	binary.BigEndian.PutUint64(b, superMagic)
	binary.BigEndian.PutUint32(b[superAtVersion:], superVersion)
	if s.clean {
		binary.BigEndian.PutUint32(b[superAtFlags:], superClean)
	}
	binary.BigEndian.PutUint64(b[superAtGeneration:], s.generation)
	binary.BigEndian.PutUint64(b[superAtTail:], s.tail)
	copy(b[superAtJournal:], s.id[:])
	binary.BigEndian.PutUint64(b[superAtSize:], uint64(s.size))
	binary.BigEndian.PutUint32(b[superAtLap:], s.lap)
	binary.BigEndian.PutUint32(b[superAtSum:], crc32.Checksum(b[:superAtSum], castagnoli))
}

// decodeSuper reads one copy. newer is the version of a program that came later,
// which may have another layout and another checksum.
func decodeSuper(b []byte) (s super, newer uint32, ok bool) {
	if len(b) < superSize || binary.BigEndian.Uint64(b) != superMagic {
		return super{}, 0, false
	}
	if v := binary.BigEndian.Uint32(b[superAtVersion:]); v > superVersion {
		return super{}, v, false
	}
	if crc32.Checksum(b[:superAtSum], castagnoli) != binary.BigEndian.Uint32(b[superAtSum:]) {
		return super{}, 0, false
	}
	s = super{generation: binary.BigEndian.Uint64(b[superAtGeneration:]), tail: binary.BigEndian.Uint64(b[superAtTail:]),
		id: [16]byte(b[superAtJournal:]), size: int64(binary.BigEndian.Uint64(b[superAtSize:])),
		lap: binary.BigEndian.Uint32(b[superAtLap:]), clean: binary.BigEndian.Uint32(b[superAtFlags:])&superClean != 0}
	return s, 0, s.tail > 0 && s.size > ringStart && s.size%vfs.BlockSize == 0
}

// readSuper returns the newest valid copy.
func (j *Journal) readSuper() (super, error) {
	var newest super
	var newer uint32
	valid := false
	b := vfs.AlignedBlock(vfs.BlockSize)
	for at := int64(0); at < ringStart; at += vfs.BlockSize {
		if err := vfs.ReadFull(j.file, b, at); err != nil {
			return super{}, fmt.Errorf("read journal superblock: %w", err)
		}
		s, v, ok := decodeSuper(b)
		newer = max(newer, v)
		if ok && (!valid || s.generation > newest.generation) {
			newest, valid = s, true
		}
	}
	switch {
	case valid:
		return newest, nil
	case newer > 0:
		return super{}, fmt.Errorf("open journal %s: format %d, this program knows %d: %w", j.o.Name, newer, superVersion, ErrNewer)
	}
	return super{}, &CorruptionError{File: j.o.Name, Cause: "neither superblock is valid"}
}

// writeSuper makes a new superblock durable, one copy after the other: a crash
// between them leaves the older state, which is as good, and afterwards no
// single damaged block brings an older state back.
func (j *Journal) writeSuper(s super) error {
	s.generation, s.id = j.super.generation+1, j.id
	s.encode(j.block)
	for at := int64(0); at < ringStart; at += vfs.BlockSize {
		if err := j.write(j.block, at); err != nil {
			return fmt.Errorf("write journal superblock: %w", err)
		}
	}
	j.super = s
	return nil
}
