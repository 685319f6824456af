package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"holdfast/internal/invariant"
	"holdfast/internal/vfs"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The head of a round.
const (
	roundMagic   = 0x4844464a524e4431 // "HDFJRND1"
	roundVersion = 1
	roundHead    = 72

	atMagic    = 0
	atVersion  = 8 // 2 bytes; the 2 behind it are zero
	atCount    = 12
	atSeq      = 16
	atTail     = 24
	atBytes    = 32 // of head and entries, without padding
	atJournal  = 40 // 16 bytes
	atLap      = 56
	atSum      = 60 // over all atBytes bytes but these four
	atPosition = 64
)

// RoundMax is the largest round, in bytes. What does not fit goes into the next
// one.
const RoundMax = 4 << 20

// Round is one group commit in the making. It is built once, committed, and used
// again. The zero Round is ready. It belongs to one goroutine at a time.
type Round struct {
	buf   []byte // aligned; [0, n) is used
	n     int
	count int
}

// Reset empties the round.
func (r *Round) Reset() { r.n, r.count = 0, 0 }

// Len is the number of entries.
func (r *Round) Len() int { return r.count }

// Bytes is the size of the round when it is written, padding included.
func (r *Round) Bytes() int64 { return aligned(int64(max(r.n, roundHead))) }

// Fits reports whether an entry with a payload of n bytes can be added.
func (r *Round) Fits(n int) bool { return max(r.n, roundHead)+entryFixed+n <= RoundMax }

// Add appends an entry and copies payload, which stands for e.Payload. The
// caller has asked Fits.
func (r *Round) Add(e *Entry, payload []byte) {
	if !r.Fits(len(payload)) {
		invariant.Unreachable("entry with %d bytes in a round of %d", len(payload), r.n)
	}
	start := max(r.n, roundHead)
	r.grow(start + entryFixed + len(payload))
	b := appendEntry(r.buf[start:start], e, payload)
	r.n = start + len(b)
	r.count++
}

// grow makes room for n bytes, doubling, so that a busy round settles on one
// buffer.
func (r *Round) grow(n int) {
	if n <= len(r.buf) {
		return
	}
	size := max(64<<10, len(r.buf))
	for size < n {
		size *= 2
	}
	b := vfs.AlignedBlock(size)
	copy(b, r.buf[:r.n])
	r.buf = b
}

// Trim gives a buffer back that a burst has made larger than keep bytes.
func (r *Round) Trim(keep int) {
	if len(r.buf) > keep && r.n == 0 {
		r.buf = nil
	}
}

// roundInfo is the head of a round on disk.
type roundInfo struct {
	seq, tail uint64
	lap       uint32
	position  int64
	count     int
	bytes     int64 // without padding
}

// seal writes the head and the checksum and returns the padded bytes. Count and
// bytes of the info are the round's own.
func (r *Round) seal(info roundInfo, id [16]byte) []byte {
	r.n = max(r.n, roundHead)
	r.grow(int(aligned(int64(r.n))))
	b := r.buf[:aligned(int64(r.n))]
	clear(b[r.n:])
	clear(b[:roundHead])
	binary.BigEndian.PutUint64(b[atMagic:], roundMagic)
	binary.BigEndian.PutUint16(b[atVersion:], roundVersion)
	binary.BigEndian.PutUint32(b[atCount:], uint32(r.count))
	binary.BigEndian.PutUint64(b[atSeq:], info.seq)
	binary.BigEndian.PutUint64(b[atTail:], info.tail)
	binary.BigEndian.PutUint64(b[atBytes:], uint64(r.n))
	copy(b[atJournal:], id[:])
	binary.BigEndian.PutUint32(b[atLap:], info.lap)
	binary.BigEndian.PutUint64(b[atPosition:], uint64(info.position))
	binary.BigEndian.PutUint32(b[atSum:], roundSum(b[:r.n]))
	return b
}

// roundSum is the checksum over a whole round, without the place of the
// checksum itself.
func roundSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:atSum], castagnoli), castagnoli, b[atSum+4:])
}

// parseHead reads the head of a round that may begin at b, which is at position
// of the file. ok is false when it does not look like one of this journal that
// was written there: payloads may hold copies of rounds.
func parseHead(b []byte, position int64, id [16]byte) (roundInfo, bool) {
	if len(b) < roundHead || binary.BigEndian.Uint64(b[atMagic:]) != roundMagic || [16]byte(b[atJournal:]) != id {
		return roundInfo{}, false
	}
	info := roundInfo{
		seq: binary.BigEndian.Uint64(b[atSeq:]), tail: binary.BigEndian.Uint64(b[atTail:]), lap: binary.BigEndian.Uint32(b[atLap:]),
		position: int64(binary.BigEndian.Uint64(b[atPosition:])),
		count:    int(binary.BigEndian.Uint32(b[atCount:])), bytes: int64(binary.BigEndian.Uint64(b[atBytes:])),
	}
	ok := binary.BigEndian.Uint16(b[atVersion:]) == roundVersion && info.bytes >= roundHead && info.bytes <= RoundMax &&
		info.tail <= info.seq && info.position == position
	return info, ok
}

// verify checks the whole round in b, which starts with its head.
func verify(b []byte, info roundInfo) bool {
	return int64(len(b)) >= info.bytes && roundSum(b[:info.bytes]) == binary.BigEndian.Uint32(b[atSum:])
}

// decodeRound returns the entries of a verified round. Payloads are parts of b.
func decodeRound(b []byte, info roundInfo) ([]Entry, error) {
	rest := b[roundHead:info.bytes]
	if info.count > len(rest)/entryFixed {
		return nil, fmt.Errorf("%w: %d entries in %d bytes", errMalformed, info.count, len(rest))
	}
	entries := make([]Entry, 0, info.count)
	for range info.count {
		e, after, err := decodeEntry(rest)
		if err != nil {
			return nil, err
		}
		entries, rest = append(entries, e), after
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after the last entry", errMalformed, len(rest))
	}
	return entries, nil
}

func aligned(n int64) int64 { return (n + vfs.BlockSize - 1) &^ (vfs.BlockSize - 1) }
