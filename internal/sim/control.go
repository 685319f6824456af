package sim

import (
	"errors"
	"time"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/quorum"
)

// office is what a node knows while it leads the quorum: when it heard of whom.
type office struct {
	leads    bool
	since    time.Duration // silence counts from here
	looked   time.Duration
	contacts map[kafka.BrokerID]contact
}

type contact struct {
	epoch   kafka.BrokerEpoch
	at      time.Duration
	applied kafka.Offset
}

// led is told by the quorum.
func (n *node) led(leading bool, term kafka.LeaderEpoch) {
	n.office = office{leads: leading, since: n.w.now, looked: n.w.now, contacts: map[kafka.BrokerID]contact{}}
	if leading {
		n.w.note("%s decides in term %d", n, term)
		n.w.check.quorumLed(n, term)
	}
}

var errNoAnswer = errors.New("no answer")

// outcome is what a command came to.
type outcome struct {
	reply controller.Reply
	err   error
}

// submit has a command decided, here or where the quorum is led, once. done runs
// once, with errNoAnswer when it takes too long; then nobody knows.
func (n *node) submit(command controller.Command, done func(controller.Reply, error)) {
	if n.quorum.Decides() {
		over := false
		end := func(reply controller.Reply, err error) {
			if !over {
				over = true
				done(reply, err)
			}
		}
		n.after(commandLimit, func() { end(controller.Reply{}, errNoAnswer) })
		n.note(n.quorum.Submit(command, end))
		return
	}
	to := n.w.node(n.quorum.Leader())
	if to == nil || to == n {
		done(controller.Reply{}, &quorum.NotLeaderError{Leader: kafka.NoBroker})
		return
	}
	ask(n.w, rpc[outcome]{from: n, to: to, limit: commandLimit, handle: func(reply func(outcome)) {
		to.note(to.quorum.Submit(command, func(r controller.Reply, err error) { reply(outcome{r, err}) }))
	}, done: func(o outcome, ok bool) {
		if !ok {
			o.err = errNoAnswer
		}
		done(o.reply, o.err)
	}})
}

// register tells the controller that this process is here.
func (n *node) register() {
	if n.asking {
		return
	}
	n.asking = true
	id := n.dir.Identity()
	command := controller.RegisterBroker{ID: n.id, Incarnation: n.incarnation, Starts: id.Starts, Directories: []kafka.DirectoryID{id.DirectoryID},
		PreviousEpoch: n.dir.PreviousEpoch(), Features: meta.FeatureLevelMax,
		Endpoints: []meta.Endpoint{{Listener: "PLAINTEXT", Host: n.String(), Port: 9092}}}
	n.submit(command, func(reply controller.Reply, err error) {
		n.asking = false
		if err == nil {
			n.w.note("%s is registered with epoch %d", n, reply.BrokerEpoch)
			n.epoch = reply.BrokerEpoch
			n.heard()
		}
	})
}

// beat sends a heartbeat to whoever leads the quorum.
func (n *node) beat() {
	if n.epoch < 0 || n.applied < kafka.Offset(n.epoch) {
		return
	}
	h := controller.Heartbeat{Broker: n.id, Epoch: n.epoch, Applied: n.applied, WantShutdown: n.leaving}
	to := n.w.node(n.quorum.Leader())
	if to == nil {
		return
	}
	type answer struct {
		result controller.HeartbeatResult
		err    error
	}
	take := func(a answer) {
		if a.err == nil && a.result.MayShutDown && n.leaving {
			n.after(0, n.stop)
		}
	}
	if to == n {
		n.hear(h, func(result controller.HeartbeatResult, err error) { take(answer{result, err}) })
		return
	}
	ask(n.w, rpc[answer]{from: n, to: to, limit: commandLimit, handle: func(reply func(answer)) {
		to.hear(h, func(result controller.HeartbeatResult, err error) { reply(answer{result, err}) })
	}, done: func(a answer, ok bool) {
		if ok {
			take(a)
		}
	}})
}

// hear takes a heartbeat where the quorum is led.
func (n *node) hear(h controller.Heartbeat, reply func(controller.HeartbeatResult, error)) {
	if !n.office.leads || !n.quorum.Decides() {
		reply(controller.HeartbeatResult{Fenced: true}, kafka.ErrNotController)
		return
	}
	if h.Epoch >= n.office.contacts[h.Broker].epoch {
		n.office.contacts[h.Broker] = contact{epoch: h.Epoch, at: n.w.now, applied: h.Applied}
	}
	b := n.quorum.Image().Broker(h.Broker)
	if b != nil && b.Epoch == h.Epoch && !b.Fenced && !h.WantShutdown {
		reply(controller.HeartbeatResult{CaughtUp: h.Applied >= kafka.Offset(b.Epoch)}, nil)
		return
	}
	n.note(n.quorum.Submit(h, func(r controller.Reply, err error) {
		result := r.Heartbeat
		result.MayShutDown = result.MayShutDown && n.haveApplied(r.Offset, h.Broker)
		reply(result, err)
	}))
}

