package controller

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// The recovery election (DESIGN 9).
//
// An acknowledged record was durable on every member of an ISR of at least m
// replicas, m being the lowest min ISR in force since the ISR last held every
// replica. Of the n replicas, adding and removing ones included, any n-m+1
// contain one of these. A replica counts when it is what it was: in the directory
// of its last ISR membership, and not marked as lost. The log that ends in the
// highest epoch, and at the highest offset there, contains what any other one
// has of that record: epochs have one leader, whose log had all that was
// committed before, and followers match before they append.

func (c RecoverPartitions) decide(d *decision) (Reply, error) {
	reports := map[kafka.TopicIDPartition][]*LogReport{}
	for i := range c.Reports {
		r := &c.Reports[i]
		tp := kafka.TopicIDPartition{TopicID: r.TopicID, Partition: r.Partition}
		reports[tp] = append(reports[tp], r)
	}
	var reply Reply
	for _, tp := range slices.SortedFunc(maps.Keys(reports), comparePartitions) {
		result := PartitionResult{TopicID: tp.TopicID, Partition: tp.Partition}
		t := d.image.TopicByID(tp.TopicID)
		p, ok := d.image.Partition(tp)
		if !ok {
			result.Code, result.Message = kafka.ErrUnknownTopicID, "there is no such partition"
		} else {
			result = resultOf(t, p, d.recoverPartition(t, p, reports[tp]))
		}
		reply.Partitions = append(reply.Partitions, result)
	}
	return reply, nil
}

func comparePartitions(a, b kafka.TopicIDPartition) int {
	return cmp.Or(bytes.Compare(a.TopicID[:], b.TopicID[:]), cmp.Compare(a.Partition, b.Partition))
}

func (d *decision) recoverPartition(t *meta.Topic, p meta.Partition, reports []*LogReport) *Error {
	if p.Leader != kafka.NoBroker {
		return refuse(kafka.ErrElectionNotNeeded, "broker %d leads", p.Leader)
	}
	x := d.transition(t, p)
	x.elect()
	if x.next.Leader != kafka.NoBroker {
		x.settle() // ISR or ELR suffice
		return nil
	}
	x = d.transition(t, p)
	var counted []*LogReport
	var out []string
	for _, r := range reports {
		if why := d.discount(p, r, counted); why != "" {
			if len(out) < 10 {
				out = append(out, fmt.Sprintf("broker %d: %s", r.Broker, why))
			}
			continue
		}
		counted = append(counted, r)
	}
	if need := len(p.Replicas) - p.LowestMinISR + 1; len(counted) < need {
		text := fmt.Sprintf("%d of %d replicas have reported and %d must, because min ISR was as low as %d", len(counted), len(p.Replicas), need, p.LowestMinISR)
		return refuse(kafka.ErrEligibleLeadersNotAvailable, "%s", strings.Join(append([]string{text}, out...), "; "))
	}
	x.become(slices.MaxFunc(counted, compareLogs).Broker)
	x.settle()
	return nil
}

// compareLogs orders logs by how much they must contain. Equal ones are the same
// log.
func compareLogs(a, b *LogReport) int {
	return cmp.Or(cmp.Compare(a.LastEpoch, b.LastEpoch), cmp.Compare(a.End, b.End))
}

// discount says why a report does not count, or nothing if it does.
func (d *decision) discount(p meta.Partition, r *LogReport, counted []*LogReport) string {
	if why := d.checkReport(p, r); why != "" {
		return why
	}
	known := p.Directories[slices.Index(p.Replicas, r.Broker)]
	switch {
	case slices.ContainsFunc(counted, func(other *LogReport) bool { return other.Broker == r.Broker }):
		return "named twice"
	case slices.Contains(p.Lost, r.Broker):
		return "has lost records since it was last in sync"
	case !known.IsZero() && r.Directory != known:
		return "is not in the directory of its last ISR membership"
	}
	return ""
}

