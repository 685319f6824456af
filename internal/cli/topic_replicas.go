package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/admin"
)

// describedReplica is one replica of a partition. Ends are exclusive, -1 unknown.
type describedReplica struct {
	Broker        int32  `json:"broker"`
	InSync        bool   `json:"in_sync"`
	Durable       int64  `json:"durable_end"`
	End           int64  `json:"end"`
	HighWatermark int64  `json:"high_watermark"`
	Lag           *int64 `json:"lag,omitempty"` // records of the leader's that are not durable here; nil: unknown
	Bytes         *int64 `json:"bytes,omitempty"`
	// Unknown says why the broker itself does not tell; what the leader knows of it
	// stands here then.
	Unknown string `json:"unknown,omitempty"`
	Fault   string `json:"fault,omitempty"` // why it does not serve
}

// describeReplicas adds to the topics what their brokers say of the replicas, and
// what a write waits for.
func (a *app) describeReplicas(ctx context.Context, adm *kadm.Client, brokers kadm.BrokerDetails, list []describedTopic) []door {
	open := doors(ctx, adm, brokers)
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Topic
	}
	statuses, silent := replicaStatuses(ctx, open, names)
	electable := a.electable(ctx, names)
	live := brokers.NodeIDs()
	for i := range list {
		for j := range list[i].Partitions {
			p := &list[i].Partitions[j]
			p.ELR = electable[list[i].Topic][p.Partition]
			if len(statuses)+len(silent) == 0 {
				continue // brokers of another make: nobody could tell
			}
			p.addReplicas(list[i].Topic, statuses)
			p.addSilence(live, silent)
			p.Waits = p.waits()
		}
	}
	return open
}

// electable asks for the replicas that could be elected besides those in sync
// (KIP-966). A broker that does not know the question leaves it unanswered.
func (a *app) electable(ctx context.Context, topics []string) map[string]map[int32][]int32 {
	if a.client == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, doorAnswerMax)
	defer cancel()
	all := map[string]map[int32][]int32{}
	r := kmsg.NewPtrDescribeTopicPartitionsRequest()
	for _, name := range topics {
		t := kmsg.NewDescribeTopicPartitionsRequestTopic()
		t.Topic = name
		r.Topics = append(r.Topics, t)
	}
	const pages = 1000 // of 2000 partitions
	for range pages {
		answer, err := r.RequestWith(ctx, a.client)
		if err != nil {
			return all
		}
		for _, t := range answer.Topics {
			if t.Topic == nil {
				continue
			}
			if all[*t.Topic] == nil {
				all[*t.Topic] = map[int32][]int32{}
			}
			for _, p := range t.Partitions {
				all[*t.Topic][p.Partition] = p.EligibleLeaderReplicas
			}
		}
		if answer.NextCursor == nil {
			return all
		}
		r.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: answer.NextCursor.Topic, Partition: answer.NextCursor.Partition}
	}
	return all
}

// addReplicas fills in what each broker says of its own replica, and where it says
// nothing, what the leader knows.
func (p *describedPartition) addReplicas(topic string, statuses map[int32][]admin.PartitionStatus) {
	find := func(broker int32) *admin.PartitionStatus {
		for i, s := range statuses[broker] {
			if s.Topic == topic && int32(s.Index) == p.Partition {
				return &statuses[broker][i]
			}
		}
		return nil
	}
	leader := find(p.Leader)
	if leader != nil && !leader.Leading {
		leader = nil
	}
	if leader != nil {
		p.MinISR, p.Waiting = leader.MinISR, leader.Waiting
	}
	for _, id := range p.Replicas {
		r := describedReplica{Broker: id, InSync: slices.Contains(p.ISR, id), Durable: -1, End: -1, HighWatermark: -1}
		if own := find(id); own != nil {
			size := own.Bytes
			r.Durable, r.End, r.HighWatermark, r.Bytes, r.Fault = int64(own.Durable), int64(own.LogEnd), int64(own.HighWatermark), &size, own.Fault
			p.MinISR = max(p.MinISR, own.MinISR)
		} else if leader != nil {
			for _, f := range leader.Followers {
				if int32(f.Broker) == id {
					r.Durable, r.End = int64(f.Durable), int64(f.FetchEnd)
				}
			}
		}
		if leader != nil && r.Durable >= 0 {
			lag := max(0, int64(leader.LogEnd)-r.Durable)
			r.Lag = &lag
		}
		p.States = append(p.States, r)
	}
}

// addSilence says why a broker did not tell of its replica itself.
func (p *describedPartition) addSilence(live []int32, silent map[int32]string) {
	for i := range p.States {
		r := &p.States[i]
		switch {
		case !slices.Contains(live, r.Broker):
			r.Unknown = "the broker is down"
		case silent[r.Broker] != "":
			r.Unknown = silent[r.Broker]
		}
	}
}

