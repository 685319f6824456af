package vfs

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// ErrCrashed is what every operation on a Mem and on its open files returns
// after the crash: the process that made the call no longer exists.
var ErrCrashed = errors.New("the file system has crashed")

// unlimitedSpace is what Space tells as the size of a Mem without a capacity.
const unlimitedSpace = int64(1) << 40

// Mem is a file system in memory that forgets on a crash what was not synced.
// Names are slash-separated; "a" and "/a" are the same file. It starts with an
// empty root directory.
//
// Everything that it decides comes from its seed and from the seed of Crash,
// in an order that does not depend on the run: one goroutine that does the same
// things gets the same disk.
//
// A crash comes in two ways. Crash takes power away now and returns what is
// left. CrashAfter and Fault.Crash interrupt one operation in its middle; all
// later ones fail with ErrCrashed, and Crash tells what is left.
type Mem struct {
	latency atomic.Pointer[latency]

	mu       sync.Mutex
	seed     uint64
	root     *memNode
	pending  []*entryChange // not durable yet, oldest first
	locks    map[*memNode]bool
	used     int64 // bytes of allocated pages of all live files
	capacity int64 // 0 is unlimited
	noDirect bool
	syncs    uint64 // counts the beginnings of syncs; orders them against writes

	crashed bool
	ops     int
	armed   bool // crash when countdown operations have passed
	counter int
	faults  []*Fault
	trace   traceRing
}

var (
	_ FS        = (*Mem)(nil)
	_ AllSyncer = (*Mem)(nil)
)

// NewMem returns an empty file system whose own choices (which version of a
// page reached the medium early) follow seed.
func NewMem(seed uint64) *Mem {
	return &Mem{seed: seed, root: newDir(), locks: map[*memNode]bool{}}
}

// SetCapacity bounds the file system to bytes, counted in whole pages of
// BlockSize. 0 is unlimited. Lowering it below what is used is allowed:
// everything is full then.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// SetDirect tells whether files can be opened with Direct. They can at first.
func (m *Mem) SetDirect(supported bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noDirect = !supported
}

// memNode is a file or a directory. Mem.mu guards it. It lives as long as a
// name, an open file or an entry that a crash may bring back refers to it.
type memNode struct {
	isDir   bool
	entries map[string]*memNode // of a directory, now
	durable map[string]*memNode // of a directory, if every pending change is lost
	memContent
	linked  bool // has a name now
	handles int
}

func newDir() *memNode {
	return &memNode{isDir: true, linked: true, entries: map[string]*memNode{}, durable: map[string]*memNode{}}
}

// entryChange is one change of directory entries that a crash keeps or loses
// as a whole.
type entryChange struct {
	op    Op
	name  string
	edits []entryEdit
}

// entryEdit sets the entry name of dir to node, or removes it when node is nil.
type entryEdit struct {
	dir  *memNode
	name string
	node *memNode
}

type entryKey struct {
	dir  *memNode
	name string
}

func (m *Mem) change(op Op, name string, edits ...entryEdit) {
	for _, e := range edits {
		if e.node == nil {
			delete(e.dir.entries, e.name)
		} else {
			e.dir.entries[e.name] = e.node
		}
	}
	m.pending = append(m.pending, &entryChange{op: op, name: name, edits: edits})
}

// settle makes the wanted pending changes durable, and with each of them every
// earlier change of the same entries: the medium never sees two changes of one
// name in the wrong order.
func (m *Mem) settle(wanted func(i int, c *entryChange) bool) {
	chosen := make([]bool, len(m.pending))
	needed := map[entryKey]bool{}
	for i := len(m.pending) - 1; i >= 0; i-- {
		c := m.pending[i]
		take := wanted(i, c)
		for _, e := range c.edits {
			take = take || needed[entryKey{e.dir, e.name}]
		}
		if !take {
			continue
		}
		chosen[i] = true
		for _, e := range c.edits {
			needed[entryKey{e.dir, e.name}] = true
		}
	}
	var rest []*entryChange
	for i, c := range m.pending {
		if !chosen[i] {
			rest = append(rest, c)
			continue
		}
		for _, e := range c.edits {
			if e.node == nil {
				delete(e.dir.durable, e.name)
			} else {
				e.dir.durable[e.name] = e.node
			}
		}
	}
	m.pending = rest
}

func splitName(name string) []string {
	clean := strings.Trim(path.Clean("/"+name), "/")
	if clean == "" {
		return nil
	}
	return strings.Split(clean, "/")
}

// walk follows the parts from the root. It returns nil when one is missing.
func (m *Mem) walk(parts []string) (*memNode, error) {
	node := m.root
	for _, part := range parts {
		if !node.isDir {
			return nil, syscall.ENOTDIR
		}
		next := node.entries[part]
		if next == nil {
			return nil, fs.ErrNotExist
		}
		node = next
	}
	return node, nil
}

