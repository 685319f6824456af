package journal

import (
	"cmp"
	"errors"
	"fmt"
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
	// Size is what the ring may grow to, in bytes; 0 means DefaultSize, and less
	// than one round of RoundMax means that.
	Size int64
	// ID names the journal when it is created: 16 random bytes, so that rounds of
	// an older file in the same blocks are never taken for its own.
	ID [16]byte
	// MustExist refuses to create: the caller knows that there was a journal, and
	// that it held what is nowhere else.
	MustExist bool

	mutant mutant // a planted fault; tests only
	tiny   bool   // tests only: Size counts, however small, and growth is in small steps
}

// mutant names a planted fault that the tests must catch.
type mutant uint8

const (
	mutantNone       mutant = iota
	mutantForgetTail        // Release does not write the superblock
	mutantSkipGap           // a missing round in the middle is taken for the end
	mutantTakeTorn          // rounds are not verified
	mutantForgetLast        // the last round is not written again after a crash
	mutantCleanStays        // the clean mark of the superblock is not taken back
)

// Replayed is what Open found: the entries of every live round, in order.
type Replayed struct {
	Entries []Entry
	Rounds  int
	Clean   bool // closed in order: nothing to replay
}

// Open opens the ring, or creates it when it is missing, and returns what no
// checkpoint covers. Errors are ErrNewer, *CorruptionError, or of the file
// system.
func Open(o Options) (*Journal, Replayed, error) {
	j := prepare(o)
	_, err := o.FS.Stat(o.Name)
	if errors.Is(err, fs.ErrNotExist) && o.MustExist {
		return nil, Replayed{}, &CorruptionError{File: o.Name, Cause: "the file is missing, and it held acknowledged data"}
	}
	var r Replayed
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.Clean = true
		err = j.create()
	case err == nil:
		r, err = j.open()
	default:
		err = fmt.Errorf("open journal: %w", err)
	}
	if err != nil {
		if j.file != nil {
			_ = j.file.Close() // the first error counts
		}
		return nil, Replayed{}, err
	}
	return j, r, nil
}

// prepare settles the sizes.
func prepare(o Options) *Journal {
	if o.Size == 0 {
		o.Size = DefaultSize
	}
	j := &Journal{block: vfs.AlignedBlock(vfs.BlockSize), first: firstSize, step: growStep}
	if o.tiny {
		j.first, j.step = ringStart+64<<10, 32<<10
	} else {
		o.Size = max(o.Size, sizeMin)
	}
	o.Size = aligned(o.Size)
	j.o = o
	return j
}

// create prewrites a new ring under another name and moves it into place, so
// that a crash leaves a whole journal or none.
func (j *Journal) create() error {
	temp := j.o.Name + ".new"
	f, err := j.o.FS.OpenFile(temp, vfs.Write|vfs.Create|vfs.Truncate)
	if err != nil {
		return fmt.Errorf("create journal: %w", err)
	}
	j.file, j.id = f, j.o.ID
	s := super{tail: 1, size: min(j.o.Size, j.first)}
	err = prewrite(f, 0, s.size)
	if err == nil {
		err = j.writeSuper(s)
	}
	if err == nil {
		err = f.Sync()
	}
	j.file = nil
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("create journal: %w", err)
	}
	if err := j.o.FS.Rename(temp, j.o.Name); err != nil {
		return fmt.Errorf("create journal: %w", err)
	}
	if err := j.o.FS.SyncDir(path.Dir(j.o.Name)); err != nil {
		return fmt.Errorf("create journal: %w", err)
	}
	j.mu.size, j.mu.next, j.mu.tail, j.mu.head = s.size, 1, 1, ringStart
	return j.openFile()
}

// prewriteStep is how much is prewritten at once: while the ring grows, rounds
// wait for one step at most.
const prewriteStep = 256 << 10

// prewrite fills [from, to) with zeroes, so that later writes change no
// metadata of the file.
func prewrite(f vfs.File, from, to int64) error {
	zero := vfs.AlignedBlock(prewriteStep)
	for at := from; at < to; at += prewriteStep {
		if _, err := f.WriteAt(zero[:min(prewriteStep, to-at)], at); err != nil {
			return err
		}
	}
	return nil
}

// openFile opens the ring for synchronous writes, past the page cache where the
// file system allows it. Some file systems refuse only the transfer, so that one
// block is read and written back as it was.
func (j *Journal) openFile() (err error) {
	const synchronous = vfs.Write | vfs.DataSync
	j.file, err = j.o.FS.OpenFile(j.o.Name, synchronous|vfs.Direct)
	if err == nil {
		j.direct = true
		if err = vfs.ReadFull(j.file, j.block, 0); err == nil {
			_, err = j.file.WriteAt(j.block, 0)
		}
		if errors.Is(err, vfs.ErrDirectUnsupported) {
			_ = j.file.Close() // nothing was written through it
		}
	}
	if errors.Is(err, vfs.ErrDirectUnsupported) {
		j.direct = false
		j.file, err = j.o.FS.OpenFile(j.o.Name, synchronous)
	}
	if err != nil {
		return fmt.Errorf("open journal %s: %w", j.o.Name, err)
	}
	return nil
}

