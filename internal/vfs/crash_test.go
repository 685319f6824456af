package vfs_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/vfs"
)

const seeds = 200

// picture lists every name of a file system with a digest of its content.
func picture(t *testing.T, fsys vfs.FS, dir string) string {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	must(t, err)
	var out string
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		if e.IsDir {
			out += name + "/\n" + picture(t, fsys, name)
			continue
		}
		c := content(t, fsys, name)
		out += fmt.Sprintf("%s %d %x\n", name, len(c), sha256.Sum256(c))
	}
	return out
}

// durableFile returns a file that is durable, name included.
func durableFile(t *testing.T, m *vfs.Mem, name string, p []byte) vfs.File {
	t.Helper()
	f := open(t, m, name, vfs.Write|vfs.Create)
	write(t, f, p, 0)
	must(t, f.SyncData())
	must(t, m.SyncDir(path.Dir(name)))
	return f
}

func fill(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }

func TestCrash_DropAndKeepAreTheTwoExtremes(t *testing.T) {
	m := vfs.NewMem(1)
	f := durableFile(t, m, "/f", []byte("durable"))
	write(t, f, []byte("VOLATILE, and longer"), 0)
	must(t, vfs.WriteFile(m, "/g", []byte("g")))
	must(t, m.Rename("/g", "/h"))
	lost, kept := m.CrashClone(vfs.CrashOptions{Kind: vfs.CrashDrop}), m.CrashWith(vfs.CrashOptions{Kind: vfs.CrashKeep})
	if got := content(t, lost, "/f"); string(got) != "durable" {
		t.Errorf("after dropping: %q", got)
	}
	if got := content(t, lost, "/g"); string(got) != "g" {
		t.Errorf("after dropping the rename: %q", got)
	}
	if got := content(t, kept, "/f"); string(got) != "VOLATILE, and longer" {
		t.Errorf("after keeping: %q", got)
	}
	if got := content(t, kept, "/h"); string(got) != "g" {
		t.Errorf("after keeping the rename: %q", got)
	}
}

// TestCrash_EverySectorIsOldOrNew drives one file at random against a model
// that knows, for every sector, each version since the last sync. After a
// crash a sector must be one of them; a mutant of the model which forgets all
// but the newest version must be refuted, or the crash would not be one.
func TestCrash_EverySectorIsOldOrNew(t *testing.T) {
	mutantCaught := false
	for seed := range uint64(seeds) {
		mutantCaught = sectorRun(t, seed) || mutantCaught
	}
	if !mutantCaught {
		t.Error("no crash ever brought an older version back")
	}
}

func sectorRun(t *testing.T, seed uint64) (olderSeen bool) {
	const sectors, sector = 64, 512
	r := rand.New(rand.NewPCG(seed, 1))
	m := vfs.NewMem(seed)
	f := durableFile(t, m, "/f", make([]byte, sectors*sector))
	direct := open(t, m, "/f", vfs.Write|vfs.DataSync)
	versions := [sectors][]uint64{}
	for i := range versions {
		versions[i] = []uint64{0}
	}
	for step := range uint64(120) {
		first, n := r.IntN(sectors), 1+r.IntN(20)
		n = min(n, sectors-first)
		p := make([]byte, n*sector)
		for at := 0; at < len(p); at += 8 {
			binary.BigEndian.PutUint64(p[at:], step+1)
		}
		switch r.IntN(10) {
		case 0:
			must(t, f.SyncData())
			for i := range versions {
				versions[i] = versions[i][len(versions[i])-1:]
			}
		case 1:
			write(t, direct, p, int64(first*sector))
			for i := first; i < first+n; i++ {
				versions[i] = []uint64{step + 1}
			}
		default:
			write(t, f, p, int64(first*sector))
			for i := first; i < first+n; i++ {
				versions[i] = append(versions[i], step+1)
			}
		}
	}
	got := content(t, m.Crash(seed), "/f")
	if len(got) != sectors*sector {
		t.Fatalf("seed %d: %d bytes, the size was durable", seed, len(got))
	}
	for i := range versions {
		here := got[i*sector : (i+1)*sector]
		version := binary.BigEndian.Uint64(here)
		for at := 0; at < sector; at += 8 {
			if binary.BigEndian.Uint64(here[at:]) != version {
				t.Fatalf("seed %d: sector %d is torn inside", seed, i)
			}
		}
		if !slices.Contains(versions[i], version) {
			t.Fatalf("seed %d: sector %d has version %d, allowed are %d", seed, i, version, versions[i])
		}
		olderSeen = olderSeen || version != versions[i][len(versions[i])-1]
	}
	return olderSeen
}

