package datadir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"

	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
)

// Suffixes of directories that no log is opened in, as Kafka has them.
const (
	trashSuffix = "-delete" // being deleted
	straySuffix = "-stray"  // set aside: of a topic that the metadata does not know
)

// Removal names what is to be deleted of one partition of a topic that the
// metadata says is deleted.
type Removal struct {
	Topic string
	ID    kafka.TopicIDPartition
	Log   *log.Log // nil: it is not open; its directory goes if it is this topic's
}

// doomed is a directory that is being deleted.
type doomed struct {
	key   journal.Key // zero: nothing was ever in it
	dir   string
	trash string
}

// Remove deletes logs: their journal entries are fenced, their directories moved
// out of the way, durably, and then their bytes go. All of them share the syncs.
// Nothing may be submitted for them any more. It works on a full disk, because it
// may be what gives space back. After an error the call may be repeated with Log
// nil; a log that is open is closed then. It must not run beside an OpenLog of the same
// name.
func (d *Dir) Remove(ctx context.Context, list []Removal) error {
	d.mu.Lock()
	for i := range list {
		d.mu.deleted[list[i].ID.TopicID] = true
	}
	d.mu.Unlock()
	if err := d.Barrier(ctx); err != nil {
		return err
	}
	var (
		gone   []doomed
		failed []error
	)
	for i := range list {
		x, found, err := d.doom(&list[i])
		if err != nil {
			failed = append(failed, err)
		} else if found {
			gone = append(gone, x)
		}
	}
	failed = append(failed, d.discard(gone))
	if err := errors.Join(failed...); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range list {
		delete(d.mu.deleted, list[i].ID.TopicID)
	}
	return nil
}

// RemoveLog is Remove for one open log.
func (d *Dir) RemoveLog(ctx context.Context, l *log.Log) error {
	id := kafka.TopicIDPartition{TopicID: l.Key().TopicID, Partition: l.Key().Partition}
	return d.Remove(ctx, []Removal{{Topic: l.Topic(), ID: id, Log: l}})
}

// doom finds the directory of a removal; found is false where there is none, or
// one of somebody else.
func (d *Dir) doom(r *Removal) (x doomed, found bool, err error) {
	if r.Log != nil {
		d.shut(r.Log)
		return doomed{key: r.Log.Key(), dir: r.Log.Dir()}, true, nil
	}
	dir := path.Join(d.o.Dir, kafka.TopicPartition{Topic: r.Topic, Partition: r.ID.Partition}.String())
	id, err := log.ReadIdentity(d.o.Env.FS, dir)
	if errors.Is(err, log.ErrUnfinished) {
		return d.doomUnfinished(dir)
	}
	if err != nil {
		return doomed{}, false, fmt.Errorf("delete %s: %w", dir, err)
	}
	return doomed{key: id.Key, dir: dir}, id.Key.TopicID == r.ID.TopicID, nil
}

// shut closes a log that is deleted and takes it out of the directory's hands.
func (d *Dir) shut(l *log.Log) {
	l.Discard()
	d.mu.Lock()
	delete(d.mu.logs, l)
	delete(d.mu.byKey, l.Key())
	d.mu.Unlock()
}

// doomUnfinished looks at what a creation that did not come to its end has left.
// It holds nothing: no log was ever open there. It is nobody's, and goes.
func (d *Dir) doomUnfinished(dir string) (x doomed, found bool, err error) {
	empty, err := log.IsEmpty(d.o.Env.FS, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return doomed{}, false, nil
	}
	return doomed{dir: dir}, empty && err == nil, err
}

// discard fences keys and deletes their directories. From the fences on the data
// directory knows the logs no more.
func (d *Dir) discard(list []doomed) error {
	if len(list) == 0 {
		return nil
	}
	if err := d.fenceAll(list); err != nil {
		return fmt.Errorf("fence %s: %w", list[0].dir, err)
	}
	for _, x := range list {
		d.mu.Lock()
		left := d.mu.byKey[x.key]
		d.mu.Unlock()
		if left != nil { // a removal that gave up before it closed the log
			d.shut(left.log)
		}
		d.mu.Lock()
		d.forgetPointsLocked(x.key)
		d.mu.Unlock()
		if err := d.forgetUnread(x.key); err != nil {
			return err
		}
	}
	fsys := d.o.Env.FS
	for i := range list {
		list[i].trash = d.beside(list[i].dir, trashSuffix)
		if err := fsys.Rename(list[i].dir, list[i].trash); err != nil {
			return fmt.Errorf("delete %s: %w", list[i].dir, err)
		}
	}
	if err := fsys.SyncDir(d.o.Dir); err != nil {
		return fmt.Errorf("delete %s: %w", list[0].dir, err)
	}
	return d.empty(list)
}

