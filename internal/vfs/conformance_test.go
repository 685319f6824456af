package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/vfs"
)

// The conformance suite runs every statement on the real file system and on
// the one in memory: what a test in memory shows must hold on a disk.
func onBoth(t *testing.T, run func(t *testing.T, fsys vfs.FS, dir string)) {
	t.Run("OS", func(t *testing.T) { run(t, vfs.OS{}, t.TempDir()) })
	t.Run("Mem", func(t *testing.T) {
		fsys := vfs.NewMem(1)
		must(t, fsys.MkdirAll("/tmp/test"))
		run(t, fsys, "/tmp/test")
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("error %v, want %v", got, want)
	}
}

func open(t *testing.T, fsys vfs.FS, name string, flag vfs.Flag) vfs.File {
	t.Helper()
	f, err := fsys.OpenFile(name, flag)
	must(t, err)
	return f
}

func write(t *testing.T, f vfs.File, p []byte, off int64) {
	t.Helper()
	n, err := f.WriteAt(p, off)
	must(t, err)
	if n != len(p) {
		t.Fatalf("wrote %d of %d bytes without an error", n, len(p))
	}
}

func content(t *testing.T, fsys vfs.FS, name string) []byte {
	t.Helper()
	got, err := vfs.ReadFile(fsys, name, 1<<30)
	must(t, err)
	return got
}

func TestFS_ReadsWhatWasWrittenAtAnyOffset(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := path.Join(dir, "f")
		f := open(t, fsys, name, vfs.Write|vfs.Create)
		r := rand.New(rand.NewPCG(7, 7))
		var model []byte
		for range 400 {
			switch r.IntN(6) {
			case 0:
				size := r.IntN(40_000)
				must(t, f.Truncate(int64(size)))
				model = append(model, make([]byte, max(0, size-len(model)))...)[:size:size]
			case 1:
				must(t, f.SyncData())
			default:
				off, p := r.IntN(30_000), make([]byte, r.IntN(9_000))
				for i := range p {
					p[i] = byte(r.Uint32())
				}
				write(t, f, p, int64(off))
				if len(p) > 0 {
					model = append(model, make([]byte, max(0, off+len(p)-len(model)))...)
					copy(model[off:], p)
				}
			}
			size, err := f.Size()
			must(t, err)
			if int(size) != len(model) {
				t.Fatalf("size %d, want %d", size, len(model))
			}
		}
		must(t, f.Close())
		if !bytes.Equal(content(t, fsys, name), model) {
			t.Fatal("content differs from the model")
		}
	})
}

func TestFS_ReadAtTellsTheEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys vfs.FS, dir string) {
		f := open(t, fsys, path.Join(dir, "f"), vfs.Write|vfs.Create)
		defer f.Close()
		write(t, f, []byte("abcdef"), 0)
		for _, c := range []struct {
			off  int64
			want int
			err  error
		}{{0, 6, io.EOF}, {2, 4, io.EOF}, {6, 0, io.EOF}, {100, 0, io.EOF}} {
			n, err := f.ReadAt(make([]byte, 8), c.off)
			if n != c.want || !errors.Is(err, c.err) {
				t.Errorf("ReadAt(8 bytes at %d) = %d, %v; want %d, %v", c.off, n, err, c.want, c.err)
			}
		}
		if n, err := f.ReadAt(make([]byte, 3), 3); n != 3 || err != nil {
			t.Errorf("ReadAt up to the end = %d, %v", n, err)
		}
		wantError(t, vfs.ReadFull(f, make([]byte, 7), 0), io.ErrUnexpectedEOF)
		wantError(t, vfs.ReadFull(f, make([]byte, 7), 50), io.ErrUnexpectedEOF)
		if _, err := f.ReadAt(make([]byte, 1), -1); err == nil {
			t.Error("reading at -1 succeeded")
		}
		if _, err := f.WriteAt(make([]byte, 1), -1); err == nil {
			t.Error("writing at -1 succeeded")
		}
	})
}

func TestFS_OpenFlags(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := path.Join(dir, "f")
		_, err := fsys.OpenFile(name, vfs.Write)
		wantError(t, err, fs.ErrNotExist)
		_, err = fsys.OpenFile(path.Join(dir, "missing", "f"), vfs.Write|vfs.Create)
		wantError(t, err, fs.ErrNotExist)
		f := open(t, fsys, name, vfs.Write|vfs.Create|vfs.Exclusive)
		write(t, f, []byte("abc"), 0)
		if f.Name() != name {
			t.Errorf("Name() = %q, want %q", f.Name(), name)
		}
		must(t, f.Close())
		wantError(t, f.Close(), fs.ErrClosed)
		_, err = f.ReadAt(make([]byte, 1), 0)
		wantError(t, err, fs.ErrClosed)
		wantError(t, f.SyncData(), fs.ErrClosed)
		_, err = fsys.OpenFile(name, vfs.Write|vfs.Create|vfs.Exclusive)
		wantError(t, err, fs.ErrExist)
		r := open(t, fsys, name, 0)
		if _, err := r.WriteAt([]byte("x"), 0); err == nil {
			t.Error("writing to a file that was opened for reading succeeded")
		}
		if err := r.Truncate(0); err == nil {
			t.Error("truncating a file that was opened for reading succeeded")
		}
		must(t, r.Close())
		must(t, open(t, fsys, name, vfs.Write|vfs.Create|vfs.Truncate).Close())
		if got := content(t, fsys, name); len(got) != 0 {
			t.Errorf("%d bytes after Truncate", len(got))
		}
	})
}

