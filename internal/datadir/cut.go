package datadir

import (
	"fmt"

	"holdfast/internal/kafka"
	"holdfast/internal/log"
)

// Cut removes everything of an open log at or above to, so that no crash brings it
// back: what is in the log goes to its segments, what the journal holds above to is
// declared dead, and then the log is cut. In any other order a crash could lose what
// is below to, or bring back what is above. Nothing of the log may be submitted
// meanwhile. It waits for the disk.
func (d *Dir) Cut(l *log.Log, to kafka.Offset) error {
	if to >= l.End() {
		if err := l.TruncateSuffix(to); err != nil { // only leader epochs without a batch go
			return d.cutFailed(l, err)
		}
		return nil
	}
	err := d.fenceOff(l, to)
	if err != nil {
		err = fmt.Errorf("cut %s at %d: %w", l.Dir(), to, err)
	} else {
		err = l.TruncateSuffix(to)
	}
	if err != nil {
		return d.cutFailed(l, err)
	}
	d.recut(l)
	return nil
}

// Restart empties an open log and lets it begin at start, which is above its end.
// Otherwise it is as Cut.
func (d *Dir) Restart(l *log.Log, start kafka.Offset) error {
	err := d.fenceOff(l, 0)
	if err != nil {
		err = fmt.Errorf("begin %s anew at %d: %w", l.Dir(), start, err)
	} else {
		err = l.TruncatePrefix(start)
	}
	if err != nil {
		return d.cutFailed(l, err)
	}
	d.recut(l)
	return nil
}

// cutFailed stops the directory where the log is offline by the failure: then a write
// or a sync has failed. A full disk is no such failure.
func (d *Dir) cutFailed(l *log.Log, err error) error {
	if l.Err() != nil {
		d.stop(err)
	}
	return err
}

// fenceOff brings the log into its segments and declares the journal's part of it
// from offset from on dead.
func (d *Dir) fenceOff(l *log.Log, from kafka.Offset) error {
	if _, err := l.Checkpoint(); err != nil {
		return err
	}
	// Not for a caller's context: see Fence.
	return d.Fence(d.ctx, l.Key(), from)
}

// recut notes that everything in the log is in its segments, and that it may end
// below the recovery point that was stored last. The log remembers that, too, until
// the next one is stored.
func (d *Dir) recut(l *log.Log) {
	end := l.End()
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.mu.logs[l]; s != nil {
		s.covered = end
	}
	if known, ok := d.mu.points[l.Key()]; ok && known.recovery > end {
		known.recovery = end
		d.mu.points[l.Key()] = known
		d.mu.pointsChanged = true
	}
}