func TestCrash_SizeIsBetweenTheDurableOneAndTheLast(t *testing.T) {
	seen := map[int]bool{}
	for seed := range uint64(seeds) {
		m := vfs.NewMem(seed)
		f := durableFile(t, m, "/f", fill(1000, 'a'))
		write(t, f, fill(9000, 'b'), 1000)
		got := content(t, m.Crash(seed), "/f")
		if len(got) < 1000 || len(got) > 10_000 {
			t.Fatalf("seed %d: size %d", seed, len(got))
		}
		if !bytes.Equal(got[:1000], fill(1000, 'a')) {
			t.Fatalf("seed %d: synced bytes are lost", seed)
		}
		for i, b := range got[1000:] {
			if b != 'b' && b != 0 {
				t.Fatalf("seed %d: byte %d is %q", seed, 1000+i, b)
			}
		}
		seen[len(got)] = true
	}
	if !seen[1000] || !seen[10_000] || len(seen) < 5 {
		t.Errorf("%d sizes in %d crashes, want the durable one, the last and some between", len(seen), seeds)
	}
}

func TestCrash_TruncationThatWasNotSyncedMayBeUndone(t *testing.T) {
	var undone, done int
	older := false
	for seed := range uint64(seeds) {
		m := vfs.NewMem(seed)
		f := durableFile(t, m, "/f", fill(20_000, 'a'))
		must(t, f.Truncate(100))
		got := content(t, m.Crash(seed), "/f")
		if !bytes.Equal(got[:100], fill(100, 'a')) {
			t.Fatalf("seed %d: bytes before the cut are lost", seed)
		}
		switch len(got) {
		case 100:
			done++
		case 20_000:
			undone++
			older = older || bytes.Equal(got, fill(20_000, 'a'))
		}
	}
	if !older {
		t.Error("a truncation that was undone never shows the old bytes")
	}
	if undone == 0 || done == 0 {
		t.Errorf("undone %d times, done %d times", undone, done)
	}
	m := vfs.NewMem(1)
	f := durableFile(t, m, "/f", fill(20_000, 'a'))
	must(t, f.Truncate(100))
	must(t, f.SyncData())
	must(t, f.Truncate(200))
	for seed := range uint64(seeds) {
		got := content(t, m.CrashClone(vfs.CrashOptions{Seed: seed}), "/f")
		if len(got) > 200 || !bytes.Equal(got, append(fill(100, 'a'), make([]byte, len(got)-100)...)) {
			t.Fatalf("seed %d: a synced truncation came back: %d bytes", seed, len(got))
		}
	}
}

