package sim

import (
	"errors"
	"slices"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/vfs"
)

// plan is what the seed has chosen before the world begins.
type plan struct {
	nodes, partitions, replication, minISR int
	minISRLeast                            int // no fault sets less
	producers, batchRecords                int
	writeEvery                             time.Duration
	segmentBytes                           int
	reconcileMax                           time.Duration // how long a broker takes to follow the metadata
	proofs                                 bool          // whether ends of processes are proven
	downMax                                time.Duration
	faults                                 []fault
	config                                 *config.Broker
}

// fault is one kind of fault. every is the mean time between two of them.
type fault struct {
	name   string
	every  time.Duration
	inject func(*World)
}

// Faults lists the kinds of faults.
func Faults() (names []string) {
	for _, f := range allFaults() {
		names = append(names, f.name)
	}
	return names
}

//lint:table
func allFaults() []fault {
	const s = time.Second
	return []fault{
		{"kill", 2 * s, (*World).kill},
		{"power cut", 2 * s, (*World).powerCut},
		{"power cut in a write", 2 * s, (*World).powerCutInWrite},
		{"power cut of all", 6 * s, (*World).blackout},
		{"pause", 2 * s, (*World).pause},
		{"cut", 3 * s, (*World).cutOff},
		{"one-way cut", 3 * s, (*World).cutOneWay},
		{"loss", 2 * s, (*World).lose},
		{"delay", 2 * s, (*World).delay},
		{"repetition", 2 * s, (*World).repeat},
		{"slow disk", 2 * s, (*World).slowDown},
		{"failed sync", 4 * s, (*World).failSync},
		{"full disk", 4 * s, (*World).fill},
		{"clock jump", 2 * s, (*World).jump},
		{"controlled shutdown", 3 * s, (*World).leave},
		{"min ISR", 3 * s, (*World).alterMinISR},
		{"wiped disk", 4 * s, (*World).wipe},
		{"power cut of the in-sync", 3 * s, (*World).cutInSync},
		{"leader cut off", 2 * s, (*World).cutLeader},
		{"reassignment", 3 * s, (*World).reassign},
	}
}

// choose draws the plan.
func (w *World) choose() plan {
	r := w.r
	p := plan{nodes: 3, partitions: 1 + r.IntN(3), replication: 3, minISR: 2, minISRLeast: 1, producers: 1 + r.IntN(5), batchRecords: 1 + r.IntN(20),
		writeEvery: w.between(20*time.Millisecond, 120*time.Millisecond), segmentBytes: []int{8 << 10, 32 << 10, 1 << 20}[r.IntN(3)],
		reconcileMax: []time.Duration{time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond}[r.IntN(3)],
		proofs:       w.chance(2), downMax: w.between(300*time.Millisecond, 2*time.Second), config: config.Default()}
	if w.chance(5) {
		p.nodes = 4
	}
	if w.chance(6) {
		p.minISR = 1 + r.IntN(3)
	}
	p.producers = max(p.producers, p.partitions)
	for _, f := range allFaults() {
		chosen := w.chance(2)
		if wanted := w.wantedFaults(); wanted != nil {
			chosen = slices.Contains(wanted, f.name)
		}
		if chosen {
			f.every = w.between(f.every/2, 2*f.every)
			p.faults = append(p.faults, f)
		}
	}
	if p.has("wiped disk") {
		// With min ISR 1 an acknowledged record may have been on that disk alone.
		p.minISR, p.minISRLeast = max(p.minISR, 2), 2
	}
	p.pace(w.between(400*time.Millisecond, 1500*time.Millisecond))
	return p
}

// wantedFaults are the kinds that happen, nil where the seed chooses.
func (w *World) wantedFaults() []string {
	if w.o.Faults == nil {
		return w.plant.faults
	}
	return w.o.Faults
}

