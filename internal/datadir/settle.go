package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"

	"holdfast/internal/journal"
	"holdfast/internal/log"
)

// asideName is the file for entries of logs that cannot be opened, so that they
// do not keep the ring from being used. It has the format of a ring.
const asideName = "holdfast.aside"

// loadAside returns the entries that an earlier start put aside.
func (d *Dir) loadAside() ([]journal.Entry, error) {
	name := path.Join(d.o.Dir, asideName)
	if _, err := d.o.Env.FS.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	entries, err := journal.Load(d.o.Env.FS, name)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", d.o.Dir, err)
	}
	return entries, nil
}

// Settle is called when every log that the metadata knows has been opened. What
// the journal still holds for others is brought into their segments; what cannot
// be, because a log does not open, is put aside durably. Either way the space in
// the journal can be given back. Directories of no topic stay.
func (d *Dir) Settle() {
	entries, err := d.o.Env.FS.ReadDir(d.o.Dir)
	if err != nil {
		d.o.Log.Error("cannot settle the journal", "error", err)
		return
	}
	present := make(map[journal.Key]bool)
	for _, e := range entries {
		if !e.IsDir {
			continue
		}
		dir := path.Join(d.o.Dir, e.Name)
		id, err := log.ReadIdentity(d.o.Env.FS, dir)
		if err == nil {
			present[id.Key] = true
			d.settle(dir, id)
		}
	}
	d.mu.Lock()
	for key := range d.mu.points {
		if !present[key] && len(d.mu.unread[key]) == 0 {
			d.forgetPointsLocked(key)
		}
	}
	left := len(d.mu.unread)
	d.mu.settling = left > 0
	d.mu.Unlock()
	if left > 0 {
		d.putAside()
	}
}

// settle opens and closes a log that nobody uses, if the journal has entries of
// it.
func (d *Dir) settle(dir string, id log.Identity) {
	d.mu.Lock()
	entries, known := d.mu.unread[id.Key], d.mu.points[id.Key]
	open := d.mu.byKey[id.Key] != nil
	d.mu.Unlock()
	if len(entries) == 0 || open {
		return
	}
	l, _, err := log.Open(log.Options{FS: d.o.Env.FS, Clock: d.o.Env.Clock, Dir: dir, Topic: id.Topic, Key: id.Key, Config: log.DefaultConfig()},
		log.Replay{Entries: entries, RecoveryPoint: known.recovery})
	if err == nil {
		err = l.Close()
	}
	if err == nil {
		err = d.forgetUnread(id.Key)
	}
	if err != nil {
		d.o.Log.Error("cannot settle a log that no topic uses", "dir", dir, "error", err)
		return
	}
	d.o.Log.Warn("a partition directory belongs to no topic; it stays", "dir", dir, "topic", id.Topic, "topic_id", id.Key.TopicID)
}

// putAside saves every entry that no log has taken, and reports whether it could.
// It is tried again with every checkpoint.
func (d *Dir) putAside() bool {
	d.asideTurn <- struct{}{}
	defer func() { <-d.asideTurn }()
	d.mu.Lock()
	keys := make(map[journal.Key]bool, len(d.mu.unread))
	for key := range d.mu.unread {
		keys[key] = true
	}
	d.mu.Unlock()
	if err := d.saveAside(keys); err != nil {
		d.o.Log.Error("the journal holds data of logs that cannot be opened, and it cannot be put aside; its space is not given back", "error", err)
		return false
	}
	d.mu.Lock()
	d.mu.settled = true
	d.mu.Unlock()
	d.o.Log.Error("the journal holds data of logs that cannot be opened; it is kept until they can", "file", asideName, "logs", len(keys))
	return true
}

// forgetUnread drops the entries of a log that has taken them, or is fenced.
// Where they were put aside, that file forgets them too, before anything is done
// that an old entry could undo after a crash.
func (d *Dir) forgetUnread(key journal.Key) error {
	d.asideTurn <- struct{}{}
	defer func() { <-d.asideTurn }()
	d.mu.Lock()
	delete(d.mu.unread, key)
	rewrite := d.mu.asideKeys[key]
	keys := maps.Clone(d.mu.asideKeys)
	d.mu.Unlock()
	if !rewrite {
		return nil
	}
	delete(keys, key)
	return d.saveAside(keys)
}

// saveAside makes the file hold what unread has of keys. The caller holds
// asideTurn.
func (d *Dir) saveAside(keys map[journal.Key]bool) error {
	d.mu.Lock()
	var entries []journal.Entry
	for key, list := range d.mu.unread {
		if keys[key] {
			entries = append(entries, list...)
		}
	}
	d.mu.Unlock()
	name := path.Join(d.o.Dir, asideName)
	if len(entries) > 0 {
		if err := journal.Save(journal.Options{FS: d.o.Env.FS, Name: name, ID: d.newID()}, entries); err != nil {
			return err
		}
	} else {
		if err := d.o.Env.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", name, err)
		}
		if err := d.o.Env.FS.SyncDir(d.o.Dir); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	d.mu.Lock()
	d.mu.asideKeys = keys
	d.mu.Unlock()
	return nil
}
