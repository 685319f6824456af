package vfs_test

import (
	"testing"

	"holdfast/internal/vfs"
)

// A sync must cost what is dirty, not what the file holds.
func BenchmarkMem_AppendAndSync(b *testing.B) {
	for _, size := range []int64{1 << 20, 256 << 20} {
		b.Run(map[int64]string{1 << 20: "1MiB", 256 << 20: "256MiB"}[size], func(b *testing.B) {
			m := vfs.NewMem(1)
			f, _ := m.OpenFile("/f", vfs.Write|vfs.Create)
			chunk := make([]byte, 1<<20)
			for off := int64(0); off < size; off += int64(len(chunk)) {
				f.WriteAt(chunk, off)
			}
			f.SyncData()
			b.ResetTimer()
			for i := range int64(b.N) {
				f.WriteAt(chunk[:1024], size+i*1024)
				f.SyncData()
			}
		})
	}
}

func BenchmarkMem_Write1MiB(b *testing.B) {
	m := vfs.NewMem(1)
	f, _ := m.OpenFile("/f", vfs.Write|vfs.Create)
	chunk := make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	for i := range int64(b.N) {
		f.WriteAt(chunk, i%256<<20)
	}
}
