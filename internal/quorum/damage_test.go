package quorum

import (
	"context"
	"errors"
	"path"
	"strings"
	"testing"

	"holdfast/internal/controller"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// written returns a ground with metadata on it, closed in order, and the names of
// its files.
func written(t *testing.T) (g *env.Test, voteFile, snapshotFile, logFile string) {
	t.Helper()
	g = env.NewTest(1)
	r, err := openRig(t, g)
	if err != nil {
		t.Fatal(err)
	}
	r.must(register(1))
	r.must(create("a", 3))
	if err := r.takeSnapshot(); err != nil {
		t.Fatal(err)
	}
	r.must(create("b", 3))
	r.must(controller.AllocateProducerIDs{Broker: 1, Epoch: r.image.Broker(1).Epoch})
	names, _ := snapshotFiles(g.FS, r.store.dir)
	logDir := r.store.disk.l.Dir()
	if err := r.close(false); err != nil {
		t.Fatal(err)
	}
	entries, err := g.FS.ReadDir(logDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name, ".log") {
			logFile = path.Join(logDir, e.Name)
		}
	}
	return g, path.Join("data", StateDirectory, voteName), path.Join("data", StateDirectory, names[len(names)-1]), logFile
}

// TestDamage_IsRefused: whatever is wrong with a file, the quorum does not start,
// says which file, and does not found a new cluster; a second start says the same.
func TestDamage_IsRefused(t *testing.T) {
	cases := map[string]func(t *testing.T, g *env.Test, vote, snap, log string){
		"both slots of the vote": func(t *testing.T, g *env.Test, vote, _, _ string) {
			must(t, g.Disk.FlipBit(vote, 20), g.Disk.FlipBit(vote, voteSlotSize+20))
		},
		"vote gone":      func(t *testing.T, g *env.Test, vote, _, _ string) { must(t, g.FS.Remove(vote)) },
		"snapshot rots":  func(t *testing.T, g *env.Test, _, snap, _ string) { must(t, g.Disk.FlipBit(snap, 60)) },
		"snapshot gone":  func(t *testing.T, g *env.Test, _, snap, _ string) { must(t, g.FS.Remove(snap)) },
		"all state gone": func(t *testing.T, g *env.Test, vote, _, _ string) { must(t, g.FS.RemoveAll(path.Dir(vote))) },
		"first entry":    func(t *testing.T, g *env.Test, _, _, log string) { must(t, g.Disk.FlipBit(log, 80)) },
		"last entry":     func(t *testing.T, g *env.Test, _, _, log string) { must(t, g.Disk.FlipBit(log, sizeOf(t, g, log)-3)) },
		"log cut":        func(t *testing.T, g *env.Test, _, _, log string) { cutFile(t, g, log, sizeOf(t, g, log)-10) },
		"log emptied":    func(t *testing.T, g *env.Test, _, _, log string) { cutFile(t, g, log, 0) },
		"log gone":       func(t *testing.T, g *env.Test, _, _, log string) { must(t, g.FS.RemoveAll(path.Dir(log))) },
		"snapshot renamed": func(t *testing.T, g *env.Test, _, snap, _ string) {
			must(t, g.FS.Rename(snap, path.Join(path.Dir(snap), snapshotName(99, 99))))
		},
	}
	for name, damage := range cases {
		g, vote, snap, log := written(t)
		damage(t, g, vote, snap, log)
		for range 2 {
			q, err := Open(testOptions(g))
			var corrupt *CorruptionError
			if !errors.As(err, &corrupt) || corrupt.File == "" {
				t.Errorf("%s: %v", name, err)
			}
			if q != nil {
				t.Errorf("%s: it opened", name)
				_ = q.Close()
			}
		}
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func sizeOf(t *testing.T, g *env.Test, name string) int64 {
	info, err := g.FS.Stat(name)
	must(t, err)
	return info.Size
}

func cutFile(t *testing.T, g *env.Test, name string, size int64) {
	f, err := g.FS.OpenFile(name, vfs.Write)
	must(t, err)
	must(t, f.Truncate(size), f.SyncData(), f.Close())
}

// TestDamage_OneSlotOfTheVote: the other one has everything that was acted upon.
func TestDamage_OneSlotOfTheVote(t *testing.T) {
	for _, at := range []int64{20, voteSlotSize + 20} {
		g, vote, _, _ := written(t)
		before, err := vfs.ReadFile(g.FS, vote, voteFileSize)
		must(t, err)
		want, _, err := decodeVote(before)
		must(t, err, g.Disk.FlipBit(vote, at))
		f, err := openVote(g.FS, vote)
		must(t, err)
		if f.last != want {
			t.Errorf("%+v, want %+v", f.last, want)
		}
		after, err := vfs.ReadFile(g.FS, vote, voteFileSize)
		must(t, err)
		if _, repair, err := decodeVote(after); repair || err != nil {
			t.Errorf("not repaired: %v", err)
		}
	}
}

// TestDamage_OthersAreRefused: another cluster's or node's metadata, another
// directory's vote, and what a newer program wrote.
func TestDamage_OthersAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"cluster":   func(o *Options) { o.ClusterID[0]++ },
		"node":      func(o *Options) { o.Self++ },
		"directory": func(o *Options) { o.DirectoryID[0]++ },
	} {
		g, _, _, _ := written(t)
		o := testOptions(g)
		change(&o)
		if _, err := Open(o); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
	}
	g, _, snap, _ := written(t)
	s, err := readSnapshot(g.FS, snap)
	must(t, err)
	newer := s.encode()
	newer[7]++
	must(t, vfs.WriteFile(g.FS, snap, reseal(newer)))
	var version *VersionError
	if _, err := Open(testOptions(g)); !errors.As(err, &version) || !strings.Contains(err.Error(), "newer version of holdfast") {
		t.Errorf("newer snapshot: %v", err)
	}
}

