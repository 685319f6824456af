package datadir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/vfs"
)

// TestRemove_AgainAfterAFlushThatTookTooLong: a removal gives up while the disk
// stands still, and is repeated by name, or the name is in use again first. Either
// way the old log is closed: it must not write by name into what lies there now,
// nor stop the directory because its own is gone.
func TestRemove_AgainAfterAFlushThatTookTooLong(t *testing.T) {
	for _, reused := range []bool{false, true} {
		t.Run(fmt.Sprintf("the name is in use again: %v", reused), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { removeAgain(t, reused) })
		})
	}
}

func removeAgain(t *testing.T, reused bool) {
	f := newFixture(t)
	defer func() { _ = f.d.Close() }()
	f.append(1, 1, 100<<10)
	f.barrier()
	// Its next checkpoint still has something to do.
	heal := f.ground.Disk.Inject(vfs.Fault{Op: vfs.OpWrite | vfs.OpCreate, Path: "/data/topic1-0/*", Err: syscall.ENOSPC})
	f.ground.Disk.SetLatency(f.ground.Clock, func(op vfs.Op, name string, _ int) time.Duration {
		if op == vfs.OpWrite && name == "/data/"+journalName {
			return time.Minute
		}
		return 0
	})
	f.append(0, 1, 800)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	topic, id := topicOf(1)
	removal := []Removal{{Topic: topic, ID: id, Log: f.logs[1]}}
	if err := f.d.Remove(ctx, removal); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the removal did not give up: %v", err)
	}
	f.ground.Disk.SetLatency(nil, nil)
	f.barrier()
	heal()
	next := f.logs[0]
	if reused {
		var err error
		next, _, err = f.d.OpenLog(topic, kafka.TopicIDPartition{TopicID: kafka.TopicID{99}}, smallConfig())
		f.must(err)
	}
	removal[0].Log = nil
	f.must(f.d.Remove(context.Background(), removal))
	told := &reported{}
	if !reused {
		told = f.told[0]
	}
	for round := range 3 {
		f.must(appendTo(f.d, next, told, 2+round, 800))
		f.barrier()
		<-time.After(time.Minute) // a checkpoint of every log
	}
	if err := f.d.Checkpoint(context.Background()); err != nil {
		t.Errorf("checkpoint: %v", err)
	}
	if u := f.d.Usage(); u.Oldest != u.Next {
		t.Errorf("everything is in its segments and rounds [%d, %d) are not given back", u.Oldest, u.Next)
	}
	if _, err := log.ReadIdentity(f.ground.FS, f.logs[1].Dir()); !reused && !errors.Is(err, log.ErrUnfinished) {
		t.Errorf("the directory stays: %v", err)
	}
	if _, err := f.logs[1].Checkpoint(); !errors.Is(err, log.ErrClosed) {
		t.Errorf("the old log is still open: %v", err)
	}
	if !reused {
		return
	}
	if dirs := must(f.d.PartitionDirs()); slices.ContainsFunc(dirs, func(x Stray) bool { return x.Aside }) {
		t.Errorf("what is deleted was set aside: %v", dirs)
	}
	f.o.Env = f.ground.Crash(7).Env
	_ = f.d.Close()
	d, err := Open(f.o)
	f.must(err)
	f.d = d
	l, report, err := d.OpenLog(topic, kafka.TopicIDPartition{TopicID: next.Key().TopicID}, smallConfig())
	f.must(err)
	end, want := told.promise()
	if got, err := readAll(l, end); err != nil || !bytes.Equal(got, want) || len(report.Rebuilt) > 0 {
		t.Errorf("the new log holds %d bytes below %d, want %d equal ones, %v; rebuilt: %v", len(got), end, len(want), err, report.Rebuilt)
	}
}

// TestRemove_ACrashDoesNotRememberTheLog: a partition moves away, the machine crashes
// before the recovery points are stored again, and the partition comes back: an empty
// log is made. Found by the seeded world, seed 59.
func TestRemove_ACrashDoesNotRememberTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.append(0, 1, 800)
		f.barrier()
		f.must(f.d.Checkpoint(context.Background()))
		f.must(f.d.RemoveLog(context.Background(), f.logs[0]))
		f.told[0] = &reported{}
		f.crash(3) // opens all logs
		if end := f.logs[0].End(); end != 0 {
			t.Errorf("the log ends at %d", end)
		}
		f.must(f.d.Close())
	})
}

// TestRemove_TheNextLogIsNotBelievedToBeSynced: the log is made anew at once, as the
// repair of a replica does, before the recovery points are stored again. Those of the
// old one must not be found for the new one: recovery would leave the journal's copy
// of its records aside. Found by the seeded world, seed 59.
func TestRemove_TheNextLogIsNotBelievedToBeSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		for n := range 3 {
			f.append(0, n, 800)
		}
		f.barrier()
		f.must(f.d.Checkpoint(context.Background()))
		f.must(f.d.RemoveLog(context.Background(), f.logs[0]))
		topic, id := topicOf(0)
		var err error
		f.logs[0], _, err = f.d.OpenLog(topic, id, smallConfig())
		f.must(err)
		f.told[0] = &reported{}
		f.append(0, 7, 500)
		f.barrier()
		f.ground.Disk = f.ground.Disk.CrashWith(vfs.CrashOptions{Kind: vfs.CrashDrop})
		f.ground.FS = f.ground.Disk
		_ = f.d.Close()
		f.open()
		f.verify(0)
		f.must(f.d.Close())
	})
}
