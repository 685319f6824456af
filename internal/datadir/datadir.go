package datadir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/env"
	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/vfs"
)

// Names of files in the directory, beside Kafka's.
const (
	lockName    = ".lock" // Kafka's name
	journalName = "holdfast.journal"
	cleanName   = "holdfast.clean"
)

// Flushable is told what became of its spans. Calls come in order per log, from
// one goroutine at a time, with no lock held; they must not wait.
type Flushable interface {
	// Flushed: everything of the log below end is on stable storage.
	Flushed(end kafka.Offset)
	// Failed: nothing that was not durable before ever will be.
	Failed(err error)
}

// Options say which directory, and how it behaves. Env, Dir and Log are set.
type Options struct {
	Env env.Env
	Dir string
	// NodeID and ClusterID are what the caller believes: NoBroker and zero mean
	// "whatever the directory says". A fresh directory is founded with them.
	NodeID    kafka.BrokerID
	ClusterID kafka.ClusterID
	// JournalBytes is what the journal may grow to; 0 means journal.DefaultSize.
	JournalBytes int64
	// ReserveBytes of free space are kept: below them writes are refused. 0 means
	// a hundredth of the file system, within bounds.
	ReserveBytes int64
	Log          *slog.Logger

	mutant mutant // a planted fault; tests only
}

// mutant names a planted fault that the tests must catch.
type mutant uint8

const (
	mutantNone            mutant = iota
	mutantAckFirst               // report before the journal round is committed
	mutantReleaseUnsynced        // release journal space without a checkpoint
	mutantIgnoreFence            // replay what a fence declared dead
	mutantSkipDirectSync         // write an extent for bytes that were not synced
)

// Dir is an open data directory.
type Dir struct {
	o        Options
	identity Identity
	founded  bool
	clean    bool // the last process closed the directory in order
	lock     io.Closer
	journal  *journal.Journal
	unread   map[journal.Key][]journal.Entry // entries that no log has claimed; used while starting
	stats    Stats
	full     atomic.Bool
	free     atomic.Int64
	total    atomic.Int64
	failed   atomic.Pointer[stopped]

	kick   chan struct{} // capacity 1: the group is not empty
	urgent chan chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu struct {
		sync.Mutex
		fill    *group // being filled
		spare   *group
		logs    map[*log.Log]*logState
		closing bool
	}
}

type stopped struct{ err error }

// Stats counts what the directory did since it was opened.
type Stats struct {
	Rounds, Bytes, Nanoseconds      atomic.Int64
	DirectSyncs, Checkpoints        atomic.Int64
	JournalFull, CheckpointFailures atomic.Int64
}

// Open locks the directory, reads or founds its identity and replays its
// journal. It starts the goroutines of the flush rounds. The caller closes it.
func Open(o Options) (*Dir, error) {
	d := &Dir{o: o, kick: make(chan struct{}, 1), urgent: make(chan chan struct{})}
	d.mu.fill, d.mu.spare = newGroup(), newGroup()
	d.mu.logs = make(map[*log.Log]*logState)
	d.ctx, d.cancel = context.WithCancel(context.Background())
	if err := d.open(); err != nil {
		d.cancel()
		if d.lock != nil {
			_ = d.lock.Close()
		}
		return nil, err
	}
	d.start()
	return d, nil
}

func (d *Dir) open() (err error) {
	fsys := d.o.Env.FS
	if err := mkdir(fsys, d.o.Dir); err != nil {
		return err
	}
	d.lock, err = fsys.Lock(path.Join(d.o.Dir, lockName))
	if errors.Is(err, vfs.ErrLocked) {
		return fmt.Errorf("data directory %s is in use by another process: stop that one first, or use another directory: %w", d.o.Dir, err)
	}
	if err != nil {
		return fmt.Errorf("lock data directory %s: %w", d.o.Dir, err)
	}
	if err := d.claim(); err != nil {
		return err
	}
	if err := d.takeCleanMark(); err != nil {
		return err
	}
	if err := d.removeTrash(); err != nil {
		return err
	}
	var id [16]byte
	d.o.Env.Rand.Read(id[:])
	j, replayed, err := journal.Open(journal.Options{FS: fsys, Name: path.Join(d.o.Dir, journalName), Size: d.o.JournalBytes, ID: id})
	if err != nil {
		return fmt.Errorf("data directory %s: %w", d.o.Dir, err)
	}
	d.journal = j
	d.unread = d.sort(replayed.Entries)
	if n := len(replayed.Entries); n > 0 {
		d.o.Log.Info("journal replayed", "rounds", replayed.Rounds, "entries", n, "logs", len(d.unread))
	}
	return d.look()
}

// mkdir creates a directory with its parents and makes the entries durable.
func mkdir(fsys vfs.FS, dir string) error {
	if _, err := fsys.Stat(dir); err == nil {
		return nil
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return fmt.Errorf("create data directory %s: %w", dir, err)
	}
	for parent := path.Dir(dir); ; parent = path.Dir(parent) {
		// A parent that may not be opened was not made here.
		if err := fsys.SyncDir(parent); err != nil && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("sync %s: %w", parent, err)
		}
		if parent == path.Dir(parent) {
			return nil
		}
	}
}

// takeCleanMark notes whether the last process ended in order, and removes the
// mark before anything is loaded: a crash from here on is a crash.
func (d *Dir) takeCleanMark() error {
	name := path.Join(d.o.Dir, cleanName)
	err := d.o.Env.FS.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		d.clean = d.founded
		return nil
	}
	if err == nil {
		err = d.o.Env.FS.SyncDir(d.o.Dir)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	d.clean = true
	return nil
}

// Identity says whose directory this is.
func (d *Dir) Identity() Identity { return d.identity }

// Founded reports whether this Open made the directory what it is.
func (d *Dir) Founded() bool { return d.founded }

// WasClean reports whether the last process closed the directory in order.
func (d *Dir) WasClean() bool { return d.clean }

// Path is the directory.
func (d *Dir) Path() string { return d.o.Dir }

// Stats returns the counters.
func (d *Dir) Stats() *Stats { return &d.stats }

// Usage tells how much of the journal is in use.
func (d *Dir) Usage() journal.Usage { return d.journal.Usage() }

// Err is the error that stopped the directory, or nil.
func (d *Dir) Err() error {
	if s := d.failed.Load(); s != nil {
		return s.err
	}
	return nil
}

// closeTimeout bounds the last flush of a directory.
const closeTimeout = time.Minute

// Close flushes what was submitted, checkpoints and closes every log, and writes
// the clean-shutdown mark, unless something failed. Nothing may be submitted any
// more.
func (d *Dir) Close() error {
	d.mu.Lock()
	if d.mu.closing {
		d.mu.Unlock()
		return nil
	}
	d.mu.closing = true
	d.mu.Unlock()
	err := d.Barrier(d.ctx)
	d.cancel()
	d.group.Wait()
	for _, s := range d.states() {
		err = errors.Join(err, s.log.Close())
	}
	err = errors.Join(err, d.Err())
	d.mu.Lock()
	whole := len(d.unread) == 0
	d.mu.Unlock()
	err = errors.Join(err, d.journal.Close(err == nil && whole))
	if err == nil && whole {
		err = vfs.WriteFile(d.o.Env.FS, path.Join(d.o.Dir, cleanName), []byte("closed in order\n"))
	}
	return errors.Join(err, d.lock.Close())
}
