package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"holdfast/internal/invariant"
	"holdfast/internal/vfs"
)

// Errors that callers tell apart.
var (
	// ErrFull: the round does not fit before the oldest live one. Sync the data
	// in its segments, or Release.
	ErrFull = errors.New("journal is full")
	// ErrNewer: the file was written by a newer version of this program.
	ErrNewer = errors.New("written by a newer version")
)

// CorruptionError is a journal that cannot be trusted: what it held may have
// been acknowledged. Nothing is repaired by guessing.
type CorruptionError struct {
	File     string
	Position int64
	Cause    string
}

// Error says where and why.
func (e *CorruptionError) Error() string {
	return fmt.Sprintf("journal %s at %d: %s", e.File, e.Position, e.Cause)
}

// The superblock, twice at the start of the file.
const (
	superMagic   = 0x4844464a53555031 // "HDFJSUP1"
	superVersion = 1
	superSize    = 64
	ringStart    = 2 * vfs.BlockSize
)

// liveRound is a round that no checkpoint covers yet.
type liveRound struct {
	seq      uint64
	pos, end int64
}

// Journal is an open ring. See the package comment for who may call what.
type Journal struct {
	o      Options
	file   vfs.File
	direct bool // writes are synchronous by themselves
	id     [16]byte
	super  struct {
		generation uint64 // of the superblock that was written last
		block      []byte
	}

	mu struct {
		sync.Mutex
		size    int64 // of the prewritten file
		next    uint64
		head    int64 // where the next round goes, if it fits
		tail    uint64
		live    []liveRound
		failed  error
		freed   int64 // bytes of live rounds, for Used
		rounds  int64
		written int64
	}
}

// Commit writes the round and returns when it is on stable storage, with its
// sequence number. ErrFull leaves the round as it was. Any other error is for
// ever: what reached the disk is unknown.
func (j *Journal) Commit(r *Round) (seq uint64, err error) {
	length := r.Bytes()
	j.mu.Lock()
	if j.mu.failed != nil {
		defer j.mu.Unlock()
		return 0, j.mu.failed
	}
	pos, ok := j.place(length)
	if !ok {
		j.mu.Unlock()
		return 0, ErrFull
	}
	seq = j.mu.next
	tail := j.mu.tail
	j.mu.Unlock()

	b := r.seal(seq, tail, j.id)
	invariant.Check(int64(len(b)) == length, "round of %d bytes, placed for %d", len(b), length)
	if err := j.write(b, pos); err != nil {
		return 0, j.fail(fmt.Errorf("write journal round %d: %w", seq, err))
	}

	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.next++
	j.mu.head = pos + length
	j.mu.live = append(j.mu.live, liveRound{seq: seq, pos: pos, end: pos + length})
	j.mu.freed += length
	j.mu.rounds++
	j.mu.written += length
	return seq, nil
}

// place finds room for length bytes: after the newest round, or at the start of
// the ring, and never over a live round. The caller holds mu.
func (j *Journal) place(length int64) (int64, bool) {
	if len(j.mu.live) == 0 {
		if j.mu.head+length <= j.mu.size {
			return j.mu.head, true
		}
		return ringStart, ringStart+length <= j.mu.size
	}
	oldest := j.mu.live[0].pos
	if j.mu.head > oldest {
		if j.mu.head+length <= j.mu.size {
			return j.mu.head, true
		}
		return ringStart, ringStart+length <= oldest
	}
	return j.mu.head, j.mu.head+length <= oldest
}

func (j *Journal) write(b []byte, pos int64) error {
	if _, err := j.file.WriteAt(b, pos); err != nil {
		return err
	}
	if j.direct {
		return nil
	}
	return j.file.SyncData()
}

func (j *Journal) fail(err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.mu.failed == nil {
		j.mu.failed = err
	}
	return j.mu.failed
}

// Release says that everything in rounds up to upTo is on stable storage in its
// segments. The space is used again only after the new tail is in the
// superblock.
func (j *Journal) Release(upTo uint64) error {
	j.mu.Lock()
	n := 0
	for n < len(j.mu.live) && j.mu.live[n].seq <= upTo {
		n++
	}
	failed, tail := j.mu.failed, j.mu.tail
	j.mu.Unlock()
	if failed != nil || n == 0 {
		return failed
	}
	tail = max(tail, upTo+1)
	if err := j.writeSuper(tail, false); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range j.mu.live[:n] {
		j.mu.freed -= l.end - l.pos
	}
	j.mu.live = append(j.mu.live[:0], j.mu.live[n:]...)
	j.mu.tail = tail
	return nil
}

// writeSuper writes the other one of the two superblocks, so that a torn write
// leaves the older one.
func (j *Journal) writeSuper(tail uint64, clean bool) error {
	j.super.generation++
	b := j.super.block
	clear(b)
	binary.BigEndian.PutUint64(b[0:], superMagic)
	binary.BigEndian.PutUint32(b[8:], superVersion)
	if clean {
		b[12] = 1
	}
	binary.BigEndian.PutUint64(b[16:], j.super.generation)
	binary.BigEndian.PutUint64(b[24:], tail)
	copy(b[32:48], j.id[:])
	binary.BigEndian.PutUint32(b[superSize-4:], crc32.Checksum(b[:superSize-4], castagnoli))
	at := int64(j.super.generation%2) * vfs.BlockSize
	if err := j.write(b, at); err != nil {
		return j.fail(fmt.Errorf("write journal superblock: %w", err))
	}
	return nil
}

// Grow prewrites another step of the ring when it is smaller than it may become
// and more than half of it is live. It reports whether it grew.
func (j *Journal) Grow() (bool, error) {
	j.mu.Lock()
	size, used, failed := j.mu.size, j.mu.freed, j.mu.failed
	j.mu.Unlock()
	if failed != nil || size >= j.o.Size || used < (size-ringStart)/2 {
		return false, failed
	}
	next := min(j.o.Size, size+max(size, growStep))
	if err := prewrite(j.file, size, next); err != nil {
		if errors.Is(err, vfs.ErrNoSpace) {
			return false, nil // the ring works as it is; only acks per checkpoint are fewer
		}
		return false, j.fail(fmt.Errorf("grow journal: %w", err))
	}
	if err := j.file.Sync(); err != nil {
		return false, j.fail(fmt.Errorf("sync grown journal: %w", err))
	}
	j.mu.Lock()
	j.mu.size = next
	j.mu.Unlock()
	return true, nil
}

// Usage tells how much of the ring no checkpoint covers, its size, and the
// sequence numbers [oldest, next) of the live rounds.
type Usage struct {
	Used, Size   int64
	Oldest, Next uint64
	Rounds       int64 // committed since the journal was opened
	Written      int64 // bytes of them
}

// Usage returns the state of the ring.
func (j *Journal) Usage() Usage {
	j.mu.Lock()
	defer j.mu.Unlock()
	u := Usage{Used: j.mu.freed, Size: j.mu.size - ringStart, Oldest: j.mu.next, Next: j.mu.next, Rounds: j.mu.rounds, Written: j.mu.written}
	if len(j.mu.live) > 0 {
		u.Oldest = j.mu.live[0].seq
	}
	return u
}

// Close closes the file. clean says that everything is on stable storage in its
// segments: the next Open has nothing to read.
func (j *Journal) Close(clean bool) error {
	j.mu.Lock()
	next, failed := j.mu.next, j.mu.failed
	j.mu.Unlock()
	if clean && failed == nil {
		if err := j.writeSuper(next, true); err != nil {
			return errors.Join(err, j.file.Close())
		}
	}
	return j.file.Close()
}
