package vfs

import (
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"slices"
	"syscall"
)

// sectorSize is what a disk writes as a whole, in bytes.
const sectorSize = 512

// CrashKind is what becomes of the state that was not synced.
type CrashKind uint8

// The kinds of crashes.
const (
	CrashRandom CrashKind = iota // each page, size change and directory entry by the seed
	CrashDrop                    // all of it is lost
	CrashKeep                    // all of it has reached the medium
)

// EntryOrder is how changes of directory entries survive a random crash. Two
// changes of one entry never survive in the wrong order.
type EntryOrder uint8

// The orders.
const (
	EntryBySeed  EntryOrder = iota // one of the two below
	EntryJournal                   // the first so many changes survive, as on a journalling file system
	EntrySubset                    // any subset survives
)

// CrashOptions says what a crash leaves. The zero value with a Seed is what
// Crash uses.
type CrashOptions struct {
	Seed  uint64
	Kind  CrashKind
	Order EntryOrder
	// Garbage fills sectors that the file grew over but that never reached the
	// medium with random bytes instead of zeroes.
	Garbage bool
}

// Crash takes the power away and returns the disk as it is found afterwards.
// m and its open files answer ErrCrashed from now on. The same history and the
// same seed give the same disk. Capacity, direct I/O and latency carry over,
// faults and locks do not.
func (m *Mem) Crash(seed uint64) *Mem { return m.CrashWith(CrashOptions{Seed: seed}) }

// CrashWith is Crash with choices.
func (m *Mem) CrashWith(o CrashOptions) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashed = true
	return m.survivor(o)
}

// CrashClone returns the disk that a crash now would leave, and lets m go on.
func (m *Mem) CrashClone(o CrashOptions) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.survivor(o)
}

// Kill ends the process and not the machine, as kill -9 does: m and its open
// files answer ErrCrashed, and the returned file system has the same page
// cache, with the same pages still dirty. After a crash in the middle of an
// operation, the operation has taken effect.
func (m *Mem) Kill() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashed = true
	next := m.successor(m.seed)
	next.root, next.pending, next.syncs = m.root, m.pending, m.syncs
	forgetHandles(next.root)
	next.used = allocatedBytes(next.root)
	return next
}

func (m *Mem) successor(seed uint64) *Mem {
	next := NewMem(seed)
	next.capacity, next.noDirect = m.capacity, m.noDirect
	next.latency.Store(m.latency.Load())
	return next
}

// survivor builds the disk after a crash. It leaves m as it is.
func (m *Mem) survivor(o CrashOptions) *Mem {
	c := newCrash(o)
	keep := c.chooseEntries(m.pending)
	scratch := &Mem{pending: slices.Clone(m.pending), root: m.root}
	undo := rememberDurable(m.pending)
	scratch.settle(func(i int, _ *entryChange) bool { return keep[i] })
	next := m.successor(mix(m.seed, o.Seed, 1))
	next.root = c.directory(m.root, "")
	undo()
	next.used = allocatedBytes(next.root)
	return next
}

// rememberDurable returns a function that puts the durable entries back which
// settling changes would touch.
func rememberDurable(changes []*entryChange) (undo func()) {
	before := map[entryKey]*memNode{}
	for _, c := range changes {
		for _, e := range c.edits {
			before[entryKey{e.dir, e.name}] = e.dir.durable[e.name]
		}
	}
	return func() {
		for key, node := range before {
			if node == nil {
				delete(key.dir.durable, key.name)
			} else {
				key.dir.durable[key.name] = node
			}
		}
	}
}

// crash holds the dice of one crash. A seed first draws how much tends to
// survive, so that some seeds lose nearly everything and some nearly nothing.
type crash struct {
	CrashOptions
	keepWeight, tearWeight int // of 8; the rest is lost
	copied                 map[*memNode]*memNode
}

func newCrash(o CrashOptions) *crash {
	r := rand.New(rand.NewPCG(o.Seed, 0))
	c := &crash{CrashOptions: o, keepWeight: r.IntN(8), copied: map[*memNode]*memNode{}}
	c.tearWeight = r.IntN(8 - c.keepWeight + 1)
	if c.Order == EntryBySeed {
		c.Order = EntryJournal + EntryOrder(r.IntN(2))
	}
	return c
}

// dice returns the random numbers for one named thing, so that what happens to
// one file does not depend on which other files there are.
func (c *crash) dice(name string, number uint64) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(c.Seed, mix(h.Sum64(), number, 2)))
}

