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

// OpenLog opens the log of a partition, or creates it. A directory that holds
// another topic of the same name is that topic's left-over: the metadata says
// that it was deleted, so it is fenced and deleted. It may be called for several
// logs at once, and not for one that is open.
func (d *Dir) OpenLog(topic string, id kafka.TopicIDPartition, c log.Config) (*log.Log, log.Report, error) {
	dir := path.Join(d.o.Dir, kafka.TopicPartition{Topic: topic, Partition: id.Partition}.String())
	o := log.Options{FS: d.o.Env.FS, Clock: d.o.Env.Clock, Dir: dir, Topic: topic, Config: c,
		Key: journal.Key{TopicID: id.TopicID, Partition: id.Partition, Generation: 1}}
	found, err := log.ReadIdentity(d.o.Env.FS, dir)
	if err == nil && found.Key.TopicID != id.TopicID {
		d.o.Log.Warn("a partition directory belongs to a topic that was deleted; it is deleted too", "dir", dir, "topic_id", found.Key.TopicID)
		if err := d.discard(found.Key, dir); err != nil {
			return nil, log.Report{}, err
		}
		return d.createLog(o)
	}
	if errors.Is(err, log.ErrUnfinished) || errors.Is(err, fs.ErrNotExist) {
		return d.createLog(o)
	}
	if err != nil {
		return nil, log.Report{}, err
	}
	o.Key = found.Key
	return d.openLog(o)
}

// openLog gives an existing log what is known of it.
func (d *Dir) openLog(o log.Options) (*log.Log, log.Report, error) {
	d.mu.Lock()
	known := d.mu.points[o.Key]
	_, clean := d.mu.cleanLogs[o.Key]
	replay := log.Replay{Entries: d.mu.unread[o.Key], RecoveryPoint: known.recovery, Clean: clean}
	delete(d.mu.cleanLogs, o.Key)
	d.mu.Unlock()
	l, report, err := log.Open(o, replay)
	if err != nil {
		return nil, report, err
	}
	// Its journal entries are in its synced segments now.
	if err := d.forgetUnread(o.Key); err != nil {
		return nil, report, errors.Join(err, l.Close())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.adoptLocked(l, max(known.high, report.HighWatermark))
	return l, report, nil
}

// createLog makes a log that must not have existed.
func (d *Dir) createLog(o log.Options) (*log.Log, log.Report, error) {
	d.mu.Lock()
	existed := len(d.mu.unread[o.Key]) > 0 || d.mu.points[o.Key].recovery > 0
	d.mu.Unlock()
	if existed {
		return nil, log.Report{}, fmt.Errorf("open log: %w", &log.CorruptionError{File: o.Dir, Offset: kafka.NoOffset,
			Cause: errors.New("the directory is missing, and it held acknowledged data")})
	}
	l, err := log.Create(o)
	if err != nil {
		return nil, log.Report{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.adoptLocked(l, 0)
	return l, log.Report{}, nil
}

// adoptLocked takes an open log in. Everything in it is in synced segments.
func (d *Dir) adoptLocked(l *log.Log, high kafka.Offset) {
	s := &logState{log: l, key: l.Key(), covered: l.End(), high: high}
	d.mu.logs[l], d.mu.byKey[s.key] = s, s
}

// RemoveLog fences the log's journal entries, closes it and deletes its
// directory. Nothing may be submitted for it any more. It works on a full disk,
// because it may be what gives space back. After an error the log is closed, and
// what is left of its directory goes when a topic of that name is opened again,
// or with the next start.
func (d *Dir) RemoveLog(ctx context.Context, l *log.Log) error {
	if err := d.Barrier(ctx); err != nil {
		return err
	}
	if err := l.Close(); err != nil {
		if l.Err() != nil {
			d.stop(err)
			return err
		}
		d.o.Log.Warn("a log that is deleted did not close in order", "log", l.Dir(), "error", err)
	}
	return d.discard(l.Key(), l.Dir())
}

// discard fences a key and deletes its directory: first out of the way, durably,
// then its bytes. From the fence on the directory knows the log no more.
func (d *Dir) discard(key journal.Key, dir string) error {
	// Not for a caller's context: a fence must not become durable behind the back
	// of somebody who has given up.
	if err := d.Fence(d.ctx, key, 0); err != nil {
		return fmt.Errorf("fence %s: %w", dir, err)
	}
	d.mu.Lock()
	if s := d.mu.byKey[key]; s != nil {
		delete(d.mu.logs, s.log)
		delete(d.mu.byKey, key)
	}
	d.forgetPointsLocked(key)
	d.mu.Unlock()
	if err := d.forgetUnread(key); err != nil {
		return err
	}
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

func (d *Dir) forgetPointsLocked(key journal.Key) {
	delete(d.mu.cleanLogs, key)
	if _, ok := d.mu.points[key]; ok {
		delete(d.mu.points, key)
		d.mu.pointsChanged = true
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

// holdsLogs reports whether a log is in the directory.
func (d *Dir) holdsLogs() (bool, error) {
	entries, err := d.o.Env.FS.ReadDir(d.o.Dir)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", d.o.Dir, err)
	}
	for _, e := range entries {
		if !e.IsDir {
			continue
		}
		if _, err := log.ReadIdentity(d.o.Env.FS, path.Join(d.o.Dir, e.Name)); !errors.Is(err, log.ErrUnfinished) {
			return true, nil
		}
	}
	return false, nil
}