// waits says what a write to the partition waits for, or why it is refused; empty
// where writes flow.
func (p *describedPartition) waits() string {
	outside := func() string {
		var list []string
		for _, r := range p.States {
			if !r.InSync {
				list = append(list, r.condition())
			}
		}
		return strings.Join(list, ", ")
	}
	switch {
	case p.Leader < 0:
		who := slices.Clone(p.ISR)
		for _, id := range p.ELR {
			if !slices.Contains(who, id) {
				who = append(who, id)
			}
		}
		text := "no leader: writes and reads wait"
		if len(who) > 0 {
			text += " for broker " + joined(who) + ", which may lead"
		}
		return text
	case len(p.ISR) < p.MinISR:
		return fmt.Sprintf("writes are refused (NOT_ENOUGH_REPLICAS): %d in sync, min.insync.replicas is %d; %s", len(p.ISR), p.MinISR, outside())
	case p.Waiting > 0:
		slowest := describedReplica{Broker: -1}
		for _, r := range p.States {
			if r.InSync && r.Lag != nil && (slowest.Lag == nil || *r.Lag > *slowest.Lag) {
				slowest = r
			}
		}
		if slowest.Lag != nil && *slowest.Lag > 0 {
			return fmt.Sprintf("%d write(s) wait: %s", p.Waiting, slowest.condition())
		}
		return fmt.Sprintf("%d write(s) wait", p.Waiting)
	}
	return ""
}

// condition is how a replica is, for a sentence.
func (r describedReplica) condition() string {
	text := fmt.Sprintf("broker %d", r.Broker)
	switch {
	case r.Fault != "":
		text += " does not serve it: " + clean(r.Fault)
	case r.Unknown == "the broker is down":
		text += " is down"
	case r.Lag != nil && *r.Lag > 0:
		text += fmt.Sprintf(" lacks %d record(s)", *r.Lag)
	case r.Unknown != "":
		text += ": " + clean(r.Unknown)
	case !r.InSync:
		text += " has everything and is not in sync yet"
	}
	return text
}

// cell is the replica in the table: where it is durable, and what it lacks.
func (r describedReplica) cell() string {
	switch {
	case r.Fault != "":
		return "offline"
	case r.Durable < 0 && r.Unknown == "the broker is down":
		return "down"
	case r.Durable < 0:
		return "?"
	}
	text := fmt.Sprint(r.Durable)
	if r.Lag != nil && *r.Lag > 0 {
		text += fmt.Sprintf(" -%d", *r.Lag)
	}
	if r.Unknown == "the broker is down" {
		text += " down"
	}
	return text
}

func joined(list []int32) string {
	text := make([]string, len(list))
	for i, id := range list {
		text[i] = fmt.Sprint(id)
	}
	return strings.Join(text, " or ")
}

// replicated reports whether there is more to say of replicas than one row holds.
func (t describedTopic) replicated() bool {
	for _, p := range t.Partitions {
		if len(p.Replicas) > 1 && len(p.States) > 0 {
			return true
		}
	}
	return false
}

// brokersOf are all brokers that have replicas of the topic, sorted.
func (t describedTopic) brokersOf() (all []int32) {
	for _, p := range t.Partitions {
		for _, id := range p.Replicas {
			if !slices.Contains(all, id) {
				all = append(all, id)
			}
		}
	}
	slices.Sort(all)
	return all
}

// printReplicas is the second half of describe: what each broker holds durably,
// and what writes wait for.
func (a *app) printReplicas(t describedTopic) error {
	if t.replicated() {
		fmt.Fprintln(a.Streams.Out, "\nDurable end on each broker, and how many records of the leader's it lacks:")
		header := []any{"PARTITION", "HIGH WATERMARK"}
		brokers := t.brokersOf()
		for _, id := range brokers {
			header = append(header, fmt.Sprintf("BROKER %d", id))
		}
		var grid [][]any
		for _, p := range t.Partitions {
			mark := "?"
			row := []any{p.Partition, nil}
			for _, id := range brokers {
				at := slices.IndexFunc(p.States, func(r describedReplica) bool { return r.Broker == id })
				switch {
				case at < 0:
					row = append(row, "")
				default:
					row = append(row, p.States[at].cell())
					if id == p.Leader && p.States[at].HighWatermark >= 0 {
						mark = fmt.Sprint(p.States[at].HighWatermark)
					}
				}
			}
			row[1] = mark
			grid = append(grid, row)
		}
		grid = append(grid, bytesRow(t, brokers))
		if err := a.grid(header, grid); err != nil {
			return err
		}
	}
	said := false
	for _, p := range t.Partitions {
		if p.Waits == "" {
			continue
		}
		if !said {
			fmt.Fprintln(a.Streams.Out)
			said = true
		}
		fmt.Fprintf(a.Streams.Out, "Partition %d: %s\n", p.Partition, p.Waits)
	}
	return nil
}

// bytesRow is the sum of what each broker holds.
func bytesRow(t describedTopic, brokers []int32) []any {
	row := []any{"bytes", ""}
	for _, id := range brokers {
		total, known := int64(0), false
		for _, p := range t.Partitions {
			for _, r := range p.States {
				if r.Broker == id && r.Bytes != nil {
					total, known = total+*r.Bytes, true
				}
			}
		}
		if !known {
			row = append(row, "?")
			continue
		}
		row = append(row, bytesText(total))
	}
	return row
}

// warnPromise says what of a topic breaks the promise by its own settings.
func (t describedTopic) warnPromise() string {
	for _, p := range t.Partitions {
		if p.MinISR == 1 && len(p.Replicas) > 1 {
			return "UNSAFE: with min.insync.replicas=1 the last broker in sync acknowledges alone; its loss loses those records"
		}
	}
	return ""
}