func TestCrash_EntryIsDurableOnlyAfterSyncDir(t *testing.T) {
	type outcome struct{ kept, lost int }
	run := func(prepare func(m *vfs.Mem)) (o outcome) {
		for seed := range uint64(seeds) {
			m := vfs.NewMem(seed)
			must(t, m.MkdirAll("/d/e"))
			f := open(t, m, "/d/e/f", vfs.Write|vfs.Create)
			write(t, f, []byte("x"), 0)
			must(t, f.Sync())
			prepare(m)
			if _, err := m.Crash(seed).Stat("/d/e/f"); err == nil {
				o.kept++
			} else {
				wantError(t, err, fs.ErrNotExist)
				o.lost++
			}
		}
		return o
	}
	mixed := func(o outcome) bool { return o.kept > 0 && o.lost > 0 }
	if o := run(func(*vfs.Mem) {}); !mixed(o) {
		t.Errorf("without SyncDir: %+v, want some of both", o)
	}
	if o := run(func(m *vfs.Mem) { must(t, m.SyncDir("/d/e")) }); !mixed(o) {
		t.Errorf("with SyncDir of the last directory only: %+v, want some of both", o)
	}
	all := func(m *vfs.Mem) {
		for _, d := range []string{"/d/e", "/d", "/"} {
			must(t, m.SyncDir(d))
		}
	}
	if o := run(all); o.lost != 0 {
		t.Errorf("with SyncDir up to the root: %+v", o)
	}
	if o := run(func(m *vfs.Mem) { must(t, vfs.SyncAll(m, "/")) }); o.lost != 0 {
		t.Errorf("with SyncAll: %+v", o)
	}
}

func TestCrash_RenameIsOldOrNewNeverNeither(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(seeds) {
		m := vfs.NewMem(seed)
		must(t, vfs.WriteFile(m, "/f", []byte("old")))
		f := open(t, m, "/f.tmp", vfs.Write|vfs.Create)
		write(t, f, []byte("new"), 0)
		must(t, f.SyncData())
		must(t, m.Rename("/f.tmp", "/f"))
		got := string(content(t, m.Crash(seed), "/f"))
		if got != "old" && got != "new" {
			t.Fatalf("seed %d: %q", seed, got)
		}
		seen[got]++
	}
	if len(seen) != 2 {
		t.Errorf("outcomes %v, want both", seen)
	}
}

func TestCrash_EntryOrders(t *testing.T) {
	gaps := func(order vfs.EntryOrder) (found bool) {
		for seed := range uint64(seeds) {
			m := vfs.NewMem(seed)
			for i := range 6 {
				must(t, open(t, m, fmt.Sprintf("/%d", i), vfs.Write|vfs.Create).Close())
			}
			entries, err := m.CrashWith(vfs.CrashOptions{Seed: seed, Order: order}).ReadDir("/")
			must(t, err)
			for i, e := range entries {
				found = found || e.Name != fmt.Sprint(i)
			}
		}
		return found
	}
	if gaps(vfs.EntryJournal) {
		t.Error("a journalling file system kept a later entry without an earlier one")
	}
	if !gaps(vfs.EntrySubset) {
		t.Error("subsets never have a gap")
	}
}

// A directory sync that covers a change covers the earlier changes of the same
// names, or the file would have two names, or an old one, after the crash.
func TestCrash_TwoChangesOfOneNameKeepTheirOrder(t *testing.T) {
	for seed := range uint64(seeds) {
		m := vfs.NewMem(seed)
		must(t, vfs.WriteFile(m, "/a", []byte("first")))
		must(t, m.MkdirAll("/d"))
		must(t, m.SyncDir("/"))
		must(t, m.Rename("/a", "/b"))
		must(t, m.Rename("/b", "/d/c"))
		must(t, m.SyncDir("/d"))
		after := m.CrashWith(vfs.CrashOptions{Seed: seed, Order: vfs.EntrySubset})
		if got := content(t, after, "/d/c"); string(got) != "first" {
			t.Fatalf("seed %d: %q", seed, got)
		}
		if entries, err := after.ReadDir("/"); err != nil || len(entries) != 1 {
			t.Fatalf("seed %d: %v, %v; want only the directory", seed, entries, err)
		}
	}
}

// The kernel may write a page back between two writes, so that a version
// survives which is neither the synced one nor the last.
func TestCrash_VersionBetweenMaySurvive(t *testing.T) {
	between := 0
	for seed := range uint64(seeds) {
		m := vfs.NewMem(seed)
		f := durableFile(t, m, "/f", fill(4096, 'a'))
		for b := byte('b'); b < 'z'; b++ {
			write(t, f, fill(4096, b), 0)
		}
		for _, b := range content(t, m.Crash(seed), "/f") {
			if b != 'a' && b != 'y' {
				between++
				break
			}
		}
	}
	if between == 0 {
		t.Error("only the synced and the last version ever survive")
	}
}

