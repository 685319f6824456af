package vfs

import (
	"io"
	"io/fs"
	"os"
	"syscall"
)

type block [BlockSize]byte

// reservedBlock stands for a page that Preallocate took and nobody wrote.
// Nothing ever writes to it.
var reservedBlock = new(block)

// maxFileSize bounds the table of pages of one file.
const maxFileSize = int64(1) << 38

// earlyOneIn is how often overwriting an unsynced page is taken as a moment at
// which the kernel had just written the page back by itself.
const earlyOneIn = 8

// memContent is the content of a file. A page outside dirty is clean: the
// medium has what pages has. Blocks of clean pages are shared with clones and
// with syncs in flight and are copied before they change.
type memContent struct {
	size        int64
	durableSize int64
	lowestSize  int64  // the smallest size since durableSize was true
	sizeSince   uint64 // syncs that began before this one say nothing about durableSize
	pages       []*block
	dirty       map[int64]*dirtyPage
	allocated   int64 // pages with a block
}

// dirtyPage is a page whose bytes on the medium differ from pages.
type dirtyPage struct {
	base   *block // what the medium has; nil is zeroes
	early  *block // a version between base and now that may have reached the medium, or nil
	since  uint64 // syncs that began before this one say nothing about the page
	writes uint64
	frozen bool // a sync in flight holds the block: copy before writing
	lost   bool // a sync failed on it: the kernel believes that it is clean
}

func (c *memContent) page(i int64) *block {
	if i < int64(len(c.pages)) {
		return c.pages[i]
	}
	return nil
}

func (c *memContent) setPage(i int64, b *block) {
	if grow := i + 1 - int64(len(c.pages)); grow > 0 {
		c.pages = append(c.pages, make([]*block, grow)...)
	}
	c.pages[i] = b
}

func (c *memContent) read(p []byte, off int64) int {
	if off >= c.size {
		return 0
	}
	p = p[:min(int64(len(p)), c.size-off)]
	for done := 0; done < len(p); {
		at := (off + int64(done)) % BlockSize
		n := min(len(p)-done, int(BlockSize-at))
		if b := c.page((off + int64(done)) / BlockSize); b != nil {
			copy(p[done:done+n], b[at:])
		} else {
			clear(p[done : done+n])
		}
		done += n
	}
	return len(p)
}

// dirtied notes that page i is about to change and returns its entry.
func (m *Mem) dirtied(c *memContent, i int64) *dirtyPage {
	d := c.dirty[i]
	if d == nil {
		d = &dirtyPage{base: c.page(i), since: m.syncs, frozen: true}
		if c.dirty == nil {
			c.dirty = map[int64]*dirtyPage{}
		}
		c.dirty[i] = d
	}
	d.lost = false
	d.writes++
	return d
}

// writable returns the block of page i, which may be changed in place.
func (m *Mem) writable(c *memContent, i int64) *block {
	d := m.dirtied(c, i)
	b := c.page(i)
	if b != nil && !d.frozen && b != reservedBlock {
		if mix(m.seed, uint64(i), d.writes)%earlyOneIn == 0 {
			early := *b
			d.early = &early
		}
		return b
	}
	fresh := new(block)
	if b != nil {
		*fresh = *b
	} else {
		c.allocated++
		m.used += BlockSize
	}
	d.frozen = false
	c.setPage(i, fresh)
	return fresh
}

// write returns how many bytes found room.
func (m *Mem) write(c *memContent, p []byte, off int64) int {
	done := 0
	for done < len(p) {
		i, at := (off+int64(done))/BlockSize, (off+int64(done))%BlockSize
		if c.page(i) == nil && m.isFull() {
			break
		}
		done += copy(m.writable(c, i)[at:], p[done:])
	}
	if done > 0 {
		c.size = max(c.size, off+int64(done))
	}
	return done
}

func (m *Mem) isFull() bool { return m.capacity > 0 && m.used+BlockSize > m.capacity }

