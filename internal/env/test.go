package env

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"

	"holdfast/internal/clock"
	"holdfast/internal/vfs"
	"holdfast/internal/vnet"
)

// Test is a ground in memory with the handles to trouble it. Disk and Network
// are the same as FS and Net.
type Test struct {
	Env
	Disk    *vfs.Mem
	Network *vnet.Mem
}

// NewTest returns a ground in memory whose files, network and randomness follow
// seed. Its clock is the real one, which inside a testing/synctest bubble is the
// bubble's.
func NewTest(seed uint64) *Test {
	disk, network := vfs.NewMem(seed), vnet.NewMem(clock.Real{}, seed)
	return &Test{
		Env:     Env{Clock: clock.Real{}, FS: disk, Net: network, Rand: NewSeededRand(seed)},
		Disk:    disk,
		Network: network,
	}
}

// Host returns the ground of one machine of several on the same network: a disk
// and randomness of its own that follow seed, and its place on the network. What
// it dials comes from name.
func (t *Test) Host(name string, seed uint64) *Test {
	host := NewTest(seed)
	host.Network, host.Net = t.Network, t.Network.Host(name)
	return host
}

// Crash takes the power from the disk and returns the ground of the next
// start: what the disk kept, the same network. The old ground's files answer
// vfs.ErrCrashed. What happens to connections is the network's to say
// (Network.PowerOff).
func (t *Test) Crash(seed uint64) *Test { return t.restart(t.Disk.Crash(seed), seed) }

// Kill ends the process and keeps the page cache, as kill -9 does.
func (t *Test) Kill(seed uint64) *Test { return t.restart(t.Disk.Kill(), seed) }

func (t *Test) restart(disk *vfs.Mem, seed uint64) *Test {
	next := *t
	next.Disk, next.FS, next.Rand = disk, disk, NewSeededRand(seed)
	return &next
}

// SeededRand draws from a seed. It is for tests: anybody can predict it.
type SeededRand struct {
	mu  sync.Mutex
	pcg *rand.PCG
}

// NewSeededRand returns a source that follows seed.
func NewSeededRand(seed uint64) *SeededRand {
	return &SeededRand{pcg: rand.NewPCG(seed, 0x686f6c6466617374)}
}

// Read implements Rand.
func (r *SeededRand) Read(p []byte) {
	var word [8]byte
	for len(p) > 0 {
		binary.LittleEndian.PutUint64(word[:], r.Uint64())
		p = p[copy(p, word[:]):]
	}
}

// Uint64 implements Rand.
func (r *SeededRand) Uint64() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pcg.Uint64()
}
