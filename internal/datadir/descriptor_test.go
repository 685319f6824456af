package datadir

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// descriptorLife rolls segments, syncs them straight and through the journal, and
// checkpoints, with a fault injected before.
func descriptorLife(f *fixture, fault vfs.Fault) (opened bool) {
	f.t.Helper()
	heal := f.ground.Disk.Inject(fault)
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	for step := range 8 {
		for i := range f.logs {
			size := 800
			if (step+i)%2 == 0 {
				size = 100 << 10
			}
			f.append(i, 100+step, size)
		}
		f.must(f.d.Barrier(ctx))
		if step%3 == 1 {
			_ = f.d.Checkpoint(ctx)
		}
	}
	heal()
	f.must(f.d.Checkpoint(ctx))
	return true
}

// TestNoDescriptor_NeverStopsTheDirectory: wherever the process finds no file
// descriptor, and the next few times, nothing stops for good: what waits for the
// disk is done when there are descriptors again, a crash takes nothing, and the
// want of one is counted.
func TestNoDescriptor_NeverStopsTheDirectory(t *testing.T) {
	met := 0
	for after := 0; ; after++ {
		last := false
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t)
			defer func() { _ = f.d.Close() }()
			descriptorLife(f, vfs.Fault{Op: vfs.OpOpen | vfs.OpCreate, After: after, Times: 1 + after%4, Err: syscall.EMFILE})
			if err := f.d.Err(); err != nil {
				t.Fatalf("opening number %d fails: %v", after, err)
			}
			for i, l := range f.logs {
				if l.Err() != nil {
					t.Errorf("opening number %d fails: log %d: %v", after, i, l.Err())
				}
			}
			s := f.d.Stats()
			if s.NoDescriptor.Load()+s.CheckpointFailures.Load() > 0 {
				met++
			}
			f.crash(uint64(after))
			for i := range f.logs {
				f.verify(i)
			}
			last = after > 150
		})
		if last || t.Failed() {
			break
		}
	}
	if met < 20 {
		t.Errorf("the want of a descriptor was noticed in %d runs only", met)
	}
}

// TestNoDescriptor_BesideAFailedSync: an error of opening beside one of syncing
// does not make the sync be tried again.
func TestNoDescriptor_BesideAFailedSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		defer func() { _ = f.d.Close() }()
		f.ground.Disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: "/data/topic1-0/*.log", Times: 1})
		f.ground.Disk.Inject(vfs.Fault{Op: vfs.OpOpen, Path: "/data/topic0-0", Times: 1, Err: syscall.EMFILE})
		f.ground.Disk.Inject(vfs.Fault{Op: vfs.OpOpen, Path: "/data", Times: 1, Err: syscall.EMFILE})
		for step := range 5 { // into a second segment, so that a directory is synced
			for i := range f.logs {
				if f.logs[i].Err() == nil {
					_ = appendTo(f.d, f.logs[i], f.told[i], step, 100<<10)
				}
			}
			<-time.After(time.Second)
		}
		if err := f.d.Err(); !errors.Is(err, syscall.EIO) {
			t.Errorf("the directory goes on after a failed sync: %v", err)
		}
		if end, _ := f.told[1].promise(); end != kafka.Offset(0) {
			t.Errorf("acknowledged up to %d", end)
		}
	})
}
