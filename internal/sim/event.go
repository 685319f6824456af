package sim

import (
	"container/heap"
	"time"
)

// event is something that happens at a moment. It belongs to a node, or to the
// world where node is nil.
type event struct {
	at   time.Duration // since the beginning of the world
	seq  uint64        // orders events of one moment
	node *node
	life int // of the node; anyLife: whichever runs then
	run  func()
}

const anyLife = -1

// queue holds what is to come, the next event first.
type queue []*event

// Len implements heap.Interface.
func (q queue) Len() int { return len(q) }

// Less implements heap.Interface.
func (q queue) Less(i, k int) bool {
	if q[i].at != q[k].at {
		return q[i].at < q[k].at
	}
	return q[i].seq < q[k].seq
}

// Swap implements heap.Interface.
func (q queue) Swap(i, k int) { q[i], q[k] = q[k], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(*event)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	n := len(*q) - 1
	x := (*q)[n]
	(*q)[n] = nil
	*q = (*q)[:n]
	return x
}

func (w *World) push(e *event) {
	w.seq++
	e.seq = w.seq
	heap.Push(&w.queue, e)
}

// after has the world run f in d.
func (w *World) after(d time.Duration, f func()) { w.push(&event{at: w.now + d, run: f}) }

// after has this life of the node run f in d; a death forgets it.
func (n *node) after(d time.Duration, f func()) {
	n.w.push(&event{at: n.w.now + d, node: n, life: n.life, run: f})
}

// every has this life of the node run f again and again, the first time within d.
func (n *node) every(d time.Duration, f func()) {
	var again func()
	again = func() {
		f()
		n.after(n.w.about(d), again)
	}
	n.after(n.w.upTo(d), again)
}

// upTo draws a time below d.
func (w *World) upTo(d time.Duration) time.Duration { return time.Duration(w.r.Int64N(int64(d) + 1)) }

// about draws a time near d.
func (w *World) about(d time.Duration) time.Duration { return d - d/20 + w.upTo(d/10) }

// between draws a time.
func (w *World) between(from, to time.Duration) time.Duration { return from + w.upTo(to-from) }

// chance is true once in n.
func (w *World) chance(n int) bool { return w.r.IntN(n) == 0 }
