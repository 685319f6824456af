package log

import (
	"errors"
	"fmt"
	"path"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// Create makes an empty log in Dir, durably, its parent directory's entry
// included. Where an earlier Create did not finish it begins anew; a log that
// holds anything is ErrExists.
func Create(o Options) (*Log, error) {
	invariant.Check(o.Topic != "" || !o.Key.TopicID.IsZero(), "create a log of nobody in %s", o.Dir)
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
	if err := l.create(); err != nil {
		l.Discard()
		return nil, fmt.Errorf("create log %s: %w", o.Dir, err)
	}
	return l, nil
}

// IsEmpty reports whether no segment in the directory has a single byte.
func IsEmpty(fsys vfs.FS, dir string) (bool, error) {
	inv, err := list(fsys, dir)
	if err != nil {
		return false, err
	}
	for _, base := range inv.logs {
		info, err := fsys.Stat(filePath(dir, base, suffixLog))
		if err != nil {
			return false, fmt.Errorf("list log %s: %w", dir, err)
		}
		if info.Size > 0 {
			return false, nil
		}
	}
	return true, nil
}

// Discard ends a log that is about to be deleted: its files are closed when the
// last Range of them is released, and nothing is written any more. It is the
// writer's.
func (l *Log) Discard() {
	l.takeTurn()
	defer l.endTurn()
	l.mu.Lock()
	closed, segments := l.mu.closed, l.mu.segments
	l.mu.closed = true
	l.mu.Unlock()
	if closed {
		return
	}
	for _, s := range segments {
		s.retire()
	}
}

// create writes the identity last: a directory without one holds nothing.
func (l *Log) create() error {
	if err := l.fill(func(_ string, b []byte) error { return writeState(l.fsys, l.dir, b) }); err != nil {
		return err
	}
	id := Identity{Key: l.key, Topic: l.topic}
	if err := vfs.WriteFile(l.fsys, path.Join(l.dir, nameIdentity), id.encode()); err != nil {
		return err
	}
	if err := l.fsys.SyncDir(path.Dir(l.dir)); err != nil {
		return err
	}
	l.mu.segments[0].entered.Store(true)
	return nil
}

// Open opens the log in Dir and recovers it from whatever happened (see
// recoveryCases). When it returns, every byte below End is in a synced segment.
//
// *CorruptionError: acknowledged bytes are missing or wrong; the log must not be
// served, and its bytes were left alone. ErrUnfinished: there is no log yet.
// ErrForeign, ErrNewerFormat: as they say. Other errors are of reading or
// writing, and opening may be tried again. The report is filled in as far as
// recovery came.
func Open(o Options, replay Replay) (*Log, Report, error) {
	id, err := ReadIdentity(o.FS, o.Dir)
	if err != nil {
		return nil, Report{}, err
	}
	if id.Key != o.Key {
		return nil, Report{}, fmt.Errorf("open log %s for %s-%d: it is %s-%d, generation %d: %w",
			o.Dir, o.Key.TopicID, o.Key.Partition, id.Key.TopicID, id.Key.Partition, id.Key.Generation, ErrForeign)
	}
	l := newLog(o)
	if l.topic == "" {
		l.topic = id.Topic
	}
	v := &survey{l: l, replay: replay, mutant: o.mutant}
	report := Report{End: kafka.NoOffset}
	if err = v.look(); err == nil {
		report, err = l.recover(v)
	}
	if err != nil {
		for _, p := range v.pieces {
			p.seg.retire()
		}
		return nil, report, err
	}
	return l, report, nil
}
