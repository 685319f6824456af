package meta

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"holdfast/internal/kafka"
)

// String is a picture of the whole image for people and for scenario files, a
// line per thing, the same for equal images.
func (i *Image) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "offset %d", i.offset)
	if !i.cluster.ID.IsZero() {
		fmt.Fprintf(&b, " cluster %s level %d", i.cluster.ID, i.cluster.FeatureLevel)
	}
	b.WriteString("\n")
	for _, x := range i.Brokers() {
		b.WriteString(x.String() + "\n")
	}
	for _, r := range i.BrokerResources() {
		fmt.Fprintf(&b, "%s: %s\n", r, settings(i.configs[r.Name]))
	}
	for _, t := range i.Topics() {
		fmt.Fprintf(&b, "topic %s %s", t.Name, t.ID)
		if len(t.Configs) > 0 {
			fmt.Fprintf(&b, ": %s", settings(t.Configs))
		}
		b.WriteString("\n")
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, "  %s\n", p.PartitionRecord)
		}
	}
	if i.producers.Next > 0 {
		fmt.Fprintf(&b, "producer ids below %d handed out, last to broker %d epoch %d\n", i.producers.Next, i.producers.Broker, i.producers.Epoch)
	}
	return b.String()
}

func settings(m map[string]string) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, k+"="+m[k])
	}
	return strings.Join(list, " ")
}

// String is one line.
func (b *Broker) String() string {
	s := fmt.Sprintf("broker %d epoch %d start %d", b.ID, b.Epoch, b.Starts)
	for _, e := range b.Endpoints {
		s += fmt.Sprintf(" %s://%s:%d", e.Listener, e.Host, e.Port)
	}
	if b.Rack != "" {
		s += " rack " + b.Rack
	}
	if b.Fenced {
		s += " fenced"
	}
	if b.ShuttingDown {
		s += " shutting down"
	}
	return s
}

// String is one line: what is usual (no ELR, no lost replica, nothing forced) is left out.
func (p *PartitionRecord) String() string {
	s := fmt.Sprintf("%d: leader %s e%d p%d replicas %s isr %s", p.Index, leaderText(p.Leader), p.LeaderEpoch, p.PartitionEpoch, list(p.Replicas), list(p.ISR))
	if len(p.ELR) > 0 {
		s += " elr " + list(p.ELR)
	}
	if len(p.Lost) > 0 {
		s += " lost " + list(p.Lost)
	}
	s += fmt.Sprintf(" min %d", p.MinISR)
	if p.LowestMinISR != p.MinISR {
		s += fmt.Sprintf(" lowest %d", p.LowestMinISR)
	}
	if p.TargetReplicas != len(p.Replicas) {
		s += fmt.Sprintf(" target %d", p.TargetReplicas)
	}
	if len(p.Adding) > 0 {
		s += " adding " + list(p.Adding)
	}
	if len(p.Removing) > 0 {
		s += " removing " + list(p.Removing)
	}
	if f := p.Forced; f != nil {
		s += fmt.Sprintf(" forced in e%d at offset %d (%s)", f.LeaderEpoch, f.Cut, f.Reason)
	}
	return s
}

func leaderText(id kafka.BrokerID) string {
	if id == kafka.NoBroker {
		return "none"
	}
	return fmt.Sprint(int32(id))
}

func list(ids []kafka.BrokerID) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = fmt.Sprint(int32(id))
	}
	return "[" + strings.Join(parts, ",") + "]"
}
