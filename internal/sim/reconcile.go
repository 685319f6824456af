package sim

import (
	"errors"
	"slices"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/isr"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/meta"
	"holdfast/internal/partition"
)

// heard notes that the metadata has moved; the partitions follow a little later.
func (n *node) heard() {
	if n.wanted {
		return
	}
	n.wanted = true
	n.after(n.w.upTo(n.w.plan.reconcileMax), n.reconcile)
}

// reconcile makes the partitions here what the metadata says.
func (n *node) reconcile() {
	n.wanted = false
	image := n.quorum.Image()
	if n.epoch < 0 || image.Offset() < kafka.Offset(n.epoch) {
		return
	}
	for _, t := range image.Topics() {
		settings, err := config.ResolveTopic(n.w.plan.config, t.Configs)
		if err != nil {
			n.w.find("the settings of topic %s do not resolve: %v", t.Name, err)
		}
		for _, p := range t.Partitions {
			n.reconcilePartition(image, t, p, &settings)
		}
	}
	n.w.check.reconciled(n)
	if n.applied < kafka.Offset(n.epoch) && len(n.untold()) > 0 {
		// Who elects must know what is missing before this broker counts as caught up.
		n.tellDamage()
		n.after(50*time.Millisecond, n.heard)
		return
	}
	n.applied = image.Offset()
}

func (n *node) reconcilePartition(image *meta.Image, t *meta.Topic, state meta.Partition, settings *config.Topic) {
	id := kafka.TopicIDPartition{TopicID: t.ID, Partition: state.Index}
	r := n.replicas[id]
	switch {
	case !state.HasReplica(n.id):
		if r != nil {
			n.drop(r, t.Name)
		}
		return
	case n.repairs(id, t.Name, state):
		r = nil
	}
	if r == nil {
		if r = n.open(t, id, state, settings); r == nil {
			return
		}
	}
	r.l.SetConfig(logConfig(settings))
	r.p.SetConfig(settings)
	r.assume(state, image)
}

func logConfig(c *config.Topic) log.Config {
	return log.Config{SegmentBytes: c.SegmentBytes, SegmentIndexBytes: c.SegmentIndexBytes, IndexIntervalBytes: c.IndexIntervalBytes,
		RetentionMs: -1, RetentionBytes: -1}
}

// open opens a log and makes a partition of it; nil when it does not open.
func (n *node) open(t *meta.Topic, id kafka.TopicIDPartition, state meta.Partition, settings *config.Topic) *replica {
	if d := n.damage[id]; d != nil && d.offline {
		return nil
	}
	l, report, err := n.dir.OpenLog(t.Name, id, logConfig(settings))
	if err != nil {
		n.w.note("%s-%d does not open: %v", n, id.Partition, err)
		if _, rot := errors.AsType[*log.CorruptionError](err); !rot && !n.disk.Crashed() && !n.w.mayFail(n, err) {
			n.w.find("%s-%d does not open: %v", n, id.Partition, err)
		} else if rot {
			n.w.check.mayRot(n, err)
			n.damage[id] = &damage{repair: true, offline: true, epoch: state.LeaderEpoch}
		}
		return nil
	}
	if n.w.plant.cutAtHighWatermark {
		if high := n.dir.HighWatermark(l.Key()); high < l.End() {
			_ = n.dir.Cut(l, high)
		}
	}
	r := &replica{n: n, id: id, l: l, leader: kafka.NoBroker}
	r.p = partition.New(partition.Options{Topic: t.Name, ID: id, Self: n.id, Log: l, Storage: n.gate, Clock: n.clock, Config: settings,
		HighWatermark: n.dir.HighWatermark(l.Key()), LagMax: lagMax, Faults: n.w.plant.partition,
		ISR:        func(_ *partition.Partition, change isr.Proposal) { r.propose(change) },
		Progressed: func(*partition.Partition) { r.progressed() }})
	n.w.note("%s opens at %d, high watermark %d (%s %s)", r, l.End(), n.dir.HighWatermark(l.Key()), report.Case, report.Action)
	n.replicas[id] = r
	n.order = append(n.order, r)
	if high, lost := r.p.Lost(); lost {
		n.w.check.mayRot(n, errors.New("the log ends below its high watermark"))
		n.w.note("%s has lost [%d, %d)", r, l.End(), high)
		n.damage[id] = &damage{epoch: state.LeaderEpoch}
	}
	n.w.check.opened(r)
	return r
}

// drop ends a replica that the metadata gives to others.
func (n *node) drop(r *replica, topic string) {
	n.w.note("%s goes", r)
	r.retire()
	if err := n.dir.RemoveLog(n.w.context, r.l); err != nil {
		n.w.note("%s is not removed: %v", r, err)
	}
	n.w.check.dropped(r)
}