// pace lets one fault happen in each such time: few kinds often, or many kinds seldom,
// so that the cluster works most of the time.
func (p *plan) pace(mean time.Duration) {
	perSecond := 0.0
	for _, f := range p.faults {
		perSecond += 1 / f.every.Seconds()
	}
	for i := range p.faults {
		p.faults[i].every = time.Duration(float64(p.faults[i].every) * perSecond * mean.Seconds())
	}
}

// has reports whether faults of the kind happen.
func (p *plan) has(kind string) bool {
	return slices.ContainsFunc(p.faults, func(f fault) bool { return f.name == kind })
}

// downtime draws how long a process stays away.
func (p *plan) downtime(w *World) time.Duration {
	return w.between(50*time.Millisecond, p.downMax)
}

// armFaults lets the chosen kinds happen until the liveness phase.
func (w *World) armFaults() {
	for _, f := range w.plan.faults {
		var again func()
		again = func() {
			if w.healing {
				return
			}
			f.inject(w)
			w.after(w.upTo(2*f.every), again)
		}
		w.after(time.Second+w.upTo(2*f.every), again)
	}
}

// happened counts a fault and writes it down.
func (w *World) happened(kind, format string, args ...any) {
	w.count(kind)
	w.note(kind+": "+format, args...)
}

func (w *World) kill() {
	if n := w.someNode(); n != nil {
		w.happened("kill", "%s", n)
		n.die(death{kind: processEnd, back: w.plan.downtime(w)})
	}
}

func (w *World) powerCut() {
	if n := w.someNode(); n != nil {
		w.happened("power cut", "%s", n)
		n.die(death{kind: w.lossKind(), back: w.plan.downtime(w)})
	}
}

func (w *World) lossKind() deathKind {
	if w.chance(3) {
		return powerDrop
	}
	return powerLoss
}

func (w *World) powerCutInWrite() {
	if n := w.someNode(); n != nil {
		w.happened("power cut in a write", "%s", n)
		n.disk.CrashAfter(w.r.IntN(30))
	}
}

func (w *World) blackout() {
	w.happened("power cut of all", "")
	for _, n := range w.nodes {
		n.die(death{kind: w.lossKind(), back: w.plan.downtime(w)})
	}
}

func (w *World) pause() {
	if n := w.someNode(); n != nil {
		d := w.between(50*time.Millisecond, 1800*time.Millisecond)
		w.happened("pause", "%s for %s", n, d)
		n.pausedUntil = w.now + d
	}
}

// cutOff separates one node from some of the others, the clients perhaps included.
func (w *World) cutOff() {
	a, list := w.somePlaces()
	w.happened("cut", "%d from %v", a, list)
	w.setCut(a, list, true, true)
}

func (w *World) cutOneWay() {
	a, list := w.somePlaces()
	w.happened("one-way cut", "%d to %v", a, list)
	w.setCut(a, list, true, false)
}

func (w *World) somePlaces() (a int, list []int) {
	a = 1 + w.r.IntN(len(w.nodes))
	for b := range len(w.nodes) + 1 {
		if b != a && !w.chance(3) {
			list = append(list, b)
		}
	}
	return a, list
}

// setCut cuts a off for a while.
func (w *World) setCut(a int, list []int, out, in bool) {
	for _, b := range list {
		w.net.cut[a][b] = w.net.cut[a][b] || out
		w.net.cut[b][a] = w.net.cut[b][a] || in
	}
	w.after(w.between(100*time.Millisecond, 1800*time.Millisecond), func() {
		for _, b := range list {
			w.net.cut[a][b], w.net.cut[b][a] = false, false
		}
	})
}

// lose, delay and repeat trouble all messages for a while.
func (w *World) lose() {
	w.happened("loss", "")
	w.net.loss = 5 + w.r.IntN(100)
	w.after(w.upTo(2*time.Second), func() { w.net.loss = 0 })
}