func TestFS_Names(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys vfs.FS, dir string) {
		at := func(parts ...string) string { return path.Join(append([]string{dir}, parts...)...) }
		must(t, fsys.MkdirAll(at("b", "c")))
		must(t, fsys.MkdirAll(at("b", "c")))
		must(t, vfs.WriteFile(fsys, at("z"), []byte("zz")))
		must(t, vfs.WriteFile(fsys, at("a"), []byte("a")))
		got, err := fsys.ReadDir(dir)
		must(t, err)
		want := []vfs.DirEntry{{Name: "a"}, {Name: "b", IsDir: true}, {Name: "z"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		if s, err := fsys.Stat(at("z")); err != nil || s.Size != 2 || s.IsDir {
			t.Errorf("Stat = %+v, %v", s, err)
		}
		if s, err := fsys.Stat(at("b")); err != nil || !s.IsDir {
			t.Errorf("Stat = %+v, %v", s, err)
		}
		_, err = fsys.Stat(at("nothing"))
		wantError(t, err, fs.ErrNotExist)
		_, err = fsys.ReadDir(at("nothing"))
		wantError(t, err, fs.ErrNotExist)
		wantError(t, fsys.SyncDir(at("nothing")), fs.ErrNotExist)
		wantError(t, fsys.Remove(at("nothing")), fs.ErrNotExist)
		wantError(t, fsys.Rename(at("nothing"), at("x")), fs.ErrNotExist)
		must(t, fsys.RemoveAll(at("nothing")))
		if fsys.Remove(at("b")) == nil {
			t.Error("removed a directory that is not empty")
		}
		if fsys.MkdirAll(at("z", "below")) == nil {
			t.Error("made a directory below a file")
		}
		must(t, fsys.Rename(at("a"), at("z")))
		if got := content(t, fsys, at("z")); string(got) != "a" {
			t.Errorf("after the rename: %q", got)
		}
		must(t, fsys.Rename(at("b"), at("d")))
		if fsys.Rename(at("d"), at("d", "c", "below")) == nil {
			t.Error("moved a directory below itself")
		}
		must(t, fsys.SyncDir(dir))
		must(t, fsys.RemoveAll(at("d")))
		must(t, fsys.Remove(at("z")))
		if got, err := fsys.ReadDir(dir); err != nil || len(got) != 0 {
			t.Errorf("left over: %v, %v", got, err)
		}
	})
}

func TestFS_RemovedFileStaysReadableWhileOpen(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := path.Join(dir, "f")
		f := open(t, fsys, name, vfs.Write|vfs.Create)
		write(t, f, []byte("old"), 0)
		must(t, fsys.Remove(name))
		must(t, vfs.WriteFile(fsys, name, []byte("new")))
		p := make([]byte, 3)
		must(t, vfs.ReadFull(f, p, 0))
		if string(p) != "old" {
			t.Errorf("read %q through the handle, want the removed file", p)
		}
		must(t, f.Close())
	})
}

func TestFS_LockHoldsOffASecondHolder(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := path.Join(dir, ".lock")
		first, err := fsys.Lock(name)
		must(t, err)
		_, err = fsys.Lock(name)
		wantError(t, err, vfs.ErrLocked)
		must(t, first.Close())
		second, err := fsys.Lock(name)
		must(t, err)
		must(t, second.Close())
	})
}

func TestFS_DirectDataSync(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := path.Join(dir, "ring")
		f, err := fsys.OpenFile(name, vfs.Write|vfs.Create|vfs.Direct|vfs.DataSync)
		if errors.Is(err, vfs.ErrDirectUnsupported) {
			t.Skip("NOT SHOWN: the file system of the test directory has no direct I/O")
		}
		must(t, err)
		defer f.Close()
		must(t, f.Preallocate(0, 64*vfs.BlockSize))
		if size, err := f.Size(); size != 0 || err != nil {
			t.Fatalf("size %d, %v after Preallocate, want 0", size, err)
		}
		p := vfs.AlignedBlock(2 * vfs.BlockSize)
		for i := range p {
			p[i] = byte(i / 3)
		}
		write(t, f, p, vfs.BlockSize)
		got := vfs.AlignedBlock(8 * vfs.BlockSize)
		n, err := f.ReadAt(got, vfs.BlockSize)
		if n != len(p) || !errors.Is(err, io.EOF) || !bytes.Equal(got[:n], p) {
			t.Fatalf("ReadAt = %d, %v; want %d bytes and EOF", n, err, len(p))
		}
		for _, bad := range []struct {
			p   []byte
			off int64
		}{{p[:100], 0}, {p[:vfs.BlockSize], 512}, {p[1 : 1+vfs.BlockSize], 0}} {
			if _, err := f.WriteAt(bad.p, bad.off); err == nil {
				t.Errorf("a direct write of %d bytes at %d succeeded", len(bad.p), bad.off)
			}
		}
	})
}

func TestFS_SpaceAndSyncAll(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys vfs.FS, dir string) {
		free, total, err := fsys.Space(dir)
		if err != nil || free <= 0 || total < free {
			t.Errorf("Space = %d, %d, %v", free, total, err)
		}
		_, _, err = fsys.Space(path.Join(dir, "nothing"))
		wantError(t, err, fs.ErrNotExist)
		if err := vfs.SyncAll(fsys, dir); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("SyncAll: %v", err)
		}
	})
}

func TestFS_WriteFileReplaces(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := path.Join(dir, "f")
		for _, want := range []string{"first, long", "second", ""} {
			must(t, vfs.WriteFile(fsys, name, []byte(want)))
			if got := content(t, fsys, name); string(got) != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		if got, err := fsys.ReadDir(dir); err != nil || len(got) != 1 {
			t.Errorf("entries %v, %v; want only the file", got, err)
		}
		_, err := vfs.ReadFile(fsys, name, -1)
		if err == nil {
			t.Error("ReadFile ignored its bound")
		}
	})
}
