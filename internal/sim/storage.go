package sim

import (
	"errors"
	"slices"
	"time"

	"holdfast/internal/datadir"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
)

// gate is a data directory whose flush rounds take their time, while more is
// appended.
type gate struct {
	*datadir.Dir
	n    *node
	busy bool
	held []func() // planted: spans that were reported and not submitted yet
}

// How long a sync takes, on a good disk and on a slow one.
const (
	syncMin, syncMax = 300 * time.Microsecond, 3 * time.Millisecond
	slowMin, slowMax = 50 * time.Millisecond, 600 * time.Millisecond
)

// Submit implements partition.Storage.
func (g *gate) Submit(target datadir.Flushable, l *log.Log, s log.Span, data []byte, high kafka.Offset) {
	if g.n.w.plant.ackBeforeSync {
		data = slices.Clone(data)
		g.held = append(g.held, func() { g.Dir.Submit(target, l, s, data, high) })
		g.n.after(time.Millisecond, func() { target.Flushed(s.End) })
		if len(g.held) == 1 {
			g.n.after(g.n.w.upTo(300*time.Millisecond), g.letGo)
		}
		return
	}
	g.Dir.Submit(target, l, s, data, high)
	g.soon()
}

// letGo submits what a planted fault has held back.
func (g *gate) letGo() {
	for _, f := range g.held {
		f()
	}
	g.held = nil
	g.soon()
}

// soon begins a round, unless one is under way.
func (g *gate) soon() {
	if g.busy {
		return
	}
	g.busy = true
	g.n.after(g.n.w.upTo(200*time.Microsecond), g.begin)
}

func (g *gate) begin() {
	if !g.BeginRound() {
		g.busy = false
		return
	}
	d := g.n.w.between(syncMin, syncMax)
	if g.n.slow {
		d = g.n.w.between(slowMin, slowMax)
	}
	g.n.after(d, func() {
		g.EndRound()
		g.begin()
	})
}

// Cut implements partition.Storage.
func (g *gate) Cut(l *log.Log, to kafka.Offset) error {
	g.letGo()
	g.n.w.check.cutting(place{g.n.id, kafka.TopicIDPartition{TopicID: l.Key().TopicID, Partition: l.Key().Partition}}, to)
	return errors.Join(g.Dir.Cut(l, to), g.Dir.Err())
}

// Restart implements partition.Storage.
func (g *gate) Restart(l *log.Log, start kafka.Offset) error {
	g.letGo()
	return errors.Join(g.Dir.Restart(l, start), g.Dir.Err())
}
