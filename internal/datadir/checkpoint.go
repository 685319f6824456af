package datadir

import (
	"cmp"
	"slices"
	"time"
)

// When a checkpoint runs: when more than a checkpointAt part of the ring is live,
// and at the latest after checkpointEvery, so that a restart has little to read.
const (
	checkpointAt    = 3 // one third
	checkpointEvery = 30 * time.Second
	checkpointLook  = 20 * time.Millisecond
	// checkpointPause between two logs leaves the disk to the flush rounds.
	checkpointPause = 500 * time.Microsecond
)

// states returns the open logs, those with the oldest journal entries first.
func (d *Dir) states() []*logState {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]*logState, 0, len(d.mu.logs))
	for _, s := range d.mu.logs {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *logState) int {
		return cmp.Or(cmp.Compare(a.oldest, b.oldest), cmp.Compare(a.log.Dir(), b.log.Dir()))
	})
	return out
}

// checkpointUpTo checkpoints every log that has journal entries in rounds up to
// upTo, and gives those rounds back.
func (d *Dir) checkpointUpTo(upTo uint64, paced bool) {
	for _, s := range d.states() {
		d.mu.Lock()
		skip, seen := s.oldest == 0 || s.oldest > upTo || s.gone, s.newest
		d.mu.Unlock()
		if skip {
			continue
		}
		if d.o.mutant != mutantReleaseUnsynced {
			if _, err := s.log.Checkpoint(); err != nil {
				d.checkpointFailed(s, err)
				return
			}
		}
		d.stats.Checkpoints.Add(1)
		d.mu.Lock()
		// Entries of rounds after seen came while the checkpoint ran.
		if s.newest == seen {
			s.oldest = 0
		} else {
			s.oldest = seen + 1
		}
		d.mu.Unlock()
		if paced {
			d.o.Env.Clock.Sleep(checkpointPause)
		}
	}
	d.release()
}

// checkpointFailed: a failed sync stops the directory; a full disk does not, the
// space comes back.
func (d *Dir) checkpointFailed(s *logState, err error) {
	d.stats.CheckpointFailures.Add(1)
	if s.log.Err() != nil {
		d.stop(err)
		return
	}
	d.o.Log.Warn("checkpoint failed; it will be tried again", "log", s.log.Dir(), "error", err)
}

// release gives back every round that no log needs any more.
func (d *Dir) release() {
	next := d.journal.Usage().Next
	d.mu.Lock()
	if len(d.unread) > 0 {
		d.mu.Unlock()
		return // a log that is not open yet may need any of them
	}
	least := next
	for _, s := range d.mu.logs {
		if s.oldest != 0 && !s.gone {
			least = min(least, s.oldest)
		}
	}
	d.mu.Unlock()
	if least == 0 {
		return
	}
	if err := d.journal.Release(least - 1); err != nil {
		d.stop(err)
	}
}

// upkeep runs one look at the ring: grow it, or give space back.
func (d *Dir) upkeep(force bool) {
	u := d.journal.Usage()
	if u.Used == 0 {
		return
	}
	if grew, err := d.journal.Grow(); err != nil {
		d.stop(err)
		return
	} else if grew {
		d.o.Log.Info("journal grew", "bytes", d.journal.Usage().Size)
		return
	}
	if !force && u.Used*checkpointAt < u.Size {
		return
	}
	// The older half goes: the younger half may be given back for nothing when
	// its logs are checkpointed for the sake of older entries.
	upTo := u.Oldest + (u.Next-u.Oldest)/2
	if force {
		upTo = u.Next
	}
	d.checkpointUpTo(upTo, true)
}
