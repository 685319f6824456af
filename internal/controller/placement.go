package controller

import (
	"cmp"
	"slices"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// load counts what each broker that may get partitions has, the partitions of
// this decision included.
type load struct {
	brokers []brokerLoad
}

type brokerLoad struct {
	id                kafka.BrokerID
	leaders, replicas int
}

// placement returns the decision's load.
func (d *decision) placement() *load {
	if d.load != nil {
		return d.load
	}
	d.load = &load{}
	at := map[kafka.BrokerID]int{}
	for _, b := range d.image.Brokers() {
		if !b.Fenced {
			at[b.ID] = len(d.load.brokers)
			d.load.brokers = append(d.load.brokers, brokerLoad{id: b.ID})
		}
	}
	if len(d.load.brokers) < 2 {
		return d.load // there is nothing to choose
	}
	for _, t := range d.image.Topics() {
		for _, p := range t.Partitions {
			d.load.count(at, p.Replicas)
		}
	}
	return d.load
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

// place chooses the brokers of one partition: as preferred leader the one with
// the fewest leaders, as followers those with the fewest replicas; the smaller
// id where these are equal. factor is at most the number of brokers.
func (l *load) place(factor int) []kafka.BrokerID {
	order := make([]int, len(l.brokers))
	for i := range order {
		order[i] = i
	}
	leader := slices.MinFunc(order, func(x, y int) int {
		a, b := l.brokers[x], l.brokers[y]
		return cmp.Or(cmp.Compare(a.leaders, b.leaders), cmp.Compare(a.replicas, b.replicas), cmp.Compare(a.id, b.id))
	})
	slices.SortFunc(order, func(x, y int) int {
		a, b := l.brokers[x], l.brokers[y]
		return cmp.Or(cmp.Compare(btoi(x != leader), btoi(y != leader)), cmp.Compare(a.replicas, b.replicas), cmp.Compare(a.id, b.id))
	})
	replicas := make([]kafka.BrokerID, factor)
	for n, i := range order[:factor] {
		replicas[n] = l.brokers[i].id
		l.brokers[i].replicas++
	}
	l.brokers[leader].leaders++
	return replicas
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
		if b.Fenced {
			fenced++
		}
	}
	if fenced == len(replicas) {
		return refuse(code, "none of the brokers %v is live: the partition would have no leader", replicas)
	}
	return nil
}

// newPartition is a partition as it comes into being: every replica that is not
// fenced is in sync, because all of them are empty.
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
		if !b.Fenced {
			p.ISR = append(p.ISR, id)
		}
	}
	if len(p.ISR) > 0 {
		p.Leader = p.ISR[0]
	}
	return p
}
