package log

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// BlockSize is how many bytes of a segment share one checksum in its sidecar.
const BlockSize = 64 << 10

const (
	sidecarMagic = "HFsc"
	// sidecarHeadSize is the part that opening a log reads: it has a checksum of
	// its own, so that opening does not read the block checksums.
	sidecarHeadSize = 4 + 2 + 24 + 8*7 + 4*6 + 4
	sidecarFileMax  = sidecarHeadSize + epochsFileMax + 4*(1<<31/BlockSize+1) + 4
	sidecarEpochs   = 12 // bytes per epoch
)

// sidecar is what is known for good of a closed segment. It is written once, at
// the first checkpoint after the segment was closed and synced.
type sidecar struct {
	key          journal.Key
	base, end    kafka.Offset
	size         int64
	firstAppend  kafka.Timestamp // by our clock
	lastAppend   kafka.Timestamp
	maxTimestamp kafka.Timestamp // by the records
	maxLast      kafka.Offset    // last offset of the batch with maxTimestamp
	index, times int32           // entries of the index files
	indexCRC     uint32
	timesCRC     uint32

	epochCount, blockCount int32
	// epochs are those that begin in the segment, and the one that it begins in.
	epochs epochs
	// blocks are CRC32C of each BlockSize bytes, the last of what is left.
	blocks []uint32
}

// encode returns the file: the head with its checksum, epochs, block checksums,
// and a checksum of everything.
func (s *sidecar) encode() []byte {
	out := make([]byte, 0, sidecarHeadSize+len(s.epochs)*sidecarEpochs+4*len(s.blocks)+4)
	out = append(out, sidecarMagic...)
	out = binary.BigEndian.AppendUint16(out, sealVersion)
	out = appendKey(out, s.key)
	for _, v := range [...]int64{int64(s.base), int64(s.end), s.size,
		int64(s.firstAppend), int64(s.lastAppend), int64(s.maxTimestamp), int64(s.maxLast)} {
		out = binary.BigEndian.AppendUint64(out, uint64(v))
	}
	for _, v := range [...]uint32{uint32(s.index), uint32(s.times), s.indexCRC, s.timesCRC, uint32(len(s.epochs)), uint32(len(s.blocks))} {
		out = binary.BigEndian.AppendUint32(out, v)
	}
	out = binary.BigEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
	for _, e := range s.epochs {
		out = binary.BigEndian.AppendUint32(out, uint32(e.epoch))
		out = binary.BigEndian.AppendUint64(out, uint64(e.start))
	}
	for _, sum := range s.blocks {
		out = binary.BigEndian.AppendUint32(out, sum)
	}
	return binary.BigEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
}

// decodeSidecarHead reads the first sidecarHeadSize bytes of the file: all but
// epochs and blocks.
func decodeSidecarHead(b []byte) (*sidecar, error) {
	if len(b) < sidecarHeadSize {
		return nil, corrupt("", int64(len(b)), ErrTruncated, "%d bytes", len(b))
	}
	body, err := unseal(sidecarMagic, b[:sidecarHeadSize])
	if err != nil {
		return nil, err
	}
	f := fields{body}
	s := &sidecar{key: f.key(), base: kafka.Offset(f.i64()), end: kafka.Offset(f.i64()), size: f.i64(),
		firstAppend: kafka.Timestamp(f.i64()), lastAppend: kafka.Timestamp(f.i64()),
		maxTimestamp: kafka.Timestamp(f.i64()), maxLast: kafka.Offset(f.i64()),
		index: int32(f.u32()), times: int32(f.u32()), indexCRC: f.u32(), timesCRC: f.u32(),
		epochCount: int32(f.u32()), blockCount: int32(f.u32())}
	sane := s.base >= 0 && s.end >= s.base && s.size >= 0 && s.size < 1<<31 && s.index >= 0 && s.times >= 0 &&
		s.epochCount >= 0 && int64(s.blockCount) == (s.size+BlockSize-1)/BlockSize
	if !sane {
		return nil, corrupt("", sealHeaderSize, ErrContent, "segment [%d, %d) of %d bytes in %d blocks", s.base, s.end, s.size, s.blockCount)
	}
	return s, nil
}

