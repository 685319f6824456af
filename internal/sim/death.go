package sim

import (
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// deathKind is what goes with a process.
type deathKind uint8

const (
	processEnd deathKind = iota // nothing: the page cache stays
	powerLoss                   // some of what was not synced
	powerDrop                   // all of it
)

type death struct {
	kind deathKind
	back time.Duration // when it starts again; negative: somebody else says
}

// die ends the process.
func (n *node) die(d death) {
	if n.isDown() {
		return
	}
	w := n.w
	epoch := n.epoch
	n.running, n.pausedUntil = false, 0
	switch d.kind {
	case processEnd:
		n.disk = n.disk.Kill()
	case powerLoss:
		n.disk = n.disk.CrashWith(vfs.CrashOptions{Seed: w.r.Uint64(), Garbage: w.chance(2)})
	case powerDrop:
		n.disk = n.disk.CrashWith(vfs.CrashOptions{Kind: vfs.CrashDrop})
	}
	w.check.died(n, d.kind != processEnd)
	n.process = process{epoch: -1}
	if w.plan.proofs && epoch >= 0 {
		w.proveDeath(n, epoch)
	}
	if d.back >= 0 {
		n.rise(d.back)
	}
}

// proveDeath lets others find out that a process has ended: their connections broke
// and new ones are refused.
func (w *World) proveDeath(dead *node, epoch kafka.BrokerEpoch) {
	life := dead.life
	for _, m := range w.nodes {
		if m == dead || m.isDown() {
			continue
		}
		m.after(w.between(5*time.Millisecond, 60*time.Millisecond), func() {
			if cut := w.net.cut[dead.id][m.id] || w.net.cut[m.id][dead.id]; dead.life == life && dead.isDown() && !cut {
				m.proven(dead, epoch)
			}
		})
	}
}

// rise starts the node again in d, unless somebody else does before.
func (n *node) rise(d time.Duration) {
	life := n.life
	n.w.after(d, func() {
		if n.isDown() && n.life == life {
			n.boot()
		}
	})
}

// stop ends the process in order.
func (n *node) stop() {
	w := n.w
	w.note("%s stops in order", n)
	n.note(n.quorum.Resign())
	for _, r := range n.order {
		r.p.Resign()
	}
	n.gate.letGo()
	if len(n.damage) == 0 {
		n.dir.SetEpoch(n.epoch)
	}
	err := n.quorum.Close(n.failed != nil)
	if err == nil {
		err = n.dir.Close()
	}
	if err != nil && !n.disk.Crashed() && !w.mayFail(n, err) {
		w.find("%s does not stop in order: %v", n, err)
	}
	n.die(death{kind: processEnd, back: w.plan.downtime(w)})
}
