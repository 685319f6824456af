package quorum

import "errors"

// run is the loop that owns the core.
func (q *Quorum) run() {
	err := q.loop()
	if err != nil {
		q.core.o.Log.Error("the metadata quorum has stopped", "error", err)
		q.failure.Store(&err)
	}
	q.closeErr = errors.Join(err, q.core.close(err != nil))
	close(q.stopped)
}

func (q *Quorum) loop() error {
	c := q.core
	if err := c.campaign(); err != nil {
		return err
	}
	timer := c.o.Env.Clock.NewTimer(tickInterval)
	defer timer.Stop()
	for {
		if err := c.drain(); err != nil {
			return err
		}
		q.view.Store(c.describe())
		submits := q.submits
		if !c.accepts() {
			submits = nil // they wait until somebody leads
		}
		select {
		case <-q.stop:
			return nil
		case <-timer.C():
			timer.Reset(tickInterval)
			if err := c.tick(); err != nil {
				return err
			}
		case m := <-q.messages:
			c.step(m)
		case s := <-submits:
			c.propose(q.batch(s))
		}
	}
}

// batch takes what waits beside the first submission: one sync serves them all.
func (q *Quorum) batch(first *submission) []*submission {
	list := []*submission{first}
	for len(list) < submissionsMax {
		select {
		case s := <-q.submits:
			list = append(list, s)
		default:
			return list
		}
	}
	return list
}
