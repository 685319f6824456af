package quorum

import (
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"

	"holdfast/internal/env"
	"holdfast/internal/vfs"
)

// TestNoDescriptor_NeverStopsTheQuorum: wherever an opening finds no file
// descriptor, and the next few times, commands are decided or refused, snapshots
// come later, nothing stops, and after a crash everything answered is there.
func TestNoDescriptor_NeverStopsTheQuorum(t *testing.T) {
	const openings = 60
	for after := range openings {
		synctest.Test(t, func(t *testing.T) {
			g := env.NewTest(uint64(after))
			r, err := openRig(t, g)
			must(t, err, g.FS.SyncDir("."))
			r.must(register(1))
			heal := g.Disk.Inject(vfs.Fault{Op: vfs.OpOpen | vfs.OpCreate | vfs.OpList, After: after, Times: 1 + after%5, Err: syscall.EMFILE})
			for n := range 6 {
				r.must(create(fmt.Sprint("topic", n), 2))
				if err := r.trySnapshot(); err != nil {
					t.Fatalf("opening number %d fails: %v", after, err)
				}
			}
			heal()
			r.must(create("last", 1))
			must(t, r.trySnapshot())
			next := g.Crash(uint64(after))
			r, err = openRig(t, next)
			must(t, err)
			for _, name := range []string{"topic0", "topic3", "topic5", "last"} {
				if r.image.TopicByName(name) == nil {
					t.Errorf("opening number %d fails: %s is missing", after, name)
				}
			}
			must(t, r.close(false))
		})
	}
}