// checkReport says why a report is not about a live replica as it is now.
func (d *decision) checkReport(p meta.Partition, r *LogReport) string {
	b := d.image.Broker(r.Broker)
	switch {
	case !p.HasReplica(r.Broker):
		return "has no replica"
	case b == nil || b.Epoch != r.BrokerEpoch:
		return "another incarnation is registered"
	case !b.IsLive():
		return "is fenced or shutting down"
	case !b.HasDirectory(r.Directory):
		return "is not in a directory that is registered"
	case r.LeaderEpoch != p.LeaderEpoch:
		return fmt.Sprintf("read its log in leader epoch %d, and it is %d", r.LeaderEpoch, p.LeaderEpoch)
	case r.LastEpoch > p.LeaderEpoch || r.LastEpoch < kafka.NoLeaderEpoch || r.End < 0:
		return "reports an impossible log"
	}
	return ""
}

func (c ForceRecovery) decide(d *decision) (Reply, error) {
	if refusal := d.needLevel("a forced recovery"); refusal != nil {
		return Reply{}, refusal
	}
	t := d.image.TopicByID(c.TopicID)
	p, ok := d.image.Partition(kafka.TopicIDPartition{TopicID: c.TopicID, Partition: c.Partition})
	if !ok {
		return Reply{}, refuse(kafka.ErrUnknownTopicID, "there is no partition %d of a topic with id %s", c.Partition, c.TopicID)
	}
	own, err := c.check(d, p)
	if err != nil {
		return Reply{}, err
	}
	result := resultOf(t, p, nil)
	result.Message = c.losses(d, p, own)
	reply := Reply{Partitions: []PartitionResult{result}}
	if c.ValidateOnly {
		return reply, nil
	}
	x := d.transition(t, p)
	x.next.ISR, x.next.ELR = nil, nil
	x.become(c.Broker)
	x.forced(own.End, c.Reason)
	return reply, nil
}

// forced ends the transition of a forced recovery: nobody but the chosen replica
// is known to hold what counts from here on.
func (x *transition) forced(cut kafka.Offset, reason string) {
	if x.old.Forced != nil {
		cut = min(cut, x.old.Forced.Cut)
	}
	x.next.Forced = &meta.ForcedRecovery{LeaderEpoch: x.next.LeaderEpoch, Cut: cut, At: x.d.in.Now, Reason: reason}
	x.isolated = true
	x.settle()
}

// check finds the report of the chosen replica.
func (c ForceRecovery) check(d *decision, p meta.Partition) (*LogReport, error) {
	switch {
	case p.Leader != kafka.NoBroker:
		return nil, refuse(kafka.ErrElectionNotNeeded, "broker %d leads: there is nothing to recover", p.Leader)
	case c.Reason == "" || len(c.Reason) > RegistrationTextMax:
		return nil, refuse(kafka.ErrInvalidRequest, "a forced recovery needs a reason of at most %d bytes", RegistrationTextMax)
	}
	for i := range c.Reports {
		r := &c.Reports[i]
		if r.Broker != c.Broker || r.TopicID != c.TopicID || r.Partition != c.Partition {
			continue
		}
		if why := d.checkReport(p, r); why != "" {
			return nil, refuse(kafka.ErrIneligibleReplica, "broker %d %s", c.Broker, why)
		}
		return r, nil
	}
	return nil, refuse(kafka.ErrInvalidRequest, "there is no report of what broker %d holds", c.Broker)
}

// losses says in plain words what going on with the replica may lose.
func (c ForceRecovery) losses(d *decision, p meta.Partition, own *LogReport) string {
	text := fmt.Sprintf("broker %d would go on from offset %d, its last batch being of leader epoch %d", c.Broker, own.End, own.LastEpoch)
	for i := range c.Reports {
		r := &c.Reports[i]
		if r.Broker == c.Broker || r.TopicID != c.TopicID || r.Partition != c.Partition || d.checkReport(p, r) != "" {
			continue
		}
		if compareLogs(r, own) > 0 {
			text += fmt.Sprintf("; broker %d has more, up to offset %d of leader epoch %d: its log is the better choice", r.Broker, r.End, r.LastEpoch)
		}
	}
	if away := inOrder(inSyncOrELR(p), func(id kafka.BrokerID) bool { return id != c.Broker }); len(away) > 0 {
		text += fmt.Sprintf("; brokers %v had every acknowledged record: what they have beyond that is given up", away)
	}
	if slices.Contains(p.Lost, c.Broker) {
		text += fmt.Sprintf("; broker %d has lost records before", c.Broker)
	}
	return text
}
