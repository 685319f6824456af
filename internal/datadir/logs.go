package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/vfs"
)

// OpenLog opens the log of a partition, or creates it. A directory that holds
// another topic of the same name is that topic's left-over: it is deleted where
// the metadata says that the topic was (see Remove), and otherwise set aside. It
// may be called for several logs at once, and not for one that is open.
func (d *Dir) OpenLog(topic string, id kafka.TopicIDPartition, c log.Config) (*log.Log, log.Report, error) {
	dir := path.Join(d.o.Dir, kafka.TopicPartition{Topic: topic, Partition: id.Partition}.String())
	o := d.options(dir, &NewLog{Topic: topic, ID: id, Config: c})
	found, err := log.ReadIdentity(d.o.Env.FS, dir)
	if err == nil && found.Key.TopicID != id.TopicID {
		if err := d.clear(found.Key, dir); err != nil {
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
	high := max(known.high, report.HighWatermark, d.mu.noteHigh[o.Key])
	delete(d.mu.noteHigh, o.Key)
	d.adoptLocked(l, high)
	if high > known.high {
		// Before the rounds that say so are given back.
		d.mu.points[o.Key] = points{recovery: known.recovery, high: high}
		d.mu.pointsChanged = true
	}
	return l, report, nil
}

// createLog makes a log that must not have existed.
func (d *Dir) createLog(o log.Options) (*log.Log, log.Report, error) {
	if d.existed(o.Key) {
		return nil, log.Report{}, fmt.Errorf("open log: %w", &log.CorruptionError{File: o.Dir, Offset: kafka.NoOffset,
			Cause: errors.New("the directory is missing, and it held acknowledged data")})
	}
	if d.isForgotten(o.Key) && !d.storePoints() {
		// The stored ones say that everything up to them is in synced segments.
		// Believed of the new log, they would have a crash take its records away.
		return nil, log.Report{}, errors.Join(d.Err(), fmt.Errorf("open log %s: the recovery points of the one before cannot be taken back: %w", o.Dir, vfs.ErrNoSpace))
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

// isForgotten reports whether points of a log that is gone may still be stored.
func (d *Dir) isForgotten(key journal.Key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.mu.forgotten[key]
	return ok
}

// adoptLocked takes an open log in. Everything in it is in synced segments.
func (d *Dir) adoptLocked(l *log.Log, high kafka.Offset) {
	s := &logState{log: l, key: l.Key(), covered: l.End(), high: high}
	d.mu.logs[l], d.mu.byKey[s.key] = s, s
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
