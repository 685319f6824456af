package bin

import (
	"math/rand/v2"
	"testing"
)

func TestCombineCRC32C_IsTheChecksumOfBoth(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 1<<21)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	for _, length := range []int{0, 1, 2, 3, 7, 8, 9, 61, 4095, 4096, 65_537, 1 << 20, 1<<21 - 30} {
		for _, split := range []int{0, 1, 21, 30} {
			whole := b[:split+length]
			got := CombineCRC32C(CRC32C(whole[:split]), CRC32C(whole[split:]), int64(length))
			if want := CRC32C(whole); got != want {
				t.Errorf("%d and %d bytes: %08x, want %08x", split, length, got, want)
			}
		}
	}
}

func BenchmarkCombineCRC32C(b *testing.B) {
	for i := range b.N {
		CombineCRC32C(uint32(i), 5, 1_048_000)
	}
}