// haveApplied reports whether every live broker but one has applied the offset.
func (n *node) haveApplied(offset kafka.Offset, but kafka.BrokerID) bool {
	for _, b := range n.quorum.Image().Brokers() {
		c := n.office.contacts[b.ID]
		if b.ID != but && !b.Fenced && (c.epoch != b.Epoch || c.applied < offset) {
			return false
		}
	}
	return true
}

// endSessions fences brokers that were silent for too long.
func (n *node) endSessions() {
	if !n.office.leads {
		return
	}
	if n.w.now-n.office.looked > sessionTimeout/4 {
		n.office.since = n.w.now // this node was held up; nobody else was silent
	}
	n.office.looked = n.w.now
	if !n.quorum.Decides() {
		return
	}
	for _, b := range n.quorum.Image().Brokers() {
		if b.Fenced || b.ID == n.id {
			continue
		}
		from := n.office.since
		if c := n.office.contacts[b.ID]; c.epoch == b.Epoch {
			from = max(from, c.at)
		}
		if n.w.now-from > sessionTimeout {
			n.fence(b, "silent")
		}
	}
}

func (n *node) fence(b *meta.Broker, reason string) {
	n.note(n.quorum.Submit(controller.FenceBroker{Broker: b.ID, Epoch: b.Epoch, Reason: reason}, func(_ controller.Reply, err error) {
		n.w.note("%s is fenced, %s: %v", n.w.node(b.ID), reason, err)
	}))
}

// proven is told that a process is proven dead.
func (n *node) proven(dead *node, epoch kafka.BrokerEpoch) {
	n.note(n.quorum.LeaderDead(dead.id))
	if b := n.quorum.Image().Broker(dead.id); n.quorum.Decides() && b != nil && b.Epoch == epoch && !b.Fenced {
		n.fence(b, "dead")
	}
}

// controllerUpkeep does what nobody asks for, where this node leads the quorum.
func (n *node) controllerUpkeep() {
	if !n.quorum.Decides() {
		return
	}
	image := n.quorum.Image()
	n.replaceVoters(image)
	n.inquire(image)
	if n.w.chance(4) {
		n.note(n.quorum.Submit(controller.BalanceLeaders{}, func(controller.Reply, error) {}))
	}
}

// replaceVoters gives a voter whose directory was replaced its vote back.
func (n *node) replaceVoters(image *meta.Image) {
	var want []quorum.Voter
	changed := false
	for _, v := range n.quorum.Describe().Voters {
		next := quorum.Voter{Node: v.Node, Directory: v.Directory}
		if b := image.Broker(v.Node); b != nil && !b.HasDirectory(v.Directory) && !b.Fenced {
			next.Directory, changed = b.Directories[0], true
		}
		want = append(want, next)
	}
	if changed {
		n.note(n.quorum.ChangeVoters(n.w.context, want))
	}
}

// inquiry asks live replicas of partitions without a leader for what they hold.
type inquiry struct {
	reports []controller.LogReport
}

func (n *node) inquire(image *meta.Image) {
	x := &inquiry{}
	asked := false
	for _, t := range image.Topics() {
		for _, p := range t.Partitions {
			if p.Leader != kafka.NoBroker {
				continue
			}
			id := kafka.TopicIDPartition{TopicID: t.ID, Partition: p.Index}
			for _, broker := range p.Replicas {
				if image.Broker(broker).IsLive() {
					asked = true
					n.inquireOf(n.w.node(broker), id, x)
				}
			}
		}
	}
	if !asked {
		return
	}
	n.after(200*time.Millisecond, func() {
		if len(x.reports) == 0 || !n.quorum.Decides() {
			return
		}
		n.note(n.quorum.Submit(controller.RecoverPartitions{Reports: x.reports}, func(r controller.Reply, err error) {
			n.w.note("%s recovers: %+v %v of %+v", n, r.Partitions, err, x.reports)
		}))
	})
}

func (n *node) inquireOf(m *node, id kafka.TopicIDPartition, x *inquiry) {
	if m == n {
		if r, ok := n.holds(id); ok {
			x.reports = append(x.reports, r)
		}
		return
	}
	ask(n.w, rpc[controller.LogReport]{from: n, to: m, limit: 150 * time.Millisecond, handle: func(reply func(controller.LogReport)) {
		if r, ok := m.holds(id); ok {
			reply(r)
		}
	}, done: func(r controller.LogReport, ok bool) {
		if ok {
			x.reports = append(x.reports, r)
		}
	}})
}

// holds tells what the replica here has, while it is what the metadata says.
func (n *node) holds(id kafka.TopicIDPartition) (r controller.LogReport, ok bool) {
	image := n.quorum.Image()
	state, known := image.Partition(id)
	have := n.replicas[id]
	if !known || have == nil || n.applied < image.Offset() || n.epoch < 0 {
		return r, false
	}
	return controller.LogReport{TopicID: id.TopicID, Partition: id.Partition, Broker: n.id, BrokerEpoch: n.epoch,
		Directory: n.dir.Identity().DirectoryID, LeaderEpoch: state.LeaderEpoch, LastEpoch: have.l.LastEpoch(), End: have.p.Offsets().Durable}, true
}
