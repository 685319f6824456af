package log

import (
	"errors"
	"fmt"
	"path"

	"holdfast/internal/kafka"
	"holdfast/internal/producer"
	"holdfast/internal/vfs"
)

// CreateAll is Create for many logs below one directory with two syncs of the
// whole file system in the place of several per log. The results are in the order
// of list: a log, or the reason why there is none. The error is of the syncs, and
// then there is no log at all; errors.ErrUnsupported where the file system cannot
// be synced as a whole: Create them one by one. each calls a function for 0..n-1,
// perhaps several at a time.
func CreateAll(parent string, list []Options, each func(n int, f func(int))) (logs []*Log, failed []error, err error) {
	fsys := list[0].FS
	logs, failed = make([]*Log, len(list)), make([]error, len(list))
	each(len(list), func(i int) {
		logs[i], failed[i] = draft(list[i])
	})
	// The identity makes a directory a log, so that it gets its name when all that
	// it speaks of is durable.
	if err = vfs.SyncAll(fsys, parent); err == nil {
		each(len(list), func(i int) {
			if failed[i] == nil {
				name := path.Join(list[i].Dir, nameIdentity)
				failed[i] = fsys.Rename(name+draftSuffix, name)
			}
		})
		err = vfs.SyncAll(fsys, parent)
	}
	for i, l := range logs {
		switch {
		case l == nil:
		case err != nil || failed[i] != nil:
			l.Discard()
			logs[i] = nil
		default:
			l.mu.segments[0].entered.Store(true)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("create %d logs: %w", len(list), err)
	}
	return logs, failed, nil
}

// draftSuffix is that of vfs.WriteFile: recovery knows it as a left-over.
const draftSuffix = ".tmp"

// draft is Create without a sync, up to the name of the identity.
func draft(o Options) (*Log, error) {
	if _, err := ReadIdentity(o.FS, o.Dir); !errors.Is(err, ErrUnfinished) {
		if err == nil {
			err = fmt.Errorf("create log %s: %w", o.Dir, ErrExists)
		}
		return nil, err
	}
	l, err := begin(o)
	if err != nil {
		return nil, err
	}
	id := Identity{Key: l.key, Topic: l.topic}
	err = l.fill(func(name string, b []byte) error { return writePlain(l.fsys, name, b) })
	if err == nil {
		err = writePlain(l.fsys, path.Join(l.dir, nameIdentity+draftSuffix), id.encode())
	}
	if err != nil {
		l.Discard()
		return nil, fmt.Errorf("create log %s: %w", o.Dir, err)
	}
	return l, nil
}

// begin makes the directory of a log that is being created.
func begin(o Options) (*Log, error) {
	if err := o.FS.MkdirAll(o.Dir); err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	empty, err := IsEmpty(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	if !empty {
		return nil, fmt.Errorf("create log %s: a segment has bytes: %w", o.Dir, ErrExists)
	}
	l := newLog(o)
	l.mu.table = producer.New()
	return l, nil
}

// fill makes the files of an empty log but for its identity. note writes the
// note of the last checkpoint.
func (l *Log) fill(note func(name string, b []byte) error) error {
	s := newSegment(l, 0)
	s.indexLoaded = true
	if err := s.openForWriting(true); err != nil {
		return err
	}
	l.mu.segments = []*Segment{s}
	if err := writePlain(l.fsys, path.Join(l.dir, namePartition), partitionMetadata(l.key.TopicID)); err != nil {
		return err
	}
	empty := state{firstAppend: kafka.NoTimestamp, lastAppend: kafka.NoTimestamp, maxTimestamp: kafka.NoTimestamp, maxLast: kafka.NoOffset}
	return note(path.Join(l.dir, nameState), empty.encode(l.key))
}
