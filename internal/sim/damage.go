package sim

import (
	"bytes"
	"cmp"
	"slices"

	"holdfast/internal/controller"
	"holdfast/internal/datadir"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// damage is what is wrong with a replica here that has lost records, see package
// broker, which does the same.
type damage struct {
	repair  bool // make it anew from the leader's copy, once it is marked
	offline bool // its log does not open
	told    bool
	telling bool
	epoch   kafka.LeaderEpoch
}

func compareIDs(x, y kafka.TopicIDPartition) int {
	return cmp.Or(bytes.Compare(x.TopicID[:], y.TopicID[:]), cmp.Compare(x.Partition, y.Partition))
}

// untold lists the damage that the controller does not know of.
func (n *node) untold() (list []kafka.TopicIDPartition) {
	for id, d := range n.damage {
		if !d.told {
			list = append(list, id)
		}
	}
	slices.SortFunc(list, compareIDs)
	return list
}

// tellDamage tells the controller which replicas here have lost records.
func (n *node) tellDamage() {
	list := n.untold()
	if len(list) == 0 || n.epoch < 0 || n.damage[list[0]].telling {
		return
	}
	for _, id := range list {
		n.damage[id].telling = true
	}
	n.submit(controller.ReportLost{Broker: n.id, Epoch: n.epoch, Replicas: list}, func(_ controller.Reply, err error) {
		for _, id := range list {
			if d := n.damage[id]; d != nil {
				d.telling, d.told = false, err == nil
			}
		}
		n.heard()
	})
}

func (n *node) mayNotLead(id kafka.TopicIDPartition, state meta.Partition) bool {
	d := n.damage[id]
	return d != nil && !d.repair && state.LeaderEpoch <= d.epoch
}

// repairs forgets damage that is mended, and empties a replica that can be made
// anew. It reports whether it did.
func (n *node) repairs(id kafka.TopicIDPartition, topic string, state meta.Partition) bool {
	d := n.damage[id]
	if d == nil || !d.told {
		return false
	}
	others := len(slices.DeleteFunc(slices.Clone(state.ISR), func(b kafka.BrokerID) bool { return b == n.id }))
	switch {
	case !d.repair && state.InSync(n.id):
		delete(n.damage, id)
	case d.repair && slices.Contains(state.Lost, n.id) && state.Leader != n.id && state.Leader != kafka.NoBroker && others >= max(1, state.MinISR):
		removal := datadir.Removal{Topic: topic, ID: id}
		if r := n.replicas[id]; r != nil {
			r.retire()
			removal.Log = r.l
			n.w.check.dropped(r)
		}
		if err := n.dir.Remove(n.w.context, []datadir.Removal{removal}); err != nil {
			n.w.note("%s-%d cannot be emptied: %v", n, id.Partition, err)
			return false
		}
		n.w.note("%s-%d is emptied", n, id.Partition)
		n.w.check.emptied(n, id)
		n.damage[id] = &damage{told: true, epoch: d.epoch}
		return true
	}
	return false
}
