package datadir

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast/internal/journal"
	"holdfast/internal/log"
	"holdfast/internal/vfs"
)

var errNotOpen = errors.New("the log is not open in this directory")

// Syncing many segments: syncsAtOnce side by side; from syncAllAbove on one call
// for the whole file system is faster.
const (
	syncsAtOnce  = 16
	syncAllAbove = 300
)

// take swaps the groups: the filled one is returned, an empty one fills next.
func (d *Dir) take() *group {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.mu.fill
	d.mu.fill, d.mu.spare = d.mu.spare, g
	d.mu.group++
	return g
}

// flush makes one group durable and reports it. It reports whether there was
// anything to do.
func (d *Dir) flush(g *group) bool {
	if g.empty() {
		return false
	}
	began := d.o.Env.Clock.Now()
	if d.o.mutant == mutantAckFirst {
		g.report()
	}
	first, last, err := d.commit(g)
	if err == nil {
		err = d.Err()
	}
	if err != nil {
		d.stop(err)
		g.refuse(d.Err())
		g.reset()
		return true
	}
	if last > 0 {
		d.note(g, first, last)
		d.stats.Rounds.Add(1)
		d.stats.Nanoseconds.Add(int64(d.o.Env.Clock.Since(began)))
	}
	g.report()
	for _, target := range g.refused {
		target.Failed(errNotOpen)
	}
	for _, done := range g.waiting {
		done <- nil
	}
	g.reset()
	d.watchRing()
	return true
}

// report tells every partition of the group its durable end.
func (g *group) report() {
	for i := range g.slots {
		if s := &g.slots[i]; s.target != nil {
			s.target.Flushed(s.end)
		}
	}
}

// refuse tells everybody in the group that it will not become durable.
func (g *group) refuse(err error) {
	for i := range g.slots {
		if s := &g.slots[i]; s.target != nil {
			s.target.Failed(err)
		}
	}
	for _, target := range g.refused {
		target.Failed(err)
	}
	for _, done := range g.waiting {
		done <- err
	}
}

// commit syncs the large spans and then writes the journal rounds that make the
// group durable, as a rule one. It returns their sequence numbers, 0 when there
// is nothing but a barrier.
func (d *Dir) commit(g *group) (first, last uint64, err error) {
	if err := d.Err(); err != nil {
		return 0, 0, err
	}
	err = d.syncExtents(g)
	for err != nil && vfs.NoDescriptor(err) {
		if err := d.awaitDescriptor(err); err != nil {
			return 0, 0, err
		}
		err = d.syncExtents(g)
	}
	if err != nil {
		return 0, 0, err
	}
	write := func() error {
		seq, err := d.write(&g.round)
		if first == 0 {
			first = seq
		}
		last = seq
		g.round.Reset()
		return err
	}
	add := func(e *journal.Entry) error {
		if !g.round.Fits(0) {
			if err := write(); err != nil {
				return err
			}
		}
		g.round.Add(e, nil)
		return nil
	}
	for i := range g.slots {
		for k := range g.slots[i].later {
			if err := add(&g.slots[i].later[k].entry); err != nil {
				return 0, 0, err
			}
		}
	}
	for i := range g.fences {
		if err := add(&g.fences[i]); err != nil {
			return 0, 0, err
		}
	}
	if g.round.Len() > 0 || first != 0 { // not for their own sake
		notes := d.noteEntries(g)
		for i := range notes {
			if err := add(&notes[i]); err != nil {
				return 0, 0, err
			}
		}
	}
	if g.round.Len() > 0 {
		err = write()
	}
	return first, last, err
}

// write commits a round. When the ring is full it waits for a checkpoint, which
// is the only way to keep the promise; it is counted, so that it shows. A full
// disk may keep a checkpoint from ending: then this waits until there is space,
// and so does whoever waits for an acknowledgement.
func (d *Dir) write(r *journal.Round) (uint64, error) {
	seq, err := d.journal.Commit(r)
	if !errors.Is(err, journal.ErrFull) {
		return seq, err
	}
	d.stats.JournalFull.Add(1)
	for errors.Is(err, journal.ErrFull) {
		d.hurry.Store(true)
		d.wakeCheckpoint()
		if d.o.Stepped && !d.upkeep(false) {
			return 0, fmt.Errorf("nothing gives the ring space back: %w", err)
		}
		select {
		case <-d.freed:
		case <-d.ctx.Done():
			return 0, fmt.Errorf("closing: %w", err)
		}
		if err := d.Err(); err != nil {
			return 0, err
		}
		seq, err = d.journal.Commit(r)
	}
	return seq, err
}