// resize cuts or extends. Bytes behind the end of a file are always zeroes, so
// that extending shows zeroes.
func (m *Mem) resize(n *memNode, size int64) {
	c := &n.memContent
	if size < c.size {
		if rest := size % BlockSize; rest != 0 && c.page(size/BlockSize) != nil {
			clear(m.writable(c, size/BlockSize)[rest:])
		}
		m.freePages(c, (size+BlockSize-1)/BlockSize)
		c.lowestSize = min(c.lowestSize, size)
	}
	c.size = size
}

func (m *Mem) freePages(c *memContent, from int64) {
	for i := from; i < int64(len(c.pages)); i++ {
		if c.pages[i] == nil {
			continue
		}
		m.dirtied(c, i).frozen = true
		c.allocated--
		m.used -= BlockSize
	}
	if from < int64(len(c.pages)) {
		clear(c.pages[from:])
		c.pages = c.pages[:from]
	}
}

// flight is a sync between its begin and its end: what it will have made
// durable when it ends. Bytes written meanwhile are not in it.
type flight struct {
	number uint64
	size   int64
	pages  []flightPage
}

type flightPage struct {
	index int64
	block *block
}

// beginSync notes what a sync that begins now covers: the dirty pages in
// [from, to), all of them when to is -1.
func (m *Mem) beginSync(c *memContent, from, to int64) flight {
	m.syncs++
	f := flight{number: m.syncs, size: c.size}
	if to < 0 {
		f.pages = make([]flightPage, 0, len(c.dirty))
		for i, d := range c.dirty {
			f.add(c, i, d)
		}
		return f
	}
	for i := from / BlockSize; i*BlockSize < to; i++ {
		if d := c.dirty[i]; d != nil {
			f.add(c, i, d)
		}
	}
	return f
}

func (f *flight) add(c *memContent, i int64, d *dirtyPage) {
	if d.lost {
		return
	}
	d.frozen = true
	f.pages = append(f.pages, flightPage{i, c.page(i)})
}

// endSync makes what the flight covers durable, except where a younger sync
// has said more already.
func (m *Mem) endSync(c *memContent, f flight) {
	for _, p := range f.pages {
		d := c.dirty[p.index]
		if d == nil || d.since >= f.number {
			continue
		}
		if c.page(p.index) == p.block {
			delete(c.dirty, p.index)
			continue
		}
		d.base, d.early, d.since = p.block, nil, f.number
	}
	if len(c.dirty) == 0 {
		c.dirty = nil // a map that was large once is slow to walk for ever
	}
	if c.sizeSince < f.number {
		c.durableSize, c.sizeSince = f.size, f.number
		c.lowestSize = min(c.size, f.size)
	}
}

// failSync is what ext4 does when write-back fails: the pages are clean from
// now on, keep the new bytes until they leave the cache, and the medium keeps
// the old ones.
func (c *memContent) failSync() {
	for _, d := range c.dirty {
		d.lost, d.early = true, nil
	}
}

// memFile is an open file of a Mem.
type memFile struct {
	m      *Mem
	node   *memNode
	name   string
	flag   Flag
	closed bool
}

func (f *memFile) Name() string { return f.name }
func (f *memFile) OS() *os.File { return nil }

// usable tells why the file cannot be used, if so.
func (f *memFile) usable(write bool) error {
	switch {
	case f.m.crashed:
		return ErrCrashed
	case f.closed:
		return fs.ErrClosed
	case write && f.flag&Write == 0:
		return syscall.EBADF
	}
	return nil
}

func (f *memFile) release() {
	f.closed = true
	f.node.handles--
	f.m.reclaim(f.node)
}

