package sim

import "time"

// network carries messages between nodes, and between clients and nodes. Place 0 is
// that of the clients, the others are node ids.
type network struct {
	cut       [placesMax][placesMax]bool // from, to
	loss      int                        // one of so many is lost; 0: none
	duplicate int                        // one of so many comes twice
	delay     int                        // one of so many is late
	late      time.Duration
}

const placesMax = 8

// clients is the place of all clients.
const clients = 0

// The time that a message takes.
const (
	hopMin = 50 * time.Microsecond
	hopMax = 400 * time.Microsecond
)

func placeOf(n *node) int {
	if n == nil {
		return clients
	}
	return int(n.id)
}

// send carries a message from a node to another, nil for the clients. Life anyLife:
// whichever life of the receiver there is when it arrives. It may be lost, late, or
// come twice.
func (w *World) send(from, to *node, life int, arrive func()) {
	a, b := placeOf(from), placeOf(to)
	if w.net.cut[a][b] {
		w.count("messages cut off")
		return
	}
	if w.net.loss > 0 && w.chance(w.net.loss) {
		w.count("messages lost")
		return
	}
	copies := 1
	if w.net.duplicate > 0 && w.chance(w.net.duplicate) {
		w.count("messages repeated")
		copies = 2
	}
	for range copies {
		d := w.between(hopMin, hopMax)
		if w.net.delay > 0 && w.chance(w.net.delay) {
			w.count("messages late")
			d += w.upTo(w.net.late)
		}
		w.push(&event{at: w.now + d, node: to, life: life, run: func() {
			if !w.net.cut[a][b] {
				arrive()
			}
		}})
	}
}

// heal makes the network whole.
func (x *network) heal() { *x = network{} }

// rpc asks a node something. handle runs there and replies when it likes; done runs
// where the question came from, once: with the first answer, or without one when
// limit is over. A sender that dies is not told.
type rpc[T any] struct {
	from, to *node
	limit    time.Duration
	handle   func(reply func(T))
	done     func(answer T, ok bool)
}

func ask[T any](w *World, q rpc[T]) {
	life, over := anyLife, false
	if q.from != nil {
		life = q.from.life
	}
	end := func(answer T, ok bool) {
		if !over {
			over = true
			q.done(answer, ok)
		}
	}
	w.send(q.from, q.to, anyLife, func() {
		q.handle(func(answer T) {
			w.send(q.to, q.from, life, func() { end(answer, true) })
		})
	})
	timeout := &event{at: w.now + q.limit, node: q.from, life: life, run: func() {
		var none T
		end(none, false)
	}}
	w.push(timeout)
}