func (w *World) delay() {
	w.happened("delay", "")
	w.net.delay, w.net.late = 2+w.r.IntN(40), w.between(5*time.Millisecond, 700*time.Millisecond)
	w.after(w.upTo(2*time.Second), func() { w.net.delay = 0 })
}

func (w *World) repeat() {
	w.happened("repetition", "")
	w.net.duplicate = 2 + w.r.IntN(40)
	w.after(w.upTo(2*time.Second), func() { w.net.duplicate = 0 })
}

func (w *World) slowDown() {
	if n := w.someNode(); n != nil {
		w.happened("slow disk", "%s", n)
		n.slow = true
		n.after(w.upTo(3*time.Second), func() { n.slow = false })
	}
}

func (w *World) failSync() {
	if n := w.someNode(); n != nil {
		w.happened("failed sync", "%s", n)
		n.faulty = true
		n.disk.Inject(vfs.Fault{Op: vfs.OpSync, After: w.r.IntN(10), Times: 1})
	}
}

// fill leaves a disk hardly any space for a while.
func (w *World) fill() {
	n := w.someNode()
	if n == nil {
		return
	}
	free, total, err := n.disk.Space(dataDir)
	if err != nil {
		return
	}
	left := w.r.Int64N(2 * reserveBytes)
	w.happened("full disk", "%s, %d bytes left", n, left)
	n.disk.SetCapacity(total - free + left)
	n.full = true
	w.after(w.upTo(3*time.Second), func() { n.makeRoom() })
}

func (n *node) makeRoom() {
	n.disk.SetCapacity(0)
	n.full = false
}

// skewMax keeps clocks near enough that brokers take each other's times for possible
// (message.timestamp.after.max.ms is an hour).
const skewMax = 55 * time.Minute

// jump moves a wall clock.
func (w *World) jump() {
	if n := w.someNode(); n != nil {
		d := w.between(-skewMax, skewMax) - n.skew
		if w.chance(2) {
			d = min(max(w.between(-5*time.Second, 5*time.Second), -skewMax-n.skew), skewMax-n.skew)
		}
		w.happened("clock jump", "%s by %s", n, d)
		n.clock.Jump(d)
		n.skew += d
	}
}

// leave begins a controlled shutdown.
func (w *World) leave() {
	n := w.someNode()
	if n == nil || n.epoch < 0 || n.leaving {
		return
	}
	w.happened("controlled shutdown", "%s", n)
	n.leaving = true
	n.after(2*time.Second, func() { n.stop() })
}

// alterMinISR changes min.insync.replicas of the topic.
func (w *World) alterMinISR() {
	n := w.someNode()
	if n == nil || n.quorum.Image().TopicByName(topicName) == nil {
		return
	}
	value := string(rune('0' + w.plan.minISRLeast + w.r.IntN(w.plan.replication-w.plan.minISRLeast+1)))
	w.happened("min ISR", "%s", value)
	n.submit(controller.AlterConfigs{Resources: []controller.ResourceChange{{Resource: meta.TopicResource(topicName),
		Changes: []controller.ConfigChange{{Key: "min.insync.replicas", Op: controller.ConfigSet, Value: &value}}}}}, func(r controller.Reply, err error) {
		w.note("min ISR %s: %+v %v", value, r.Configs, err)
	})
}

// isWhole reports whether nothing is missing anywhere, so that a disk can be lost.
func (w *World) isWhole() bool {
	for _, n := range w.nodes {
		b := w.check.newest.Broker(n.id)
		if n.isDown() || b == nil || b.Epoch != n.epoch || b.Fenced || len(n.damage) > 0 {
			return false
		}
	}
	for _, t := range w.check.newest.Topics() {
		for _, p := range t.Partitions {
			if len(p.ISR) != len(p.Replicas) {
				return false
			}
		}
	}
	for _, n := range w.nodes {
		if n.quorum.Decides() {
			for _, v := range n.quorum.Describe().Voters {
				if b := w.check.newest.Broker(v.Node); b == nil || !b.HasDirectory(v.Directory) {
					return false
				}
			}
			return true
		}
	}
	return false
}