func TestCrash_SizesSinceATruncationMaySurvive(t *testing.T) {
	seen := map[int]bool{}
	for seed := range uint64(seeds) {
		m := vfs.NewMem(seed)
		f := durableFile(t, m, "/f", fill(10_000, 'a'))
		must(t, f.Truncate(1000))
		write(t, f, fill(9000, 'b'), 1000)
		after := m.Crash(seed)
		got := content(t, after, "/f")
		seen[len(got)] = true
		if len(got) < 1000 || len(got) > 10_000 {
			t.Fatalf("seed %d: size %d", seed, len(got))
		}
		g := open(t, after, "/f", vfs.Write)
		must(t, g.Truncate(20_000))
		if grown := content(t, after, "/f"); !bytes.Equal(grown[len(got):], make([]byte, 20_000-len(got))) {
			t.Fatalf("seed %d: a file cut to %d by the crash grows over old bytes", seed, len(got))
		}
	}
	if !seen[1000] || !seen[10_000] || len(seen) < 4 {
		t.Errorf("sizes %v", seen)
	}
}

func TestCrash_FailedSyncLosesThePages(t *testing.T) {
	for seed := range uint64(seeds) {
		m := vfs.NewMem(seed)
		f := durableFile(t, m, "/f", fill(8192, 'a'))
		write(t, f, fill(4096, 'b'), 0)
		heal := m.Inject(vfs.Fault{Op: vfs.OpSync, Path: "f", Times: 1})
		if err := f.SyncData(); err == nil {
			t.Fatal("the programmed failure did not happen")
		}
		heal()
		write(t, f, fill(4096, 'c'), 4096)
		must(t, f.SyncData())
		if got := content(t, m, "/f"); got[0] != 'b' || got[4096] != 'c' {
			t.Fatalf("the cache shows %q and %q, want the new bytes", got[0], got[4096])
		}
		evicted := m.CrashClone(vfs.CrashOptions{Kind: vfs.CrashKeep})
		if got := content(t, evicted, "/f"); got[0] != 'a' {
			t.Fatalf("after a crash that keeps everything: %q, want the old bytes", got[0])
		}
		if seed == 0 {
			must(t, m.Evict("/f"))
			if got := content(t, m, "/f"); got[0] != 'a' || got[4096] != 'c' {
				t.Fatalf("after eviction: %q and %q", got[0], got[4096])
			}
		}
		if got := content(t, m.Crash(seed), "/f"); got[0] != 'a' || got[4096] != 'c' {
			t.Fatalf("seed %d: after the crash %q and %q", seed, got[0], got[4096])
		}
	}
}

func TestCrash_LostPageThatIsWrittenAgainIsSyncedWhole(t *testing.T) {
	m := vfs.NewMem(1)
	f := durableFile(t, m, "/f", fill(4096, 'a'))
	write(t, f, fill(100, 'b'), 0)
	m.Inject(vfs.Fault{Op: vfs.OpSync, Times: 1})
	if f.SyncData() == nil {
		t.Fatal("the programmed failure did not happen")
	}
	write(t, f, fill(100, 'c'), 2000)
	must(t, f.SyncData())
	got := content(t, m.CrashWith(vfs.CrashOptions{Kind: vfs.CrashDrop}), "/f")
	if got[0] != 'b' || got[2000] != 'c' || got[4095] != 'a' {
		t.Errorf("%q %q %q", got[0], got[2000], got[4095])
	}
}

