package quorum

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// A node joins a cluster of one, pulls a snapshot, entries, another snapshot and
// more entries, with restarts between, and is cut off at every write to its disk.
// Whatever it is found with, it goes on and ends with what the cluster has; and what
// it told others to have stored, it has.

// source is the cluster that a joiner pulls from, driven without a goroutine.
type source struct{ *rig }

func newSource(t *testing.T) source {
	g := env.NewTest(99)
	r, err := openRig(t, g)
	must(t, err)
	r.must(register(1))
	r.must(create("first", 3))
	return source{r}
}

func (s source) pulled(t *testing.T, from kafka.Offset, most int) Pulled {
	answer, err := s.core.pulled(&pull{ctx: context.Background(), from: from, most: most})
	must(t, err)
	return answer
}

func joinerOptions(g *env.Test) *Options {
	o := testOptions(g)
	o.Self, o.DirectoryID, o.Transport, o.Config, o.Join = 2, kafka.DirectoryID{7, 7}, NoTransport{}, defaultConfig, true
	return &o
}

// stored is what a joiner has said to have.
type stored struct{ offset kafka.Offset }

// follow opens the joiner and lets it pull until it has everything.
func (s source) follow(t *testing.T, g *env.Test, said *stored) error {
	if err := errors.Join(g.FS.MkdirAll("data"), g.FS.SyncDir(".")); err != nil {
		return err
	}
	c, err := openCore(joinerOptions(g))
	if err != nil {
		return err
	}
	// The commit index is made durable later; the entries are there.
	if end := kafka.Offset(c.store.last()); end < said.offset {
		return fmt.Errorf("%w: stored up to %d, has %d", errBroken, said.offset, end)
	}
	for n := 0; c.image.Offset() < s.image.Offset(); n++ {
		if n > 1000 {
			return fmt.Errorf("%w: does not get on from %d", errBroken, c.image.Offset())
		}
		err := c.takePulled(c.image.Offset()+1, s.pulled(t, c.image.Offset()+1, 200))
		if err == nil {
			err = c.settle()
		}
		if err != nil {
			return err
		}
		said.offset = max(said.offset, c.image.Offset())
	}
	if c.image.String() != s.image.String() {
		return fmt.Errorf("%w: another image:\n%s\n%s", errBroken, c.image, s.image)
	}
	if err := foldEqual(c); err != nil {
		return err
	}
	return c.close(false)
}

// stages are the cluster at four moments; nothing changes them.
func stages(t *testing.T) (list []source) {
	for n := range 4 {
		s := newSource(t)
		for k := range 5 * min(n, 1) {
			s.must(create(fmt.Sprint("more", k), 1))
		}
		if n >= 2 {
			for k := range 20 {
				s.must(create(fmt.Sprint("many", k), 1))
			}
			must(t, s.takeSnapshot())
			// As if the snapshot were a thousand entries later.
			store := s.store
			store.entries = store.entries[store.snapIndex+1-store.first:]
			store.first, store.prevTerm = store.snapIndex+1, store.snapTerm
		}
		if n == 3 {
			s.must(create("last", 1))
		}
		list = append(list, s)
	}
	return list
}

// joinerLife is the life that is cut off.
func joinerLife(t *testing.T, list []source, g *env.Test, said *stored) error {
	for _, s := range list {
		if err := s.follow(t, g, said); err != nil {
			return err
		}
	}
	return nil
}

// finish is what comes after the crash: the joiner is opened twice.
func finish(t *testing.T, list []source, g *env.Test, said *stored) error {
	for range 2 {
		if err := list[3].follow(t, g, said); err != nil {
			return err
		}
	}
	return nil
}

func runJoining(t *testing.T, list []source, lazy func(string) bool) (int, error) {
	for k := 0; ; k++ {
		g := env.NewTest(uint64(k))
		if lazy != nil {
			g.FS = lazyFS{g.Disk, lazy}
		}
		g.Disk.CrashAfter(k)
		said := &stored{}
		if err := joinerLife(t, list, g, said); err != nil && !errors.Is(err, vfs.ErrCrashed) {
			return k, fmt.Errorf("crash at %d, before it: %w", k, err)
		}
		if !g.Disk.Crashed() {
			return k, nil
		}
		for how, disk := range crashes(g.Disk, k) {
			after := env.NewTest(uint64(k) + 7)
			after.FS, after.Disk = disk, disk
			copied := *said
			if err := finish(t, list, after, &copied); err != nil {
				return k, fmt.Errorf("crash at %d, disk %d: %w", k, how, err)
			}
		}
	}
}