// place finds the directory that holds name, and the node there if any.
func (m *Mem) place(name string) (dir *memNode, base string, node *memNode, err error) {
	parts := splitName(name)
	if len(parts) == 0 {
		return nil, "", nil, syscall.EISDIR
	}
	dir, err = m.walk(parts[:len(parts)-1])
	if err != nil {
		return nil, "", nil, err
	}
	if !dir.isDir {
		return nil, "", nil, syscall.ENOTDIR
	}
	base = parts[len(parts)-1]
	return dir, base, dir.entries[base], nil
}

func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return mapError(&fs.PathError{Op: op, Path: name, Err: err})
}

// OpenFile implements FS.
func (m *Mem) OpenFile(name string, flag Flag) (File, error) {
	m.wait(OpOpen, name, 0)
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.open(name, flag)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return f, nil
}

func (m *Mem) open(name string, flag Flag) (*memFile, error) {
	if err := m.glance(OpOpen, name, 0, 0); err != nil {
		return nil, err
	}
	if flag&Direct != 0 && m.noDirect {
		return nil, ErrDirectUnsupported
	}
	dir, base, node, err := m.place(name)
	switch {
	case err != nil:
		return nil, err
	case node == nil && flag&Create == 0:
		return nil, fs.ErrNotExist
	case node != nil && flag&(Create|Exclusive) == Create|Exclusive:
		return nil, fs.ErrExist
	case node != nil && node.isDir && flag&(Write|Create|Truncate) != 0:
		return nil, syscall.EISDIR
	}
	if node == nil {
		step := m.step(OpCreate, name, 0, 0)
		if step.fails() {
			return nil, step.err
		}
		node = &memNode{linked: true}
		m.change(OpCreate, name, entryEdit{dir, base, node})
		if step.interrupted {
			return nil, ErrCrashed
		}
	} else if flag&Truncate != 0 && node.size > 0 {
		step := m.step(OpTruncate, name, 0, 0)
		if step.fails() {
			return nil, step.err
		}
		m.resize(node, 0)
		if step.interrupted {
			return nil, ErrCrashed
		}
	}
	node.handles++
	return &memFile{m: m, node: node, name: name, flag: flag}, nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.wait(OpRemove, name, 0)
	m.mu.Lock()
	defer m.mu.Unlock()
	return pathError("remove", name, m.remove(name))
}

func (m *Mem) remove(name string) error {
	if m.crashed {
		return ErrCrashed
	}
	dir, base, node, err := m.place(name)
	switch {
	case err != nil:
		return err
	case node == nil:
		return fs.ErrNotExist
	case node.isDir && len(node.entries) > 0:
		return syscall.ENOTEMPTY
	}
	step := m.step(OpRemove, name, 0, 0)
	if step.fails() {
		return step.err
	}
	m.change(OpRemove, name, entryEdit{dir, base, nil})
	m.unlink(node)
	return step.end()
}

// unlink gives the space of a node back once nothing living refers to it.
func (m *Mem) unlink(node *memNode) {
	node.linked = false
	m.reclaim(node)
}

func (m *Mem) reclaim(node *memNode) {
	if !node.linked && node.handles == 0 {
		m.used -= node.allocated * BlockSize
		node.allocated = 0
	}
}

// RemoveAll implements FS. Each entry is one operation of its own, deepest and
// smallest name first: a crash can leave any part.
func (m *Mem) RemoveAll(name string) error {
	m.wait(OpRemove, name, 0)
	m.mu.Lock()
	defer m.mu.Unlock()
	return pathError("remove", name, m.removeAll(name))
}

func (m *Mem) removeAll(name string) error {
	if m.crashed {
		return ErrCrashed
	}
	_, _, node, err := m.place(name)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && node == nil) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, child := range sortedNames(node.entries) {
		if err := m.removeAll(path.Join(name, child)); err != nil {
			return err
		}
	}
	return m.remove(name)
}

// Rename implements FS. It is one change: a crash keeps both halves or none.
func (m *Mem) Rename(oldName, newName string) error {
	m.wait(OpRename, oldName, 0)
	m.mu.Lock()
	defer m.mu.Unlock()
	return pathError("rename", oldName, m.rename(oldName, newName))
}

func (m *Mem) rename(oldName, newName string) error {
	if m.crashed {
		return ErrCrashed
	}
	oldDir, oldBase, node, err := m.place(oldName)
	if err == nil && node == nil {
		err = fs.ErrNotExist
	}
	if err != nil {
		return err
	}
	newDir, newBase, target, err := m.place(newName)
	switch {
	case err != nil:
		return err
	case target == node:
		return nil
	case node.isDir && isBelow(newName, oldName):
		return syscall.EINVAL
	case target != nil && target.isDir && !node.isDir:
		return syscall.EISDIR
	case target != nil && !target.isDir && node.isDir:
		return syscall.ENOTDIR
	case target != nil && len(target.entries) > 0:
		return syscall.ENOTEMPTY
	}
	step := m.step(OpRename, oldName, 0, 0)
	if step.fails() {
		return step.err
	}
	m.change(OpRename, oldName, entryEdit{oldDir, oldBase, nil}, entryEdit{newDir, newBase, node})
	if target != nil {
		m.unlink(target)
	}
	return step.end()
}

