package log

import (
	"bytes"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"holdfast/internal/clock"
	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

// Every decoder: no panic, and what is accepted is what would be written.

func FuzzIndex(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendIndex(nil, []indexEntry{{3, 0}, {9, 4096}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := decodeIndex(b, 1<<31); err == nil && !bytes.Equal(appendIndex(nil, e), b) {
			t.Fatal("accepted other bytes than it writes")
		}
	})
}

func FuzzTimeIndex(f *testing.F) {
	f.Add(appendTimeIndex(nil, []timeEntry{{100, 3}, {200, 9}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := decodeTimeIndex(b); err == nil && !bytes.Equal(appendTimeIndex(nil, e), b) {
			t.Fatal("accepted other bytes than it writes")
		}
	})
}

func FuzzEpochs(f *testing.F) {
	f.Add(epochs{{0, 0}, {3, 17}}.encode())
	f.Add([]byte("0\n1\n1 2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEpochs(b)
		if err != nil {
			return
		}
		again, err := decodeEpochs(e.encode())
		if err != nil || len(again) != len(e) {
			t.Fatalf("%v does not survive: %v", e, err)
		}
	})
}

// resealed gives b a right checksum, so that the fuzzer gets behind it.
func resealed(b []byte) []byte {
	if len(b) < sealSize {
		return b
	}
	body := b[sealHeaderSize : len(b)-4]
	return seal(string(b[:4]), func(dst []byte) []byte { return append(dst, body...) })
}

func FuzzSealed(f *testing.F) {
	id := Identity{Key: journal.Key{Partition: 3, Generation: 1}, Topic: "t"}
	f.Add(id.encode())
	f.Add(bounds{start: 3, cut: 9, cutting: true}.encode(id.Key))
	f.Add(state{point: 9}.encode(id.Key))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, resealed(b)} {
			if id, err := decodeIdentity(b); err == nil && !bytes.Equal(id.encode(), b) {
				t.Fatal("identity: accepted other bytes than it writes")
			}
			if v, key, err := decodeBounds(b); err == nil && !bytes.Equal(v.encode(key), b) {
				t.Fatal("bounds: accepted other bytes than it writes")
			}
			if s, key, err := decodeState(b); err == nil && !bytes.Equal(s.encode(key), b) {
				t.Fatal("state: accepted other bytes than it writes")
			}
		}
	})
}

func FuzzSidecar(f *testing.F) {
	s := sidecar{base: 10, end: 20, size: 3 * BlockSize, blocks: []uint32{1, 2, 3}, epochs: epochs{{1, 10}}}
	f.Add(s.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decodeSidecar(b); err == nil && !bytes.Equal(s.encode(), b) {
			t.Fatal("accepted other bytes than it writes")
		}
		if len(b) < sidecarHeadSize+4 {
			return
		}
		head := resealed(b[:sidecarHeadSize])
		body := b[sidecarHeadSize : len(b)-4]
		whole := append(bytes.Clone(head), body...)
		sum := crcOf(whole)
		whole = append(whole, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
		if s, err := decodeSidecar(whole); err == nil && !bytes.Equal(s.encode(), whole) {
			t.Fatal("accepted other bytes than it writes")
		}
	})
}

func crcOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// FuzzRecovery opens a directory whose files hold anything. Whatever it is, Open
// answers, and what it serves is valid from end to end.
func FuzzRecovery(f *testing.F) {
	f.Add([]byte{0}, uint64(1))
	f.Add(bytes.Repeat([]byte{0, 0, 0, 1}, 50), uint64(2))
	f.Fuzz(fuzzOne)
}

func fuzzOne(t *testing.T, noise []byte, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	m := vfs.NewMem(seed)
	o := Options{FS: m, Clock: clock.Real{}, Dir: "/p", Key: journal.Key{Partition: 1}, Topic: "t", Config: DefaultConfig()}
	o.Config.SegmentBytes, o.Config.IndexIntervalBytes = 700, 100
	l, err := Create(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		b := record.NewBuilder(record.Options{BaseOffset: l.End(), LeaderEpoch: kafka.LeaderEpoch(i / 5)})
		b.Append(kafka.Timestamp(i), nil, make([]byte, 20+r.IntN(90)))
		data, err := b.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		h, _ := record.ParseHeader(data)
		if _, err := l.Append(data, []record.Header{h}, kafka.Timestamp(i)); err != nil {
			t.Fatal(err)
		}
		if r.IntN(4) == 0 {
			if _, err := l.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
	}
	m = m.Kill()
	o.FS = m
	scribble(t, m, noise, r)
	entry := journal.Entry{Kind: journal.Data, Key: o.Key, Base: kafka.Offset(r.IntN(15)), Length: int64(len(noise)), Payload: noise,
		Position: int64(r.IntN(800))}
	entry.End = entry.Base + 1
	replay := Replay{Clean: r.IntN(2) == 0}
	if r.IntN(3) == 0 && len(noise) > 0 {
		replay.Entries = []journal.Entry{entry}
	}
	served(t, o, replay)
}

// scribble overwrites places of some files by noise.
func scribble(t *testing.T, m *vfs.Mem, noise []byte, r *rand.Rand) {
	entries, err := m.ReadDir("/p")
	if err != nil {
		t.Fatal(err)
	}
	for len(noise) > 0 {
		n := min(len(noise), 1+r.IntN(12))
		e := entries[r.IntN(len(entries))]
		info, err := m.Stat("/p/" + e.Name)
		if err != nil {
			t.Fatal(err)
		}
		if int64(n) <= info.Size {
			if err := m.Corrupt("/p/"+e.Name, r.Int64N(info.Size-int64(n)+1), noise[:n]); err != nil {
				t.Fatal(err)
			}
		}
		noise = noise[n:]
	}
}

func served(t *testing.T, o Options, replay Replay) {
	l, _, err := Open(o, replay)
	if err != nil {
		return
	}
	next := l.Start()
	for next < l.End() {
		rng, err := l.Read(next, l.End(), 1<<20, true)
		if _, bad := errors.AsType[*CorruptionError](err); bad {
			return // seen when it was read, not served
		}
		if err != nil || rng.Length == 0 {
			t.Fatalf("read at %d of [%d, %d): %+v, %v", next, l.Start(), l.End(), rng, err)
		}
		rng.Source.Release()
		next = rng.End
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
