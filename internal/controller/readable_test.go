package controller_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// readable applies the records as whoever reads the metadata log does: from their
// bytes. A decision that cannot be read back ends the cluster once it is
// committed.
func readable(i *meta.Image, records []meta.Record) (*meta.Image, error) {
	decoded, err := meta.DecodeRecords(meta.AppendRecords(nil, records))
	if err != nil {
		return nil, err
	}
	next, _, err := i.Apply(i.Offset()+1, decoded)
	if err != nil {
		return nil, err
	}
	snapshot, err := meta.DecodeRecords(meta.AppendRecords(nil, next.Records()))
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	_, _, err = meta.Empty().Apply(next.Offset(), snapshot)
	return next, err
}

// TestDecide_LongestTextsCanBeRead: texts around the bounds of the format are
// refused by the decision or can be read from the log.
func TestDecide_LongestTextsCanBeRead(t *testing.T) {
	a := meta.TopicResource("a")
	pad := func(n int) string { return strings.Repeat(" ", n-1) + "5" }
	wide := func(n int) controller.RegisterBroker {
		r := registration(1, 2)
		r.Rack = strings.Repeat("r", n)
		return r
	}
	host := func(n int) controller.RegisterBroker {
		r := registration(1, 2)
		r.Endpoints[0].Host = strings.Repeat("h", n)
		return r
	}
	listener := func(n int) controller.RegisterBroker {
		r := registration(1, 2)
		r.Endpoints[0].Listener = strings.Repeat("L", n)
		return r
	}
	for _, n := range []int{255, 256, 1023, 1024, 32766, 32767, 32768, 32769, 70000} {
		commands := map[string]controller.Command{
			"value set":    change(a, controller.ConfigSet, "retention.ms", pad(n)),
			"value create": create(topic("b", 1, 1, "retention.ms", pad(n))),
			"cluster":      change(meta.ClusterResource(), controller.ConfigSet, "num.partitions", pad(n)),
			"delete key":   change(a, controller.ConfigDelete, strings.Repeat("k", n), ""),
			"rack":         wide(n), "host": host(n), "listener": listener(n),
		}
		for name, command := range commands {
			w := newWorld(t, 1)
			w.mustDo(create(topic("a", 1, 1)))
			records, _, err := controller.Decide(w.image, w.inputs(), command)
			if err != nil {
				continue
			}
			if _, err := readable(w.image, records); err != nil {
				t.Errorf("%s of %d bytes is decided and cannot be read: %v", name, n, err)
			}
		}
	}
}

// TestDecide_ListsDoNotGrowBeyondReading: what append adds up to has the same
// bound as what set gives.
func TestDecide_ListsDoNotGrowBeyondReading(t *testing.T) {
	w := newWorld(t, 1)
	w.mustDo(create(topic("a", 1, 1)))
	a := meta.TopicResource("a")
	refused := false
	for n := range 100 {
		var items []string
		for k := range 2000 {
			items = append(items, fmt.Sprintf("%d:%d", n*2000+k, 1000000+n))
		}
		records, reply, err := controller.Decide(w.image, w.inputs(), change(a, controller.ConfigAppend, "leader.replication.throttled.replicas", strings.Join(items, ",")))
		if err != nil {
			t.Fatal(err)
		}
		if reply.Configs[0].Code != kafka.ErrNone {
			refused = reply.Configs[0].Code == kafka.ErrInvalidConfig
			break
		}
		next, err := readable(w.image, records)
		if err != nil {
			t.Fatalf("after %d additions: %v", n+1, err)
		}
		w.image = next
	}
	if !refused {
		t.Error("a list of a megabyte is taken")
	}
}

// TestDecide_AnythingDecidedCanBeRead: whatever strangers ask for, in any order,
// the decisions can be read from the log and follow each other, and the image
// survives as a snapshot.
func TestDecide_AnythingDecidedCanBeRead(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, 2)
		for range rapid.IntRange(1, 12).Draw(rt, "commands") {
			command := anyCommand(rt, w.image)
			records, _, err := controller.Decide(w.image, w.inputs(), command)
			if err != nil || len(records) == 0 {
				continue
			}
			next, err := readable(w.image, records)
			if err != nil {
				rt.Fatalf("%+v: %v\n%s", command, err, w.image)
			}
			w.image = next
		}
	})
}

