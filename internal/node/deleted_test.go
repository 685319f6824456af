package node_test

import (
	"context"
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"holdfast/internal/quorum"
	"holdfast/internal/vfs"
)

// dirs lists the directories of the data directory that begin with a topic's name.
func (r *rig) dirs(topic string) (out []string) {
	r.t.Helper()
	entries, err := r.ground.FS.ReadDir(dataDir)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir && strings.HasPrefix(e.Name, topic+"-") {
			out = append(out, e.Name)
		}
	}
	return out
}

func (r *rig) deleteTopic(topic string) {
	r.t.Helper()
	c := r.client()
	defer c.Close()
	if _, err := kadm.NewClient(c).DeleteTopic(context.Background(), topic); err != nil {
		r.t.Fatal(err)
	}
}

// TestDeleted_LogThatNeverOpenedGoes: a deleted topic takes its directories along
// also where a log did not open since the start.
func TestDeleted_LogThatNeverOpenedGoes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.mustStart()
		defer func() { _ = r.stop() }()
		c := r.client()
		defer c.Close()
		r.createTopic(c, "t", 3)
		if err := produceOne(c, "t", string(make([]byte, 200<<10))); err != nil {
			t.Fatal(err)
		}
		r.kill(1)
		if err := r.ground.Disk.FlipBit(path.Join(dataDir, "t-0", fmt.Sprintf("%020d.log", 0)), 100<<10); err != nil {
			t.Fatal(err)
		}
		r.mustStart()
		once := r.once()
		defer once.Close()
		if err := produceOne(once, "t", "x"); err == nil {
			t.Fatal("the rotten log has opened; the test shows nothing")
		}
		r.deleteTopic("t")
		if left := r.dirs("t"); len(left) > 0 {
			t.Errorf("%v stay on disk", left)
		}
		fresh := r.client() // the other one remembers the id
		defer fresh.Close()
		r.createTopic(fresh, "t", 3)
		r.produceN(fresh, "t", 0, 3)
	})
}

// TestDeleted_CrashBeforeTheDirectoriesGo: the metadata log has deleted a topic,
// and a crash, or a disk that refuses, keeps its directories. The next start, or
// the next try, deletes them, in use or not, and also when the name is in use
// again.
func TestDeleted_CrashBeforeTheDirectoriesGo(t *testing.T) {
	for _, again := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			r := newRig(t, 2)
			r.mustStart()
			defer func() { _ = r.stop() }()
			c := r.client()
			r.createTopic(c, "t", 2)
			r.produceN(c, "t", 0, 5)
			c.Close()
			r.ground.Disk.Inject(vfs.Fault{Op: vfs.OpRename, Path: dataDir + "/t-*"})
			r.deleteTopic("t")
			if len(r.dirs("t")) != 2 {
				t.Fatal("the directories are gone; the test shows nothing")
			}
			if again {
				c := r.client()
				r.createTopic(c, "t", 1)
				c.Close()
			}
			r.kill(3)
			r.mustStart()
			left := r.dirs("t")
			if again && (len(left) != 1 || left[0] != "t-0") || !again && len(left) > 0 {
				t.Errorf("the name is in use again: %v, directories %v", again, left)
			}
			if again {
				if got, err := r.readAll("t", 0); err != nil || len(got) > 0 {
					t.Errorf("the new topic holds %d records of the old one, %v", len(got), err)
				}
			}
			// And without a crash: it is tried again by itself.
			c = r.client()
			defer c.Close()
			r.createTopic(c, "u", 1)
			heal := r.ground.Disk.Inject(vfs.Fault{Op: vfs.OpRename, Path: dataDir + "/u-*"})
			r.deleteTopic("u")
			heal()
			<-time.After(3 * time.Second)
			if left := r.dirs("u"); len(left) > 0 {
				t.Errorf("%v stay on disk until the next start", left)
			}
		})
	}
}

// copyDir copies files, in memory.
func copyDir(t *testing.T, fsys vfs.FS, from, to string) {
	t.Helper()
	entries, err := fsys.ReadDir(from)
	if err == nil {
		err = fsys.MkdirAll(to)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := vfs.ReadFile(fsys, path.Join(from, e.Name), 64<<20)
		if err == nil {
			err = vfs.WriteFile(fsys, path.Join(to, e.Name), b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestDeleted_UnknownTopicIsNeverDeleted: where the metadata is older than the
// data (a copy was put back), a topic that it does not know was perhaps never
// deleted. Its directory stays; where a new topic takes its name it is set aside,
// and with the right metadata it is whole again.
func TestDeleted_UnknownTopicIsNeverDeleted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 4)
		metadata := []string{quorum.StateDirectory, quorum.LogDirectory}
		swap := func(from, to string) {
			for _, dir := range metadata {
				if err := r.ground.FS.RemoveAll(path.Join(to, dir)); err != nil {
					t.Fatal(err)
				}
				copyDir(t, r.ground.FS, path.Join(from, dir), path.Join(to, dir))
			}
		}
		r.mustStart()
		defer func() { _ = r.stop() }()
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		swap(dataDir, "/older")
		r.mustStart()
		c := r.client()
		defer c.Close()
		r.createTopic(c, "t", 1)
		r.produceN(c, "t", 0, 5)
		r.kill(1) // what was produced is in the journal only
		swap(dataDir, "/newer")
		swap("/older", dataDir)
		r.mustStart()
		if got := r.dirs("t"); len(got) != 1 || got[0] != "t-0" {
			t.Fatalf("directories %v after a start with older metadata", got)
		}
		again := r.client()
		defer again.Close()
		r.createTopic(again, "t", 1)
		if got, err := r.readAll("t", 0); err != nil || len(got) > 0 {
			t.Errorf("the new topic holds %d records of the old one, %v", len(got), err)
		}
		dirs := r.dirs("t")
		if len(dirs) != 2 || !strings.HasSuffix(dirs[1], "-stray") {
			t.Fatalf("directories %v, want one set aside", dirs)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r.mustStart()
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		// Somebody puts the right metadata back, and the directory.
		swap("/newer", dataDir)
		if err := r.ground.FS.RemoveAll(path.Join(dataDir, "t-0")); err != nil {
			t.Fatal(err)
		}
		if err := r.ground.FS.Rename(path.Join(dataDir, dirs[1]), path.Join(dataDir, "t-0")); err != nil {
			t.Fatal(err)
		}
		r.mustStart()
		got, err := r.readAll("t", 0)
		if err != nil {
			t.Fatal(err)
		}
		wantValues(t, got, numbers(0, 5))
	})
}
