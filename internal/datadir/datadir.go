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

	"holdfast/internal/clock"
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
	// Undecided: a fresh directory gets no cluster id of its own; SetCluster gives it
	// one when the brokers have agreed.
	Undecided bool
	// JournalBytes is what the journal may grow to; 0 means journal.DefaultSize.
	JournalBytes int64
	// ReserveBytes of free space are kept: below them writes are refused. 0 means
	// a hundredth of the file system, within bounds.
	ReserveBytes int64
	Log          *slog.Logger
	// Stepped: nothing happens by itself, see step.go. For simulations.
	Stepped bool

	mutant    mutant // a planted fault; tests only
	noPayload bool   // every span is synced in its segment; for measuring
}

// mutant names a planted fault that the tests must catch.
type mutant uint8

const (
	mutantNone            mutant = iota
	mutantAckFirst               // report before the journal round is committed
	mutantReleaseUnsynced        // release journal space without a checkpoint
	mutantReleaseAll             // release rounds whose logs are not noted yet
	mutantIgnoreFence            // replay what a fence declared dead
	mutantSkipDirectSync         // write an extent for bytes that were not synced
	mutantForgetPoints           // do not hand recovery points to logs
)

// ErrClosed: Close was called.
var ErrClosed = errors.New("the data directory is closed")

// Dir is an open data directory.
type Dir struct {
	o        Options
	identity Identity
	fresh    bool              // this Open made the directory what it is
	clean    bool              // the last process stopped in order
	previous kafka.BrokerEpoch // of the incarnation that did
	epoch    kafka.BrokerEpoch // to be noted by Close
	lock     io.Closer
	journal  *journal.Journal
	stats    Stats
	full     atomic.Bool
	reread   atomic.Int64 // bytes that became durable since the last checkpoint of every log with entries
	free     atomic.Int64
	total    atomic.Int64
	failed   atomic.Pointer[stopped]
	tight    atomic.Bool // the ring is nearly full: no payloads
	hurry    atomic.Bool // the ring fills: checkpoints do not pause

	// Signals of capacity 1.
	kick   chan struct{}  // the group is not empty
	wanted chan struct{}  // look at the ring
	freed  chan struct{}  // the ring has space again, or the directory stopped
	doubt  chan struct{}  // look at the free space
	asks   chan chan bool // for a checkpoint now; not buffered
	// asideTurn is held while the file of entries put aside is changed.
	asideTurn chan struct{}
	// pointsTurn is held while the file of recovery points is written.
	pointsTurn chan struct{}
	exported   [3][]byte // what Kafka's files hold; of the checkpoint goroutine
	taken      *group    // the round that has begun; stepped only

	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu struct {
		sync.Mutex
		fill  *group // being filled
		group uint64 // its number; 0 is none's
		spare *group
		logs  map[*log.Log]*logState
		byKey map[journal.Key]*logState
		noted uint64 // the last journal round whose logs are noted in their states
		// unread are entries that no log has claimed. asideKeys are the logs whose
		// entries a file of their own holds too, and settled says that these are
		// all of unread: without it the ring may hold what is nowhere else.
		unread        map[journal.Key][]journal.Entry
		asideKeys     map[journal.Key]bool
		settled       bool
		settling      bool                   // Settle was called, and there was something to save
		cleanLogs     map[journal.Key]points // closed in order and not opened since
		points        map[journal.Key]points
		pointsChanged bool // since they were stored
		// noteHigh are the high watermarks that the replayed journal notes, of logs that
		// are not open yet.
		noteHigh map[journal.Key]kafka.Offset
		// forgotten are logs whose points the stored file may still have, each with a
		// number that counts how often that was so. None of them is made anew before.
		forgotten map[journal.Key]uint64
		forgets   uint64
		// deleted are topics of which the metadata says that they were deleted, and
		// which may have left something here.
		deleted map[kafka.TopicID]bool
		closed  bool
	}
}

type stopped struct{ err error }

// Stats counts what the directory did since it was opened.
type Stats struct {
	Rounds, Bytes, Nanoseconds      atomic.Int64
	DirectSyncs, Checkpoints        atomic.Int64
	NoDescriptor                    atomic.Int64 // flush rounds that waited for a file descriptor
	JournalFull, CheckpointFailures atomic.Int64
}

