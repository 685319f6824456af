package quorum

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	"holdfast/internal/controller"
	"holdfast/internal/env"
	"holdfast/internal/vfs"
)

// leave takes every free block but n bytes.
func leave(t *testing.T, g *env.Test, n int64) {
	t.Helper()
	fill(t, g)
	f, err := g.FS.OpenFile("data/filler", vfs.Write)
	must(t, err)
	size, err := f.Size()
	must(t, err, f.Truncate(size-n), f.SyncData(), f.Close())
}

// TestFullDisk_OneBatchIsMoreThanIsLeft: a full disk refuses, it never ends the
// quorum, also where the commands of one batch fit one by one and not together.
func TestFullDisk_OneBatchIsMoreThanIsLeft(t *testing.T) {
	g := env.NewTest(1)
	g.Disk.SetCapacity(64 << 20)
	r, err := openRig(t, g)
	must(t, err)
	r.must(register(1))
	must(t, r.store.reserve.release())
	leave(t, g, marginBytes+256<<10)

	var batch []controller.Command
	for n := range 20 { // about 0.5 MiB each
		batch = append(batch, create(fmt.Sprintf("wide%d", n), controller.NewPartitionsMax/2))
	}
	_, errs := r.submit(batch...)
	done := 0
	for n, err := range errs {
		switch {
		case err == nil:
			done++
		case !errors.Is(err, ErrNoSpace):
			t.Errorf("command %d: %v", n, err)
		}
	}
	if done == 0 || done == len(batch) {
		t.Errorf("%d of %d commands were carried out", done, len(batch))
	}
	must(t, g.FS.Remove("data/filler"))
	r.must(create("after", 1))
	must(t, r.close(false))
}

// TestFullDisk_SnapshotWaits: without space for a snapshot the entries stay, the
// quorum goes on, and the half-written file does not lie around.
func TestFullDisk_SnapshotWaits(t *testing.T) {
	g := env.NewTest(1)
	g.Disk.SetCapacity(64 << 20)
	r, err := openRig(t, g)
	must(t, err)
	r.must(register(1))
	for n := range 8 {
		r.must(create(fmt.Sprintf("wide%d", n), controller.NewPartitionsMax))
	}
	snapIndex := r.store.snapIndex
	must(t, r.store.reserve.release())
	leave(t, g, marginBytes+64<<10)
	r.store.bytes = 1 << 30 // a snapshot is due
	must(t, r.maybeSnapshot())
	if r.store.snapIndex != snapIndex {
		t.Fatalf("there was space for a snapshot at %d", r.store.snapIndex)
	}
	entries, err := g.FS.ReadDir(path.Join("data", StateDirectory))
	must(t, err)
	for _, e := range entries {
		if strings.HasSuffix(e.Name, ".tmp") {
			t.Errorf("%s lies around", e.Name)
		}
	}
	r.must(create("still", 1))
	must(t, g.FS.Remove("data/filler"))
	for range snapshotTicks {
		must(t, r.tick(), r.drain())
	}
	if r.store.snapIndex == snapIndex {
		t.Error("no snapshot was taken when there was space again")
	}
	must(t, r.close(false))
}

// TestFullDisk_AnEntryWaitsForSpace: the data of others takes the space between
// decision and write. The entry waits, nobody is answered, what comes meanwhile is
// refused; with space it goes on where it was. A restart in between loses nothing
// that was answered.
func TestFullDisk_AnEntryWaitsForSpace(t *testing.T) {
	for _, restart := range []bool{false, true} {
		g := env.NewTest(1)
		g.Disk.SetCapacity(64 << 20)
		r, err := openRig(t, g)
		must(t, err)
		r.must(register(1))
		var topic string
		for n := 0; ; n++ { // until the next entry needs a block of its own
			must(t, r.store.reserve.release())
			waits := newSubmission(create(fmt.Sprintf("wide%d", n), 1000))
			r.propose([]*submission{waits})
			fill(t, g)
			must(t, r.drain())
			if r.stalled != nil {
				topic = fmt.Sprintf("wide%d", n)
				break
			}
			must(t, g.FS.Remove("data/filler"), r.store.reserve.establish())
		}
		offset := r.image.Offset()
		for range 5 {
			must(t, r.tick(), r.drain())
		}
		if _, errs := r.submit(create("meanwhile", 1)); !errors.Is(errs[0], ErrNoSpace) || r.image.Offset() != offset || r.image.TopicByName(topic) != nil {
			t.Fatalf("refused with %v, image at %d after %d", errs[0], r.image.Offset(), offset)
		}
		must(t, g.FS.Remove("data/filler"))
		early := newSubmission(create("early", 1)) // there is space, and the one before still waits
		r.propose([]*submission{early})
		if !errors.Is(early.err, ErrNoSpace) {
			t.Errorf("an entry overtakes the one that waits: %v", early.err)
		}
		if restart {
			r.failWaiting(ErrClosed)
			r, err = openRig(t, g.Crash(2))
			must(t, err)
		} else {
			must(t, r.drain())
			if r.stalled != nil || r.image.TopicByName(topic) == nil || len(r.waiting) > 0 {
				t.Fatalf("the entry did not go on: %d wait", len(r.waiting))
			}
		}
		r.must(create("after", 1))
		must(t, foldEqual(r.core), r.close(false))
	}
}
