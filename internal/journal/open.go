package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"
	"slices"

	"holdfast/internal/vfs"
)

// Sizes of the ring, in bytes.
const (
	DefaultSize = 64 << 20
	sizeMin     = ringStart + RoundMax
	firstSize   = 8 << 20 // prewritten at the first start; the rest comes as it is needed
	growStep    = 8 << 20
)

// Options say where the journal is.
type Options struct {
	FS   vfs.FS
	Name string // of the file
	// Size is what the ring may grow to, in bytes; 0 means DefaultSize.
	Size int64
	// ID names the journal when it is created: 16 random bytes, so that rounds of
	// an older file in the same blocks are never taken for its own.
	ID [16]byte
}

// Replayed is what Open found: the entries of every live round, in order.
type Replayed struct {
	Entries []Entry
	Rounds  int
	Clean   bool // closed in order: nothing to replay
}

// Open opens the ring, or creates it when it is missing, and returns what no
// checkpoint covers.
func Open(o Options) (*Journal, Replayed, error) {
	if o.Size == 0 {
		o.Size = DefaultSize
	}
	o.Size = aligned(max(o.Size, sizeMin))
	j := &Journal{o: o}
	j.super.block = vfs.AlignedBlock(vfs.BlockSize)
	_, err := o.FS.Stat(o.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return j, Replayed{Clean: true}, j.create()
	case err != nil:
		return nil, Replayed{}, fmt.Errorf("open journal: %w", err)
	}
	r, err := j.open()
	if err != nil && j.file != nil {
		_ = j.file.Close()
	}
	return j, r, err
}

// create prewrites a new ring under another name and moves it into place, so
// that a crash leaves a whole journal or none.
func (j *Journal) create() error {
	j.id = j.o.ID
	temp := j.o.Name + ".new"
	f, err := j.o.FS.OpenFile(temp, vfs.Write|vfs.Create|vfs.Truncate)
	if err != nil {
		return fmt.Errorf("create journal: %w", err)
	}
	size := min(j.o.Size, firstSize)
	j.file = f
	err = prewrite(f, 0, size)
	if err == nil {
		err = j.writeSuper(1, true)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("create journal: %w", err)
	}
	if err := j.o.FS.Rename(temp, j.o.Name); err != nil {
		return fmt.Errorf("create journal: %w", err)
	}
	if err := j.o.FS.SyncDir(path.Dir(j.o.Name)); err != nil {
		return fmt.Errorf("create journal: %w", err)
	}
	j.mu.size, j.mu.next, j.mu.tail, j.mu.head = size, 1, 1, ringStart
	return j.openFile()
}

// openFile opens the ring for synchronous writes, past the page cache where the
// file system allows it.
func (j *Journal) openFile() (err error) {
	j.file, err = j.o.FS.OpenFile(j.o.Name, vfs.Write|vfs.Direct|vfs.DataSync)
	if errors.Is(err, vfs.ErrDirectUnsupported) {
		j.file, err = j.o.FS.OpenFile(j.o.Name, vfs.Write|vfs.DataSync)
	}
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	j.direct = true
	return nil
}

// prewrite fills [from, to) with zeroes, so that later writes change no
// metadata of the file.
func prewrite(f vfs.File, from, to int64) error {
	zero := vfs.AlignedBlock(1 << 20)
	for at := from; at < to; at += int64(len(zero)) {
		if _, err := f.WriteAt(zero[:min(int64(len(zero)), to-at)], at); err != nil {
			return err
		}
	}
	return nil
}

// open reads the superblock and the live rounds.
func (j *Journal) open() (Replayed, error) {
	if err := j.openFile(); err != nil {
		return Replayed{}, err
	}
	size, err := j.file.Size()
	if err != nil {
		return Replayed{}, fmt.Errorf("open journal: %w", err)
	}
	size &^= vfs.BlockSize - 1 // a torn extension may leave a part of a block
	tail, clean, err := j.readSuper()
	if err != nil {
		return Replayed{}, err
	}
	j.mu.size, j.mu.tail, j.mu.next, j.mu.head = size, tail, tail, ringStart
	if clean {
		// Unclean from now on: a crash must not find this mark.
		return Replayed{Clean: true}, j.writeSuper(tail, false)
	}
	found, err := j.scan(size)
	if err != nil {
		return Replayed{}, err
	}
	return j.adopt(found, tail)
}

