package coord

import (
	"sync/atomic"

	"holdfast/internal/group"
	"holdfast/internal/kafka"
	"holdfast/internal/purgatory"
)

// Outcome is what became of a call: a code, or the value that the call asks for.
type Outcome struct {
	// Code is ErrNone when Value is set. Any other code is the shell's own: the
	// machine did not answer, and the client should find its coordinator again.
	Code  kafka.ErrorCode
	Value any
}

// Ticket is one call. Its waiter is told once when the outcome is there. It is
// safe for concurrent use.
type Ticket struct {
	shard  *shard // nil when no shard ever heard of it
	id     group.CallID
	waiter *purgatory.Waiter
	out    atomic.Pointer[Outcome]
}

// Refused is a ticket that is complete from the start.
func Refused(w *purgatory.Waiter, code kafka.ErrorCode) *Ticket {
	t := &Ticket{waiter: w}
	t.out.Store(&Outcome{Code: code})
	w.Arrive()
	return t
}

// Outcome is what became of the call; ok is false while it waits.
func (t *Ticket) Outcome() (o Outcome, ok bool) {
	p := t.out.Load()
	if p == nil {
		return Outcome{}, false
	}
	return *p, true
}

// Abandon gives the call up: nobody will look at its outcome. What it asked for
// happens all the same.
func (t *Ticket) Abandon() {
	if t.shard != nil && t.out.Load() == nil {
		t.shard.abandon(t)
	}
}

// done is a ticket whose outcome is known; complete tells its waiter.
type done struct {
	ticket  *Ticket
	outcome Outcome
}

func complete(list []done) {
	for i := range list {
		d := &list[i]
		if d.ticket.out.CompareAndSwap(nil, &d.outcome) {
			d.ticket.waiter.Arrive()
		}
	}
}