// Close implements File. It is not an operation on the disk: it succeeds after
// a crash.
func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return pathError("close", f.name, fs.ErrClosed)
	}
	if f.m.crashed {
		f.closed = true
		return nil
	}
	f.release()
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable(false); err != nil {
		return 0, pathError("stat", f.name, err)
	}
	return f.node.size, nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, pathError("read", f.name, syscall.EINVAL)
	}
	if f.flag&Direct != 0 {
		if err := checkAligned(p, off); err != nil {
			return 0, pathError("read", f.name, err)
		}
	}
	f.m.wait(OpRead, f.name, len(p))
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.usable(false)
	if err == nil {
		err = f.m.glance(OpRead, f.name, off, int64(len(p)))
	}
	if err != nil {
		return 0, pathError("read", f.name, err)
	}
	n := f.node.read(p, off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements File. With DataSync the bytes are in the page cache first
// and durable when WriteAt returns: a crash between tears them.
func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, pathError("write", f.name, syscall.EINVAL)
	}
	if off > maxFileSize-int64(len(p)) {
		return 0, pathError("write", f.name, syscall.EFBIG)
	}
	if f.flag&Direct != 0 {
		if err := checkAligned(p, off); err != nil {
			return 0, pathError("write", f.name, err)
		}
	}
	if f.flag&DataSync == 0 {
		f.m.wait(OpWrite, f.name, len(p))
		n, _, err := f.put(p, off)
		return n, pathError("write", f.name, err)
	}
	pause := f.m.delay(OpWrite, f.name, len(p))
	n, covered, err := f.put(p, off)
	if err == nil {
		f.m.sleep(pause)
		err = f.finish(covered)
	}
	return n, pathError("write", f.name, err)
}

func (f *memFile) put(p []byte, off int64) (int, flight, error) {
	m := f.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := f.usable(true); err != nil {
		return 0, flight{}, err
	}
	step := m.step(OpWrite, f.name, off, int64(len(p)))
	if step.fails() {
		n := m.write(&f.node.memContent, p[:min(step.short, len(p))], off)
		return n, flight{}, step.err
	}
	n := m.write(&f.node.memContent, p, off)
	switch {
	case step.interrupted:
		return 0, flight{}, ErrCrashed
	case n < len(p):
		return n, flight{}, syscall.ENOSPC
	case f.flag&DataSync == 0 || step.lie:
		return n, flight{}, nil
	}
	return n, m.beginSync(&f.node.memContent, off, off+int64(n)), nil
}

// finish ends a sync. A crash that came while it waited leaves it undone. A
// file that was closed meanwhile is still synced.
func (f *memFile) finish(covered flight) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.m.crashed {
		return ErrCrashed
	}
	f.m.endSync(&f.node.memContent, covered)
	return nil
}

func (f *memFile) Truncate(size int64) error {
	f.m.wait(OpTruncate, f.name, 0)
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return pathError("truncate", f.name, f.truncate(size))
}

func (f *memFile) truncate(size int64) error {
	if err := f.usable(true); err != nil {
		return err
	}
	if size < 0 {
		return syscall.EINVAL
	}
	step := f.m.step(OpTruncate, f.name, size, 0)
	if step.fails() {
		return step.err
	}
	f.m.resize(f.node, size)
	return step.end()
}

func (f *memFile) Preallocate(off, n int64) error {
	f.m.wait(OpPreallocate, f.name, 0)
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return pathError("preallocate", f.name, f.preallocate(off, n))
}

func (f *memFile) preallocate(off, n int64) error {
	if err := f.usable(true); err != nil {
		return err
	}
	if off < 0 || n <= 0 {
		return syscall.EINVAL
	}
	if off > maxFileSize-n {
		return syscall.EFBIG
	}
	step := f.m.step(OpPreallocate, f.name, off, n)
	if step.fails() {
		return step.err
	}
	for i := off / BlockSize; i*BlockSize < off+n; i++ {
		if f.node.page(i) != nil {
			continue
		}
		if f.m.isFull() {
			return syscall.ENOSPC
		}
		f.node.setPage(i, reservedBlock)
		f.node.allocated++
		f.m.used += BlockSize
	}
	return step.end()
}

func (f *memFile) Sync() error { return f.SyncData() }

// SyncData implements File. It covers what was written before it began.
func (f *memFile) SyncData() error {
	pause := f.m.delay(OpSync, f.name, 0)
	covered, err := f.begin()
	if err == nil {
		f.m.sleep(pause)
		err = f.finish(covered)
	}
	return pathError("fdatasync", f.name, err)
}

func (f *memFile) begin() (flight, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable(false); err != nil {
		return flight{}, err
	}
	step := f.m.step(OpSync, f.name, 0, 0)
	switch {
	case step.fails():
		f.node.failSync()
		return flight{}, step.err
	case step.interrupted:
		return flight{}, ErrCrashed
	case step.lie:
		return flight{}, nil
	}
	return f.m.beginSync(&f.node.memContent, 0, -1), nil
}
