package vfs_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"holdfast/internal/vfs"
)

func TestFault_MatchesOperationNameRangeAndCount(t *testing.T) {
	m := vfs.NewMem(1)
	must(t, m.MkdirAll("/logs/t-0"))
	f := durableFile(t, m, "/logs/t-0/1.log", fill(10_000, 'a'))
	other := durableFile(t, m, "/logs/t-0/1.index", fill(10, 'a'))
	read := func(f vfs.File, off int64) error {
		_, err := f.ReadAt(make([]byte, 10), off)
		return err
	}
	m.Inject(vfs.Fault{Op: vfs.OpRead, Path: "*.log", From: 4096, To: 8192})
	for off, want := range map[int64]error{0: nil, 4086: nil, 4087: syscall.EIO, 8191: syscall.EIO, 8192: nil} {
		wantError(t, read(f, off), want)
	}
	must(t, read(other, 0))
	m.Heal()
	must(t, read(f, 4096))

	heal := m.Inject(vfs.Fault{Op: vfs.OpWrite, Path: "/logs/*/1.log", After: 2, Times: 1, Err: syscall.EROFS})
	for i, want := range []error{nil, nil, syscall.EROFS, nil} {
		if _, err := f.WriteAt([]byte("b"), 0); !errors.Is(err, want) {
			t.Errorf("write %d: %v, want %v", i, err, want)
		}
	}
	heal()
	m.Inject(vfs.Fault{Op: vfs.OpRename | vfs.OpRemove | vfs.OpCreate})
	wantError(t, m.Rename("/logs/t-0/1.log", "/x"), syscall.EIO)
	wantError(t, m.Remove("/logs/t-0/1.log"), syscall.EIO)
	_, err := m.OpenFile("/logs/new", vfs.Write|vfs.Create)
	wantError(t, err, syscall.EIO)
	m.Heal()
	if got := picture(t, m, "/logs"); strings.Contains(got, "new") || !strings.Contains(got, "1.log") {
		t.Errorf("operations that failed took effect:\n%s", got)
	}
}

func TestFault_ShortWriteKeepsItsFirstBytes(t *testing.T) {
	m := vfs.NewMem(1)
	f := durableFile(t, m, "/f", fill(10, 'a'))
	m.Inject(vfs.Fault{Op: vfs.OpWrite, Short: 4, Times: 1, Err: syscall.ENOSPC})
	n, err := f.WriteAt(fill(10, 'b'), 0)
	wantError(t, err, vfs.ErrNoSpace)
	if got := content(t, m, "/f"); n != 4 || string(got) != "bbbbaaaaaa" {
		t.Errorf("%d bytes, content %q", n, got)
	}
}

func TestFault_LyingSync(t *testing.T) {
	m := vfs.NewMem(1)
	f := durableFile(t, m, "/f", fill(10, 'a'))
	m.Inject(vfs.Fault{Op: vfs.OpSync, Lie: true, Times: 1})
	write(t, f, fill(10, 'b'), 0)
	must(t, f.SyncData())
	if got := content(t, m.CrashClone(vfs.CrashOptions{Kind: vfs.CrashDrop}), "/f"); got[0] != 'a' {
		t.Errorf("%q", got[0])
	}
	must(t, f.SyncData())
	if got := content(t, m.CrashClone(vfs.CrashOptions{Kind: vfs.CrashDrop}), "/f"); got[0] != 'b' {
		t.Errorf("%q", got[0])
	}
}

func TestFault_CrashAtOneFile(t *testing.T) {
	m := vfs.NewMem(1)
	f, g := durableFile(t, m, "/f", nil), durableFile(t, m, "/g", nil)
	m.Inject(vfs.Fault{Op: vfs.OpWrite, Path: "g", After: 1, Crash: true})
	write(t, f, []byte("1"), 0)
	write(t, g, []byte("1"), 0)
	write(t, f, []byte("2"), 0)
	_, err := g.WriteAt([]byte("2"), 0)
	wantError(t, err, vfs.ErrCrashed)
	_, err = f.WriteAt([]byte("3"), 0)
	wantError(t, err, vfs.ErrCrashed)
	if got := content(t, m.CrashWith(vfs.CrashOptions{Kind: vfs.CrashKeep}), "/g"); string(got) != "2" {
		t.Errorf("the interrupted write: %q", got)
	}
}

