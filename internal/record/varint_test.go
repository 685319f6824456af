package record

import (
	"encoding/binary"
	"math"
	"testing"
)

// FuzzVarint compares with the standard library; 32-bit values must fit.
func FuzzVarint(f *testing.F) {
	for _, v := range []int64{0, -1, 63, 64, -65, math.MaxInt32, math.MinInt32, math.MaxInt32 + 1, math.MaxInt64, math.MinInt64} {
		f.Add(binary.AppendVarint(nil, v), 0)
	}
	f.Add([]byte{0x80, 0x80}, 0)
	f.Add([]byte{0x80, 0x00}, 1)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, -1)
	f.Fuzz(func(t *testing.T, b []byte, p int) {
		short, q32 := varint(b, p)
		long, q64 := varlong(b, p)
		if p < 0 || p > len(b) {
			if q32 != badPos || q64 != badPos {
				t.Fatalf("position %d of %d: %d %d", p, len(b), q32, q64)
			}
			return
		}
		want, n := binary.Varint(b[p:])
		if n <= 0 {
			if q64 != badPos || q32 != badPos {
				t.Fatalf("unreadable, but %d %d", q64, q32)
			}
			return
		}
		if long != want || q64 != p+n {
			t.Fatalf("%d to %d, want %d to %d", long, q64, want, p+n)
		}
		if fits := want == int64(int32(want)); fits != (q32 != badPos) || fits && (int64(short) != want || q32 != p+n) {
			t.Fatalf("32 bits: %d to %d, want %d", short, q32, want)
		}
		if got := appendVarint(nil, want); string(got) != string(binary.AppendVarint(nil, want)) {
			t.Fatalf("%d is encoded as %x", want, got)
		}
	})
}