// fenceAll declares dead what the journal holds of the keys, with one round.
func (d *Dir) fenceAll(list []doomed) error {
	// Not for a caller's context: a fence must not become durable behind the back
	// of somebody who has given up.
	return d.await(d.ctx, func(g *group) {
		for _, x := range list {
			if x.key != (journal.Key{}) {
				g.fences = append(g.fences, journal.Entry{Kind: journal.Fence, Key: x.key})
			}
		}
	})
}

// removesAtOnce is how many directories are deleted side by side.
const removesAtOnce = 4

// empty deletes the bytes of directories that are out of the way.
func (d *Dir) empty(list []doomed) error {
	errs := make([]error, len(list))
	places := make(chan struct{}, removesAtOnce)
	var all sync.WaitGroup
	for i := range list[1:] {
		places <- struct{}{}
		all.Go(func() {
			errs[i+1] = d.o.Env.FS.RemoveAll(list[i+1].trash)
			<-places
		})
	}
	errs[0] = d.o.Env.FS.RemoveAll(list[0].trash)
	all.Wait()
	return errors.Join(errs...)
}

// beside is a new name for a directory that is moved out of the way.
func (d *Dir) beside(dir, suffix string) string {
	return fmt.Sprintf("%s.%s%s", dir, kafka.NewUUID(d.o.Env.Rand), suffix)
}

// clear makes room where another topic's log lies in the way of a new one.
func (d *Dir) clear(key journal.Key, dir string) error {
	d.mu.Lock()
	deleted := d.mu.deleted[key.TopicID]
	d.mu.Unlock()
	if deleted {
		d.o.Log.Warn("a partition directory belongs to a topic that was deleted; it is deleted too", "dir", dir, "topic_id", key.TopicID)
		return d.discard([]doomed{{key: key, dir: dir}})
	}
	// Nothing says that this topic was deleted: perhaps the metadata is older than
	// the data. Its journal entries stay, for whoever puts it back.
	aside := d.beside(dir, straySuffix)
	if err := d.o.Env.FS.Rename(dir, aside); err != nil {
		return fmt.Errorf("set %s aside: %w", dir, err)
	}
	if err := d.o.Env.FS.SyncDir(d.o.Dir); err != nil {
		return fmt.Errorf("set %s aside: %w", dir, err)
	}
	d.o.Log.Error("a partition directory belongs to a topic that the metadata does not know; it is set aside and never deleted", "dir", dir, "now", aside, "topic_id", key.TopicID)
	return nil
}

// Stray is a directory that has the form of a partition's.
type Stray struct {
	Dir  string // its name in the data directory
	Name kafka.TopicPartition
	// Aside says that it was set aside under another name.
	Aside bool
}

// PartitionDirs lists the directories whose names are those of partitions, or of
// partitions that were set aside, in the order of their names.
func (d *Dir) PartitionDirs() ([]Stray, error) {
	entries, err := d.o.Env.FS.ReadDir(d.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.o.Dir, err)
	}
	var out []Stray
	for _, e := range entries {
		if !e.IsDir {
			continue
		}
		name, aside := strings.CutSuffix(e.Name, straySuffix)
		if aside {
			name = name[:max(0, strings.LastIndexByte(name, '.'))]
		}
		if tp, ok := parsePartition(name); ok {
			out = append(out, Stray{Dir: e.Name, Name: tp, Aside: aside})
		}
	}
	return out, nil
}

func parsePartition(name string) (kafka.TopicPartition, bool) {
	dash := strings.LastIndexByte(name, '-')
	if dash <= 0 {
		return kafka.TopicPartition{}, false
	}
	index, err := strconv.ParseUint(name[dash+1:], 10, 31)
	tp := kafka.TopicPartition{Topic: name[:dash], Partition: kafka.PartitionIndex(index)}
	return tp, err == nil && tp.String() == name
}

func (d *Dir) forgetPointsLocked(key journal.Key) {
	delete(d.mu.cleanLogs, key)
	if _, ok := d.mu.points[key]; ok {
		delete(d.mu.points, key)
		d.mu.pointsChanged = true
		d.mu.forgets++
		d.mu.forgotten[key] = d.mu.forgets
	}
}

// removeTrash deletes what a crash left of directories that were being deleted.
func (d *Dir) removeTrash() error {
	entries, err := d.o.Env.FS.ReadDir(d.o.Dir)
	if err != nil {
		return fmt.Errorf("read %s: %w", d.o.Dir, err)
	}
	for _, e := range entries {
		if !e.IsDir || !strings.HasSuffix(e.Name, trashSuffix) {
			continue
		}
		if err := d.o.Env.FS.RemoveAll(path.Join(d.o.Dir, e.Name)); err != nil {
			return fmt.Errorf("delete %s: %w", e.Name, err)
		}
	}
	return nil
}
