package controller_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// TestAlterISR_Codes: every reason why a proposal is not carried out, and which
// of them let the leader go back to the committed set (R7).
func TestAlterISR_Codes(t *testing.T) {
	cases := []struct {
		name    string
		change  func(w *world, c *controller.ISRChange)
		want    kafka.ErrorCode
		refused bool
	}{
		{"as it should be", func(*world, *controller.ISRChange) {}, kafka.ErrNone, false},
		{"another topic", func(_ *world, c *controller.ISRChange) { c.TopicID[0]++ }, kafka.ErrUnknownTopicID, false},
		{"another partition", func(_ *world, c *controller.ISRChange) { c.Partition = 1 }, kafka.ErrUnknownTopicOrPartition, false},
		{"older leader epoch", func(_ *world, c *controller.ISRChange) { c.LeaderEpoch-- }, kafka.ErrFencedLeaderEpoch, false},
		{"newer leader epoch", func(_ *world, c *controller.ISRChange) { c.LeaderEpoch++ }, kafka.ErrNotController, false},
		{"older partition epoch", func(_ *world, c *controller.ISRChange) { c.PartitionEpoch-- }, kafka.ErrInvalidUpdateVersion, false},
		{"newer partition epoch", func(_ *world, c *controller.ISRChange) { c.PartitionEpoch++ }, kafka.ErrNotController, false},
		{"without the leader", func(_ *world, c *controller.ISRChange) { c.ISR = c.ISR[1:] }, kafka.ErrInvalidRequest, true},
		{"nobody", func(_ *world, c *controller.ISRChange) { c.ISR = nil }, kafka.ErrInvalidRequest, true},
		{"somebody twice", func(_ *world, c *controller.ISRChange) { c.ISR = append(c.ISR, c.ISR[0]) }, kafka.ErrInvalidRequest, true},
		{"a stranger", func(w *world, c *controller.ISRChange) {
			c.ISR = append(c.ISR, controller.Member{ID: 4, Epoch: w.epoch(4)})
		}, kafka.ErrInvalidRequest, true},
		{"the same set", func(_ *world, c *controller.ISRChange) { c.ISR = c.ISR[:2] }, kafka.ErrInvalidRequest, true},
		{"a stale incarnation", func(_ *world, c *controller.ISRChange) { c.ISR[2].Epoch-- }, kafka.ErrIneligibleReplica, true},
		{"an incarnation to come", func(_ *world, c *controller.ISRChange) { c.ISR[1].Epoch++ }, kafka.ErrIneligibleReplica, true},
		{"any incarnation", func(_ *world, c *controller.ISRChange) { c.ISR[2].Epoch = -1 }, kafka.ErrIneligibleReplica, true},
		{"a fenced one", func(w *world, _ *controller.ISRChange) { w.fence(3) }, kafka.ErrIneligibleReplica, true},
		{"one that shuts down", func(w *world, _ *controller.ISRChange) {
			w.mustDo(controller.Heartbeat{Broker: 3, Epoch: w.epoch(3), WantShutdown: true})
		}, kafka.ErrIneligibleReplica, true},
	}
	for _, c := range cases {
		w := newWorld(t, 4)
		w.mustDo(create(controller.NewTopic{Name: "a", Partitions: -1, ReplicationFactor: -1, Assignments: []controller.Assignment{{Brokers: []kafka.BrokerID{1, 2, 3}}}}))
		w.mustISR("a", 1, 2)
		command := w.propose("a", 1, 2, 3)
		c.change(w, &command.Changes[0])
		before := w.first("a").PartitionEpoch
		r := w.mustDo(command).ISR[0]
		if r.Code != c.want || r.Refused() != c.refused {
			t.Errorf("%s: %s (%s), refused %v, want %s", c.name, r.Code, r.Message, r.Refused(), c.want)
		}
		// A refusal for a member's sake moves the partition epoch on: a copy of the
		// proposal that comes later, when the member is eligible, must change nothing.
		if changed := w.first("a").PartitionEpoch != before; changed != (c.want == kafka.ErrNone || c.want == kafka.ErrIneligibleReplica) {
			t.Errorf("%s: partition epoch %d after %d", c.name, w.first("a").PartitionEpoch, before)
		}
	}
}

