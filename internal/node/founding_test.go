package node_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"testing"

	"holdfast/internal/datadir"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/quorum"
)

// TestFounding_WipedMetadataIsRefused: without its metadata log a founded
// directory does not start, with partitions and without, and nothing of it is
// changed. Founding a second time would give old ids and epochs a second meaning.
func TestFounding_WipedMetadataIsRefused(t *testing.T) {
	for name, wipe := range map[string][]string{
		"both":           {quorum.StateDirectory, quorum.LogDirectory},
		"state":          {quorum.StateDirectory},
		"log":            {quorum.LogDirectory},
		"clean mark too": {quorum.StateDirectory, quorum.LogDirectory, "holdfast.clean"},
	} {
		for _, topics := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, topics %v", name, topics), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					r := newRig(t, 1)
					r.mustStart()
					if topics {
						c := r.client()
						r.createTopic(c, "t", 1)
						r.produceN(c, "t", 0, 3)
						c.Close()
					}
					if err := r.stop(); err != nil {
						t.Fatal(err)
					}
					for _, dir := range wipe {
						if err := r.ground.FS.RemoveAll(path.Join(dataDir, dir)); err != nil {
							t.Fatal(err)
						}
					}
					for range 2 {
						err := r.start()
						var corrupt *quorum.CorruptionError
						if !errors.As(err, &corrupt) {
							t.Fatalf("start: %v", err)
						}
						if !strings.Contains(err.Error(), quorum.StateDirectory) && !strings.Contains(err.Error(), quorum.LogDirectory) {
							t.Errorf("the error names nothing: %v", err)
						}
						for _, dir := range wipe[:1] {
							if list, err := r.ground.FS.ReadDir(path.Join(dataDir, dir)); err == nil && len(list) > 0 {
								t.Errorf("%s has %v", dir, list)
							}
						}
					}
				})
			})
		}
	}
}

// founder does what a first start does up to the mark, in an order.
type founder func(d *datadir.Dir, o quorum.Options) (*quorum.Quorum, error)

func foundInOrder(d *datadir.Dir, o quorum.Options) (*quorum.Quorum, error) {
	q, err := quorum.Open(o)
	if err == nil {
		err = d.MarkFounded()
	}
	return q, err
}

func foundMarkFirst(d *datadir.Dir, o quorum.Options) (*quorum.Quorum, error) {
	if err := d.MarkFounded(); err != nil {
		return nil, err
	}
	return quorum.Open(o)
}

func foundWithoutMark(_ *datadir.Dir, o quorum.Options) (*quorum.Quorum, error) {
	return quorum.Open(o)
}

// founding is one start on the ground. It reports whether it came to its end.
func founding(ground *env.Test, found founder) (id datadir.Identity, err error) {
	quiet := slog.New(slog.DiscardHandler)
	d, err := datadir.Open(datadir.Options{Env: ground.Env, Dir: dataDir, NodeID: kafka.NoBroker, Log: quiet})
	if err != nil {
		return id, err
	}
	defer func() { _ = d.Close() }()
	id = d.Identity()
	q, err := found(d, quorum.Options{Env: ground.Env, Dir: dataDir, Self: id.NodeID, ClusterID: id.ClusterID, DirectoryID: id.DirectoryID,
		Founded: id.Founded, Log: quiet})
	if q != nil {
		_ = q.Close()
	}
	return id, err
}

// crashAtEveryWrite interrupts the first start at each of its operations, loses
// power in several ways, and starts again: founding goes on or is over, with the
// identity that is on the disk. Then the metadata is wiped, which is refused.
func crashAtEveryWrite(t *testing.T, found founder) error {
	t.Helper()
	runs := 0
	for k := 0; ; k++ {
		for seed := range uint64(6) {
			ground := env.NewTest(seed)
			ground.Disk.CrashAfter(k)
			first, err := founding(ground, found)
			whole := err == nil && !ground.Disk.Crashed()
			after := ground.Crash(seed)
			second, err := founding(after, found)
			if err != nil {
				return fmt.Errorf("crash at operation %d, seed %d: the next start: %w", k, seed, err)
			}
			if whole && (first.ClusterID != second.ClusterID || !second.Founded) {
				return fmt.Errorf("crash at operation %d, seed %d: founded %+v, then %+v", k, seed, first, second)
			}
			for _, dir := range []string{quorum.StateDirectory, quorum.LogDirectory} {
				if err := after.FS.RemoveAll(path.Join(dataDir, dir)); err != nil {
					return err
				}
			}
			if _, err := founding(after, found); err == nil {
				return fmt.Errorf("crash at operation %d, seed %d: a wiped directory founded again", k, seed)
			}
			if runs++; whole && seed == 5 {
				t.Logf("%d runs, %d operations", runs, k)
				return nil
			}
		}
	}
}

func TestFounding_CrashAtEveryWrite(t *testing.T) {
	bubble(t, func(t *testing.T) {
		if err := crashAtEveryWrite(t, foundInOrder); err != nil {
			t.Error(err)
		}
		for name, mutant := range map[string]founder{"mark first": foundMarkFirst, "no mark": foundWithoutMark} {
			if err := crashAtEveryWrite(t, mutant); err == nil {
				t.Errorf("the wrong order %q is not noticed", name)
			} else {
				t.Logf("%s: %v", name, err)
			}
		}
	})
}

// TestFounding_NodeCrashAtEveryWrite is the same with a whole broker, up to its
// open doors.
func TestFounding_NodeCrashAtEveryWrite(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for k := 0; ; k++ {
			r := newRig(t, uint64(k))
			r.ground.Disk.CrashAfter(k)
			err := r.start()
			whole := err == nil && !r.ground.Disk.Crashed()
			r.powerCut(uint64(k))
			if err := r.start(); err != nil {
				t.Fatalf("start after a crash at operation %d: %v", k, err)
			}
			c := r.client()
			r.createTopic(c, "t", 1)
			c.Close()
			if err := r.stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
			if whole {
				t.Logf("%d operations", k)
				return
			}
		}
	})
}