func (c *crash) chooseEntries(pending []*entryChange) []bool {
	keep := make([]bool, len(pending))
	switch {
	case c.Kind == CrashDrop:
	case c.Kind == CrashKeep:
		for i := range keep {
			keep[i] = true
		}
	case c.Order == EntryJournal:
		for i := range c.dice("", uint64(len(pending))).IntN(len(pending) + 1) {
			keep[i] = true
		}
	default:
		seen := map[string]uint64{}
		for i, p := range pending {
			key := p.op.String() + " " + p.name
			seen[key]++
			keep[i] = c.dice(key, seen[key]).IntN(8) < max(1, c.keepWeight)
		}
	}
	return keep
}

func (c *crash) directory(from *memNode, name string) *memNode {
	to := newDir()
	c.copied[from] = to
	for _, base := range sortedNames(from.durable) {
		child := from.durable[base]
		made := c.copied[child]
		switch {
		case made != nil: // a second name of one node
		case child.isDir:
			made = c.directory(child, name+"/"+base)
		default:
			made = c.file(&child.memContent, c.dice(name+"/"+base, 0))
			c.copied[child] = made
		}
		to.entries[base], to.durable[base] = made, made
	}
	return to
}

func (c *crash) file(from *memContent, r *rand.Rand) *memNode {
	size := c.size(from, r)
	to := &memNode{linked: true}
	to.size, to.durableSize, to.lowestSize = size, size, size
	to.pages = slices.Clone(from.pages)
	for _, i := range sortedPages(from.dirty) {
		to.setPage(i, c.page(from.dirty[i], from.page(i), i*BlockSize, r))
	}
	if pages := (size + BlockSize - 1) / BlockSize; int64(len(to.pages)) > pages {
		to.pages = to.pages[:pages]
	}
	if rest := size % BlockSize; rest != 0 && to.page(size/BlockSize) != nil {
		last := *to.page(size / BlockSize)
		clear(last[rest:])
		to.setPage(size/BlockSize, &last)
	}
	for _, b := range to.pages {
		if b != nil {
			to.allocated++
		}
	}
	return to
}

func sortedPages(dirty map[int64]*dirtyPage) []int64 {
	indexes := make([]int64, 0, len(dirty))
	for i := range dirty {
		indexes = append(indexes, i)
	}
	slices.Sort(indexes)
	return indexes
}

// size chooses among the sizes that the file had since it was last durable and
// those between.
func (c *crash) size(from *memContent, r *rand.Rand) int64 {
	low := min(from.durableSize, from.lowestSize, from.size)
	high := max(from.durableSize, from.size)
	switch {
	case c.Kind == CrashDrop:
		return from.durableSize
	case c.Kind == CrashKeep:
		return from.size
	case low == high:
		return low
	}
	switch draw := r.IntN(8); {
	case draw < max(1, c.keepWeight):
		return from.size
	case draw == 7:
		return low + r.Int64N(high-low+1)
	case draw == 6:
		return max(low, (low+r.Int64N(high-low+1))/sectorSize*sectorSize)
	case draw == 5:
		return low
	}
	return from.durableSize
}

// page chooses what the medium has of one page that was not synced.
func (c *crash) page(d *dirtyPage, now *block, position int64, r *rand.Rand) *block {
	switch {
	case d.lost || c.Kind == CrashDrop:
		return d.base
	case c.Kind == CrashKeep:
		d.frozen = true // the file system that goes on must not write to it
		return now
	}
	old := d.base
	if old == nil && c.Garbage {
		old = new(block)
		for i := range old {
			old[i] = byte(r.Uint32())
		}
	}
	draw := r.IntN(8)
	if draw < c.keepWeight {
		d.frozen = true
		return now
	}
	if draw >= c.keepWeight+c.tearWeight {
		return old
	}
	versions := []*block{old, now}
	if d.early != nil {
		versions = append(versions, d.early)
	}
	torn := new(block)
	for at := 0; at < BlockSize; at += sectorSize {
		if version := versions[r.IntN(len(versions))]; version != nil {
			copy(torn[at:at+sectorSize], version[at:])
		}
	}
	return torn
}

func forgetHandles(n *memNode) {
	n.handles = 0
	for _, child := range n.entries {
		forgetHandles(child)
	}
}

func allocatedBytes(n *memNode) int64 {
	total := n.allocated * BlockSize
	for _, child := range n.entries {
		total += allocatedBytes(child)
	}
	return total
}

