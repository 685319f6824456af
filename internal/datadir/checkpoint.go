package datadir

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/journal"
	"holdfast/internal/log"
	"holdfast/internal/vfs"
)

// When a checkpoint runs: when more than a checkpointAt part of the ring is live,
// and at the latest after checkpointEvery, so that a restart has little to read.
const (
	checkpointAt    = 3 // one third
	checkpointEvery = 30 * time.Second
	// checkpointRetry is the pause after a checkpoint that failed.
	checkpointRetry = 200 * time.Millisecond
	// checkpointPause between two logs leaves the disk to the flush rounds, as
	// long as the ring has room.
	checkpointPause = 500 * time.Microsecond
	// What a restart after a crash has to read and compare is bounded: a
	// checkpoint runs after so many bytes, more where many logs share them.
	rereadMax       = 64 << 20
	rereadMaxPerLog = 128 << 10
	// One worker per logsPerWorker logs that need a checkpoint, at most workersMax.
	logsPerWorker = 64
	workersMax    = 8
)

// watchRing looks at the ring after a flush round.
func (d *Dir) watchRing() {
	u := d.journal.Usage()
	// Nearly full: payloads stay out, their segments are synced.
	d.tight.Store(u.Used > u.Size/8*7)
	d.hurry.Store(u.Used > u.Size/2)
	if u.Used >= threshold(u) || d.muchToReread() {
		d.wakeCheckpoint()
	}
}

// muchToReread reports whether a restart now would have more to read than it
// should.
func (d *Dir) muchToReread() bool {
	d.mu.Lock()
	logs := len(d.mu.logs)
	d.mu.Unlock()
	return d.reread.Load() >= max(rereadMax, int64(logs)*rereadMaxPerLog)
}

// threshold is how much of the ring may be live before something is done about
// it. A ring that can still grow does that first.
func threshold(u journal.Usage) int64 {
	if u.Size < u.Max {
		return u.Size / 2
	}
	return u.Size / checkpointAt
}

func (d *Dir) wakeCheckpoint() {
	select {
	case d.wanted <- struct{}{}:
	default:
	}
}

func (d *Dir) signalFreed() {
	select {
	case d.freed <- struct{}{}:
	default:
	}
}

// upkeep is one look at the ring: it grows, or space is given back. With all,
// every log is checkpointed, also those that the journal does not know. It
// returns false when it should be tried again soon.
func (d *Dir) upkeep(all bool) bool {
	if d.Err() != nil {
		return true
	}
	if grew, err := d.journal.Grow(); err != nil {
		d.stop(err)
		return true
	} else if grew {
		d.o.Log.Info("journal grew", "bytes", d.journal.Usage().Size)
		d.signalFreed()
		d.watchRing()
	}
	u := d.journal.Usage()
	much := d.muchToReread()
	if !all && !much && u.Used < threshold(u) {
		return true
	}
	upTo := d.noted()
	if all || much {
		d.reread.Store(0)
	}
	if !all && !much && !d.hurry.Load() {
		// The older half goes: the younger half may be given back for nothing
		// when its logs are checkpointed for the sake of older entries.
		upTo = u.Oldest + (u.Next-u.Oldest)/2
	}
	return d.checkpoint(upTo, all)
}

// Checkpoint brings everything that is durable in the journal into the segments
// and gives the ring's space back, now.
func (d *Dir) Checkpoint(ctx context.Context) error {
	done := make(chan bool, 1)
	select {
	case d.asks <- done:
	case <-d.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case ok := <-done:
		if !ok && d.Err() == nil {
			return errors.New("checkpoint: the disk is full, or a log failed; it will be tried again")
		}
		return d.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// noted is the last round whose logs are known.
func (d *Dir) noted() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.noted
}

// checkpoint checkpoints every log that has journal entries in rounds up to
// upTo, or every log, and gives back the rounds that nobody needs.
func (d *Dir) checkpoint(upTo uint64, all bool) bool {
	// A log that is checkpointed again relies on it that the recovery point of
	// the time before is stored.
	if !d.storePoints() {
		return false
	}
	states, dirty := d.states(upTo, all)
	if dirty > syncAllAbove {
		// Afterwards each log finds its segment clean.
		err := vfs.SyncAll(d.o.Env.FS, d.o.Dir)
		if vfs.NoDescriptor(err) {
			d.stats.CheckpointFailures.Add(1)
			d.o.Log.Warn("no file descriptor is left for a checkpoint; it will be tried again", "dir", d.o.Dir, "error", err)
			return false
		}
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			d.stop(err)
			return false
		}
	}
	ok := d.eachState(states, d.checkpointLog)
	return d.storePoints() && d.release() && ok
}

