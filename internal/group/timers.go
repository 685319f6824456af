package group

import "holdfast/internal/kafka"

// timer is a deadline of a member (its session) or of a group (the end of a
// phase). due is what counts. at is where the queue has it, which is never later:
// a deadline that moves away, as sessions do at every heartbeat, leaves the queue
// alone until it comes up.
type timer struct {
	due, at kafka.Timestamp
	order   uint64 // breaks ties, so that every run is the same
	place   int    // in the queue plus one; 0: not in it
	group   *group
	member  *member // nil: the group's own
	pending string  // a member id that was handed out and not used
}

// timers is a binary heap by (at, order).
type timers struct {
	heap  []*timer
	order uint64
}

func (q *timers) before(a, b *timer) bool {
	return a.at < b.at || a.at == b.at && a.order < b.order
}

// set makes t due at the time given, whatever it was before.
func (q *timers) set(t *timer, due kafka.Timestamp) {
	t.due = due
	if t.place != 0 && t.at <= due {
		return
	}
	q.order++
	t.at, t.order = due, q.order
	if t.place == 0 {
		q.heap = append(q.heap, t)
		t.place = len(q.heap)
	}
	q.up(t.place - 1)
}

// cancel takes t out.
func (q *timers) cancel(t *timer) {
	if t.place == 0 {
		return
	}
	i, last := t.place-1, len(q.heap)-1
	q.swap(i, last)
	q.heap[last] = nil
	q.heap = q.heap[:last]
	t.place = 0
	if i < last {
		q.up(i)
		q.down(i)
	}
}

// next is the earliest time at which something may be due.
func (q *timers) next() (kafka.Timestamp, bool) {
	if len(q.heap) == 0 {
		return 0, false
	}
	return q.heap[0].at, true
}

// pop takes out and returns the first timer that is due at now, or nil.
func (q *timers) pop(now kafka.Timestamp) *timer {
	for len(q.heap) > 0 && q.heap[0].at <= now {
		t := q.heap[0]
		if t.due <= now {
			q.cancel(t)
			return t
		}
		t.at = t.due
		q.down(0)
	}
	return nil
}

func (q *timers) swap(i, j int) {
	q.heap[i], q.heap[j] = q.heap[j], q.heap[i]
	q.heap[i].place, q.heap[j].place = i+1, j+1
}

func (q *timers) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !q.before(q.heap[i], q.heap[parent]) {
			return
		}
		q.swap(i, parent)
		i = parent
	}
}

func (q *timers) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(q.heap); child++ {
			if q.before(q.heap[child], q.heap[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		q.swap(i, least)
		i = least
	}
}