func anyCommand(t *rapid.T, i *meta.Image) controller.Command {
	name := func() string {
		return rapid.SampledFrom([]string{"a", "b", "a.b", "a_b", "", "..", "ä", strings.Repeat("n", 249), strings.Repeat("n", 250)}).Draw(t, "name")
	}
	small := func(label string) int { return rapid.IntRange(-2, 4).Draw(t, label) }
	switch rapid.IntRange(0, 10).Draw(t, "command") {
	case 0, 1:
		n := topic(name(), small("partitions"), small("factor"))
		if rapid.Bool().Draw(t, "configured") {
			n.Configs = topic("", 0, 0, anyKey(t), anyValue(t)).Configs
		}
		for p := range rapid.IntRange(0, 2).Draw(t, "assigned") {
			n.Assignments = append(n.Assignments, controller.Assignment{Partition: kafka.PartitionIndex(p), Brokers: anyBrokers(t)})
		}
		return controller.CreateTopics{Topics: []controller.NewTopic{n}, ValidateOnly: small("validate") == 0}
	case 2:
		return controller.DeleteTopics{Topics: []controller.TopicRef{{Name: name()}}}
	case 3:
		return controller.CreatePartitions{Topics: []controller.MorePartitions{{Topic: name(), Count: small("count"),
			Assignments: rapid.SampledFrom([][][]kafka.BrokerID{nil, nil, {anyBrokers(t)}, {}}).Draw(t, "assignments")}}}
	case 4:
		r := registration(rapid.IntRange(-1, 3).Draw(t, "id"), rapid.IntRange(0, 20).Draw(t, "start"))
		r.Rack = anyValue(t)
		return r
	case 7, 8, 9, 10:
		return anyReplicaCommand(t, i)
	case 5:
		return controller.AllocateProducerIDs{Broker: kafka.BrokerID(small("broker")), Epoch: kafka.BrokerEpoch(small("epoch"))}
	}
	r := meta.Resource{Type: meta.ResourceType(rapid.SampledFrom([]int{2, 2, 4, 8}).Draw(t, "type"))}
	r.Name = rapid.SampledFrom([]string{"a", "b", "", "1", "01"}).Draw(t, "resource")
	c := change(r, controller.ConfigOp(small("op")), anyKey(t), anyValue(t))
	c.Replace = small("replace") == 0
	return c
}

func anyKey(t *rapid.T) string {
	return rapid.SampledFrom([]string{"retention.ms", "cleanup.policy", "min.insync.replicas", "leader.replication.throttled.replicas",
		"num.partitions", "compression.type", "", "x", strings.Repeat("k", 40000)}).Draw(t, "key")
}

func anyValue(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "1", "2", "3", "compact", "delete", "*", "1:2,3:4", "zstd", "\x00\xff",
		strings.Repeat(" ", 32767) + "1", strings.Repeat(" ", 32766) + "1", strings.Repeat("1:1,", 8192)}).Draw(t, "value")
}

func anyBrokers(t *rapid.T) (out []kafka.BrokerID) {
	for range rapid.IntRange(0, 3).Draw(t, "brokers") {
		out = append(out, kafka.BrokerID(rapid.IntRange(-1, 3).Draw(t, "replica")))
	}
	return out
}

// anyReplicaCommand draws what brokers and operators say, often close to what is.
func anyReplicaCommand(t *rapid.T, i *meta.Image) controller.Command {
	near := func(label string, n int64) int64 {
		return n + int64(rapid.SampledFrom([]int{0, 0, 0, 0, 1, -1}).Draw(t, label))
	}
	id := kafka.BrokerID(rapid.IntRange(0, 3).Draw(t, "broker"))
	epoch := func(id kafka.BrokerID) kafka.BrokerEpoch {
		if b := i.Broker(id); b != nil {
			return kafka.BrokerEpoch(near("epoch", int64(b.Epoch)))
		}
		return -1
	}
	var tp kafka.TopicIDPartition
	var p meta.Partition
	if x := i.TopicByName("a"); x != nil {
		tp.TopicID, p = x.ID, x.Partitions[0]
	} else {
		p.PartitionRecord = &meta.PartitionRecord{}
	}
	report := controller.LogReport{TopicID: tp.TopicID, Broker: id, BrokerEpoch: epoch(id), Directory: directory(int(id)), LeaderEpoch: kafka.LeaderEpoch(near("leader epoch", int64(p.LeaderEpoch))),
		LastEpoch: kafka.LeaderEpoch(rapid.IntRange(-2, 2).Draw(t, "last epoch")), End: kafka.Offset(rapid.IntRange(-1, 3).Draw(t, "end"))}
	switch rapid.IntRange(0, 10).Draw(t, "about replicas") {
	case 0, 1:
		return controller.Heartbeat{Broker: id, Epoch: epoch(id), Applied: i.Offset(), WantFence: rapid.Bool().Draw(t, "fence"), WantShutdown: rapid.Bool().Draw(t, "shutdown")}
	case 2, 3:
		return controller.FenceBroker{Broker: id, Epoch: epoch(id)}
	case 4:
		c := controller.ISRChange{TopicID: tp.TopicID, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: kafka.PartitionEpoch(near("partition epoch", int64(p.PartitionEpoch)))}
		for _, member := range anyBrokers(t) {
			c.ISR = append(c.ISR, controller.Member{ID: member, Epoch: epoch(member)})
		}
		return controller.AlterISR{Broker: p.Leader, Epoch: epoch(p.Leader), Changes: []controller.ISRChange{c}}
	case 5:
		return controller.ElectLeaders{Kind: controller.ElectionKind(rapid.IntRange(0, 2).Draw(t, "kind"))}
	case 6, 7:
		return controller.AlterReassignments{Reassignments: []controller.Reassignment{{Topic: "a", Replicas: anyBrokers(t)}}, KeepFactor: rapid.Bool().Draw(t, "keep")}
	case 8:
		return controller.RecoverPartitions{Reports: []controller.LogReport{report, report}}
	case 9:
		return controller.ForceRecovery{TopicID: tp.TopicID, Broker: id, Reports: []controller.LogReport{report}, Reason: anyValue(t)}
	}
	return rapid.SampledFrom([]controller.Command{controller.BalanceLeaders{}, controller.EnsureReplication{}, controller.CancelReassignments{},
		controller.UnregisterBroker{Broker: id}, controller.ReportLost{Broker: id, Epoch: epoch(id), Replicas: []kafka.TopicIDPartition{tp, tp}}}).Draw(t, "other")
}
