package log

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// Segment is one .log file. While somebody holds it (Retain, or the Source of a
// Range), its bytes that were there stay what they are: a cut may take them away,
// so that reading them ends early, but other bytes never take their place.
//
// The zero value is not usable. Segments are made by a Log.
type Segment struct {
	base kafka.Offset
	dir  string
	name string
	fsys vfs.FS
	// failed hears of the first failed write or sync.
	failed func(error)

	holders  atomic.Int32 // Retain minus Release
	entered  atomic.Bool  // the directory entry is durable
	complete atomic.Bool  // closed, and synced as a whole
	gone     atomic.Bool  // deleted or cut away as a whole
	used     atomic.Bool  // read since the last checkpoint; keeps the file open
	position writePosition

	handle struct {
		sync.Mutex // a leaf; no I/O happens under it, but closing a file that nobody syncs
		file       vfs.File
		writable   bool
		retired    bool // no longer part of the log: close when the last holder goes
		users      int  // calls that are using file outside of the mutex
		// superseded were replaced by a writable one while somebody read from them.
		superseded []vfs.File
	}

	segmentState // guarded by Log.mu
}

// writePosition is where the writer writes next. Only the writer touches it.
type writePosition struct {
	size      int64
	allocated int64 // blocks are reserved up to here
	sums      blockSums
}

// segmentState is what a Log knows of a segment. Its mutex guards it.
type segmentState struct {
	origin kafka.Offset // the segment's base
	size   int64
	end    kafka.Offset
	// closed: no more appends. The sidecar is written at the next checkpoint.
	closed bool
	sealed bool // the sidecar is on disk and the segment is synced

	// index and times mirror the index files. Of a sealed segment they are loaded
	// when needed and dropped when idle.
	indexLoaded  bool
	index        []indexEntry
	times        []timeEntry
	indexWritten int  // entries that are in the files
	indexTrimmed bool // the files were seen to end with these entries
	timesWritten int
	indexCRC     uint32 // of the written entries
	timesCRC     uint32

	firstAppend, lastAppend kafka.Timestamp // NoTimestamp: empty
	maxTimestamp            kafka.Timestamp
	maxLast                 kafka.Offset

	suspect bool // rot was found while it was being sealed: it gets no sidecar
	// checked are the blocks that were read and compared since the segment was
	// opened; nil for a segment that this process wrote.
	checked []uint64
	side    *sidecar // with blocks, when checked is in use
	rotten  error    // the first rot that was found

	inherited int64    // bytes that another process wrote and no sidecar vouches for
	proven    []uint64 // blocks of them that were read and verified
}

func newSegment(l *Log, base kafka.Offset) *Segment {
	s := &Segment{base: base, dir: l.dir, name: filePath(l.dir, base, suffixLog), fsys: l.fsys, failed: l.fail}
	s.segmentState = segmentState{origin: base, end: base, firstAppend: kafka.NoTimestamp, lastAppend: kafka.NoTimestamp,
		maxTimestamp: kafka.NoTimestamp, maxLast: kafka.NoOffset}
	return s
}

// Base is the first offset of the segment, which names its files.
func (s *Segment) Base() kafka.Offset { return s.base }

// Name is the name of the .log file.
func (s *Segment) Name() string { return s.name }

// SyncData makes everything that was appended to the segment before the call
// durable, its directory entry included. An error is final: the log goes offline
// and the caller must not acknowledge anything more of the directory; but where
// no descriptor was left (vfs.NoDescriptor) nothing was begun, and the call may be
// repeated. Of a segment that was deleted there is nothing left to make durable. It may be called
// concurrently with everything else.
func (s *Segment) SyncData() error {
	if s.complete.Load() {
		return nil
	}
	f, err := s.open()
	if s.gone.Load() {
		if err == nil {
			s.done()
		}
		return nil
	}
	if err != nil {
		return s.fail(err)
	}
	defer s.done()
	if err := f.SyncData(); err != nil {
		return s.fail(fmt.Errorf("sync segment %s: %w", s.name, err))
	}
	return s.enter()
}

// fail tells the log of an error that is final, and returns it.
func (s *Segment) fail(err error) error {
	if !vfs.NoDescriptor(err) {
		s.failed(err)
	}
	return err
}

// enter makes the directory entry durable, once.
func (s *Segment) enter() error {
	if s.entered.Load() {
		return nil
	}
	if err := s.fsys.SyncDir(s.dir); err != nil {
		return s.fail(fmt.Errorf("sync segment %s: %w", s.name, err))
	}
	s.entered.Store(true)
	return nil
}