func TestJoining_SurvivesACrashAtEveryWrite(t *testing.T) {
	n, err := runJoining(t, stages(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n < 50 {
		t.Errorf("only %d writes to crash at", n)
	}
	t.Logf("%d crashes, each found in 4 ways", n)
}

func TestJoining_MutantsAreCaught(t *testing.T) {
	list := stages(t)
	for name, lazy := range map[string]func(string) bool{
		"entries not synced":  func(name string) bool { return strings.HasSuffix(name, ".log") },
		"snapshot not synced": func(name string) bool { return strings.Contains(name, snapshotSuffix) },
	} {
		n, err := runJoining(t, list, lazy)
		if err == nil {
			t.Errorf("mutant %q survived %d crashes", name, n)
			continue
		}
		t.Logf("mutant %q: %.200v", name, err)
	}
}

// TestJoining_TellsWhatItIsFromWhatIsLost: a directory that joins is one with the
// flag and without, marked as founded or not; with its vote file gone it is a loss.
func TestJoining_TellsWhatItIsFromWhatIsLost(t *testing.T) {
	g := env.NewTest(1)
	must(t, g.FS.MkdirAll("data"))
	q, err := Open(*joinerOptions(g))
	must(t, err, q.Close())
	for _, founded := range []bool{false, true} {
		for _, join := range []bool{false, true} {
			o := *joinerOptions(g)
			o.Founded, o.Join = founded, join
			q, err := Open(o)
			if err != nil {
				t.Fatalf("founded %v, join %v: %v", founded, join, err)
			}
			if got := q.Image().ClusterID(); !got.IsZero() || len(q.Describe().Voters) != 0 {
				t.Errorf("founded %v, join %v: it founded %s", founded, join, got)
			}
			must(t, q.Close())
		}
	}
	must(t, g.FS.Remove(path.Join("data", StateDirectory, voteName)))
	o := *joinerOptions(g)
	o.Founded = true
	if _, err := Open(o); !isCorrupt(err) {
		t.Errorf("a wiped directory: %v", err)
	}
}

func isCorrupt(err error) bool {
	_, ok := errors.AsType[*CorruptionError](err)
	return ok
}

// TestJoining_RefusesWhatIsNoAnswer: another cluster's snapshot, damaged bytes and
// entries of no known term change nothing.
func TestJoining_RefusesWhatIsNoAnswer(t *testing.T) {
	s := newSource(t)
	g := env.NewTest(1)
	must(t, g.FS.MkdirAll("data"), g.FS.SyncDir("."))
	c, err := openCore(joinerOptions(g))
	must(t, err)
	snap := s.pulled(t, 1, 1000)
	if snap.Snapshot == nil {
		t.Fatal("the founding snapshot is not offered")
	}
	foreign := *joinerOptions(g)
	foreign.ClusterID = kafka.ClusterID{9}
	c.o = &foreign
	if err := c.takePulled(1, snap); !errors.Is(err, ErrForeign) || !errors.Is(err, errPulled) {
		t.Errorf("another cluster: %v", err)
	}
	c.o = joinerOptions(g)
	must(t, c.takePulled(1, snap), c.settle())
	good := s.pulled(t, c.image.Offset()+1, 1000)
	for n := range len(good.Entries) - pulledHead {
		bad := good
		bad.Entries = append([]byte(nil), good.Entries...)
		bad.Entries[pulledHead+n] ^= 0x10
		before := c.image.Offset()
		if err := c.takePulled(before+1, bad); err == nil || !errors.Is(err, errPulled) {
			t.Fatalf("byte %d flipped: %v", n, err)
		}
		must(t, c.settle())
		if c.image.Offset() != before {
			t.Fatalf("byte %d flipped: applied up to %d", n, c.image.Offset())
		}
	}
	bad := good
	bad.Entries = append([]byte(nil), good.Entries...)
	bad.Entries[8] = 0 // the leader's term, below those of its entries
	if err := c.takePulled(c.image.Offset()+1, bad); !errors.Is(err, errPulled) {
		t.Errorf("an old term: %v", err)
	}
	must(t, c.takePulled(c.image.Offset()+1, good), c.settle())
	if c.image.String() != s.image.String() {
		t.Error("the good answer was not taken")
	}
}