func TestCrash_InterruptedDataSyncWriteIsTorn(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(seeds) {
		m := vfs.NewMem(seed)
		durableFile(t, m, "/f", fill(8192, 'a'))
		f := open(t, m, "/f", vfs.Write|vfs.DataSync|vfs.Direct)
		p := vfs.AlignedBlock(8192)
		copy(p, fill(8192, 'b'))
		m.CrashAfter(0)
		_, err := f.WriteAt(p, 0)
		wantError(t, err, vfs.ErrCrashed)
		var shape []byte
		got := content(t, m.Crash(seed), "/f")
		for at := 0; at < len(got); at += 512 {
			shape = append(shape, got[at])
		}
		seen[string(shape)] = true
	}
	if !seen["aaaaaaaaaaaaaaaa"] || !seen["bbbbbbbbbbbbbbbb"] || len(seen) < 20 {
		t.Errorf("%d shapes of a torn write, want none, all and many between", len(seen))
	}
}

func TestCrash_EverythingFailsAfterwards(t *testing.T) {
	m := vfs.NewMem(1)
	f := durableFile(t, m, "/f", []byte("a"))
	lock, err := m.Lock("/lock")
	must(t, err)
	next := m.Crash(1)
	_, e1 := f.ReadAt(make([]byte, 1), 0)
	_, e2 := f.WriteAt([]byte("b"), 0)
	_, e3 := m.OpenFile("/f", 0)
	_, e4 := m.ReadDir("/")
	_, e5 := m.Stat("/f")
	_, e6 := f.Size()
	_, _, e7 := m.Space("/")
	_, e8 := m.Lock("/lock")
	for i, err := range []error{e1, e2, e3, e4, e5, e6, e7, e8, f.Truncate(0), f.SyncData(), f.Preallocate(0, 1),
		m.Remove("/f"), m.RemoveAll("/f"), m.Rename("/f", "/g"), m.MkdirAll("/x"), m.SyncDir("/"), vfs.SyncAll(m, "/")} {
		if !errors.Is(err, vfs.ErrCrashed) {
			t.Errorf("operation %d: %v, want ErrCrashed", i, err)
		}
	}
	must(t, f.Close())
	must(t, lock.Close())
	_, err = next.Lock("/lock")
	must(t, err)
}

// TestCrash_EnumerationFindsAMissingSync is the loop that users of Mem write:
// crash at every operation until a run ends by itself. The protocol with all
// its syncs holds at every point; without one of them it must break at some.
func TestCrash_EnumerationFindsAMissingSync(t *testing.T) {
	for _, c := range []struct {
		name           string
		data, dir, bad bool
	}{{"complete", true, true, false}, {"no data sync", false, true, true}, {"no directory sync", true, false, true}} {
		t.Run(c.name, func(t *testing.T) {
			points, broken := 0, 0
			for seed := range uint64(20) {
				for k := 0; ; k++ {
					m := vfs.NewMem(seed)
					must(t, vfs.WriteFile(m, "/f", []byte("old")))
					before := m.Ops()
					m.CrashAfter(k)
					done := replace(m, c.data, c.dir)
					if done != !m.Crashed() {
						t.Fatalf("k %d: done %v, crashed %v", k, done, m.Crashed())
					}
					if m.Ops()-before > k+1 {
						t.Fatalf("k %d: %d operations", k, m.Ops()-before)
					}
					got := string(content(t, m.Crash(seed), "/f"))
					if got != "new" && (done || got != "old") {
						broken++
					}
					points++
					if done {
						break
					}
				}
			}
			if (broken > 0) != c.bad {
				t.Errorf("%d of %d crashes broke the promise", broken, points)
			}
		})
	}
}

func replace(m *vfs.Mem, data, dir bool) bool {
	f, err := m.OpenFile("/t", vfs.Write|vfs.Create)
	if err != nil {
		return false
	}
	if _, err := f.WriteAt([]byte("new"), 0); err != nil {
		return false
	}
	if data && f.SyncData() != nil {
		return false
	}
	if m.Rename("/t", "/f") != nil {
		return false
	}
	return !dir || m.SyncDir("/") == nil
}