// TestFailedSync_StopsTheQuorum: nothing is answered after a failed sync, and only
// a restart goes on; what had been answered is there.
func TestFailedSync_StopsTheQuorum(t *testing.T) {
	g := env.NewTest(1)
	must(t, g.FS.MkdirAll("data"), g.FS.SyncDir("."))
	q, err := Open(testOptions(g))
	must(t, err)
	q.Start()
	if _, err := q.Submit(context.Background(), register(1)); err != nil {
		t.Fatal(err)
	}
	g.Disk.Inject(vfs.Fault{Op: vfs.OpSync, Err: errors.New("input/output error")})
	if _, err := q.Submit(context.Background(), create("a", 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("answered %v", err)
	}
	<-q.Stopped()
	if q.Err() == nil || q.Close() == nil {
		t.Error("the failure is not told")
	}
	if _, err := q.Submit(context.Background(), create("b", 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("answered %v", err)
	}
	after := g.Crash(3)
	q, err = Open(testOptions(after))
	must(t, err)
	q.Start()
	if _, err := q.Submit(context.Background(), register(2)); err != nil {
		t.Error(err)
	}
	if q.Image().Broker(1) == nil || q.Image().Broker(1).Starts != 2 {
		t.Errorf("image\n%s", q.Image())
	}
	must(t, q.Close())
}

// TestFullDisk_MetadataGoesOn: data has filled the disk; topics can still be
// deleted, thanks to the reserve. When that is used up too, commands are refused
// before anything happens, and when space comes back all goes on by itself.
func TestFullDisk_MetadataGoesOn(t *testing.T) {
	g := env.NewTest(1)
	g.Disk.SetCapacity(64 << 20)
	r, err := openRig(t, g)
	must(t, err)
	r.must(register(1))
	fill(t, g)
	for n := range 200 {
		name := "topic-" + strings.Repeat("x", n)
		r.must(create(name, 10))
		r.must(controller.DeleteTopics{Topics: []controller.TopicRef{{Name: name}}})
	}
	must(t, r.takeSnapshot())
	if r.store.reserve.file != nil {
		t.Error("a full disk was written to without the reserve")
	}
	fill(t, g)
	offset := r.image.Offset()
	if _, errs := r.submit(create("late", 1)); !errors.Is(errs[0], ErrNoSpace) || r.image.Offset() != offset {
		t.Errorf("full: %v", errs[0])
	}
	must(t, g.FS.Remove("data/filler"))
	for range reserveTicks {
		must(t, r.tick(), r.drain())
	}
	if r.store.reserve.file == nil {
		t.Error("the reserve was not set aside again")
	}
	r.must(create("late", 1))
	must(t, r.close(false))
}

// fill takes every free block.
func fill(t *testing.T, g *env.Test) {
	f, err := g.FS.OpenFile("data/filler", vfs.Write|vfs.Create)
	must(t, err)
	free, _, err := g.FS.Space("data")
	must(t, err)
	size, err := f.Size()
	must(t, err)
	if _, err := f.WriteAt(make([]byte, free), (size+vfs.BlockSize-1)/vfs.BlockSize*vfs.BlockSize); err != nil && !errors.Is(err, vfs.ErrNoSpace) {
		t.Fatal(err)
	}
	if free, _, _ := g.FS.Space("data"); free > vfs.BlockSize {
		t.Fatalf("%d bytes are still free", free)
	}
	must(t, f.Close())
}

// TestFounding_OverDataIsRefused: partitions whose metadata is gone are no empty
// directory.
func TestFounding_OverDataIsRefused(t *testing.T) {
	g := env.NewTest(1)
	must(t, g.FS.MkdirAll("data/orders-0"))
	var corrupt *CorruptionError
	if _, err := Open(testOptions(g)); !errors.As(err, &corrupt) {
		t.Errorf("founded over orders-0: %v", err)
	}
	if id := RaftID(kafka.DirectoryID{}); id == 0 {
		t.Error("raft id 0")
	}
}

// TestDamage_ASyncOfTheVoteThatFailed: its page looks clean after the restart and is
// not on the disk. The start writes it again; otherwise the next vote and a power cut
// in the middle of it would leave slots that are two writes apart, which is damage.
// Found by the seeded world, seed 70.
func TestDamage_ASyncOfTheVoteThatFailed(t *testing.T) {
	g, name, _, _ := written(t)
	must(t, g.FS.SyncDir("/"))
	f, err := openVote(g.FS, name)
	must(t, err)
	g.Disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: "vote", After: 1, Times: 1}) // of slot B
	next := f.last
	next.term++
	if f.store(next) == nil {
		t.Fatal("the fault did not show")
	}
	g = g.Kill(1)
	f, err = openVote(g.FS, name)
	must(t, err)
	next.term++
	g.Disk.CrashAfter(2) // slot A is written and synced
	if f.store(next) == nil {
		t.Fatal("the power did not fail")
	}
	g.Disk = g.Disk.CrashWith(vfs.CrashOptions{Kind: vfs.CrashDrop})
	if f, err = openVote(g.Disk, name); err != nil || f.last.term != next.term {
		t.Fatalf("%+v, %v", f, err)
	}
}