func TestSpace_FullThenFreedAgain(t *testing.T) {
	m := vfs.NewMem(1)
	m.SetCapacity(10 * vfs.BlockSize)
	free := func() int64 {
		n, total, err := m.Space("/")
		must(t, err)
		if total != 10*vfs.BlockSize {
			t.Fatalf("total %d", total)
		}
		return n / vfs.BlockSize
	}
	f := open(t, m, "/f", vfs.Write|vfs.Create)
	n, err := f.WriteAt(make([]byte, 11*vfs.BlockSize), 0)
	wantError(t, err, vfs.ErrNoSpace)
	wantError(t, err, syscall.ENOSPC)
	if n != 10*vfs.BlockSize || free() != 0 {
		t.Errorf("wrote %d bytes, %d blocks free", n, free())
	}
	write(t, f, []byte("in place"), 100)
	must(t, f.Truncate(2*vfs.BlockSize+1))
	if free() != 7 {
		t.Errorf("%d blocks free after Truncate, want 7", free())
	}
	must(t, f.Preallocate(0, 8*vfs.BlockSize))
	if free() != 2 {
		t.Errorf("%d blocks free after Preallocate, want 2", free())
	}
	wantError(t, f.Preallocate(0, 11*vfs.BlockSize), vfs.ErrNoSpace)
	g := open(t, m, "/g", vfs.Write|vfs.Create)
	_, err = g.WriteAt([]byte("x"), 0)
	wantError(t, err, vfs.ErrNoSpace)
	write(t, f, make([]byte, 8*vfs.BlockSize), 0) // into what was reserved
	must(t, m.Remove("/f"))
	if free() != 0 {
		t.Errorf("%d blocks free while the removed file is open", free())
	}
	must(t, f.Close())
	if free() != 10 {
		t.Errorf("%d blocks free at the end", free())
	}
	write(t, g, make([]byte, 3*vfs.BlockSize), 0)
	if free() != 7 {
		t.Errorf("%d blocks free, want 7", free())
	}
	h := open(t, m, "/h", vfs.Write|vfs.Create)
	write(t, h, make([]byte, vfs.BlockSize), 0)
	must(t, h.Close())
	must(t, m.Rename("/h", "/i"))
	must(t, vfs.WriteFile(m, "/j", nil))
	must(t, m.Rename("/j", "/i"))
	if free() != 7 {
		t.Errorf("%d blocks free after a rename over the only name of a file, want 7", free())
	}
	must(t, vfs.SyncAll(m, "/"))
	after := m.Crash(1)
	if n, _, err := after.Space("/"); err != nil || n != 7*vfs.BlockSize {
		t.Errorf("after the crash %d bytes free, %v", n, err)
	}
}

func TestRot_ShowsNowAndAfterACrash(t *testing.T) {
	m := vfs.NewMem(1)
	f := durableFile(t, m, "/f", fill(5000, 'b'))
	write(t, f, fill(10, 'c'), 0)
	must(t, m.FlipBit("/f", 4500))
	must(t, m.FlipBit("/f", 100))
	must(t, m.Corrupt("/f", 4090, []byte("rotten block")))
	if m.FlipBit("/f", 5000) == nil || m.FlipBit("/nothing", 0) == nil {
		t.Error("rot outside of the file")
	}
	for _, kind := range []vfs.CrashKind{vfs.CrashDrop, vfs.CrashKeep} {
		got := content(t, m.CrashClone(vfs.CrashOptions{Kind: kind}), "/f")
		if got[4500] != 'c' || got[100] != 'c' || string(got[4090:4102]) != "rotten block" || got[4499] != 'b' {
			t.Errorf("kind %d: %q %q %q", kind, got[4500], got[100], got[4090:4102])
		}
	}
}

func TestMem_DirectCanBeRefused(t *testing.T) {
	m := vfs.NewMem(1)
	m.SetDirect(false)
	_, err := m.OpenFile("/f", vfs.Write|vfs.Create|vfs.Direct)
	wantError(t, err, vfs.ErrDirectUnsupported)
}

func TestTrace_TellsTheLastOperations(t *testing.T) {
	m := vfs.NewMem(1)
	f := open(t, m, "/f", vfs.Write|vfs.Create)
	m.Inject(vfs.Fault{Op: vfs.OpSync})
	write(t, f, []byte("abc"), 7)
	if f.SyncData() == nil {
		t.Fatal("the programmed failure did not happen")
	}
	got := fmt.Sprint(m.Trace())
	if want := "[1 create /f 2 write /f [7, 10) 3 sync /f: input/output error]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for range 2000 {
		write(t, f, []byte("x"), 0)
	}
	if trace := m.Trace(); len(trace) != 1024 || trace[1023].Seq != 2003 || trace[0].Seq != 980 {
		t.Errorf("%d operations from %v to %v", len(trace), trace[0], trace[len(trace)-1])
	}
}
