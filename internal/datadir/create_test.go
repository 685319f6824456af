package datadir

import (
	"fmt"
	"syscall"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/vfs"
)

// newLogs are logs that the fixture does not have yet.
func newLogs(n int) (list []NewLog) {
	for i := range n {
		list = append(list, NewLog{Topic: "new", Config: smallConfig(),
			ID: kafka.TopicIDPartition{TopicID: kafka.TopicID{200}, Partition: kafka.PartitionIndex(i)}})
	}
	return list
}

// openNew opens or creates a log as a broker does.
func (f *fixture) openNew(n NewLog) *log.Log {
	f.t.Helper()
	l, _, err := f.d.OpenLog(n.Topic, n.ID, n.Config)
	f.must(err)
	return l
}

// TestCreate_InterruptedAndThenOpened: a creation that ends before its last sync,
// for want of a descriptor or with its process, leaves a log that opens. What is
// acknowledged in it then, through the journal alone, is there after a power cut.
func TestCreate_InterruptedAndThenOpened(t *testing.T) {
	together := func(f *fixture, list []NewLog) int { return len(f.d.CreateLogs(list)) }
	alone := func(f *fixture, list []NewLog) (made int) {
		for _, n := range list {
			if _, _, err := f.d.OpenLog(n.Topic, n.ID, n.Config); err == nil {
				made++
			}
		}
		return made
	}
	for _, c := range []struct {
		name   string
		logs   int
		fault  vfs.Fault
		create func(*fixture, []NewLog) (made int)
		killed bool
	}{
		{"no descriptor for the second sync of all", createAllAbove + 1, vfs.Fault{Op: vfs.OpOpen, Path: "/data", After: 1, Times: 1, Err: syscall.EMFILE}, together, false},
		{"killed before the second sync of all", createAllAbove + 1, vfs.Fault{Op: vfs.OpSync, Path: "/data", After: 1, Crash: true}, together, true},
		{"no descriptor for the log's directory", 1, vfs.Fault{Op: vfs.OpOpen, Path: "/data/new-0", Times: 1, Err: syscall.EMFILE}, alone, false},
		{"no descriptor for the data directory", 1, vfs.Fault{Op: vfs.OpOpen, Path: "/data", Times: 1, Err: syscall.EMFILE}, alone, false},
		{"killed before the log's directory is synced", 1, vfs.Fault{Op: vfs.OpSyncDir, Path: "/data/new-0", Crash: true}, alone, true},
		{"killed before the data directory is synced", 1, vfs.Fault{Op: vfs.OpSyncDir, Path: "/data", Crash: true}, alone, true},
	} {
		for seed := range uint64(6) {
			t.Run(fmt.Sprintf("%s, seed %d", c.name, seed), func(t *testing.T) {
				f := newFixture(t)
				defer func() { _ = f.d.Close() }()
				heal := f.ground.Disk.Inject(c.fault)
				list := newLogs(c.logs)
				made := c.create(f, list)
				heal()
				if made > 0 {
					t.Fatal("the creation was not interrupted: this tests nothing")
				}
				if c.killed {
					f.ground = f.ground.Kill(seed)
					_ = f.d.Close()
					f.open()
				}
				f.must(f.d.Err())
				told := make([]*reported, len(list))
				for i, n := range list {
					told[i] = &reported{}
					f.must(appendTo(f.d, f.openNew(n), told[i], i, 800))
				}
				f.barrier()
				f.crash(seed)
				for i, n := range list {
					l := f.openNew(n)
					if end, _ := told[i].promise(); end != 1 || l.End() != 1 {
						t.Errorf("log %d ends at %d, acknowledged up to %d", i, l.End(), end)
					}
				}
			})
		}
	}
}