// decodeSidecar reads the whole file.
func decodeSidecar(b []byte) (*sidecar, error) {
	s, err := decodeSidecarHead(b)
	if err != nil {
		return nil, err
	}
	want := int64(sidecarHeadSize) + int64(s.epochCount)*sidecarEpochs + int64(s.blockCount)*4 + 4
	if int64(len(b)) != want {
		return nil, corrupt("", int64(len(b)), ErrTruncated, "%d bytes, want %d", len(b), want)
	}
	end := len(b) - 4
	if stored, computed := binary.BigEndian.Uint32(b[end:]), crc32.Checksum(b[:end], castagnoli); stored != computed {
		return nil, corrupt("", int64(end), ErrChecksum, "stored %08x, computed %08x", stored, computed)
	}
	f := fields{b[sidecarHeadSize:end]}
	s.epochs = make(epochs, s.epochCount)
	for i := range s.epochs {
		e := epochStart{kafka.LeaderEpoch(f.u32()), kafka.Offset(f.i64())}
		if e.epoch < 0 || e.start < 0 || (i > 0 && (e.epoch <= s.epochs[i-1].epoch || e.start <= s.epochs[i-1].start)) {
			return nil, corrupt("", sidecarHeadSize, ErrOrder, "epoch %d at %d", e.epoch, e.start)
		}
		s.epochs[i] = e
	}
	s.blocks = make([]uint32, s.blockCount)
	for i := range s.blocks {
		s.blocks[i] = f.u32()
	}
	return s, nil
}

// readSidecarHead reads the head of the sidecar of the segment at base.
func readSidecarHead(fsys vfs.FS, dir string, base kafka.Offset) (*sidecar, error) {
	name := filePath(dir, base, suffixSidecar)
	f, err := fsys.OpenFile(name, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, sidecarHeadSize)
	n, err := f.ReadAt(head, 0)
	if n < len(head) && err == nil {
		err = ErrTruncated
	}
	if n < len(head) {
		return nil, corrupt(name, int64(n), ErrTruncated, "%v", err)
	}
	s, err := decodeSidecarHead(head)
	return s, inFile(name, err)
}

func readSidecar(fsys vfs.FS, dir string, base kafka.Offset) (*sidecar, error) {
	name := filePath(dir, base, suffixSidecar)
	b, err := vfs.ReadFile(fsys, name, sidecarFileMax)
	if err != nil {
		return nil, err
	}
	s, err := decodeSidecar(b)
	return s, inFile(name, err)
}

// blockSums are the checksums of the blocks of a segment that is being written.
type blockSums struct {
	missing int      // so many leading blocks are not known
	ignore  int64    // bytes still to come that belong to the last of them
	full    []uint32 // of the blocks after them
	partial uint32
	filled  int // bytes in partial
}

// skip makes b describe a segment of size bytes of which nothing is known.
func (b *blockSums) skip(size int64) {
	blocks := (size + BlockSize - 1) / BlockSize
	*b = blockSums{missing: int(blocks), ignore: blocks*BlockSize - size}
}

// cut makes b describe the first size bytes; rest are those after the last full
// block.
func (b *blockSums) cut(size int64, rest []byte) {
	blocks := int(size / BlockSize)
	if blocks < b.missing {
		b.skip(size)
		return
	}
	b.full = b.full[:blocks-b.missing]
	b.ignore = 0
	b.partial, b.filled = crc32.Checksum(rest, castagnoli), len(rest)
}

func (b *blockSums) add(p []byte) {
	if skip := min(b.ignore, int64(len(p))); skip > 0 {
		b.ignore -= skip
		p = p[skip:]
	}
	for len(p) > 0 {
		n := min(len(p), BlockSize-b.filled)
		b.partial = crc32.Update(b.partial, castagnoli, p[:n])
		b.filled += n
		p = p[n:]
		if b.filled == BlockSize {
			b.full = append(b.full, b.partial)
			b.partial, b.filled = 0, 0
		}
	}
}

// all returns the checksums of every block, given those that are missing.
func (b *blockSums) all(missing []uint32) []uint32 {
	out := append(append(make([]uint32, 0, len(missing)+len(b.full)+1), missing...), b.full...)
	if b.filled > 0 {
		out = append(out, b.partial)
	}
	return out
}

// verifyBlock checks the bytes of one block.
func (s *sidecar) verifyBlock(i int, p []byte) error {
	if sum := crc32.Checksum(p, castagnoli); sum != s.blocks[i] {
		return fmt.Errorf("block %d: stored %08x, computed %08x: %w", i, s.blocks[i], sum, ErrChecksum)
	}
	return nil
}
