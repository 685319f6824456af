package datadir

import (
	"context"
	"errors"
	"fmt"
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
	return g
}

// flush makes one group durable and reports it.
func (d *Dir) flush(g *group) {
	if g.empty() {
		return
	}
	began := d.o.Env.Clock.Now()
	if d.o.mutant == mutantAckFirst {
		d.report(g)
	}
	seq, err := d.commit(g)
	if err == nil {
		err = d.Err()
	}
	if err != nil {
		d.stop(err)
		d.refuse(g)
		g.reset()
		return
	}
	d.note(g, seq)
	d.stats.Rounds.Add(1)
	d.stats.Nanoseconds.Add(int64(d.o.Env.Clock.Since(began)))
	d.report(g)
	for _, f := range g.fences {
		f.done <- nil
	}
	g.reset()
}

// commit syncs the large spans and writes the journal round that makes the group
// durable.
func (d *Dir) commit(g *group) (seq uint64, err error) {
	if err := d.syncExtents(g); err != nil {
		return 0, err
	}
	for i := range g.slots {
		for k := range g.slots[i].extents {
			g.round.Add(&g.slots[i].extents[k].entry, nil)
		}
	}
	if g.round.Len() == 0 {
		return 0, nil // only a barrier
	}
	seq, err = d.journal.Commit(&g.round)
	for try := 0; errors.Is(err, journal.ErrFull); try++ {
		// The checkpoints did not keep up. Waiting for one is the only way to
		// keep the promise; it is counted, so that it shows.
		d.stats.JournalFull.Add(1)
		if try > fullTries {
			return 0, fmt.Errorf("journal stays full after %d checkpoints: %w", try, err)
		}
		if err := d.checkpointNow(); err != nil {
			return 0, err
		}
		seq, err = d.journal.Commit(&g.round)
	}
	return seq, err
}

const fullTries = 3

// syncExtents makes the bytes of the group's extents durable in their segments.
func (d *Dir) syncExtents(g *group) error {
	var segments []*log.Segment
	for i := range g.slots {
		for k := range g.slots[i].extents {
			s := g.slots[i].extents[k].segment
			if n := len(segments); n == 0 || segments[n-1] != s {
				segments = append(segments, s)
			}
		}
	}
	defer func() {
		for i := range g.slots {
			for k := range g.slots[i].extents {
				g.slots[i].extents[k].segment.Release()
				g.slots[i].extents[k].segment = nil
			}
		}
	}()
	if len(segments) == 0 || d.o.mutant == mutantSkipDirectSync {
		return nil
	}
	d.stats.DirectSyncs.Add(int64(len(segments)))
	switch {
	case len(segments) == 1:
		return segments[0].SyncData()
	case len(segments) > syncAllAbove:
		return vfs.SyncAll(d.o.Env.FS, d.o.Dir)
	}
	return d.syncParallel(segments)
}

func (d *Dir) syncParallel(segments []*log.Segment) error {
	errs := make([]error, len(segments))
	places := make(chan struct{}, syncsAtOnce)
	var all sync.WaitGroup
	for i, s := range segments[1:] {
		places <- struct{}{}
		all.Go(func() {
			errs[i+1] = s.SyncData()
			<-places
		})
	}
	errs[0] = segments[0].SyncData()
	all.Wait()
	return errors.Join(errs...)
}

// note remembers which rounds hold entries of which log.
func (d *Dir) note(g *group, seq uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	bytes := int64(0)
	for i := range g.slots {
		s := g.slots[i].state
		if s.oldest == 0 {
			s.oldest = seq
		}
		s.newest = seq
		bytes += g.slots[i].small
		for k := range g.slots[i].extents {
			bytes += g.slots[i].extents[k].entry.Length
		}
	}
	d.stats.Bytes.Add(bytes)
}

// report tells every partition of the group its durable end.
func (d *Dir) report(g *group) {
	for i := range g.slots {
		g.slots[i].target.Flushed(g.slots[i].end)
	}
}

// refuse tells everybody in the group that it will not become durable.
func (d *Dir) refuse(g *group) {
	err := d.Err()
	for i := range g.slots {
		g.slots[i].target.Failed(err)
	}
	for _, f := range g.fences {
		f.done <- err
	}
}

// stop ends all acknowledgements of this directory. The first error counts.
func (d *Dir) stop(err error) {
	if d.failed.CompareAndSwap(nil, &stopped{err: fmt.Errorf("data directory %s has stopped: %w", d.o.Dir, err)}) {
		d.o.Log.Error("data directory stops: nothing is acknowledged any more; reads go on; restart after the disk is repaired",
			"dir", d.o.Dir, "error", err)
	}
}

// checkpointNow asks the checkpoint goroutine for space and waits for it.
func (d *Dir) checkpointNow() error {
	done := make(chan struct{})
	select {
	case d.urgent <- done:
	case <-d.ctx.Done():
		return d.ctx.Err()
	}
	select {
	case <-done:
		return d.Err()
	case <-d.ctx.Done():
		return d.ctx.Err()
	}
}

// drain flushes until nothing is left, at most for limit.
func (d *Dir) drain(ctx context.Context, limit time.Duration) {
	began := d.o.Env.Clock.Now()
	for d.o.Env.Clock.Since(began) < limit && ctx.Err() == nil {
		g := d.take()
		if g.empty() {
			return
		}
		d.flush(g)
	}
}