// SyncAll implements AllSyncer.
func (m *Mem) SyncAll(name string) error {
	if err := m.openDir(name); err != nil {
		return err
	}
	pause := m.delay(OpSync, name, 0)
	covered, flights, err := m.beginSyncAll(name)
	if err != nil || covered == nil {
		return pathError("syncfs", name, err)
	}
	m.sleep(pause)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return pathError("syncfs", name, ErrCrashed)
	}
	for node, f := range flights {
		m.endSync(&node.memContent, f)
	}
	m.settle(func(_ int, c *entryChange) bool { return covered[c] })
	return nil
}

func (m *Mem) beginSyncAll(name string) (map[*entryChange]bool, map[*memNode]flight, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return nil, nil, ErrCrashed
	}
	if _, err := m.walk(splitName(name)); err != nil {
		return nil, nil, err
	}
	step := m.step(OpSync, name, 0, 0)
	if step.fails() {
		eachFile(m.root, func(n *memNode) { n.failSync() })
	}
	if step.fails() || step.interrupted || step.lie {
		return nil, nil, step.end()
	}
	flights := map[*memNode]flight{}
	eachFile(m.root, func(n *memNode) {
		if len(n.dirty) > 0 || n.size != n.durableSize || n.lowestSize != n.size {
			flights[n] = m.beginSync(&n.memContent, 0, -1)
		}
	})
	covered := map[*entryChange]bool{}
	for _, c := range m.pending {
		covered[c] = true
	}
	return covered, flights, nil
}

func eachFile(n *memNode, visit func(*memNode)) {
	if !n.isDir {
		visit(n)
	}
	for _, name := range sortedNames(n.entries) {
		eachFile(n.entries[name], visit)
	}
}

// fileNode finds a file by name.
func (m *Mem) fileNode(name string) (*memNode, error) {
	node, err := m.walk(splitName(name))
	if err == nil && node.isDir {
		err = syscall.EISDIR
	}
	return node, err
}

// FlipBit rots the lowest bit of the byte at offset of the file, in the cache
// and on the medium.
func (m *Mem) FlipBit(name string, offset int64) error {
	return m.rot(name, offset, 1, func(_ int, b byte) byte { return b ^ 1 })
}

// Corrupt overwrites the bytes at offset of the file, in the cache and on the
// medium, without an operation of anybody: a misdirected write of some other
// process, or rot of a whole sector.
func (m *Mem) Corrupt(name string, offset int64, with []byte) error {
	return m.rot(name, offset, int64(len(with)), func(i int, _ byte) byte { return with[i] })
}

func (m *Mem) rot(name string, offset, n int64, change func(i int, b byte) byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.fileNode(name)
	if err != nil {
		return pathError("rot", name, err)
	}
	if offset < 0 || offset+n > max(node.size, node.durableSize) {
		return pathError("rot", name, fmt.Errorf("[%d, %d) is outside of the file: %w", offset, offset+n, fs.ErrInvalid))
	}
	for i := range n {
		index, at := (offset+i)/BlockSize, (offset+i)%BlockSize
		rotten := func(b *block) *block {
			fresh := new(block)
			if b != nil {
				*fresh = *b
			}
			fresh[at] = change(int(i), fresh[at])
			return fresh
		}
		if node.page(index) == nil && offset+i < node.size {
			node.allocated++
			m.used += BlockSize
		}
		if offset+i < node.size {
			node.setPage(index, rotten(node.page(index)))
		}
		if d := node.dirty[index]; d != nil {
			d.base, d.frozen = rotten(d.base), false
			if d.early != nil {
				d.early = rotten(d.early)
			}
		}
	}
	return nil
}

// Evict drops the clean pages of a file from the cache. It shows what the
// medium has where a failed sync has lost pages.
func (m *Mem) Evict(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.fileNode(name)
	if err != nil {
		return pathError("evict", name, err)
	}
	for _, i := range sortedPages(node.dirty) {
		d := node.dirty[i]
		if !d.lost {
			continue
		}
		if before := node.page(i); before != nil && d.base == nil {
			node.allocated--
			m.used -= BlockSize
		} else if before == nil && d.base != nil {
			node.allocated++
			m.used += BlockSize
		}
		node.setPage(i, d.base)
		delete(node.dirty, i)
	}
	return nil
}

// mix spreads three numbers over one (splitmix64 steps).
func mix(a, b, c uint64) uint64 {
	x := a
	for _, y := range [...]uint64{b, c, 0} {
		x += y + 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return x
}