// wipe exchanges a node's disk for an empty one, where the others have everything.
func (w *World) wipe() {
	if n := w.someNode(); n != nil && w.isWhole() {
		w.happened("wiped disk", "%s", n)
		epoch := n.epoch
		n.die(death{kind: processEnd, back: w.plan.downtime(w)})
		n.disk, n.wiped = vfs.NewMem(w.r.Uint64()), true
		w.check.wiped(n, epoch)
	}
}

// somePartition draws one that there is.
func (w *World) somePartition() (p meta.Partition, ok bool) {
	t := w.check.newest.TopicByName(topicName)
	if t == nil {
		return p, false
	}
	return t.Partitions[w.r.IntN(len(t.Partitions))], true
}

// cutInSync takes the power from the in-sync replicas of a partition, where there
// are others.
func (w *World) cutInSync() {
	p, ok := w.somePartition()
	if !ok || len(p.ISR) == len(p.Replicas) && !w.chance(4) {
		return
	}
	w.happened("power cut of the in-sync", "%v of partition %d", p.ISR, p.Index)
	for _, id := range p.ISR {
		w.node(id).die(death{kind: w.lossKind(), back: w.plan.downtime(w)})
	}
}

// cutLeader separates the leader of a partition from the other brokers; clients
// reach it.
func (w *World) cutLeader() {
	p, ok := w.somePartition()
	if !ok || p.Leader == kafka.NoBroker {
		return
	}
	var others []int
	for _, n := range w.nodes {
		if n.id != p.Leader && !w.chance(4) {
			others = append(others, int(n.id))
		}
	}
	w.happened("leader cut off", "%d from %v", p.Leader, others)
	in, out := !w.chance(4), !w.chance(4)
	w.setCut(int(p.Leader), others, out, in)
}

// reassign moves a partition to other brokers, or gives its replicas another order.
func (w *World) reassign() {
	p, ok := w.somePartition()
	n := w.someNode()
	if !ok || n == nil {
		return
	}
	var to []kafka.BrokerID
	for _, i := range w.r.Perm(len(w.nodes))[:w.plan.replication] {
		to = append(to, w.nodes[i].id)
	}
	w.happened("reassignment", "partition %d from %v to %v", p.Index, p.Replicas, to)
	n.submit(controller.AlterReassignments{Reassignments: []controller.Reassignment{{Topic: topicName, Partition: p.Index, Replicas: to}}},
		func(r controller.Reply, err error) { w.note("reassignment: %+v %v", r.Partitions, err) })
}

// mayFail reports whether a failure has a cause among the faults.
func (w *World) mayFail(n *node, err error) bool {
	return errors.Is(err, vfs.ErrCrashed) || errors.Is(err, vfs.ErrNoSpace) && n.full || n.faulty
}

// heal ends the safety phase: everything is mended, and the world has to come to
// rest.
func (w *World) heal() {
	w.note("peace")
	w.healing = true
	w.net.heal()
	for _, n := range w.nodes {
		n.disk.Heal()
		n.disk.CrashAfter(-1)
		n.makeRoom()
		n.clock.Jump(-n.skew)
		n.skew, n.pausedUntil, n.slow = 0, 0, false
		if n.isDown() {
			n.rise(w.upTo(time.Second))
		}
	}
	w.restoreMinISR()
	began, why := w.now, ""
	for w.now-began < peaceMax {
		look := w.now + 100*time.Millisecond
		for w.now < look {
			w.step()
		}
		if why = w.unrest(); why == "" {
			w.result.Liveness = w.now - began
			w.check.rest()
			return
		}
	}
	w.find("after %s of peace: %s", peaceMax, why)
}

// peaceMax is how long the world may take to come to rest.
const peaceMax = 40 * time.Second

