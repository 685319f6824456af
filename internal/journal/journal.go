package journal

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"holdfast/internal/invariant"
	"holdfast/internal/vfs"
)

// Errors that callers tell apart.
var (
	// ErrFull: the round does not fit before the oldest live one. Sync the data
	// in its segments, or Release.
	ErrFull = errors.New("journal is full")
	// ErrNewer: the file was written by a newer version of this program.
	ErrNewer = errors.New("written by a newer version; start that version, or a newer one")
	// ErrClosed: the journal was closed.
	ErrClosed = errors.New("journal is closed")
)

// CorruptionError is a journal that cannot be trusted: what it held may have
// been acknowledged. Nothing is repaired by guessing.
type CorruptionError struct {
	File     string
	Position int64 // in bytes
	Cause    string
}

// Error says where and why.
func (e *CorruptionError) Error() string {
	return fmt.Sprintf("journal %s at %d: %s", e.File, e.Position, e.Cause)
}

// liveRound is a round that no checkpoint covers yet.
type liveRound struct {
	seq      uint64
	pos, end int64
}

// Journal is an open ring. See the package comment for who may call what.
type Journal struct {
	o      Options
	first  int64 // prewritten at creation, in bytes
	step   int64 // at least so much is prewritten when the ring grows
	file   vfs.File
	direct bool // the file is past the page cache
	id     [16]byte
	super  super // as it was written last; belongs to whoever calls Release
	block  []byte
	busy   atomic.Bool // a round is being written
	// growPause counts calls of Grow that do nothing, after the disk was full.
	growPause int

	mu struct {
		sync.Mutex
		size    int64 // of the prewritten file
		next    uint64
		head    int64 // where the next round goes, if it fits
		lap     uint32
		tail    uint64
		live    []liveRound
		failed  error
		used    int64 // bytes of live rounds
		rounds  int64
		written int64
	}
}

// Commit writes the round and returns when it is on stable storage, with its
// sequence number. ErrFull leaves the round as it was. Any other error is for
// ever: what reached the disk is unknown.
func (j *Journal) Commit(r *Round) (seq uint64, err error) {
	invariant.Check(!j.busy.Swap(true), "two rounds of journal %s at once", j.o.Name)
	defer j.busy.Store(false)
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
	info := roundInfo{seq: j.mu.next, tail: j.mu.tail, lap: j.mu.lap, position: pos}
	if pos != j.mu.head {
		info.lap++
	}
	j.mu.Unlock()

	b := r.seal(info, j.id)
	if err := j.write(b, pos); err != nil {
		return 0, j.fail(fmt.Errorf("write journal round %d: %w", info.seq, err))
	}

	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.next++
	j.mu.head, j.mu.lap = pos+length, info.lap
	j.mu.live = append(j.mu.live, liveRound{seq: info.seq, pos: pos, end: pos + length})
	j.mu.used += length
	j.mu.rounds++
	j.mu.written += length
	return info.seq, nil
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

// write returns when b is on stable storage: the file is opened that way.
func (j *Journal) write(b []byte, pos int64) error {
	_, err := j.file.WriteAt(b, pos)
	return err
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
	s := super{size: j.mu.size, lap: j.mu.lap}
	if n > 0 {
		tail = j.mu.live[n-1].seq + 1
	}
	j.mu.Unlock()
	if failed != nil || n == 0 {
		return failed
	}
	s.tail = tail
	if j.o.mutant != mutantForgetTail {
		if err := j.writeSuper(s); err != nil {
			return j.fail(err)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range j.mu.live[:n] {
		j.mu.used -= l.end - l.pos
	}
	j.mu.live = append(j.mu.live[:0], j.mu.live[n:]...)
	j.mu.tail = tail
	return nil
}

// growRetry is how many calls of Grow pass after one that found the disk full.
const growRetry = 256

// Grow prewrites another step of the ring when it is smaller than it may become
// and more than half of it is live. It reports whether it grew. A full disk is
// no error: the ring works as it is.
func (j *Journal) Grow() (bool, error) {
	j.mu.Lock()
	size, used, failed := j.mu.size, j.mu.used, j.mu.failed
	s := super{tail: j.mu.tail, lap: j.mu.lap}
	j.mu.Unlock()
	if failed != nil || size >= j.o.Size || used < (size-ringStart)/2 {
		return false, failed
	}
	if j.growPause > 0 {
		j.growPause--
		return false, nil
	}
	s.size = min(j.o.Size, size+max(size, j.step))
	if err := prewrite(j.file, size, s.size); errors.Is(err, vfs.ErrNoSpace) {
		j.growPause = growRetry
		// Give back what was taken; a longer file than the superblock says is no
		// harm.
		_ = j.file.Truncate(size)
		return false, nil
	} else if err != nil {
		return false, j.fail(fmt.Errorf("grow journal: %w", err))
	}
	if err := j.file.Sync(); err != nil {
		return false, j.fail(fmt.Errorf("sync grown journal: %w", err))
	}
	if err := j.writeSuper(s); err != nil {
		return false, j.fail(err)
	}
	j.mu.Lock()
	j.mu.size = s.size
	j.mu.Unlock()
	return true, nil
}

// Usage tells how much of the ring no checkpoint covers, its size, and the
// sequence numbers [oldest, next) of the live rounds.
type Usage struct {
	Used, Size   int64  // bytes
	Max          int64  // what Size may grow to
	Oldest, Next uint64 // equal when no round is live
	Rounds       int64  // committed since the journal was opened
	Written      int64  // bytes of them
}

// Usage returns the state of the ring.
func (j *Journal) Usage() Usage {
	j.mu.Lock()
	defer j.mu.Unlock()
	u := Usage{Used: j.mu.used, Size: j.mu.size - ringStart, Max: max(j.o.Size, j.mu.size) - ringStart,
		Oldest: j.mu.next, Next: j.mu.next, Rounds: j.mu.rounds, Written: j.mu.written}
	if len(j.mu.live) > 0 {
		u.Oldest = j.mu.live[0].seq
	}
	return u
}

// Direct reports whether the ring is written past the page cache.
func (j *Journal) Direct() bool { return j.direct }

// Close closes the file. clean says that everything is on stable storage in its
// segments: the next Open has nothing to read. Nobody may be in Commit, Release
// or Grow.
func (j *Journal) Close(clean bool) error {
	j.mu.Lock()
	failed := j.mu.failed
	s := super{tail: j.mu.next, size: j.mu.size, lap: j.mu.lap, clean: true}
	if j.mu.failed == nil {
		j.mu.failed = ErrClosed
	}
	j.mu.Unlock()
	var err error
	if clean && failed == nil {
		err = j.writeSuper(s)
	}
	return errors.Join(err, j.file.Close())
}