// TestAlterISR_WholeCommand: who speaks, and partitions that are named twice.
func TestAlterISR_WholeCommand(t *testing.T) {
	w := newWorld(t, 3)
	w.mustDo(create(topic("a", 1, 3)))
	c := w.propose("a", 1, 2)
	for name, want := range map[string]kafka.ErrorCode{"stale": kafka.ErrStaleBrokerEpoch, "stranger": kafka.ErrBrokerIDNotRegistered, "follower": kafka.ErrNone} {
		other := c
		switch name {
		case "stale":
			other.Epoch--
		case "stranger":
			other.Broker = 9
		case "follower":
			other.Broker, other.Epoch = 2, w.epoch(2)
		}
		reply, err := w.do(other)
		if want != kafka.ErrNone && !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
		if want == kafka.ErrNone && reply.ISR[0].Code != kafka.ErrFencedLeaderEpoch {
			t.Errorf("%s: %+v", name, reply.ISR)
		}
	}
	c.Changes = append(c.Changes, c.Changes[0])
	if r := w.mustDo(c).ISR; r[0].Code != kafka.ErrNone || r[1].Code != kafka.ErrInvalidRequest {
		t.Errorf("twice: %+v", r)
	}
}

// TestHeartbeat_RecordsOnlyChanges: most heartbeats cost no entry.
func TestHeartbeat_RecordsOnlyChanges(t *testing.T) {
	w := newWorld(t, 3)
	w.mustDo(create(topic("a", 6, 3)))
	at := w.image.Offset()
	for range 3 {
		if r := w.heartbeat(2); r.Fenced || !r.CaughtUp {
			t.Errorf("%+v", r)
		}
	}
	if w.image.Offset() != at {
		t.Error("a heartbeat without news left records")
	}
	want := controller.Heartbeat{Broker: 2, Epoch: w.epoch(2), Applied: at, WantFence: true}
	if r := w.mustDo(want).Heartbeat; !r.Fenced || !w.image.Broker(2).Fenced {
		t.Errorf("wants to be fenced: %+v", r)
	}
	at = w.image.Offset()
	if r := w.mustDo(want).Heartbeat; !r.Fenced || w.image.Offset() != at {
		t.Errorf("stays fenced: %+v", r)
	}
	w.fence(2)
	if w.image.Offset() != at {
		t.Error("a fenced broker was fenced again")
	}
	for name, c := range map[string]controller.Command{
		"stale":       controller.Heartbeat{Broker: 2, Epoch: w.epoch(2) - 1, Applied: at},
		"stale fence": controller.FenceBroker{Broker: 2, Epoch: w.epoch(2) - 1},
		"stale lost":  controller.ReportLost{Broker: 2, Epoch: w.epoch(2) - 1},
	} {
		if _, err := w.do(c); !errors.Is(err, kafka.ErrStaleBrokerEpoch) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRegisterBroker_Levels: the feature level is what every registered broker
// knows; it never falls, and what it gates waits for it.
func TestRegisterBroker_Levels(t *testing.T) {
	old := func(id int) controller.RegisterBroker {
		r := registration(id, 1)
		r.Features = 0
		return r
	}
	w := newWorld(t, 0)
	w.join(old(1))
	w.join(registration(2, 1))
	w.mustDo(create(topic("a", 1, 1)))
	if level := w.image.FeatureLevel(); level != 1 {
		t.Errorf("level %d with an old broker", level)
	}
	for name, c := range map[string]controller.Command{
		"shutdown":     controller.Heartbeat{Broker: 2, Epoch: w.epoch(2), WantShutdown: true},
		"reassignment": controller.AlterReassignments{Reassignments: []controller.Reassignment{{Topic: "a", Replicas: []kafka.BrokerID{2}}}},
		"force":        controller.ForceRecovery{TopicID: w.first("a").TopicID},
		"unregister":   controller.UnregisterBroker{Broker: 2},
	} {
		if _, err := w.do(c); !errors.Is(err, kafka.ErrUnsupportedVersion) {
			t.Errorf("%s at level 1: %v", name, err)
		}
	}
	if reply := w.mustDo(controller.EnsureReplication{}); len(reply.Partitions) > 0 {
		t.Errorf("%+v", reply)
	}
	newer := old(1)
	newer.Features = 99 // knows more than we do
	first := w.epoch(1)
	if r := w.mustDo(newer); r.BrokerEpoch != first || w.image.FeatureLevel() != 1 {
		t.Errorf("level %d while broker 2 was registered at level 1: %+v", w.image.FeatureLevel(), r)
	}
	w.mustDo(registration(2, 1))
	if level := w.image.FeatureLevel(); level != 1 {
		t.Errorf("level %d before broker 1 says again what it knows", level)
	}
}

// TestRegisterBroker_RaisesTheLevel in the entry that makes it possible.
func TestRegisterBroker_RaisesTheLevel(t *testing.T) {
	w := newWorld(t, 0)
	if level := w.image.FeatureLevel(); level != 1 {
		t.Errorf("a new cluster is at level %d", level)
	}
	w.join(registration(1, 1))
	if level := w.image.FeatureLevel(); level != 2 || w.image.Broker(1).Fenced {
		t.Errorf("level %d\n%s", level, w.image)
	}
	r := registration(2, 1)
	r.Features = 1
	if _, err := w.do(r); !errors.Is(err, kafka.ErrUnsupportedVersion) || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("an old broker joins: %v", err)
	}
}

// TestPlacement_Racks: replicas of one partition stand in different racks while
// there are enough, and brokers stay even.
func TestPlacement_Racks(t *testing.T) {
	w := newWorld(t, 0)
	racks := map[kafka.BrokerID]string{}
	for id := 1; id <= 6; id++ {
		r := registration(id, 1)
		r.Rack = fmt.Sprintf("r%d", (id-1)/2)
		racks[r.ID] = r.Rack
		w.join(r)
	}
	w.mustDo(create(topic("a", 12, 3), topic("b", 6, 4)))
	leaders, replicas := map[kafka.BrokerID]int{}, map[kafka.BrokerID]int{}
	for _, x := range w.image.Topics() {
		for _, p := range x.Partitions {
			in := map[string]bool{}
			for _, id := range p.Replicas {
				in[racks[id]] = true
				replicas[id]++
			}
			leaders[p.Leader]++
			if len(in) != 3 {
				t.Errorf("%s-%s is in racks %v", x.Name, p, in)
			}
		}
	}
	if spread(leaders) > 1 || spread(replicas) > 2 {
		t.Errorf("leaders %v, replicas %v", leaders, replicas)
	}
}

// TestPlacement_AwayBrokers: with a broker away, a new topic has the replicas that
// it should have, and is led by somebody live.
func TestPlacement_AwayBrokers(t *testing.T) {
	w := newWorld(t, 3)
	w.fence(1)
	w.mustDo(create(topic("a", 4, -1)))
	for _, p := range w.image.TopicByName("a").Partitions {
		if len(p.Replicas) != 3 || len(p.ISR) != 2 || p.MinISR != 2 || p.Leader == 1 || p.Replicas[0] == 1 || p.InSync(1) {
			t.Errorf("%s", p)
		}
	}
	w.fence(2)
	w.fence(3)
	if reply, err := w.do(create(topic("b", 1, 1))); err != nil || reply.Topics[0].Code != kafka.ErrInvalidReplicationFactor {
		t.Errorf("nobody is live: %+v %v", reply, err)
	}
}

// TestMinISR_Warnings: min ISR 1 beside several replicas is allowed and said.
func TestMinISR_Warnings(t *testing.T) {
	w := newWorld(t, 3)
	r := w.mustDo(create(topic("weak", 1, 3, "min.insync.replicas", "1"), topic("good", 1, 3), topic("alone", 1, 1)))
	for n, want := range []bool{true, false, false} {
		if got := r.Topics[n].Warning != ""; got != want {
			t.Errorf("%s: %q", r.Topics[n].Name, r.Topics[n].Warning)
		}
	}
	for value, want := range map[string]bool{"1": true, "2": false} {
		r := w.mustDo(change(meta.TopicResource("good"), controller.ConfigSet, "min.insync.replicas", value))
		if got := r.Configs[0].Warning != ""; got != want {
			t.Errorf("min ISR %s: %q", value, r.Configs[0].Warning)
		}
	}
}

// TestReassign_Refusals: targets that cannot be, and min ISR that no target could
// reach.
func TestReassign_Refusals(t *testing.T) {
	w := newWorld(t, 4)
	w.mustDo(create(topic("a", 1, 2, "min.insync.replicas", "2")))
	for name, c := range map[string]struct {
		r    controller.Reassignment
		keep bool
		want kafka.ErrorCode
	}{
		"unknown topic":     {controller.Reassignment{Topic: "b"}, false, kafka.ErrUnknownTopicOrPartition},
		"unknown partition": {controller.Reassignment{Topic: "a", Partition: 3}, false, kafka.ErrUnknownTopicOrPartition},
		"nothing to cancel": {controller.Reassignment{Topic: "a"}, false, kafka.ErrNoReassignmentInProgress},
		"nobody":            {controller.Reassignment{Topic: "a", Replicas: []kafka.BrokerID{}}, false, kafka.ErrInvalidReplicaAssignment},
		"twice":             {controller.Reassignment{Topic: "a", Replicas: []kafka.BrokerID{1, 1}}, false, kafka.ErrInvalidReplicaAssignment},
		"stranger":          {controller.Reassignment{Topic: "a", Replicas: []kafka.BrokerID{1, 9}}, false, kafka.ErrInvalidReplicaAssignment},
		"below min isr":     {controller.Reassignment{Topic: "a", Replicas: []kafka.BrokerID{1}}, false, kafka.ErrInvalidReplicaAssignment},
		"other factor":      {controller.Reassignment{Topic: "a", Replicas: []kafka.BrokerID{1, 2, 3}}, true, kafka.ErrInvalidReplicationFactor},
		"same factor":       {controller.Reassignment{Topic: "a", Replicas: []kafka.BrokerID{3, 4}}, true, kafka.ErrNone},
	} {
		reply, err := w.do(controller.AlterReassignments{Reassignments: []controller.Reassignment{c.r}, KeepFactor: c.keep})
		if err != nil || reply.Partitions[0].Code != c.want {
			t.Errorf("%s: %+v %v, want %s", name, reply.Partitions, err, c.want)
		}
		w.do(controller.CancelReassignments{})
	}
	w.mustDo(controller.AlterReassignments{Reassignments: []controller.Reassignment{{Topic: "a", Replicas: []kafka.BrokerID{1, 2, 3, 4}}}})
	r, _ := w.do(change(meta.TopicResource("a"), controller.ConfigSet, "min.insync.replicas", "3"))
	if r.Configs[0].Code != kafka.ErrInvalidConfig {
		t.Errorf("a min ISR that the replicas from before could not reach: %+v", r.Configs)
	}
	w.mustDo(controller.CreatePartitions{Topics: []controller.MorePartitions{{Topic: "a", Count: 2}}})
	if p := w.image.TopicByName("a").Partitions[1]; len(p.Replicas) != 4 || p.MinISR != 2 {
		t.Errorf("a partition that is added meanwhile: %s", p)
	}
}

// TestRecoverPartitions_Reports: what does not count, and why it is said.
func TestRecoverPartitions_Reports(t *testing.T) {
	cases := map[string]func(*controller.LogReport){
		"no replica":                 func(r *controller.LogReport) { r.Broker = 4 },
		"another incarnation":        func(r *controller.LogReport) { r.BrokerEpoch-- },
		"fenced":                     func(r *controller.LogReport) { r.Broker = 1 },
		"directory":                  func(r *controller.LogReport) { r.Directory = directory(77) },
		"leader epoch":               func(r *controller.LogReport) { r.LeaderEpoch-- },
		"an impossible log":          func(r *controller.LogReport) { r.LastEpoch = 99 },
		"an impossible log (offset)": func(r *controller.LogReport) { r.End = -1 },
		"named twice":                func(r *controller.LogReport) { r.Broker, r.Directory = 3, directory(3) },
	}
	for name, edit := range cases {
		w := newWorld(t, 4)
		w.mustDo(create(controller.NewTopic{Name: "a", Partitions: -1, ReplicationFactor: -1, Assignments: []controller.Assignment{{Brokers: []kafka.BrokerID{1, 2, 3}}}}))
		w.mustISR("a", 1)
		w.mustDo(change(meta.TopicResource("a"), controller.ConfigSet, "min.insync.replicas", "3")) // ends the ELR
		w.fence(1)
		reports := parseReports(w, "a", []string{"3:0:5", "2:0:5"})
		edit(&reports[1])
		if b := w.image.Broker(reports[1].Broker); name != "another incarnation" {
			reports[1].BrokerEpoch = b.Epoch
		}
		r := w.mustDo(controller.RecoverPartitions{Reports: reports}).Partitions[0]
		word, _, _ := strings.Cut(name, " (")
		if r.Code != kafka.ErrEligibleLeadersNotAvailable || !strings.Contains(r.Message, "1 of 3") || !strings.Contains(r.Message, word) {
			t.Errorf("%s: %s %s", name, r.Code, r.Message)
		}
		if name != "fenced" {
			continue
		}
		w.mustDo(controller.RecoverPartitions{Reports: parseReports(w, "a", []string{"3:0:5", "2:0:6"})})
		if p := w.first("a"); p.Leader != 2 || !slices.Equal(p.ISR, []kafka.BrokerID{2}) {
			t.Errorf("%s", p)
		}
	}
}

// TestForceRecovery_Refusals: only where nobody leads, with a reason, and with
// what the chosen replica holds.
func TestForceRecovery_Refusals(t *testing.T) {
	w := newWorld(t, 3)
	w.mustDo(create(topic("a", 1, 3)))
	force := func(edit func(*controller.ForceRecovery)) error {
		c := controller.ForceRecovery{TopicID: w.first("a").TopicID, Broker: 2, Reports: parseReports(w, "a", []string{"2:0:5"}), Reason: "test"}
		edit(&c)
		_, err := w.do(c)
		return err
	}
	if err := force(func(*controller.ForceRecovery) {}); !errors.Is(err, kafka.ErrElectionNotNeeded) {
		t.Errorf("somebody leads: %v", err)
	}
	w.mustDo(change(meta.TopicResource("a"), controller.ConfigSet, "min.insync.replicas", "1"))
	w.mustISR("a", 1)
	w.fence(1)
	for name, c := range map[string]struct {
		edit func(*controller.ForceRecovery)
		want kafka.ErrorCode
	}{
		"unknown":     {func(c *controller.ForceRecovery) { c.TopicID[0]++ }, kafka.ErrUnknownTopicID},
		"no reason":   {func(c *controller.ForceRecovery) { c.Reason = "" }, kafka.ErrInvalidRequest},
		"long reason": {func(c *controller.ForceRecovery) { c.Reason = strings.Repeat("x", 1001) }, kafka.ErrInvalidRequest},
		"no report":   {func(c *controller.ForceRecovery) { c.Reports = nil }, kafka.ErrInvalidRequest},
		"other":       {func(c *controller.ForceRecovery) { c.Broker = 3 }, kafka.ErrInvalidRequest},
		"stale":       {func(c *controller.ForceRecovery) { c.Reports[0].BrokerEpoch++ }, kafka.ErrIneligibleReplica},
	} {
		if err := force(c.edit); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	before := w.image.Offset()
	if err := force(func(c *controller.ForceRecovery) { c.ValidateOnly = true }); err != nil || w.image.Offset() != before {
		t.Errorf("only asked: %v", err)
	}
	if err := force(func(*controller.ForceRecovery) {}); err != nil {
		t.Fatal(err)
	}
	p := w.first("a")
	if f := p.Forced; p.Leader != 2 || f == nil || f.LeaderEpoch != p.LeaderEpoch || f.Cut != 5 || f.Reason != "test" || f.At != 1000 {
		t.Errorf("%s", p)
	}
}
