package datadir

import "context"

func (d *Dir) start() {
	d.group.Go(d.runFlush)
	d.group.Go(d.runCheckpoint)
	d.group.Go(d.runSpace)
}

// runFlush is the goroutine of the flush rounds.
func (d *Dir) runFlush() {
	for {
		select {
		case <-d.kick:
			d.flush(d.take())
		case <-d.ctx.Done():
			d.drain(context.Background(), closeTimeout)
			return
		}
	}
}

// runCheckpoint is the goroutine that gives journal space back.
func (d *Dir) runCheckpoint() {
	clock := d.o.Env.Clock
	t := clock.NewTimer(checkpointLook)
	defer t.Stop()
	last := clock.Now()
	for {
		select {
		case <-d.ctx.Done():
			return
		case done := <-d.urgent:
			d.checkpointUpTo(d.journal.Usage().Next, false)
			close(done)
		case <-t.C():
			if d.Err() == nil {
				force := clock.Since(last) >= checkpointEvery
				d.upkeep(force)
				if force {
					last = clock.Now()
				}
			}
			t.Reset(checkpointLook)
		}
	}
}

// runSpace is the goroutine that watches the free space.
func (d *Dir) runSpace() {
	t := d.o.Env.Clock.NewTimer(spaceEvery)
	defer t.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-t.C():
			if err := d.look(); err != nil {
				d.o.Log.Warn("cannot tell the free space", "error", err)
			}
			t.Reset(spaceEvery)
		}
	}
}
