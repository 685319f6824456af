package datadir

func (d *Dir) start() {
	if d.o.Stepped {
		return
	}
	d.group.Go(d.runFlush)
	d.group.Go(d.runCheckpoint)
	d.group.Go(d.runSpace)
}

// runFlush is the goroutine of the flush rounds. Nothing on its path waits for a
// timer.
func (d *Dir) runFlush() {
	for {
		select {
		case <-d.kick:
			d.flush(d.take())
		case <-d.ctx.Done():
			for d.flush(d.take()) {
			}
			return
		}
	}
}

// runCheckpoint is the goroutine that gives journal space back.
func (d *Dir) runCheckpoint() {
	t := d.o.Env.Clock.NewTimer(checkpointEvery)
	defer t.Stop()
	for {
		all := false
		select {
		case <-d.ctx.Done():
			return
		case <-d.wanted:
		case done := <-d.asks:
			done <- d.upkeep(true)
			continue
		case <-t.C():
			all = true
		}
		next := checkpointEvery
		if !d.upkeep(all) {
			next = checkpointRetry
		} else if all && d.Err() == nil {
			d.exportPoints()
		}
		if all || next == checkpointRetry {
			t.Reset(next)
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
		case <-d.doubt:
		case <-t.C():
			t.Reset(spaceEvery)
		}
		if err := d.look(); err != nil {
			d.o.Log.Warn("cannot tell the free space", "error", err)
		}
	}
}
