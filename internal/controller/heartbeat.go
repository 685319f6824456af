package controller

import (
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

func (c Heartbeat) decide(d *decision) (Reply, error) {
	b, refusal := d.incarnation(c.Broker, c.Epoch)
	if refusal != nil {
		return Reply{}, refusal
	}
	// Its epoch is the offset of its registration. Comparing with the moving end of
	// the log would keep a broker out for as long as others change things
	// (KAFKA-13959).
	result := HeartbeatResult{Fenced: b.Fenced, CaughtUp: c.Applied >= kafka.Offset(b.Epoch)}
	switch {
	case c.WantShutdown:
		if refusal := d.needLevel("a controlled shutdown"); refusal != nil {
			return Reply{}, refusal
		}
		result.MayShutDown = d.shutDown(b)
	case c.WantFence:
		d.fence(b)
		result.Fenced = true
	case b.Fenced && result.CaughtUp && !b.ShuttingDown:
		d.unfence(b)
		result.Fenced = false
	}
	return Reply{Heartbeat: result}, nil
}

func (c FenceBroker) decide(d *decision) (Reply, error) {
	b, refusal := d.incarnation(c.Broker, c.Epoch)
	if refusal != nil {
		return Reply{}, refusal
	}
	if !isOnlyBroker(d.image, b.ID) { // nobody could take over, and it would have to come back
		d.fence(b)
	}
	return Reply{}, nil
}

// fence takes the broker out of what it leads and is in sync with.
func (d *decision) fence(b *meta.Broker) {
	if b.Fenced {
		return
	}
	next := *b
	next.Fenced = true
	d.putBroker(&next)
	d.hosted(b.ID, func(t *meta.Topic, p meta.Partition) {
		x := d.transition(t, p)
		x.leave(b.ID)
		x.settle()
	})
}

// unfence lets the broker lead again what nobody leads.
func (d *decision) unfence(b *meta.Broker) {
	next := *b
	next.Fenced = false
	d.putBroker(&next)
	d.hosted(b.ID, func(t *meta.Topic, p meta.Partition) {
		if p.Leader == kafka.NoBroker {
			d.transition(t, p).settle()
		}
	})
}

// shutDown moves the broker's leaderships as far as they can move, and reports
// whether nothing is left to wait for. Every heartbeat of the shutdown looks
// again: replicas that were behind may have joined. (R16)
func (d *decision) shutDown(b *meta.Broker) (done bool) {
	if b.Fenced {
		return true
	}
	if !b.ShuttingDown {
		next := *b
		next.ShuttingDown = true
		d.putBroker(&next)
	}
	done = true
	d.hosted(b.ID, func(t *meta.Topic, p meta.Partition) {
		x := d.transition(t, p)
		if p.Leader != b.ID || x.hasOtherLive(p.ISR) {
			x.leave(b.ID)
		}
		x.settle()
		if x.next.Leader == b.ID && x.hasOtherLive(p.Replicas) {
			done = false
		}
	})
	return done
}

// hasOtherLive reports whether one of them is live and not the leader.
func (x *transition) hasOtherLive(ids []kafka.BrokerID) bool {
	for _, id := range ids {
		if id != x.next.Leader && x.d.isLive(id) {
			return true
		}
	}
	return false
}

func (c UnregisterBroker) decide(d *decision) (Reply, error) {
	if refusal := d.needLevel("the removal of a broker"); refusal != nil {
		return Reply{}, refusal
	}
	b := d.image.Broker(c.Broker)
	switch {
	case b == nil:
		return Reply{}, refuse(kafka.ErrBrokerIDNotRegistered, "broker %d is not registered", c.Broker)
	case !b.Fenced:
		return Reply{}, refuse(kafka.ErrPolicyViolation, "broker %d is live: stop it first", c.Broker)
	}
	hosts := 0
	d.hosted(c.Broker, func(*meta.Topic, meta.Partition) { hosts++ })
	if hosts > 0 {
		return Reply{}, refuse(kafka.ErrPolicyViolation, "broker %d has replicas of %d partitions: move them first", c.Broker, hosts)
	}
	d.emit(&meta.RemoveBroker{ID: c.Broker})
	return Reply{}, nil
}

func (c ReportLost) decide(d *decision) (Reply, error) {
	b, refusal := d.incarnation(c.Broker, c.Epoch)
	if refusal != nil {
		return Reply{}, refusal
	}
	seen := map[kafka.TopicIDPartition]bool{}
	for _, tp := range c.Replicas {
		p, ok := d.image.Partition(tp)
		if !ok || seen[tp] {
			continue // deleted meanwhile
		}
		seen[tp] = true
		x := d.transition(d.image.TopicByID(tp.TopicID), p)
		x.lose(b.ID)
		x.settle()
	}
	return Reply{}, nil
}
