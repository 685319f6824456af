package controller

import (
	"cmp"
	"slices"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// load counts what each registered broker has, the partitions of this decision
// included.
type load struct {
	brokers []brokerLoad
	racks   bool // every broker has a rack
}

type brokerLoad struct {
	id                kafka.BrokerID
	rack              string
	live              bool
	leaders, replicas int
}

// placement returns the decision's load.
func (d *decision) placement() *load {
	if d.load != nil {
		return d.load
	}
	d.load = &load{racks: true}
	at := map[kafka.BrokerID]int{}
	for _, b := range d.image.Brokers() {
		at[b.ID] = len(d.load.brokers)
		d.load.brokers = append(d.load.brokers, brokerLoad{id: b.ID, rack: b.Rack, live: b.IsLive()})
		d.load.racks = d.load.racks && b.Rack != ""
	}
	if len(d.load.brokers) < 2 {
		return d.load // there is nothing to choose
	}
	d.everyPartition(func(_ *meta.Topic, p meta.Partition) { d.load.count(at, p.Replicas) })
	return d.load
}

// usable is how many brokers may get replicas. Those that are away count while
// somebody is live: a topic that is made meanwhile gets the replicas that it
// should have, and they join when they are back.
func (l *load) usable() int {
	if !slices.ContainsFunc(l.brokers, func(b brokerLoad) bool { return b.live }) {
		return 0
	}
	return len(l.brokers)
}

// count adds a partition. The preferred leader is what counts: who leads at the
// moment is passing.
func (l *load) count(at map[kafka.BrokerID]int, replicas []kafka.BrokerID) {
	for n, id := range replicas {
		i, ok := at[id]
		if !ok {
			continue
		}
		l.brokers[i].replicas++
		if n == 0 {
			l.brokers[i].leaders++
		}
	}
}

// place chooses the brokers of one partition: as preferred leader the live one
// with the fewest leaders, then see fill. factor is at most usable.
func (l *load) place(factor int) []kafka.BrokerID {
	leader := l.least(nil, func(a, b *brokerLoad) int {
		return cmp.Or(cmp.Compare(a.leaders, b.leaders), cmp.Compare(a.replicas, b.replicas), cmp.Compare(a.id, b.id))
	})
	leader.leaders++
	leader.replicas++
	return l.fill([]kafka.BrokerID{leader.id}, factor)
}

// fill adds followers until there are factor replicas: live brokers first, then
// those in a rack that the partition is not in yet, then those with the fewest
// replicas. Where these are equal, the next ids behind the preferred leader's
// come first, so that what one broker leads goes to different ones when it dies.
func (l *load) fill(replicas []kafka.BrokerID, factor int) []kafka.BrokerID {
	racks := map[string]bool{}
	for _, b := range l.brokers {
		if l.racks && slices.Contains(replicas, b.id) {
			racks[b.rack] = true
		}
	}
	behind := func(b *brokerLoad) int { return btoi(b.id < replicas[0]) }
	for len(replicas) < factor {
		next := l.least(replicas, func(a, b *brokerLoad) int {
			return cmp.Or(cmp.Compare(btoi(racks[a.rack]), btoi(racks[b.rack])), cmp.Compare(a.replicas, b.replicas),
				cmp.Compare(behind(a), behind(b)), cmp.Compare(a.id, b.id))
		})
		if next == nil {
			break
		}
		if l.racks {
			racks[next.rack] = true
		}
		next.replicas++
		replicas = append(replicas, next.id)
	}
	return replicas
}

// extend adds followers to the replicas of a partition until there are factor
// of them. The one with the fewest leaders becomes the preferred leader: what
// grew from one broker shall not stay led by it alone.
func (l *load) extend(replicas []kafka.BrokerID, factor int) []kafka.BrokerID {
	out := l.fill(slices.Clone(replicas), factor)
	first := -1
	for i := range l.brokers {
		b := &l.brokers[i]
		if b.id == replicas[0] {
			b.leaders--
		}
		if slices.Contains(out, b.id) && (first < 0 || b.leaders < l.brokers[first].leaders) {
			first = i
		}
	}
	l.brokers[first].leaders++
	id := l.brokers[first].id
	return append([]kafka.BrokerID{id}, without(out, id)...)
}

// least returns the first live broker in that order, or the first of the others
// when no live one is left, without those that have the partition already.
func (l *load) least(taken []kafka.BrokerID, compare func(a, b *brokerLoad) int) *brokerLoad {
	var best *brokerLoad
	for i := range l.brokers {
		b := &l.brokers[i]
		if slices.Contains(taken, b.id) {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(btoi(!b.live), btoi(!best.live)), compare(b, best)) < 0 {
			best = b
		}
	}
	return best
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// noteManual counts replicas that somebody else chose.
func (l *load) noteManual(replicas []kafka.BrokerID) {
	at := map[kafka.BrokerID]int{}
	for i, b := range l.brokers {
		at[b.id] = i
	}
	l.count(at, replicas)
}

// checkAssignment refuses brokers that a partition cannot have.
func (d *decision) checkAssignment(replicas []kafka.BrokerID) *Error {
	const code = kafka.ErrInvalidReplicaAssignment
	if len(replicas) == 0 {
		return refuse(code, "a partition needs at least one broker")
	}
	if len(replicas) > ReplicasMax {
		return refuse(code, "%d brokers for one partition, at most %d", len(replicas), ReplicasMax)
	}
	fenced := 0
	for n, id := range replicas {
		if slices.Contains(replicas[:n], id) {
			return refuse(code, "broker %d is named twice for one partition", id)
		}
		b := d.image.Broker(id)
		if b == nil {
			return refuse(code, "broker %d is not registered", id)
		}
		if !b.IsLive() {
			fenced++
		}
	}
	if fenced == len(replicas) {
		return refuse(code, "none of the brokers %v is live: the partition would have no leader", replicas)
	}
	return nil
}

// newPartition is a partition as it comes into being: every live replica is in
// sync, because all of them are empty.
func (d *decision) newPartition(topic kafka.TopicID, index int, replicas []kafka.BrokerID, minISR int) *meta.PartitionRecord {
	p := &meta.PartitionRecord{TopicID: topic, Index: kafka.PartitionIndex(index), Replicas: replicas, Leader: kafka.NoBroker,
		MinISR: minISR, LowestMinISR: minISR, TargetReplicas: len(replicas)}
	for _, id := range replicas {
		b := d.image.Broker(id)
		var directory kafka.DirectoryID
		if len(b.Directories) > 0 {
			directory = b.Directories[0]
		}
		p.Directories = append(p.Directories, directory)
		if b.IsLive() {
			p.ISR = append(p.ISR, id)
		}
	}
	if len(p.ISR) > 0 {
		p.Leader = p.ISR[0]
	}
	return p
}