// Open locks the directory, reads or founds its identity and replays its
// journal. It starts the goroutines of the flush rounds. The caller closes it.
func Open(o Options) (*Dir, error) {
	signal := func() chan struct{} { return make(chan struct{}, 1) }
	d := &Dir{o: o, kick: signal(), wanted: signal(), freed: signal(), doubt: signal(), asideTurn: signal(), pointsTurn: signal(), asks: make(chan chan bool)}
	d.mu.fill, d.mu.spare, d.mu.group = &group{}, &group{}, 1
	d.mu.logs, d.mu.byKey = make(map[*log.Log]*logState), make(map[journal.Key]*logState)
	d.mu.deleted = make(map[kafka.TopicID]bool)
	d.mu.forgotten = make(map[journal.Key]uint64)
	d.ctx, d.cancel = context.WithCancel(context.Background())
	if err := d.open(); err != nil {
		d.cancel()
		if d.journal != nil {
			_ = d.journal.Close(false) // the first error counts
		}
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
	if err := d.takeMarker(); err != nil {
		return err
	}
	if err := d.removeTrash(); err != nil {
		return err
	}
	if err := d.loadPoints(); err != nil {
		return err
	}
	if d.o.mutant == mutantForgetPoints {
		d.mu.points = make(map[journal.Key]points)
	}
	if err := d.replay(); err != nil {
		return err
	}
	return d.look()
}

// replay opens the journal and sorts what it holds.
func (d *Dir) replay() error {
	fsys := d.o.Env.FS
	needed := false
	if !d.clean {
		var err error
		if needed, err = d.holdsLogs(); err != nil {
			return err
		}
	}
	aside, err := d.loadAside()
	if err != nil {
		return err
	}
	j, replayed, err := journal.Open(journal.Options{FS: fsys, Name: path.Join(d.o.Dir, journalName), Size: d.o.JournalBytes,
		ID: d.newID(), MustExist: needed})
	if err != nil {
		return fmt.Errorf("data directory %s: %w", d.o.Dir, err)
	}
	d.journal = j
	d.mu.noted = j.Usage().Next - 1
	d.mu.asideKeys = make(map[journal.Key]bool)
	for i := range aside {
		d.mu.asideKeys[aside[i].Key] = true
	}
	all := append(aside, replayed.Entries...)
	d.mu.noteHigh = notedHigh(all)
	d.mu.unread = d.sort(all)
	if n := len(aside) + len(replayed.Entries); n > 0 {
		d.o.Log.Info("journal replayed", "rounds", replayed.Rounds, "entries", n, "logs", len(d.mu.unread))
	}
	return nil
}

func (d *Dir) newID() (id [16]byte) {
	d.o.Env.Rand.Read(id[:])
	return id
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

// takeCleanMark notes which logs the last process closed in order, and removes
// the mark before anything is loaded: a crash from here on is a crash. A log that
// is not opened until the next mark stays as it was.
func (d *Dir) takeCleanMark() error {
	name := path.Join(d.o.Dir, cleanName)
	b, err := vfs.ReadFile(d.o.Env.FS, name, pointsMax)
	if errors.Is(err, fs.ErrNotExist) {
		d.clean, d.mu.cleanLogs = d.fresh, make(map[journal.Key]points)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	logs, err := decodePoints(b)
	switch {
	case errors.Is(err, ErrNewer):
		return fmt.Errorf("data directory %s: %s: %w", d.o.Dir, cleanName, err)
	case err != nil:
		d.o.Log.Warn("the mark of an orderly stop is damaged; the logs are recovered", "file", name, "error", err)
		logs = make(map[journal.Key]points)
	default:
		d.clean = true
	}
	d.mu.cleanLogs = logs
	if err := d.o.Env.FS.Remove(name); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	if err := d.o.Env.FS.SyncDir(d.o.Dir); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// Identity says whose directory this is.
func (d *Dir) Identity() Identity { return d.identity }

// WasClean reports whether the last process stopped in order.
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

// closeTimeout bounds the wait for the last flush of a directory.
const closeTimeout = time.Minute

// Close flushes what was submitted, checkpoints and closes every log, and writes
// the clean-shutdown mark, unless something failed. Nothing may be submitted any
// more.
func (d *Dir) Close() error {
	ctx, cancel := clock.Within(context.Background(), d.o.Env.Clock, closeTimeout)
	defer cancel()
	err := d.Barrier(ctx)
	d.mu.Lock()
	if d.mu.closed {
		d.mu.Unlock()
		return nil
	}
	d.mu.closed = true
	d.mu.Unlock()
	d.cancel()
	d.group.Wait()
	if err = errors.Join(err, d.Err()); err == nil {
		err = d.closeLogs()
	}
	d.mu.Lock()
	whole := len(d.mu.unread) == 0 || d.mu.settled
	d.mu.Unlock()
	err = errors.Join(err, d.journal.Close(err == nil && whole))
	if err == nil && whole {
		// No goroutine is left that could touch the map.
		err = vfs.WriteFile(d.o.Env.FS, path.Join(d.o.Dir, cleanName), encodePoints(d.mu.cleanLogs))
		if err == nil {
			err = d.storeMarker()
		}
	}
	return errors.Join(err, d.lock.Close())
}

// closeLogs closes every log, each with a last checkpoint. After a failure no
// log is closed in order: what a checkpoint would note may not be true.
func (d *Dir) closeLogs() error {
	if !d.storePoints() {
		return errors.Join(d.Err(), errors.New("recovery points cannot be stored"))
	}
	var first atomic.Pointer[stopped]
	states, _ := d.states(0, true)
	d.eachState(states, func(s *logState) bool {
		end := s.log.End()
		// A log that is offline closes without a word, and what it holds may not be
		// on the disk: the next start has to look.
		if err := errors.Join(s.log.Err(), s.log.Close()); err != nil {
			first.CompareAndSwap(nil, &stopped{err})
			return false
		}
		d.mu.Lock()
		d.mu.points[s.key] = points{recovery: end, high: max(s.high, d.mu.points[s.key].high)}
		d.mu.pointsChanged = true
		d.mu.cleanLogs[s.key] = d.mu.points[s.key]
		d.mu.Unlock()
		return true
	})
	if s := first.Load(); s != nil {
		return s.err
	}
	if !d.storePoints() {
		return errors.Join(d.Err(), errors.New("recovery points cannot be stored"))
	}
	d.exportPoints()
	return d.Err()
}
