package log

import (
	"fmt"
	"slices"

	"holdfast/internal/kafka"
	"holdfast/internal/producer"
	"holdfast/internal/vfs"
)

// encodedWindow is the producer table at one offset, on its way to disk. The
// next checkpoint writes it, after it has synced what the table reflects: a
// window on disk never speaks of batches that a crash takes away.
type encodedWindow struct {
	end      kafka.Offset
	window   []byte // ours: everything
	snapshot []byte // Kafka's, at the base of a segment; nil elsewhere
}

// pendingWindowsMax bounds the memory of windows between checkpoints. When there
// are more, the oldest is dropped: it would only have made a cut cheaper.
const pendingWindowsMax = 8

// windowTableMax is the largest window file that is believed, in bytes.
const windowTableMax = 64 << 20

// encodeWindowLocked encodes the producer table for the next checkpoint. A
// segment's base gets Kafka's file too.
func (l *Log) encodeWindowLocked(atBase bool) {
	w := encodedWindow{end: l.mu.end, window: l.mu.table.EncodeWindow()}
	if atBase {
		w.snapshot = l.mu.table.Encode(l.mu.end)
	}
	if n := len(l.mu.windows); n > 0 && l.mu.windows[n-1].end == w.end {
		l.mu.windows = l.mu.windows[:n-1]
	}
	l.mu.windows = append(l.mu.windows, w)
	if len(l.mu.windows) > pendingWindowsMax {
		l.mu.windows = slices.Clone(l.mu.windows[1:])
	}
	l.mu.sinceWindow = 0
}

// writeWindows puts windows on disk, unsynced: each has a checksum, and one that
// is lost or torn costs the next start a longer read. The caller has the turn.
func (l *Log) writeWindows(windows []encodedWindow) error {
	for _, w := range windows {
		if w.snapshot != nil {
			if err := writePlain(l.fsys, filePath(l.dir, w.end, suffixSnapshot), w.snapshot); err != nil {
				return err
			}
			l.disk.snapshots = insertOffset(l.disk.snapshots, w.end)
		}
		if err := writePlain(l.fsys, filePath(l.dir, w.end, suffixWindow), w.window); err != nil {
			return err
		}
		l.disk.windows = insertOffset(l.disk.windows, w.end)
	}
	return nil
}

// writePlain replaces a file without making it durable.
func writePlain(fsys vfs.FS, name string, content []byte) error {
	f, err := fsys.OpenFile(name, vfs.Write|vfs.Create|vfs.Truncate)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.WriteAt(content, 0)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func insertOffset(sorted []kafka.Offset, o kafka.Offset) []kafka.Offset {
	i, found := slices.BinarySearch(sorted, o)
	if found {
		return sorted
	}
	return slices.Insert(sorted, i, o)
}

// windowsKept is how many of the newest windows stay, whatever they are.
const windowsKept = 4

// pruneWindows removes windows that no cut will need: those strictly inside
// segments, but for the newest ones. Those at segment bases stay with their
// segment. The caller has the turn.
func (l *Log) pruneWindows() error {
	l.mu.Lock()
	bases := make([]kafka.Offset, len(l.mu.segments))
	for i, s := range l.mu.segments {
		bases[i] = s.base
	}
	start := l.mu.start
	l.mu.Unlock()
	keep := func(list []kafka.Offset, i int) bool {
		if len(list)-i <= windowsKept {
			return true
		}
		_, atBase := slices.BinarySearch(bases, list[i])
		return atBase && list[i] >= start
	}
	var err error
	if l.disk.windows, err = l.prune(l.disk.windows, suffixWindow, keep); err != nil {
		return err
	}
	l.disk.snapshots, err = l.prune(l.disk.snapshots, suffixSnapshot, keep)
	return err
}

func (l *Log) prune(list []kafka.Offset, suffix string, keep func([]kafka.Offset, int) bool) ([]kafka.Offset, error) {
	var kept []kafka.Offset
	for i, end := range list {
		if keep(list, i) {
			kept = append(kept, end)
			continue
		}
		if err := l.fsys.Remove(filePath(l.dir, end, suffix)); err != nil {
			return list, fmt.Errorf("remove producer snapshot: %w", err)
		}
	}
	return kept, nil
}

// loadTable returns the newest readable table at or below limit, and the offset
// up to which it reflects the log. Unreadable files are named in unreadable.
// Where there is none, it is the table of a log that begins at first, the base of
// the first segment.
func (l *Log) loadTable(limit, first kafka.Offset) (t *producer.Table, unreadable []string) {
	now := kafka.Timestamp(l.clock.Now().UnixMilli())
	for i := len(l.disk.windows) - 1; i >= 0; i-- {
		end := l.disk.windows[i]
		if end > limit || end < first {
			continue
		}
		name := filePath(l.dir, end, suffixWindow)
		b, err := vfs.ReadFile(l.fsys, name, windowTableMax)
		if err == nil {
			t, err = producer.DecodeWindow(b, now)
		}
		if err == nil && t.End() == end {
			return t, unreadable
		}
		unreadable = append(unreadable, name)
	}
	for i := len(l.disk.snapshots) - 1; i >= 0; i-- {
		end := l.disk.snapshots[i]
		if end > limit || end < first {
			continue
		}
		name := filePath(l.dir, end, suffixSnapshot)
		b, err := vfs.ReadFile(l.fsys, name, windowTableMax)
		if err == nil {
			t, err = producer.Decode(b, end, now)
		}
		if err == nil {
			return t, unreadable
		}
		unreadable = append(unreadable, name)
	}
	return producer.NewAt(first), unreadable
}
