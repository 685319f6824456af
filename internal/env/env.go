package env

import (
	"crypto/rand"
	"encoding/binary"

	"holdfast/internal/clock"
	"holdfast/internal/vfs"
	"holdfast/internal/vnet"
)

// Env is the ground that a broker stands on. All fields are set.
type Env struct {
	Clock clock.Clock
	FS    vfs.FS
	Net   vnet.Net
	Rand  Rand
}

// Rand is a source of randomness. It is safe for concurrent use.
type Rand interface {
	// Read fills p; it never fails.
	Read(p []byte)
	// Uint64 is uniform over all values.
	Uint64() uint64
}

// NewReal returns the ground of a real process: the operating system's clock,
// files, TCP and randomness.
func NewReal() Env {
	return Env{Clock: clock.Real{}, FS: vfs.OS{}, Net: vnet.TCP{}, Rand: SystemRand{}}
}

// SystemRand is the operating system's randomness, fit for secrets.
type SystemRand struct{}

// Read implements Rand. A system without randomness ends the program: going on
// without it could give two brokers one identity.
func (SystemRand) Read(p []byte) {
	// crypto/rand never returns an error: it ends the program itself.
	_, _ = rand.Read(p)
}

// Uint64 implements Rand.
func (r SystemRand) Uint64() uint64 {
	var p [8]byte
	r.Read(p[:])
	return binary.LittleEndian.Uint64(p[:])
}