// open reads the superblock and the live rounds, and makes the ring fit for
// more.
func (j *Journal) open() (Replayed, error) {
	if err := j.openFile(); err != nil {
		return Replayed{}, err
	}
	s, err := j.readSuper()
	if err != nil {
		return Replayed{}, err
	}
	size, err := j.file.Size()
	if err != nil {
		return Replayed{}, fmt.Errorf("open journal %s: %w", j.o.Name, err)
	}
	if size < s.size {
		return Replayed{}, &CorruptionError{File: j.o.Name, Position: size, Cause: fmt.Sprintf("the file has %d bytes, and had %d", size, s.size)}
	}
	j.super, j.id = s, s.id
	j.mu.size, j.mu.tail, j.mu.next, j.mu.head, j.mu.lap = s.size, s.tail, s.tail, ringStart, s.lap+1
	r := Replayed{Clean: s.clean}
	if !s.clean {
		found, err := j.scan()
		if err != nil {
			return Replayed{}, err
		}
		if r, err = j.adopt(found); err != nil {
			return Replayed{}, err
		}
	}
	if j.o.mutant == mutantCleanStays {
		return r, nil
	}
	return r, j.writeSuper(super{tail: j.mu.tail, size: s.size, lap: j.mu.lap})
}

// foundRound is a valid round.
type foundRound struct {
	info    roundInfo
	entries []Entry
}

// scanChunk is how much of the ring is read at a time.
const scanChunk = 1 << 20

// scan finds every valid round from the superblock's tail on, in the order of
// their sequence numbers.
func (j *Journal) scan() (found []foundRound, err error) {
	chunk := vfs.AlignedBlock(scanChunk)
	skip := int64(0) // what is below belongs to a valid round
	for at := int64(ringStart); at < j.super.size; at += scanChunk {
		part := chunk[:min(scanChunk, j.super.size-at)]
		if err := vfs.ReadFull(j.file, part, at); err != nil {
			return nil, fmt.Errorf("read journal %s at %d: %w", j.o.Name, at, err)
		}
		for pos := max(at, skip); pos < at+int64(len(part)); pos += vfs.BlockSize {
			info, ok := parseHead(part[pos-at:], pos, j.id)
			if !ok || info.seq < j.super.tail || pos+info.bytes > j.super.size {
				continue
			}
			r, ok, err := j.load(info)
			if err != nil {
				return nil, err
			}
			if ok {
				found = append(found, r)
				skip = pos + aligned(info.bytes)
				pos = skip - vfs.BlockSize
			}
		}
	}
	slices.SortFunc(found, func(a, b foundRound) int { return cmp.Compare(a.info.seq, b.info.seq) })
	return found, nil
}

// load reads and checks one whole round. ok is false when its checksum says that
// it is not one, or not whole.
func (j *Journal) load(info roundInfo) (foundRound, bool, error) {
	b := vfs.AlignedBlock(int(aligned(info.bytes)))
	if err := vfs.ReadFull(j.file, b, info.position); err != nil {
		return foundRound{}, false, fmt.Errorf("read journal round %d: %w", info.seq, err)
	}
	if j.o.mutant != mutantTakeTorn && !verify(b, info) {
		return foundRound{}, false, nil
	}
	entries, err := decodeRound(b, info)
	if err != nil {
		return foundRound{}, false, &CorruptionError{File: j.o.Name, Position: info.position, Cause: err.Error()}
	}
	return foundRound{info: info, entries: entries}, true, nil
}

// adopt takes the rounds from the tail to the newest one. They have to be there
// without a gap: a missing one was followed by a later one, so it was written
// whole once, and what it held may have been acknowledged.
func (j *Journal) adopt(found []foundRound) (Replayed, error) {
	var out Replayed
	if len(found) == 0 {
		return out, nil
	}
	tail := max(j.super.tail, found[len(found)-1].info.tail)
	next, lap := tail, uint32(0)
	for _, f := range found {
		if f.info.seq < tail {
			continue
		}
		if f.info.seq != next || f.info.lap < lap {
			if j.o.mutant == mutantSkipGap {
				break
			}
			return Replayed{}, &CorruptionError{File: j.o.Name, Position: f.info.position,
				Cause: fmt.Sprintf("round %d (lap %d) is missing or damaged, and the later round %d (lap %d) is there", next, lap, f.info.seq, f.info.lap)}
		}
		next, lap = next+1, f.info.lap
		length := aligned(f.info.bytes)
		j.mu.live = append(j.mu.live, liveRound{seq: f.info.seq, pos: f.info.position, end: f.info.position + length})
		j.mu.head = f.info.position + length
		j.mu.used += length
		out.Entries = append(out.Entries, f.entries...)
		out.Rounds++
	}
	j.mu.tail, j.mu.next, j.mu.lap = tail, next, lap
	return out, j.settle()
}

// settle writes the last round again. Its write may have failed, and what was
// read may be in the page cache only: a later power cut would leave a hole in
// front of later rounds. Only the last one can be in doubt, because a failed
// write ends a journal.
func (j *Journal) settle() error {
	if len(j.mu.live) == 0 || j.o.mutant == mutantForgetLast {
		return nil
	}
	last := j.mu.live[len(j.mu.live)-1]
	b := vfs.AlignedBlock(int(last.end - last.pos))
	if err := vfs.ReadFull(j.file, b, last.pos); err != nil {
		return fmt.Errorf("read journal round %d: %w", last.seq, err)
	}
	if err := j.write(b, last.pos); err != nil {
		return fmt.Errorf("write journal round %d again: %w", last.seq, err)
	}
	return nil
}