func isBelow(name, dir string) bool {
	return strings.HasPrefix(path.Clean("/"+name)+"/", path.Clean("/"+dir)+"/")
}

// MkdirAll implements FS. Each directory that it makes is one operation.
func (m *Mem) MkdirAll(name string) error {
	m.wait(OpCreate, name, 0)
	m.mu.Lock()
	defer m.mu.Unlock()
	return pathError("mkdir", name, m.mkdirAll(name))
}

func (m *Mem) mkdirAll(name string) error {
	if m.crashed {
		return ErrCrashed
	}
	node := m.root
	for _, part := range splitName(name) {
		if next := node.entries[part]; next != nil {
			if !next.isDir {
				return syscall.ENOTDIR
			}
			node = next
			continue
		}
		step := m.step(OpCreate, name, 0, 0)
		if step.fails() {
			return step.err
		}
		made := newDir()
		m.change(OpCreate, name, entryEdit{node, part, made})
		if step.interrupted {
			return ErrCrashed
		}
		node = made
	}
	return nil
}

func sortedNames(entries map[string]*memNode) []string {
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// ReadDir implements FS.
func (m *Mem) ReadDir(name string) ([]DirEntry, error) {
	m.wait(OpList, name, 0)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.glance(OpList, name, 0, 0); err != nil {
		return nil, pathError("readdir", name, err)
	}
	node, err := m.walk(splitName(name))
	if err == nil && !node.isDir {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	entries := make([]DirEntry, 0, len(node.entries))
	for _, child := range sortedNames(node.entries) {
		entries = append(entries, DirEntry{Name: child, IsDir: node.entries[child].isDir})
	}
	return entries, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (Info, error) {
	m.wait(OpList, name, 0)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.glance(OpList, name, 0, 0); err != nil {
		return Info{}, pathError("stat", name, err)
	}
	node, err := m.walk(splitName(name))
	if err != nil {
		return Info{}, pathError("stat", name, err)
	}
	return Info{Size: node.size, IsDir: node.isDir}, nil
}

// openDir is the descriptor that a sync of a directory takes for a moment.
func (m *Mem) openDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return pathError("open", name, m.glance(OpOpen, name, 0, 0))
}

// SyncDir implements FS. It covers the changes that were made before it began.
func (m *Mem) SyncDir(name string) error {
	if err := m.openDir(name); err != nil {
		return err
	}
	pause := m.delay(OpSyncDir, name, 0)
	covered, err := m.beginSyncDir(name)
	if err != nil || len(covered) == 0 {
		return pathError("syncdir", name, err)
	}
	m.sleep(pause)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return pathError("syncdir", name, ErrCrashed)
	}
	m.settle(func(_ int, c *entryChange) bool { return covered[c] })
	return nil
}

func (m *Mem) beginSyncDir(name string) (map[*entryChange]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return nil, ErrCrashed
	}
	dir, err := m.walk(splitName(name))
	if err == nil && !dir.isDir {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, err
	}
	step := m.step(OpSyncDir, name, 0, 0)
	if step.fails() || step.interrupted || step.lie {
		return nil, step.end()
	}
	covered := map[*entryChange]bool{}
	for _, c := range m.pending {
		for _, e := range c.edits {
			if e.dir == dir {
				covered[c] = true
			}
		}
	}
	return covered, nil
}

// Lock implements FS. A crash releases it.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.wait(OpOpen, name, 0)
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.open(name, Write|Create)
	if err != nil {
		return nil, pathError("lock", name, err)
	}
	if m.locks[f.node] {
		f.release()
		return nil, pathError("lock", name, ErrLocked)
	}
	m.locks[f.node] = true
	return &memLock{f}, nil
}

type memLock struct{ f *memFile }

// Close implements io.Closer.
func (l *memLock) Close() error {
	m := l.f.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.f.closed {
		return pathError("close", l.f.name, fs.ErrClosed)
	}
	if m.crashed {
		l.f.closed = true // the lock and the file belong to the next life of the disk
		return nil
	}
	delete(m.locks, l.f.node)
	l.f.release()
	return nil
}

// Space implements FS.
func (m *Mem) Space(name string) (free, total int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return 0, 0, pathError("statfs", name, ErrCrashed)
	}
	if _, err := m.walk(splitName(name)); err != nil {
		return 0, 0, pathError("statfs", name, err)
	}
	total = m.capacity
	if total == 0 {
		total = unlimitedSpace
	}
	return max(0, total-m.used), total, nil
}
