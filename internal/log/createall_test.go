package log

import (
	"errors"
	"fmt"
	"testing"

	"holdfast/internal/clock"
	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

func oneByOne(n int, f func(int)) {
	for i := range n {
		f(i)
	}
}

func createAllOptions(m *vfs.Mem, n int) (list []Options) {
	for i := range n {
		list = append(list, Options{FS: m, Clock: clock.Real{}, Dir: fmt.Sprintf("/d/t-%d", i), Topic: "t",
			Key: journal.Key{TopicID: kafka.TopicID{1}, Partition: kafka.PartitionIndex(i), Generation: 1}, Config: DefaultConfig()})
	}
	return list
}

// TestCreateAll_CrashAtEveryWrite: after a crash each directory is a whole empty
// log or none, and where CreateAll had returned all of them are logs.
func TestCreateAll_CrashAtEveryWrite(t *testing.T) {
	const logs = 3
	for k := 0; ; k++ {
		for seed := range uint64(8) {
			m := vfs.NewMem(seed)
			if err := errors.Join(m.MkdirAll("/d"), m.SyncDir("/")); err != nil {
				t.Fatal(err)
			}
			m.CrashAfter(k)
			_, failed, err := CreateAll("/d", createAllOptions(m, logs), oneByOne)
			whole := errors.Join(append(failed, err)...) == nil && !m.Crashed()
			after := m.CrashWith(vfs.CrashOptions{Seed: seed, Garbage: seed%2 == 0})
			for i, o := range createAllOptions(after, logs) {
				l, _, err := Open(o, Replay{})
				if errors.Is(err, ErrUnfinished) && !whole {
					l, err = Create(o)
				}
				if err != nil || l.End() != 0 {
					t.Fatalf("crash at operation %d, seed %d: log %d: %v", k, seed, i, err)
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				if err := Check(after, o.Dir, func(f Finding) {
					if f.Severity == Fault {
						t.Errorf("crash at operation %d, seed %d: %v", k, seed, f)
					}
				}); err != nil {
					t.Fatal(err)
				}
			}
			if whole && seed == 7 {
				t.Logf("%d operations", k)
				return
			}
		}
	}
}

// TestCreateAll_OneThatFails takes no other along, and one that exists is left
// alone.
func TestCreateAll_OneThatFails(t *testing.T) {
	m := vfs.NewMem(1)
	if err := m.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	list := createAllOptions(m, 4)
	first, err := Create(list[0])
	if err != nil {
		t.Fatal(err)
	}
	m.Inject(vfs.Fault{Op: vfs.OpCreate, Path: "/d/t-2/*", Err: vfs.ErrNoSpace})
	logs, failed, err := CreateAll("/d", list, oneByOne)
	if err != nil || !errors.Is(failed[0], ErrExists) || !errors.Is(failed[2], ErrNoSpace) || failed[1] != nil || failed[3] != nil {
		t.Fatalf("%v, %v", failed, err)
	}
	if logs[0] != nil || logs[2] != nil || logs[1] == nil || logs[3] == nil || first.Err() != nil {
		t.Errorf("logs %v", logs)
	}
	m.Inject(vfs.Fault{Op: vfs.OpSync})
	if logs, _, err := CreateAll("/d", createAllOptions(m, 6)[4:], oneByOne); err == nil || logs != nil {
		t.Errorf("after a failed sync: %v, %v", logs, err)
	}
}