// restoreMinISR sets min ISR so that the cluster can live with it.
func (w *World) restoreMinISR() {
	if w.result.Faults["min ISR"] == 0 {
		return
	}
	value := "2"
	var again func()
	again = func() {
		n := w.someNode()
		if n == nil {
			w.after(100*time.Millisecond, again)
			return
		}
		n.submit(controller.AlterConfigs{Resources: []controller.ResourceChange{{Resource: meta.TopicResource(topicName),
			Changes: []controller.ConfigChange{{Key: "min.insync.replicas", Op: controller.ConfigSet, Value: &value}}}}}, func(_ controller.Reply, err error) {
			if err != nil {
				w.after(100*time.Millisecond, again)
			}
		})
	}
	again()
}

// unrest says what is not as it should be in peace; empty: nothing.
func (w *World) unrest() string {
	for _, n := range w.nodes {
		if n.isDown() || n.epoch < 0 || n.quorum.Image() != w.check.newest && n.quorum.Image().Offset() != w.check.newest.Offset() {
			return n.String() + " is not there yet"
		}
		if b := w.check.newest.Broker(n.id); b == nil || b.Fenced || b.Epoch != n.epoch {
			return n.String() + " is not admitted"
		}
		if len(n.damage) > 0 {
			return n.String() + " is not repaired"
		}
		if n.applied < w.check.newest.Offset() {
			return n.String() + " has not followed the metadata"
		}
	}
	if w.load.topic.IsZero() {
		return "the topic is not made"
	}
	if why := w.load.unrest(); why != "" {
		return why
	}
	for _, p := range w.check.newest.TopicByID(w.load.topic).Partitions {
		if why := w.unrestOf(p); why != "" {
			return why
		}
	}
	return ""
}

func (w *World) unrestOf(p meta.Partition) string {
	id := kafka.TopicIDPartition{TopicID: w.load.topic, Partition: p.Index}
	end := w.check.historyOf(id).end()
	if p.Leader == kafka.NoBroker || len(p.ISR) != len(p.Replicas) || p.IsReassigning() {
		return "partition " + p.String()
	}
	for _, b := range p.Replicas {
		r := w.node(b).replicas[id]
		if r == nil {
			return w.node(b).String() + " does not serve " + p.String()
		}
		o := r.p.Offsets()
		if o.LogEnd != end || o.Durable != end || o.HighWatermark != end {
			return r.String() + " is behind"
		}
		if writes, _ := r.p.Waiting(); writes > 0 {
			return r.String() + " has forgotten somebody who waits"
		}
	}
	return ""
}

func (l *workload) unrest() string {
	for _, p := range l.producers {
		if len(p.window) > 0 {
			return "a producer waits for its acknowledgement"
		}
	}
	for _, c := range l.consumers {
		if c.at != l.w.check.historyOf(c.id).end() {
			return "a consumer has not read everything"
		}
	}
	return ""
}

// rest is the last look: every replica holds what is committed and nothing else, as
// it is read from its disk, and everything that was acknowledged is among it.
func (c *checker) rest() {
	for _, n := range c.w.nodes {
		c.fold(n)
		for _, r := range n.order {
			h := c.historyOf(r.id)
			spans := c.readFrom(r, 0, r.p.Offsets().LogEnd)
			for i := range max(len(spans), len(h.spans)) {
				if i >= len(spans) || i >= len(h.spans) || spans[i] != h.spans[i] {
					c.w.find("%s holds %v where %v is committed", r, spans[min(i, len(spans)):min(i+1, len(spans))], h.spans[min(i, len(h.spans)):min(i+1, len(h.spans))])
				}
			}
		}
	}
	for pid, a := range c.producers {
		for sequence, d := range a.sent {
			if d.acked != kafka.NoOffset && sequence >= a.next {
				c.w.find("LOST: sequence %d of producer %d was acknowledged at %d", sequence, pid, d.acked)
			}
		}
	}
}