func TestCrash_SameSeedSameDisk(t *testing.T) {
	run := func(memSeed, crashSeed uint64) string {
		m, r := vfs.NewMem(memSeed), rand.New(rand.NewPCG(5, 5))
		for i := range 300 {
			name := fmt.Sprintf("/%d/%d", r.IntN(5), r.IntN(5))
			switch r.IntN(8) {
			case 0:
				_ = m.SyncDir(path.Dir(name))
			case 1:
				_ = m.Rename(name, fmt.Sprintf("/%d/%d", r.IntN(5), r.IntN(5)))
			case 2:
				_ = m.Remove(name)
			default:
				must(t, m.MkdirAll(path.Dir(name)))
				f := open(t, m, name, vfs.Write|vfs.Create)
				write(t, f, fill(r.IntN(20_000), byte(i)), int64(r.IntN(20_000)))
				if r.IntN(3) == 0 {
					must(t, f.SyncData())
				}
				must(t, f.Close())
			}
		}
		return picture(t, m.Crash(crashSeed), "/")
	}
	disks := map[string]bool{}
	for seed := range uint64(20) {
		first := run(1, seed)
		for range 3 {
			if again := run(1, seed); again != first {
				t.Fatalf("seed %d: two disks\n%s\nand\n%s", seed, first, again)
			}
		}
		disks[first] = true
	}
	if len(disks) < 10 {
		t.Errorf("20 seeds gave %d disks", len(disks))
	}
}

func TestCrash_CloneAndOriginalAreIndependent(t *testing.T) {
	m := vfs.NewMem(1)
	f := durableFile(t, m, "/f", fill(8192, 'a'))
	write(t, f, fill(4096, 'b'), 0)
	clone := m.CrashClone(vfs.CrashOptions{Kind: vfs.CrashKeep})
	g := open(t, clone, "/f", vfs.Write)
	write(t, f, fill(10, 'X'), 0)
	write(t, f, fill(10, 'X'), 5000)
	write(t, g, fill(10, 'Y'), 100)
	write(t, g, fill(10, 'Y'), 6000)
	must(t, m.Rename("/f", "/g"))
	must(t, clone.SyncDir("/"))
	for _, kind := range []vfs.CrashKind{vfs.CrashKeep, vfs.CrashDrop} {
		want := map[vfs.CrashKind]string{vfs.CrashKeep: "/g", vfs.CrashDrop: "/f"}[kind]
		if _, err := m.CrashClone(vfs.CrashOptions{Kind: kind}).Stat(want); err != nil {
			t.Errorf("an earlier clone changed what a later one finds: %v", err)
		}
	}
	one, two := content(t, m, "/g"), content(t, clone, "/f")
	if one[0] != 'X' || one[100] != 'b' || one[5000] != 'X' || one[6000] != 'a' {
		t.Error("the clone's writes show in the original")
	}
	if two[0] != 'b' || two[100] != 'Y' || two[5000] != 'a' || two[6000] != 'Y' {
		t.Error("the original's writes show in the clone")
	}
}

func TestKill_KeepsTheCacheAndItsDirt(t *testing.T) {
	m := vfs.NewMem(1)
	f := durableFile(t, m, "/f", []byte("old"))
	_, err := m.Lock("/lock")
	must(t, err)
	write(t, f, []byte("new"), 0)
	next := m.Kill()
	_, err = f.WriteAt([]byte("xxx"), 0)
	wantError(t, err, vfs.ErrCrashed)
	if got := content(t, next, "/f"); string(got) != "new" {
		t.Errorf("after kill: %q", got)
	}
	_, err = next.Lock("/lock")
	must(t, err)
	before, _, err := next.Space("/")
	must(t, err)
	must(t, next.SyncDir("/"))
	must(t, next.Remove("/f"))
	if after, _, err := next.Space("/"); err != nil || after != before+vfs.BlockSize {
		t.Errorf("%d bytes free after removing a file that only the dead process had open, before %d, %v", after, before, err)
	}
	if got := content(t, next.CrashWith(vfs.CrashOptions{Kind: vfs.CrashDrop}), "/f"); string(got) != "old" {
		t.Errorf("after kill and power cut: %q", got)
	}
}