// descriptorPause is how long a flush round waits for a file descriptor.
const descriptorPause = 20 * time.Millisecond

// awaitDescriptor waits a moment. Where nothing could be opened nothing was
// synced, and nobody was told anything: trying again is no second sync.
func (d *Dir) awaitDescriptor(cause error) error {
	if d.stats.NoDescriptor.Add(1)%64 == 1 {
		d.o.Log.Warn("no file descriptor is left; writes wait for one. Raise the limit of open files", "dir", d.o.Dir, "error", cause)
	}
	d.o.Env.Clock.Sleep(descriptorPause)
	if d.ctx.Err() != nil {
		return fmt.Errorf("closing: %w", cause)
	}
	return d.Err()
}

// syncExtents makes the bytes of the group's extents durable in their segments.
// Only where every error is the want of a descriptor is the one that it returns.
func (d *Dir) syncExtents(g *group) error {
	segments, gap := g.segments()
	if len(segments) == 0 && !gap || d.o.mutant == mutantSkipDirectSync {
		return nil
	}
	d.stats.DirectSyncs.Add(int64(len(segments)))
	if gap || len(segments) > syncAllAbove {
		err := vfs.SyncAll(d.o.Env.FS, d.o.Dir)
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	if gap {
		// Segments before those of the group may hold what nobody has synced.
		for i := range g.slots {
			if s := &g.slots[i]; s.gap {
				if _, err := s.state.log.Checkpoint(); err != nil {
					return err
				}
			}
		}
	}
	return d.syncParallel(segments)
}

// segments lists the segments of the group's extents, each once: those of one
// log follow each other.
func (g *group) segments() (segments []*log.Segment, gap bool) {
	for i := range g.slots {
		gap = gap || g.slots[i].gap
		for k := range g.slots[i].later {
			s := g.slots[i].later[k].segment
			if n := len(segments); s != nil && (n == 0 || segments[n-1] != s) {
				segments = append(segments, s)
			}
		}
	}
	return segments, gap
}

func (d *Dir) syncParallel(segments []*log.Segment) error {
	if len(segments) == 0 {
		return nil
	}
	errs := make([]error, len(segments))
	places := make(chan struct{}, syncsAtOnce)
	var all sync.WaitGroup
	for i, s := range segments[1:] {
		if d.o.Stepped {
			errs[i+1] = s.SyncData()
			continue
		}
		places <- struct{}{}
		all.Go(func() {
			errs[i+1] = s.SyncData()
			<-places
		})
	}
	errs[0] = segments[0].SyncData()
	all.Wait()
	// Beside a sync that failed, the want of a descriptor is not worth a word.
	if final := slices.DeleteFunc(slices.Clone(errs), vfs.NoDescriptor); errors.Join(final...) != nil {
		return errors.Join(final...)
	}
	return errors.Join(errs...)
}

// note remembers which rounds hold entries of which log.
func (d *Dir) note(g *group, first, last uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.noted = last
	bytes := int64(0)
	for i := range g.slots {
		s := g.slots[i].state
		if s.oldest == 0 {
			s.oldest = first
		}
		s.newest = last
		bytes += g.slots[i].small
		for k := range g.slots[i].later {
			bytes += g.slots[i].later[k].entry.Length
		}
	}
	for _, s := range g.notes {
		if s.oldest == 0 {
			s.oldest = first
		}
		s.newest = last
	}
	d.stats.Bytes.Add(bytes)
	d.reread.Add(bytes)
}

// stop ends all acknowledgements of this directory. The first error counts.
func (d *Dir) stop(err error) {
	if d.failed.CompareAndSwap(nil, &stopped{err: fmt.Errorf("data directory %s has stopped: %w", d.o.Dir, err)}) {
		d.o.Log.Error("data directory stops: nothing is acknowledged any more; reads go on; restart after the disk is repaired",
			"dir", d.o.Dir, "error", err)
		d.wakeFlusher()
		d.signalFreed() // whoever waits for space finds the error
	}
}
