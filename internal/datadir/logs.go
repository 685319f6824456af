package datadir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
)

// trashSuffix marks a directory that is being deleted, in Kafka's way.
const trashSuffix = "-delete"

// sort gives each log its entries, in order. A fence declares everything before
// it dead.
func (d *Dir) sort(entries []journal.Entry) map[journal.Key][]journal.Entry {
	byKey := make(map[journal.Key][]journal.Entry)
	for _, e := range entries {
		if e.Kind == journal.Fence {
			if d.o.mutant != mutantIgnoreFence {
				delete(byKey, e.Key)
			}
			continue
		}
		byKey[e.Key] = append(byKey[e.Key], e)
	}
	return byKey
}

// OpenLog opens the log of a partition, or creates it. A directory that holds
// another topic of the same name is that topic's left-over: the metadata says
// that it was deleted, so it is fenced and deleted. It may be called for several
// logs at once.
func (d *Dir) OpenLog(topic string, id kafka.TopicIDPartition, c log.Config) (*log.Log, log.Report, error) {
	dir := path.Join(d.o.Dir, kafka.TopicPartition{Topic: topic, Partition: id.Partition}.String())
	o := log.Options{FS: d.o.Env.FS, Clock: d.o.Env.Clock, Dir: dir, Topic: topic, Config: c,
		Key: journal.Key{TopicID: id.TopicID, Partition: id.Partition, Generation: 1}}
	found, err := log.ReadIdentity(d.o.Env.FS, dir)
	if err == nil && found.Key.TopicID != id.TopicID {
		if err := d.discard(context.Background(), found.Key, dir); err != nil {
			return nil, log.Report{}, err
		}
		err = fmt.Errorf("discarded %s: %w", dir, log.ErrUnfinished)
		return d.createLog(o, err)
	}
	if errors.Is(err, log.ErrUnfinished) || errors.Is(err, fs.ErrNotExist) {
		return d.createLog(o, err)
	}
	if err != nil {
		return nil, log.Report{}, err
	}
	o.Key = found.Key
	d.mu.Lock()
	replay := log.Replay{Entries: d.unread[o.Key], Clean: d.clean}
	d.mu.Unlock()
	l, report, err := log.Open(o, replay)
	if err != nil {
		return nil, report, err
	}
	return l, report, d.adopt(l, len(replay.Entries) > 0)
}

func (d *Dir) createLog(o log.Options, _ error) (*log.Log, log.Report, error) {
	d.mu.Lock()
	orphaned := len(d.unread[o.Key]) > 0
	d.mu.Unlock()
	if orphaned {
		return nil, log.Report{}, &log.CorruptionError{File: o.Dir, Cause: errors.New("the journal holds acknowledged data of this log, and its directory is missing")}
	}
	l, err := log.Create(o)
	if err != nil {
		return nil, log.Report{}, err
	}
	return l, log.Report{}, d.adopt(l, false)
}

// adopt takes an open log in. Its journal entries, if it had any, are in its
// synced segments now.
func (d *Dir) adopt(l *log.Log, replayed bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.logs[l] = &logState{log: l}
	if replayed {
		delete(d.unread, l.Key())
	}
	return nil
}

// RemoveLog fences the log's journal entries, closes it and deletes its
// directory. Nothing may be submitted for it any more.
func (d *Dir) RemoveLog(ctx context.Context, l *log.Log) error {
	d.mu.Lock()
	if s := d.mu.logs[l]; s != nil {
		s.gone = true
	}
	d.mu.Unlock()
	if err := d.Barrier(ctx); err != nil {
		return err
	}
	if err := l.Close(); err != nil {
		return err
	}
	if err := d.discard(ctx, l.Key(), l.Dir()); err != nil {
		return err
	}
	d.mu.Lock()
	delete(d.mu.logs, l)
	d.mu.Unlock()
	return nil
}

// discard fences a key and deletes its directory: first out of the way, durably,
// then its bytes.
func (d *Dir) discard(ctx context.Context, key journal.Key, dir string) error {
	if err := d.Fence(ctx, key); err != nil {
		return fmt.Errorf("fence %s: %w", dir, err)
	}
	d.mu.Lock()
	delete(d.unread, key)
	d.mu.Unlock()
	fsys := d.o.Env.FS
	trash := fmt.Sprintf("%s.%s%s", dir, NewUUID(d.o.Env.Rand), trashSuffix)
	if err := fsys.Rename(dir, trash); err != nil {
		return fmt.Errorf("delete %s: %w", dir, err)
	}
	if err := fsys.SyncDir(d.o.Dir); err != nil {
		return fmt.Errorf("delete %s: %w", dir, err)
	}
	return fsys.RemoveAll(trash)
}

// removeTrash deletes what a crash left of directories that were being deleted.
func (d *Dir) removeTrash() error {
	entries, err := d.o.Env.FS.ReadDir(d.o.Dir)
	if err != nil {
		return fmt.Errorf("read %s: %w", d.o.Dir, err)
	}
	for _, e := range entries {
		if e.IsDir && strings.HasSuffix(e.Name, trashSuffix) {
			if err := d.o.Env.FS.RemoveAll(path.Join(d.o.Dir, e.Name)); err != nil {
				return fmt.Errorf("delete %s: %w", e.Name, err)
			}
		}
	}
	return nil
}

// Settle is called when every log that the metadata knows has been opened. What
// the journal still holds for others is brought into their segments, so that its
// space can be given back; their directories stay.
func (d *Dir) Settle() {
	d.mu.Lock()
	left := len(d.unread)
	d.mu.Unlock()
	if left == 0 {
		return
	}
	entries, err := d.o.Env.FS.ReadDir(d.o.Dir)
	if err != nil {
		d.o.Log.Error("cannot settle the journal", "error", err)
		return
	}
	for _, e := range entries {
		if e.IsDir {
			d.settle(path.Join(d.o.Dir, e.Name))
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, entries := range d.unread {
		d.o.Log.Error("the journal holds data of a log that cannot be opened; its space is not given back until it can",
			"topic_id", key.TopicID, "partition", key.Partition, "entries", len(entries))
	}
}

// settle opens and closes a log that nobody uses, if the journal has entries of
// it.
func (d *Dir) settle(dir string) {
	id, err := log.ReadIdentity(d.o.Env.FS, dir)
	if err != nil {
		return
	}
	d.mu.Lock()
	entries := d.unread[id.Key]
	open := false
	for l := range d.mu.logs {
		open = open || l.Key() == id.Key
	}
	d.mu.Unlock()
	if len(entries) == 0 || open {
		return
	}
	l, _, err := log.Open(log.Options{FS: d.o.Env.FS, Clock: d.o.Env.Clock, Dir: dir, Topic: id.Topic, Key: id.Key, Config: log.DefaultConfig()},
		log.Replay{Entries: entries})
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		d.o.Log.Error("cannot settle a log that no topic uses", "dir", dir, "error", err)
		return
	}
	d.o.Log.Warn("a partition directory belongs to no topic; it stays", "dir", dir, "topic", id.Topic, "topic_id", id.Key.TopicID)
	d.mu.Lock()
	delete(d.unread, id.Key)
	d.mu.Unlock()
}