// readSuper returns the newest valid superblock.
func (j *Journal) readSuper() (tail uint64, clean bool, err error) {
	valid := false
	for at := int64(0); at < ringStart; at += vfs.BlockSize {
		b := vfs.AlignedBlock(vfs.BlockSize)
		if _, err := j.file.ReadAt(b, at); err != nil {
			return 0, false, fmt.Errorf("read journal superblock: %w", err)
		}
		if binary.BigEndian.Uint64(b) != superMagic || crc32.Checksum(b[:superSize-4], castagnoli) != binary.BigEndian.Uint32(b[superSize-4:]) {
			continue
		}
		if v := binary.BigEndian.Uint32(b[8:]); v > superVersion {
			return 0, false, fmt.Errorf("open journal %s: format %d: %w", j.o.Name, v, ErrNewer)
		}
		if g := binary.BigEndian.Uint64(b[16:]); !valid || g > j.super.generation {
			valid, j.super.generation = true, g
			tail, clean = binary.BigEndian.Uint64(b[24:]), b[12] == 1
			copy(j.id[:], b[32:48])
		}
	}
	if !valid {
		return 0, false, &CorruptionError{File: j.o.Name, Cause: "neither superblock is valid"}
	}
	return tail, clean, nil
}

// foundRound is a valid round and where it is.
type foundRound struct {
	info    roundInfo
	pos     int64
	entries []Entry
}

// scanChunk is how much of the ring is read at a time.
const scanChunk = 1 << 20

// scan finds every valid round of this journal, whatever its order in the file.
func (j *Journal) scan(size int64) (found []foundRound, err error) {
	chunk := vfs.AlignedBlock(scanChunk)
	for at := int64(ringStart); at < size; at += scanChunk {
		part := chunk[:min(int64(scanChunk), size-at)]
		if _, err := j.file.ReadAt(part, at); err != nil {
			return nil, fmt.Errorf("read journal at %d: %w", at, err)
		}
		for off := 0; off+vfs.BlockSize <= len(part); off += vfs.BlockSize {
			info, ok := parseHead(part[off:], j.id)
			if !ok || at+int64(off)+info.bytes > size {
				continue
			}
			r, ok, err := j.load(info, at+int64(off))
			if err != nil {
				return nil, err
			}
			if ok {
				found = append(found, r)
			}
		}
	}
	slices.SortFunc(found, func(a, b foundRound) int { return int(int64(a.info.seq) - int64(b.info.seq)) })
	return found, nil
}

// load reads and checks one whole round. ok is false when its checksum says that
// it is not one, or not whole.
func (j *Journal) load(info roundInfo, pos int64) (foundRound, bool, error) {
	b := vfs.AlignedBlock(int(aligned(info.bytes)))
	if _, err := j.file.ReadAt(b, pos); err != nil {
		return foundRound{}, false, fmt.Errorf("read journal round %d: %w", info.seq, err)
	}
	if !verify(b, info) {
		return foundRound{}, false, nil
	}
	entries, err := decodeRound(b, info)
	if err != nil {
		return foundRound{}, false, &CorruptionError{File: j.o.Name, Position: pos, Cause: err.Error()}
	}
	return foundRound{info: info, pos: pos, entries: entries}, true, nil
}

// adopt takes the rounds from the tail to the newest one. They have to be there
// without a gap: a missing one was followed by a later one, so it was written
// whole once, and what it held may have been acknowledged.
func (j *Journal) adopt(found []foundRound, tail uint64) (Replayed, error) {
	var out Replayed
	if len(found) > 0 {
		tail = max(tail, found[len(found)-1].info.tail)
	}
	next := tail
	for _, f := range found {
		if f.info.seq < tail {
			continue
		}
		if f.info.seq != next {
			return Replayed{}, &CorruptionError{File: j.o.Name, Position: f.pos,
				Cause: fmt.Sprintf("round %d is missing or damaged, and round %d is there", next, f.info.seq)}
		}
		next++
		length := aligned(f.info.bytes)
		j.mu.live = append(j.mu.live, liveRound{seq: f.info.seq, pos: f.pos, end: f.pos + length})
		j.mu.head = f.pos + length
		j.mu.freed += length
		out.Entries = append(out.Entries, f.entries...)
		out.Rounds++
	}
	j.mu.tail, j.mu.next = tail, next
	return out, nil
}