// TestSync_CoversOnlyWhatWasWrittenBefore is the trap for a flush that counts
// bytes as durable which arrived while it ran.
func TestSync_CoversOnlyWhatWasWrittenBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem(1)
		f := durableFile(t, m, "/f", fill(8192, 'a'))
		m.SetLatency(clock.Real{}, func(op vfs.Op, _ string, _ int) time.Duration {
			if op == vfs.OpSync || op == vfs.OpSyncDir {
				return time.Second
			}
			return 0
		})
		write(t, f, fill(10, 'b'), 0)
		done := make(chan error)
		go func() { done <- f.SyncData() }()
		go func() { done <- m.SyncDir("/") }()
		synctest.Wait()
		write(t, f, fill(10, 'c'), 0)
		write(t, f, fill(10, 'c'), 20)
		write(t, f, fill(10, 'c'), 8192)
		must(t, open(t, m, "/late", vfs.Write|vfs.Create).Close())
		early := m.CrashClone(vfs.CrashOptions{Kind: vfs.CrashDrop})
		must(t, <-done)
		must(t, <-done)
		late := m.CrashClone(vfs.CrashOptions{Kind: vfs.CrashDrop})
		if got := content(t, early, "/f")[0]; got != 'a' {
			t.Errorf("before the sync ended: %q", got)
		}
		if got := content(t, late, "/f"); got[0] != 'b' || got[20] != 'a' || len(got) != 8192 {
			t.Errorf("after the sync: %q, %q and %d bytes, want what was there when it began", got[0], got[20], len(got))
		}
		if _, err := late.Stat("/late"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("an entry made during SyncDir is durable: %v", err)
		}
		must(t, f.SyncData())
		if got := content(t, m.CrashWith(vfs.CrashOptions{Kind: vfs.CrashDrop}), "/f"); got[0] != 'c' || got[20] != 'c' {
			t.Errorf("after the second sync: %q and %q", got[0], got[20])
		}
	})
}

func TestSync_OlderSyncThatEndsLaterTakesNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem(1)
		f := durableFile(t, m, "/f", fill(100, 'a'))
		pause := make(chan time.Duration, 2)
		m.SetLatency(clock.Real{}, func(op vfs.Op, _ string, _ int) time.Duration {
			if op == vfs.OpSync {
				return <-pause
			}
			return 0
		})
		done := make(chan error, 2)
		write(t, f, fill(150, 'b'), 0)
		pause <- 2 * time.Second
		go func() { done <- f.SyncData() }()
		synctest.Wait()
		write(t, f, fill(200, 'c'), 0)
		pause <- time.Second
		go func() { done <- f.SyncData() }()
		must(t, <-done)
		write(t, f, fill(250, 'd'), 0)
		must(t, <-done)
		got := content(t, m.CrashWith(vfs.CrashOptions{Kind: vfs.CrashDrop}), "/f")
		if !bytes.Equal(got, fill(200, 'c')) {
			t.Errorf("%q", got)
		}
	})
}

func TestCrash_DuringASlowSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem(1)
		f := durableFile(t, m, "/f", fill(100, 'a'))
		m.SetLatency(clock.Real{}, func(vfs.Op, string, int) time.Duration { return time.Second })
		write(t, f, fill(100, 'b'), 0)
		done := make(chan error)
		go func() { done <- f.SyncData() }()
		synctest.Wait()
		next := m.CrashWith(vfs.CrashOptions{Kind: vfs.CrashDrop})
		wantError(t, <-done, vfs.ErrCrashed)
		if got := content(t, next, "/f"); got[0] != 'a' {
			t.Errorf("a sync that never returned made bytes durable: %q", got[0])
		}
	})
}