// states returns the logs to checkpoint, those with the oldest entries first,
// and how many of them have any.
func (d *Dir) states(upTo uint64, all bool) (states []*logState, dirty int) {
	type dated struct {
		state  *logState
		oldest uint64
	}
	var list []dated
	d.mu.Lock()
	for _, s := range d.mu.logs {
		if all || s.oldest != 0 && s.oldest <= upTo {
			list = append(list, dated{s, s.oldest})
			if s.oldest != 0 {
				dirty++
			}
		}
	}
	d.mu.Unlock()
	slices.SortFunc(list, func(a, b dated) int {
		return cmp.Or(cmp.Compare(a.oldest, b.oldest), cmp.Compare(a.state.log.Dir(), b.state.log.Dir()))
	})
	out := make([]*logState, len(list))
	for i := range list {
		out[i] = list[i].state
	}
	return out, dirty
}

// eachState calls f for every state, several at a time when there are many. It
// ends early, and returns false, when f does.
func (d *Dir) eachState(states []*logState, f func(*logState) bool) bool {
	workers := min(1+len(states)/logsPerWorker, workersMax)
	var next atomic.Int64
	var failed atomic.Bool
	work := func() {
		for !failed.Load() && d.Err() == nil {
			i := int(next.Add(1)) - 1
			if i >= len(states) {
				return
			}
			if !f(states[i]) {
				failed.Store(true)
			}
		}
	}
	var group sync.WaitGroup
	for range workers - 1 {
		group.Go(work)
	}
	work()
	group.Wait()
	return !failed.Load() && d.Err() == nil
}

// checkpointLog checkpoints one log, and pauses when there was something to do
// and time to do it.
func (d *Dir) checkpointLog(s *logState) bool {
	d.mu.Lock()
	seen, known := s.newest, d.mu.points[s.key].recovery
	d.mu.Unlock()
	point := known
	if d.o.mutant != mutantReleaseUnsynced {
		var err error
		point, err = s.log.Checkpoint()
		if errors.Is(err, log.ErrClosed) {
			return true // it is being removed
		}
		if err != nil {
			return d.checkpointFailed(s, err)
		}
	}
	d.mu.Lock()
	// Entries of rounds after seen came while the checkpoint ran.
	idle := s.newest == seen && s.oldest == 0
	switch {
	case s.newest == seen:
		s.oldest = 0
	case s.oldest <= seen:
		s.oldest = seen + 1
	}
	s.covered = max(s.covered, min(point, s.log.End())) // it may have been cut since
	if d.mu.logs[s.log] == s && (point != known || s.high > d.mu.points[s.key].high) {
		d.mu.points[s.key] = points{recovery: point, high: max(s.high, d.mu.points[s.key].high)}
		d.mu.pointsChanged = true
	}
	d.mu.Unlock()
	if idle && point == known {
		return true
	}
	d.stats.Checkpoints.Add(1)
	if !d.hurry.Load() && !d.o.Stepped {
		d.o.Env.Clock.Sleep(checkpointPause)
	}
	return true
}

// checkpointFailed: a failed sync stops the directory; a full disk does not, the
// space comes back.
func (d *Dir) checkpointFailed(s *logState, err error) bool {
	d.stats.CheckpointFailures.Add(1)
	if s.log.Err() != nil {
		d.stop(err)
		return false
	}
	d.o.Log.Warn("checkpoint failed; it will be tried again", "log", s.log.Dir(), "error", err)
	d.lookSoon()
	return false
}

// release gives back every round that no log needs any more.
func (d *Dir) release() bool {
	d.mu.Lock()
	// A log that is not open yet may need any of them, unless they were saved.
	blocked := len(d.mu.unread) > 0 && !d.mu.settled
	settling := d.mu.settling
	d.mu.Unlock()
	if blocked && !(settling && d.putAside()) {
		return !settling
	}
	d.mu.Lock()
	least := d.mu.noted + 1
	if d.o.mutant == mutantReleaseAll {
		least = d.journal.Usage().Next
	}
	for _, s := range d.mu.logs {
		if s.oldest != 0 {
			least = min(least, s.oldest)
		}
	}
	d.mu.Unlock()
	if err := d.journal.Release(least - 1); err != nil {
		d.stop(err)
		return false
	}
	d.signalFreed()
	return true
}

// sort gives each log its entries, in order, without what fences declare dead.
func (d *Dir) sort(entries []journal.Entry) map[journal.Key][]journal.Entry {
	byKey := make(map[journal.Key][]journal.Entry)
	removed := make(map[journal.Key]bool) // by a fence, with nothing behind it
	for _, e := range entries {
		removed[e.Key] = e.Kind == journal.Fence && e.Base == 0 && d.o.mutant != mutantIgnoreFence
		if e.Kind != journal.Fence {
			byKey[e.Key] = append(byKey[e.Key], e)
		} else if d.o.mutant != mutantIgnoreFence {
			byKey[e.Key] = cut(byKey[e.Key], e.Base)
		}
	}
	for key, list := range byKey {
		if len(list) == 0 {
			delete(byKey, key)
		}
	}
	// The file of recovery points may be older than the removal: what it says of the
	// log would speak against making an empty one, when its partition comes back.
	for key, gone := range removed {
		if gone {
			d.forgetPointsLocked(key)
		}
	}
	return byKey
}