// Retain holds the segment. Each call is matched by one Release.
func (s *Segment) Retain() { s.holders.Add(1) }

// Release lets go. The holder must not touch the segment afterwards.
func (s *Segment) Release() {
	left := s.holders.Add(-1)
	if left < 0 {
		invariant.Unreachable("segment %s released more often than retained", s.name)
	}
	if left == 0 {
		s.closeIfRetired()
	}
}

// OS is the operating system's file for sendfile, nil when there is none or it
// cannot be opened (ReadAt then says why). The caller holds the segment, uses
// explicit positions only, and must not close the file.
func (s *Segment) OS() *os.File {
	f, err := s.open()
	if err != nil {
		return nil
	}
	// A holder keeps the file open, so that it outlives this call's own use.
	defer s.done()
	return f.OS()
}

// ReadAt reads stored bytes. The caller holds the segment.
func (s *Segment) ReadAt(p []byte, off int64) (int, error) {
	f, err := s.open()
	if err != nil {
		return 0, err
	}
	defer s.done()
	return f.ReadAt(p, off)
}

// open returns the file, opening it for reading when it is not open. The caller
// calls done when it is through with it.
func (s *Segment) open() (vfs.File, error) {
	s.used.Store(true)
	h := &s.handle
	h.Lock()
	if h.file != nil {
		h.users++
		f := h.file
		h.Unlock()
		return f, nil
	}
	retired := h.retired
	h.Unlock()
	if retired {
		return nil, fmt.Errorf("open segment %s: %w", s.name, os.ErrClosed)
	}
	f, err := s.fsys.OpenFile(s.name, 0)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	h.Lock()
	if h.file != nil { // somebody else was faster
		mine := f
		f = h.file
		h.users++
		h.Unlock()
		return f, mine.Close()
	}
	h.file = f
	h.users++
	h.Unlock()
	return f, nil
}

func (s *Segment) done() {
	h := &s.handle
	h.Lock()
	h.users--
	h.Unlock()
	s.closeIfRetired()
}

func (s *Segment) closeIfRetired() {
	h := &s.handle
	h.Lock()
	var files []vfs.File
	if h.users == 0 && s.holders.Load() == 0 {
		files, h.superseded = h.superseded, nil
		if h.retired && h.file != nil {
			files = append(files, h.file)
			h.file = nil
		}
	}
	h.Unlock()
	for _, f := range files {
		_ = f.Close() // nobody relies on it: it is gone, or was only read from
	}
}

// retire takes the segment out of the log: its file closes when the last holder
// lets go.
func (s *Segment) retire() {
	s.handle.Lock()
	s.handle.retired = true
	s.handle.Unlock()
	s.closeIfRetired()
}

// idle closes the file of a segment that nobody uses. It reopens when needed.
func (s *Segment) idle() error {
	if s.used.Swap(false) {
		return nil
	}
	h := &s.handle
	h.Lock()
	var f vfs.File
	if h.users == 0 && s.holders.Load() == 0 {
		f, h.file, h.writable = h.file, nil, false
	}
	h.Unlock()
	if f == nil {
		return nil
	}
	return f.Close()
}

// install gives the segment the file that it is written through.
func (s *Segment) install(f vfs.File) {
	s.handle.Lock()
	old := s.handle.file
	s.handle.file, s.handle.writable = f, true
	s.handle.Unlock()
	invariant.Check(old == nil, "segment %s is open already", s.name)
}

// openForWriting opens the file, creating it when create is set.
func (s *Segment) openForWriting(create bool) error {
	flag := vfs.Write
	if create {
		flag |= vfs.Create | vfs.Truncate
	}
	f, err := s.fsys.OpenFile(s.name, flag)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	s.install(f)
	return nil
}

// writer is the file that appends go through.
func (s *Segment) writer() vfs.File {
	s.handle.Lock()
	defer s.handle.Unlock()
	if !s.handle.writable {
		invariant.Unreachable("segment %s is not open for writing", s.name)
	}
	return s.handle.file
}

// readFull reads p at off; less is corruption, because the log says that the
// bytes are there.
func (s *Segment) readFull(p []byte, off int64) error {
	f, err := s.open()
	if err != nil {
		return err
	}
	defer s.done()
	if err := vfs.ReadFull(f, p, off); err != nil {
		return fmt.Errorf("read segment %s at %d: %w", s.name, off, err)
	}
	return nil
}
