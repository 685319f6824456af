package partition

// Suspend ends or begins the acceptance of writes while this replica leads as far as
// the metadata here says: nothing was heard of the controller for a whole session, so
// that somebody else may lead. Whoever waits for an acknowledgement is told to look
// elsewhere. What followers have told stays, and so does the role: a leader that was
// not replaced goes on where it was. The next role begins without it.
func (p *Partition) Suspend(suspended bool) {
	var a after
	p.mu.Lock()
	if begins := suspended && p.mu.role == leads; begins && !p.mu.suspended {
		p.mu.suspended = true
		const everything = 1<<63 - 1
		a.wake = p.mu.commits.take(a.wake, everything)
		a.wake = p.mu.locals.take(a.wake, everything)
	} else if !begins {
		p.mu.suspended = false
	}
	p.mu.Unlock()
	p.finish(&a)
}