func (r *replica) retire() {
	r.p.Resign()
	delete(r.n.replicas, r.id)
	r.n.order = slices.DeleteFunc(r.n.order, func(x *replica) bool { return x == r })
}

// assume gives the replica the role that the metadata says.
func (r *replica) assume(state meta.Partition, image *meta.Image) {
	n := r.n
	if x := r.proposal; x != nil && (x.change.PartitionEpoch < state.PartitionEpoch || x.change.LeaderEpoch < state.LeaderEpoch) {
		r.proposal = nil
	}
	switch {
	case state.Leader == kafka.NoBroker, state.Leader == n.id && n.mayNotLead(r.id, state):
		r.leader = kafka.NoBroker
		r.p.Resign()
	case state.Leader == n.id:
		r.leader = kafka.NoBroker
		r.p.Lead(leadership(state, image))
	default:
		if o := r.p.Offsets(); r.leader != state.Leader || o.Epoch != state.LeaderEpoch {
			r.asked = nil // an answer to a question of before may still come
		}
		r.leader = state.Leader
		r.p.Follow(partition.Following{Epoch: state.LeaderEpoch, Leader: state.Leader, PartitionEpoch: state.PartitionEpoch})
		r.fetch()
	}
}

func leadership(state meta.Partition, image *meta.Image) partition.Leadership {
	t := partition.Leadership{Epoch: state.LeaderEpoch, PartitionEpoch: state.PartitionEpoch, Replicas: state.Replicas, ISR: state.ISR, MinISR: state.MinISR}
	for _, id := range state.Replicas {
		if b := image.Broker(id); b.IsLive() {
			t.Candidates = append(t.Candidates, isr.Candidate{ID: id, Epoch: b.Epoch})
		}
	}
	return t
}

// proposal is a change of the ISR that the partition wants and the metadata does
// not show yet.
type proposal struct {
	change isr.Proposal
	sent   bool // an attempt is under way
	doubt  bool // one may have been carried out
	done   bool // the metadata will show it
}

func (r *replica) propose(change isr.Proposal) {
	if !r.p.Offsets().Leading {
		return
	}
	if old := r.proposal; old == nil || old.change.PartitionEpoch <= change.PartitionEpoch {
		r.proposal = &proposal{change: change}
		r.n.after(0, r.n.sendProposals)
	}
}

// sendProposals asks the controller for what is wanted here.
func (n *node) sendProposals() {
	if n.epoch < 0 {
		return
	}
	for _, r := range n.order {
		if x := r.proposal; x != nil && !x.sent && !x.done {
			r.sendProposal(x)
		}
	}
}

func (r *replica) sendProposal(x *proposal) {
	n := r.n
	x.sent = true
	change := controller.ISRChange{TopicID: r.id.TopicID, Partition: r.id.Partition, LeaderEpoch: x.change.LeaderEpoch, PartitionEpoch: x.change.PartitionEpoch}
	for _, m := range x.change.ISR {
		change.ISR = append(change.ISR, controller.Member{ID: m.ID, Epoch: m.Epoch})
	}
	n.w.note("%s proposes %+v", r, change)
	if n.w.plant.believeProposal {
		r.believe(x)
	}
	n.submit(controller.AlterISR{Broker: n.id, Epoch: n.epoch, Changes: []controller.ISRChange{change}}, func(reply controller.Reply, err error) {
		x.sent = false
		if err != nil || len(reply.ISR) != 1 {
			var refusal *controller.Error
			x.doubt = x.doubt || !errors.As(err, &refusal)
			return
		}
		r.answered(x, reply.ISR[0])
	})
}

// believe is what no leader may do: it takes what it asks for as given.
func (r *replica) believe(x *proposal) {
	image := r.n.quorum.Image()
	state, ok := image.Partition(r.id)
	if !ok || state.LeaderEpoch != x.change.LeaderEpoch {
		return
	}
	t := leadership(state, image)
	t.ISR = nil
	for _, m := range x.change.ISR {
		t.ISR = append(t.ISR, m.ID)
	}
	r.p.Lead(t)
}

func (r *replica) answered(x *proposal, result controller.ISRResult) {
	r.n.w.note("%s is answered %d %s", r, result.Code, result.Message)
	refused := result.Refused() && !x.doubt
	switch {
	case refused:
		if r.proposal == x {
			r.proposal = nil
		}
		r.p.ISRAnswered(isr.Answer{LeaderEpoch: x.change.LeaderEpoch, Number: x.change.Number, Refused: true})
	case result.Code == kafka.ErrInvalidRequest, result.Code == kafka.ErrNotController:
	default:
		x.done = true
		if r.n.w.plant.believeAnswer && result.Code == kafka.ErrNone {
			r.believe(x)
		}
	}
}
