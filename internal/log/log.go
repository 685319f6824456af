package log

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/invariant"
	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/producer"
	"holdfast/internal/vfs"
)

// Config is the part of a topic's settings that its logs obey. Names and units
// are those of the settings.
type Config struct {
	SegmentBytes       int64 // roll before a segment would be larger; at most 2 GiB - 1
	SegmentMs          int64 // roll when the first append is so old; 0: never
	SegmentIndexBytes  int   // roll when an index file would be larger
	IndexIntervalBytes int   // an index entry after so many bytes
	RetentionMs        int64 // negative: for ever
	RetentionBytes     int64 // negative: without limit
	FileDeleteDelay    time.Duration
}

// DefaultConfig has Kafka's defaults.
func DefaultConfig() Config {
	return Config{SegmentBytes: 1 << 30, SegmentMs: 7 * 24 * 3600 * 1000, SegmentIndexBytes: 10 << 20,
		IndexIntervalBytes: 4096, RetentionMs: 7 * 24 * 3600 * 1000, RetentionBytes: -1, FileDeleteDelay: time.Minute}
}

// segmentBytesMax is what a position in an index entry can name.
const segmentBytesMax = 1<<31 - 1

// normal returns c with every value in the range that the code relies on.
func (c Config) normal() Config {
	if c.SegmentBytes <= 0 || c.SegmentBytes > segmentBytesMax {
		c.SegmentBytes = segmentBytesMax
	}
	if c.SegmentIndexBytes < timeIndexEntrySize {
		c.SegmentIndexBytes = DefaultConfig().SegmentIndexBytes
	}
	c.IndexIntervalBytes = max(c.IndexIntervalBytes, 0)
	return c
}

// Options say which log and where. FS, Clock and Dir are set.
type Options struct {
	FS     vfs.FS
	Clock  clock.Clock
	Dir    string // the partition's own directory
	Key    journal.Key
	Topic  string
	Config Config

	mutant mutant // a planted fault; tests only
}

// Replay is what the data directory knows of a log when it opens.
type Replay struct {
	// Entries are the journal's, of this Key, in order, with fences applied.
	Entries []journal.Entry
	// RecoveryPoint is the one that was stored last; 0 where none is known. The
	// log finds its own note of a later one by itself.
	RecoveryPoint kafka.Offset
	// Clean says that the directory was closed in order.
	Clean bool
}

// Log is the log of one partition.
//
// Methods of the writer are called by one caller at a time, in practice under
// the partition's mutex: Append, AssignEpoch, Roll, RollExpired,
// ExpireProducers, TruncateSuffix, TruncatePrefix, Close. Of these, the last
// three wait for the disk, and nothing may be appended meanwhile. Everything
// else may be called at any time by anybody.
type Log struct {
	fsys  vfs.FS
	clock clock.Clock
	dir   string
	key   journal.Key
	topic string

	config atomic.Pointer[Config]
	// turn is held by whoever changes what is on disk besides appending:
	// Checkpoint, SetStart, Retain, Sweep, TruncateSuffix, TruncatePrefix, Close.
	// It is a channel because it is held across waits.
	turn chan struct{}

	// Only the holder of turn touches these.
	disk struct {
		bounds       bounds
		cutAge       int // checkpoints since bounds.cut was set
		epochsStored epochs
		windows      []kafka.Offset // ends of the .window files, ascending
		snapshots    []kafka.Offset // ends of the .snapshot files, ascending
		point        kafka.Offset   // recovery point of the last checkpoint
		pointSaved   bool           // the note on disk says so
	}

	mu struct {
		sync.Mutex            // never held across I/O
		segments   []*Segment // ascending, never empty; replaced, never changed in place
		start, end kafka.Offset
		size       int64
		epochs     epochs
		table      *producer.Table
		windows    []encodedWindow // encoded and not written yet
		// sinceWindow counts the bytes appended since the table was last encoded.
		sinceWindow int64
		recent      recentBatches
		cursors     readCursors
		cuts        int // how often the log was cut: what a reader found before is void
		dying       []dyingFile
		failed      error
		closed      bool
	}
}

func newLog(o Options) *Log {
	l := &Log{fsys: o.FS, clock: o.Clock, dir: o.Dir, key: o.Key, topic: o.Topic, turn: make(chan struct{}, 1)}
	l.SetConfig(o.Config)
	l.disk.bounds = bounds{cut: kafka.NoOffset}
	return l
}

// SetConfig replaces the settings. They count from the next append or Retain on.
func (l *Log) SetConfig(c Config) {
	c = c.normal()
	l.config.Store(&c)
}

// Key names the log.
func (l *Log) Key() journal.Key { return l.key }

// Topic is the topic's name.
func (l *Log) Topic() string { return l.topic }

// Dir is the partition's directory.
func (l *Log) Dir() string { return l.dir }

// Start is the log start offset.
func (l *Log) Start() kafka.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.start
}

// End is the next offset to be assigned. It is no promise: what it counts may be
// in the page cache only.
func (l *Log) End() kafka.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.end
}

// Size is the number of bytes in .log files.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.size
}

// Segments is the number of segments.
func (l *Log) Segments() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.mu.segments)
}

// Err is the failure that took the log offline, nil while it is not.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.failed
}

// Producers is the table of idempotent producers. It reflects everything below
// End. Callers that may race with the writer's own changes hold the writer's
// lock; nobody but the log changes it (see ExpireProducers).
func (l *Log) Producers() *producer.Table { return l.mu.table }

// ExpireProducers forgets producers that were silent for so long and returns how
// many. It is the writer's.
func (l *Log) ExpireProducers(now kafka.Timestamp, after time.Duration) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.table.Expire(now, after)
}

// LastEpoch is the leader epoch of the newest batch or AssignEpoch,
// NoLeaderEpoch in a log without one.
func (l *Log) LastEpoch() kafka.LeaderEpoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.epochs.latest()
}

// EpochEnd answers OffsetForLeaderEpoch (KIP-101, KIP-279): the largest epoch at
// or below the one asked for, and the offset after its last record. The latest
// epoch ends at End. Above every known epoch: NoLeaderEpoch and NoOffset. Below
// every known one: the epoch asked for and the first offset that is still known.
func (l *Log) EpochEnd(epoch kafka.LeaderEpoch) (kafka.LeaderEpoch, kafka.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.epochs.end(epoch, l.mu.end)
}

// EpochFloor is the largest epoch at or below the one asked for, and the offset
// after its last record. Where the log has no such epoch it is NoLeaderEpoch and
// the start of the first one, or End without any.
func (l *Log) EpochFloor(epoch kafka.LeaderEpoch) (kafka.LeaderEpoch, kafka.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.epochs.floor(epoch, l.mu.end)
}

// Tail is LastEpoch and End of one moment.
func (l *Log) Tail() (kafka.LeaderEpoch, kafka.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.epochs.latest(), l.mu.end
}

// EpochAt is the leader epoch that the record at offset was appended in, or
// otherwise when the log does not know.
func (l *Log) EpochAt(offset kafka.Offset, otherwise kafka.LeaderEpoch) kafka.LeaderEpoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch, ok := l.mu.epochs.at(offset); ok && offset < l.mu.end {
		return epoch
	}
	return otherwise
}

// AssignEpoch notes that a leadership begins at End, before anything is appended
// in it. It is durable with the next checkpoint; until then a restart forgets an
// epoch in which nothing was appended. It is the writer's.
func (l *Log) AssignEpoch(epoch kafka.LeaderEpoch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	invariant.Check(epoch >= l.mu.epochs.latest(), "%s: epoch %d after %d", l.dir, epoch, l.mu.epochs.latest())
	l.mu.epochs, _ = l.mu.epochs.assign(epoch, l.mu.end)
}

// fail takes the log offline. The first failure counts.
func (l *Log) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failLocked(err)
}

func (l *Log) failLocked(err error) {
	if l.mu.failed == nil {
		l.mu.failed = fmt.Errorf("%w: %w", ErrOffline, err)
	}
}

// usable tells why the log takes no writes.
func (l *Log) usable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.usableLocked()
}

func (l *Log) usableLocked() error {
	if l.mu.closed {
		return fmt.Errorf("log %s: %w", l.dir, ErrClosed)
	}
	if l.mu.failed != nil {
		return fmt.Errorf("log %s: %w", l.dir, l.mu.failed)
	}
	return nil
}

// active is the segment that is appended to.
func (l *Log) activeLocked() *Segment { return l.mu.segments[len(l.mu.segments)-1] }

func (l *Log) active() *Segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.activeLocked()
}

// takeTurn waits until nobody else changes what is on disk.
func (l *Log) takeTurn() { l.turn <- struct{}{} }

func (l *Log) endTurn() { <-l.turn }
