package controller_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// TestValidateTopicName: Kafka's names and no others.
func TestValidateTopicName(t *testing.T) {
	for _, name := range []string{"a", "A.b_c-9", "...", strings.Repeat("x", 249), "__consumer_offsets"} {
		if err := controller.ValidateTopicName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", strings.Repeat("x", 250), "a b", "a/b", "ä", "a\x00", "a:b", "a,b"} {
		err := controller.ValidateTopicName(name)
		if !errors.Is(err, kafka.ErrInvalidTopicException) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestCreateTopics_Refusals: each has Kafka's code, leaves no record, and does
// not hurt the topic beside it.
func TestCreateTopics_Refusals(t *testing.T) {
	null := controller.NewTopic{Name: "n", Partitions: 1, ReplicationFactor: 1, Configs: []controller.Setting{{Key: "retention.ms"}}}
	manual := func(partitions, factor int, assignments ...controller.Assignment) controller.NewTopic {
		return controller.NewTopic{Name: "n", Partitions: partitions, ReplicationFactor: factor, Assignments: assignments}
	}
	at := func(p int, brokers ...kafka.BrokerID) controller.Assignment {
		return controller.Assignment{Partition: kafka.PartitionIndex(p), Brokers: brokers}
	}
	cases := map[string]struct {
		topic controller.NewTopic
		want  kafka.ErrorCode
	}{
		"name":                     {topic("a b", 1, 1), kafka.ErrInvalidTopicException},
		"exists":                   {topic("old.topic", 1, 1), kafka.ErrTopicAlreadyExists},
		"collides":                 {topic("old_topic", 1, 1), kafka.ErrInvalidTopicException},
		"no partitions":            {topic("n", 0, 1), kafka.ErrInvalidPartitions},
		"negative partitions":      {topic("n", -2, 1), kafka.ErrInvalidPartitions},
		"too many partitions":      {topic("n", config.PartitionsMax+1, 1), kafka.ErrInvalidPartitions},
		"more than one request":    {topic("n", controller.NewPartitionsMax+1, 1), kafka.ErrPolicyViolation},
		"no replicas":              {topic("n", 1, 0), kafka.ErrInvalidReplicationFactor},
		"negative replicas":        {topic("n", 1, -2), kafka.ErrInvalidReplicationFactor},
		"more than brokers":        {topic("n", 1, 4), kafka.ErrInvalidReplicationFactor},
		"unknown setting":          {topic("n", 1, 1, "retention.mss", "1"), kafka.ErrInvalidConfig},
		"bad value":                {topic("n", 1, 1, "retention.ms", "soon"), kafka.ErrInvalidConfig},
		"null value":               {null, kafka.ErrInvalidConfig},
		"huge value":               {topic("n", 1, 1, "retention.ms", strings.Repeat("1", controller.ValueBytesMax+1)), kafka.ErrInvalidConfig},
		"min isr above factor":     {topic("n", 1, 2, "min.insync.replicas", "3"), kafka.ErrInvalidConfig},
		"assignments and count":    {manual(1, -1, at(0, 1)), kafka.ErrInvalidRequest},
		"assignments and factor":   {manual(-1, 1, at(0, 1)), kafka.ErrInvalidRequest},
		"assignment gap":           {manual(-1, -1, at(0, 1), at(2, 1)), kafka.ErrInvalidReplicaAssignment},
		"assignment twice":         {manual(-1, -1, at(0, 1), at(0, 1)), kafka.ErrInvalidReplicaAssignment},
		"assignment of nobody":     {manual(-1, -1, at(0)), kafka.ErrInvalidReplicaAssignment},
		"assignment to a stranger": {manual(-1, -1, at(0, 9)), kafka.ErrInvalidReplicaAssignment},
		"assignment broker twice":  {manual(-1, -1, at(0, 1, 1)), kafka.ErrInvalidReplicaAssignment},
		"assignment uneven":        {manual(-1, -1, at(0, 1), at(1, 1, 2)), kafka.ErrInvalidReplicaAssignment},
	}
	for name, c := range cases {
		w := newWorld(t, 3)
		w.mustDo(create(topic("old.topic", 1, 1)))
		for _, validateOnly := range []bool{true, false} {
			command := create(c.topic, topic("good", 1, 1))
			command.ValidateOnly = validateOnly
			reply, err := w.do(command)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := reply.Topics[0]; got.Code != c.want || got.Message == "" || !got.ID.IsZero() {
				t.Errorf("%s: %+v, want %s", name, got, c.want)
			}
			if reply.Topics[1].Code != kafka.ErrNone {
				t.Errorf("%s: the topic beside it: %s", name, reply.Topics[1].Message)
			}
			if made := w.image.TopicByName("good") != nil; made == validateOnly || w.image.TopicByName("n") != nil {
				t.Errorf("%s: validateOnly %v\n%s", name, validateOnly, w.image)
			}
		}
	}
}

// TestCreateTopics_OneRequest: what topics of one request mean for each other.
func TestCreateTopics_OneRequest(t *testing.T) {
	w := newWorld(t, 1)
	reply, _ := w.do(create(topic("twice", 1, 1), topic("twice", 1, 1), topic("a.b", 1, 1), topic("a_b", 1, 1)))
	var codes []kafka.ErrorCode
	for _, r := range reply.Topics {
		codes = append(codes, r.Code)
	}
	want := []kafka.ErrorCode{kafka.ErrInvalidRequest, kafka.ErrInvalidRequest, kafka.ErrNone, kafka.ErrInvalidTopicException}
	if !slices.Equal(codes, want) {
		t.Errorf("%v, want %v", codes, want)
	}
	half := controller.NewPartitionsMax/2 + 1
	reply, _ = w.do(create(topic("c", half, 1), topic("d", half, 1)))
	if reply.Topics[0].Code != kafka.ErrNone || reply.Topics[1].Code != kafka.ErrPolicyViolation {
		t.Errorf("limit of one request: %v %v", reply.Topics[0].Code, reply.Topics[1].Code)
	}
}

// TestCreateTopics_Defaults: -1 takes what the cluster says, and min ISR follows
// from the factor.
func TestCreateTopics_Defaults(t *testing.T) {
	for brokers, want := range map[int]string{1: "[1] 1", 2: "[2] 2", 3: "[3] 2", 5: "[3] 2"} {
		w := newWorld(t, brokers)
		r := w.mustDo(create(topic("a", controller.Default, controller.Default))).Topics[0]
		p := w.image.TopicByName("a").Partitions[0]
		got := fmt.Sprintf("[%d] %d", len(p.Replicas), p.MinISR)
		if got != want || r.Partitions != 1 || r.ReplicationFactor != len(p.Replicas) || p.LowestMinISR != p.MinISR {
			t.Errorf("%d brokers: %s, want %s; %+v", brokers, got, want, r)
		}
		if p.Directories[0] != directory(int(p.Replicas[0])) || len(p.ISR) != len(p.Replicas) || p.Leader != p.Replicas[0] {
			t.Errorf("new partition %s", p)
		}
	}
	w := newWorld(t, 1)
	w.mustDo(change(meta.ClusterResource(), controller.ConfigSet, "num.partitions", "4"))
	if n := w.mustDo(create(topic("a", -1, -1))).Topics[0].Partitions; n != 4 {
		t.Errorf("%d partitions with num.partitions=4", n)
	}
	w.mustDo(change(meta.ClusterResource(), controller.ConfigSet, "min.insync.replicas", "1"))
	reply, _ := w.do(change(meta.ClusterResource(), controller.ConfigSet, "min.insync.replicas", "2"))
	if reply.Configs[0].Code != kafka.ErrInvalidConfig {
		t.Errorf("a default that makes topic a unwritable: %+v", reply.Configs[0])
	}
}

// TestPlacement_IsEven: leaders and replicas differ by at most one over the
// brokers, whatever the order of creations.
func TestPlacement_IsEven(t *testing.T) {
	for _, factor := range []int{1, 2, 3} {
		w := newWorld(t, 4)
		for n, partitions := range []int{1, 6, 2, 7, 3, 6, 6} {
			w.mustDo(create(topic(fmt.Sprintf("t%d", n), partitions, factor)))
			leaders, replicas := map[kafka.BrokerID]int{}, map[kafka.BrokerID]int{}
			for id := range 4 {
				leaders[kafka.BrokerID(id+1)], replicas[kafka.BrokerID(id+1)] = 0, 0
			}
			for _, x := range w.image.Topics() {
				for _, p := range x.Partitions {
					leaders[p.Leader]++
					for _, r := range p.Replicas {
						replicas[r]++
					}
				}
			}
			if spread(leaders) > 1 || spread(replicas) > 2 {
				t.Errorf("factor %d after topic %d: leaders %v, replicas %v", factor, n, leaders, replicas)
			}
		}
	}
}

func spread(m map[kafka.BrokerID]int) int {
	low, high := math.MaxInt, 0
	for _, n := range m {
		low, high = min(low, n), max(high, n)
	}
	return high - low
}

// TestPlacement_FencedBrokers get nothing by themselves, and a partition that
// somebody places on them alone is refused: it would have no leader.
func TestPlacement_FencedBrokers(t *testing.T) {
	w := newWorld(t, 3)
	b := *w.image.Broker(2)
	b.Fenced = true
	w.apply([]meta.Record{&b})
	w.mustDo(create(topic("a", 6, 2)))
	for _, p := range w.image.TopicByName("a").Partitions {
		if p.HasReplica(2) {
			t.Errorf("on a fenced broker: %s", p)
		}
	}
	assigned := func(brokers ...kafka.BrokerID) controller.CreateTopics {
		return create(controller.NewTopic{Name: "m", Partitions: -1, ReplicationFactor: -1, Assignments: []controller.Assignment{{Brokers: brokers}}})
	}
	if reply, err := w.do(assigned(2)); err != nil || reply.Topics[0].Code != kafka.ErrInvalidReplicaAssignment {
		t.Errorf("on a fenced broker alone: %+v %v", reply, err)
	}
	w.mustDo(assigned(2, 3))
	if p := w.image.TopicByName("m").Partitions[0]; p.Leader != 3 || !slices.Equal(p.ISR, []kafka.BrokerID{3}) {
		t.Errorf("half fenced: %s", p)
	}
}

func TestDeleteTopics(t *testing.T) {
	w := newWorld(t, 1)
	id := w.mustDo(create(topic("a", 1, 1), topic("b", 1, 1), topic("c", 1, 1))).Topics[0].ID
	reply, err := w.do(controller.DeleteTopics{Topics: []controller.TopicRef{{ID: id}, {Name: "b", ID: id}, {}, {Name: "x"}, {ID: kafka.TopicID{9}}, {Name: "c"}, {Name: "c"}}})
	if err != nil {
		t.Fatal(err)
	}
	want := []kafka.ErrorCode{kafka.ErrNone, kafka.ErrInvalidRequest, kafka.ErrInvalidRequest, kafka.ErrUnknownTopicOrPartition,
		kafka.ErrUnknownTopicID, kafka.ErrInvalidRequest, kafka.ErrInvalidRequest}
	for n, r := range reply.Topics {
		if r.Code != want[n] {
			t.Errorf("%d: %s, want %s", n, r.Code, want[n])
		}
	}
	if reply.Topics[0].Name != "a" || w.image.TopicByName("a") != nil || w.image.TopicCount() != 2 {
		t.Errorf("%+v\n%s", reply.Topics[0], w.image)
	}
	if again := w.mustDo(create(topic("a", 1, 1))).Topics[0].ID; again == id {
		t.Error("the new topic has the old one's id")
	}
	w.mustDo(change(meta.ClusterResource(), controller.ConfigSet, "delete.topic.enable", "false"))
	if reply, _ := w.do(controller.DeleteTopics{Topics: []controller.TopicRef{{Name: "a"}}}); reply.Topics[0].Code != kafka.ErrTopicDeletionDisabled {
		t.Errorf("switched off: %s", reply.Topics[0].Code)
	}
}

func TestCreatePartitions(t *testing.T) {
	w := newWorld(t, 3)
	w.mustDo(create(topic("a", 2, 2, "min.insync.replicas", "1"), topic("b", 1, 1)))
	more := func(name string, count int, assignments ...[]kafka.BrokerID) controller.MorePartitions {
		return controller.MorePartitions{Topic: name, Count: count, Assignments: assignments}
	}
	cases := []struct {
		more controller.MorePartitions
		want kafka.ErrorCode
	}{
		{more("x", 3), kafka.ErrUnknownTopicOrPartition},
		{more("a", 2), kafka.ErrInvalidPartitions},
		{more("a", 1), kafka.ErrInvalidPartitions},
		{more("a", 0), kafka.ErrInvalidPartitions},
		{more("a", -1), kafka.ErrInvalidPartitions},
		{more("a", config.PartitionsMax+1), kafka.ErrInvalidPartitions},
		{more("a", 2+controller.NewPartitionsMax+1), kafka.ErrPolicyViolation},
		{more("a", 4, []kafka.BrokerID{1, 2}), kafka.ErrInvalidReplicaAssignment},
		{more("a", 3, []kafka.BrokerID{1}), kafka.ErrInvalidReplicaAssignment},
		{more("a", 3, []kafka.BrokerID{1, 1}), kafka.ErrInvalidReplicaAssignment},
		{more("a", 3, []kafka.BrokerID{1, 9}), kafka.ErrInvalidReplicaAssignment},
		{more("a", 3, []kafka.BrokerID{3, 1}), kafka.ErrNone},
	}
	for n, c := range cases {
		reply, err := w.do(controller.CreatePartitions{Topics: []controller.MorePartitions{c.more}, ValidateOnly: c.want == kafka.ErrNone})
		if err != nil || reply.Topics[0].Code != c.want {
			t.Errorf("%d: %+v %v, want %s", n, reply.Topics, err, c.want)
		}
	}
	if len(w.image.TopicByName("a").Partitions) != 2 {
		t.Error("validation made partitions")
	}
	w.mustDo(controller.CreatePartitions{Topics: []controller.MorePartitions{more("a", 3, []kafka.BrokerID{3, 1}), more("b", 4)}})
	a := w.image.TopicByName("a")
	if p := a.Partitions[2]; !slices.Equal(p.Replicas, []kafka.BrokerID{3, 1}) || p.Leader != 3 || p.MinISR != 1 || len(a.Partitions) != 3 {
		t.Errorf("new partition %s", p)
	}
	reply, _ := w.do(controller.CreatePartitions{Topics: []controller.MorePartitions{more("a", 5), more("a", 6)}})
	if reply.Topics[0].Code != kafka.ErrInvalidRequest || reply.Topics[1].Code != kafka.ErrInvalidRequest {
		t.Errorf("twice: %+v", reply.Topics)
	}
}

func TestAlterConfigs(t *testing.T) {
	a := meta.TopicResource("a")
	cluster := meta.ClusterResource()
	cases := map[string]struct {
		command controller.AlterConfigs
		want    kafka.ErrorCode
	}{
		"unknown topic":       {change(meta.TopicResource("x"), controller.ConfigSet, "retention.ms", "1"), kafka.ErrUnknownTopicOrPartition},
		"unknown broker":      {change(meta.BrokerResource(9), controller.ConfigSet, "num.partitions", "1"), kafka.ErrBrokerIDNotRegistered},
		"no broker":           {change(meta.Resource{Type: meta.ResourceBroker, Name: "one"}, controller.ConfigSet, "num.partitions", "1"), kafka.ErrInvalidRequest},
		"broker id spelling":  {change(meta.Resource{Type: meta.ResourceBroker, Name: "01"}, controller.ConfigSet, "num.partitions", "1"), kafka.ErrInvalidRequest},
		"other resource":      {change(meta.Resource{Type: 8, Name: "1"}, controller.ConfigSet, "num.partitions", "1"), kafka.ErrInvalidRequest},
		"unknown setting":     {change(a, controller.ConfigSet, "retention.mss", "1"), kafka.ErrInvalidConfig},
		"bad value":           {change(a, controller.ConfigSet, "retention.ms", "soon"), kafka.ErrInvalidConfig},
		"not dynamic":         {change(cluster, controller.ConfigSet, "listeners", "PLAINTEXT://:9092"), kafka.ErrInvalidRequest},
		"append to a number":  {change(a, controller.ConfigAppend, "retention.ms", "1"), kafka.ErrInvalidConfig},
		"unknown operation":   {change(a, 7, "retention.ms", "1"), kafka.ErrInvalidRequest},
		"min isr above rf":    {change(a, controller.ConfigSet, "min.insync.replicas", "3"), kafka.ErrInvalidConfig},
		"min isr of a broker": {change(meta.BrokerResource(1), controller.ConfigSet, "min.insync.replicas", "1"), kafka.ErrInvalidConfig},
		"cluster min isr":     {change(cluster, controller.ConfigSet, "min.insync.replicas", "2"), kafka.ErrInvalidConfig}, // topic b has one replica
		"empty policy":        {change(a, controller.ConfigSubtract, "cleanup.policy", "delete"), kafka.ErrInvalidConfig},
		"fine":                {change(a, controller.ConfigSet, "retention.ms", "1"), kafka.ErrNone},
		"delete what is not":  {change(a, controller.ConfigDelete, "retention.ms", ""), kafka.ErrNone},
	}
	null := change(a, controller.ConfigSet, "retention.ms", "")
	null.Resources[0].Changes[0].Value = nil
	cases["null"] = struct {
		command controller.AlterConfigs
		want    kafka.ErrorCode
	}{null, kafka.ErrInvalidRequest}
	twice := change(a, controller.ConfigSet, "retention.ms", "1")
	twice.Resources[0].Changes = append(twice.Resources[0].Changes, twice.Resources[0].Changes[0])
	cases["setting twice"] = struct {
		command controller.AlterConfigs
		want    kafka.ErrorCode
	}{twice, kafka.ErrInvalidRequest}
	for name, c := range cases {
		w := newWorld(t, 2)
		w.mustDo(create(topic("a", 1, 2), topic("b", 1, 1)))
		before := w.image.String()
		reply, err := w.do(c.command)
		if err != nil || reply.Configs[0].Code != c.want {
			t.Errorf("%s: %+v %v, want %s", name, reply.Configs, err, c.want)
		}
		if c.want != kafka.ErrNone && w.image.String() != before {
			t.Errorf("%s: refused and changed", name)
		}
	}
}

// TestAlterConfigs_WhatGroupsCommittedStays: no setting makes the internal topic
// forget.
func TestAlterConfigs_WhatGroupsCommittedStays(t *testing.T) {
	name := "__consumer_offsets"
	r := meta.TopicResource(name)
	compact := "compact"
	w := newWorld(t, 1)
	plain := topic(name, 1, 1)
	if reply, err := w.do(create(plain)); err != nil || reply.Topics[0].Code != kafka.ErrPolicyViolation {
		t.Errorf("created with cleanup.policy=delete: %+v %v", reply.Topics, err)
	}
	plain.Configs = []controller.Setting{{Key: "cleanup.policy", Value: &compact}}
	w.mustDo(create(plain))
	for _, c := range []struct {
		command controller.AlterConfigs
		want    kafka.ErrorCode
	}{
		{change(r, controller.ConfigSet, "cleanup.policy", "delete"), kafka.ErrPolicyViolation},
		{change(r, controller.ConfigAppend, "cleanup.policy", "delete"), kafka.ErrPolicyViolation},
		{change(r, controller.ConfigDelete, "cleanup.policy", ""), kafka.ErrPolicyViolation},
		{change(r, controller.ConfigSet, "durability", "page-cache"), kafka.ErrPolicyViolation},
		{change(r, controller.ConfigSet, "segment.bytes", "1048576"), kafka.ErrNone},
	} {
		if reply, err := w.do(c.command); err != nil || reply.Configs[0].Code != c.want {
			t.Errorf("%+v: %+v %v, want %s", c.command, reply.Configs, err, c.want)
		}
	}
}

// TestAlterConfigs_ListsAndReplacement: append and subtract begin with the
// default, and the older request replaces everything.
func TestAlterConfigs_ListsAndReplacement(t *testing.T) {
	w := newWorld(t, 1)
	w.mustDo(create(topic("a", 1, 1)))
	a := meta.TopicResource("a")
	steps := []struct {
		op          controller.ConfigOp
		value, want string
	}{{controller.ConfigAppend, "compact", "delete,compact"}, {controller.ConfigAppend, "compact", "delete,compact"}, {controller.ConfigSubtract, "delete", "compact"}}
	for _, s := range steps {
		w.mustDo(change(a, s.op, "cleanup.policy", s.value))
		if got := w.image.Config(a)["cleanup.policy"]; got != s.want {
			t.Errorf("%v: %q, want %q", s, got, s.want)
		}
	}
	replace := change(a, controller.ConfigSet, "retention.ms", "5")
	replace.Replace, replace.ValidateOnly = true, true
	w.mustDo(replace)
	if len(w.image.Config(a)) != 1 || w.image.Config(a)["cleanup.policy"] == "" {
		t.Errorf("validation changed %v", w.image.Config(a))
	}
	replace.ValidateOnly = false
	w.mustDo(replace)
	if got := w.image.Config(a); len(got) != 1 || got["retention.ms"] != "5" {
		t.Errorf("replaced: %v", got)
	}
	offset := w.image.Offset()
	if reply := w.mustDo(replace); reply.Offset != offset || w.image.Offset() != offset {
		t.Error("setting what is set wrote records")
	}
}

func TestAllocateProducerIDs(t *testing.T) {
	w := newWorld(t, 2)
	e1, e2 := w.image.Broker(1).Epoch, w.image.Broker(2).Epoch
	next := kafka.ProducerID(0)
	for n := range 5 {
		command := controller.AllocateProducerIDs{Broker: 1, Epoch: e1}
		if n%2 == 1 {
			command = controller.AllocateProducerIDs{Broker: 2, Epoch: e2}
		}
		b := w.mustDo(command).ProducerIDs
		if b.First != next || b.Count != 1000 {
			t.Errorf("block %+v, want from %d", b, next)
		}
		next += 1000
	}
	for want, command := range map[kafka.ErrorCode]controller.AllocateProducerIDs{
		kafka.ErrBrokerIDNotRegistered: {Broker: 9, Epoch: 1}, kafka.ErrStaleBrokerEpoch: {Broker: 1, Epoch: e2}} {
		if _, err := w.do(command); !errors.Is(err, want) {
			t.Errorf("%+v: %v", command, err)
		}
	}
	w.apply([]meta.Record{&meta.ProducerIDs{Next: math.MaxInt64 - 10}})
	if _, err := w.do(controller.AllocateProducerIDs{Broker: 1, Epoch: e1}); !errors.Is(err, kafka.ErrUnknownServerError) {
		t.Errorf("after the last id: %v", err)
	}
}

func TestRegisterBroker_Refusals(t *testing.T) {
	cases := map[string]struct {
		change func(*controller.RegisterBroker)
		want   kafka.ErrorCode
	}{
		"negative id":                {func(r *controller.RegisterBroker) { r.ID = -1 }, kafka.ErrInvalidRegistration},
		"no incarnation":             {func(r *controller.RegisterBroker) { r.Incarnation = kafka.UUID{} }, kafka.ErrInvalidRegistration},
		"no start":                   {func(r *controller.RegisterBroker) { r.Starts = 0 }, kafka.ErrInvalidRegistration},
		"no directory":               {func(r *controller.RegisterBroker) { r.Directories = nil }, kafka.ErrInvalidRegistration},
		"zero directory":             {func(r *controller.RegisterBroker) { r.Directories = make([]kafka.DirectoryID, 1) }, kafka.ErrInvalidRegistration},
		"no listener":                {func(r *controller.RegisterBroker) { r.Endpoints = nil }, kafka.ErrInvalidRegistration},
		"listener twice":             {func(r *controller.RegisterBroker) { r.Endpoints = append(r.Endpoints, r.Endpoints[0]) }, kafka.ErrInvalidRegistration},
		"port":                       {func(r *controller.RegisterBroker) { r.Endpoints = []meta.Endpoint{{Listener: "A", Host: "h"}} }, kafka.ErrInvalidRegistration},
		"long rack":                  {func(r *controller.RegisterBroker) { r.Rack = strings.Repeat("r", 1001) }, kafka.ErrInvalidRegistration},
		"long host":                  {func(r *controller.RegisterBroker) { r.Endpoints[0].Host = strings.Repeat("h", 1001) }, kafka.ErrInvalidRegistration},
		"other's directory":          {func(r *controller.RegisterBroker) { r.Directories = []kafka.DirectoryID{directory(2)} }, kafka.ErrDuplicateBrokerRegistration},
		"start again":                {func(r *controller.RegisterBroker) { r.Starts = 5 }, kafka.ErrDuplicateBrokerRegistration},
		"start before":               {func(r *controller.RegisterBroker) { r.Starts = 4 }, kafka.ErrDuplicateBrokerRegistration},
		"same process, start before": {func(r *controller.RegisterBroker) { r.Starts, r.Incarnation = 4, kafka.UUID{1, 5} }, kafka.ErrDuplicateBrokerRegistration},
		"same process, other directory": {func(r *controller.RegisterBroker) {
			r.Starts, r.Incarnation, r.Directories = 5, kafka.UUID{1, 5}, []kafka.DirectoryID{directory(7)}
		}, kafka.ErrDuplicateBrokerRegistration},
	}
	for name, c := range cases {
		w := newWorld(t, 2)
		w.mustDo(registration(1, 5))
		r := registration(1, 6)
		c.change(&r)
		if _, err := w.do(r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// TestRegisterBroker_SameIncarnationKeepsItsEpoch (KAFKA-16952).
func TestRegisterBroker_SameIncarnationKeepsItsEpoch(t *testing.T) {
	w := newWorld(t, 1)
	w.mustDo(create(topic("a", 1, 1)))
	first := w.image.Broker(1).Epoch
	if r := w.mustDo(registration(1, 1)); r.BrokerEpoch != first {
		t.Errorf("epoch %d, was %d", r.BrokerEpoch, first)
	}
	moved := registration(1, 1)
	moved.Endpoints[0].Port = 9999
	if r := w.mustDo(moved); r.BrokerEpoch != first || w.image.Broker(1).Endpoints[0].Port != 9999 || w.image.Broker(1).Epoch != first {
		t.Errorf("moved: %+v\n%s", r, w.image)
	}
	if p := w.image.TopicByName("a").Partitions[0]; p.LeaderEpoch != 0 {
		t.Errorf("partition %s", p)
	}
	if r := w.mustDo(registration(1, 2)); r.BrokerEpoch != kafka.BrokerEpoch(r.Offset) || r.BrokerEpoch <= first {
		t.Errorf("next incarnation: %+v", r)
	}
	if p := w.image.TopicByName("a").Partitions[0]; p.LeaderEpoch != 1 || p.PartitionEpoch != 1 || p.Leader != 1 {
		t.Errorf("partition %s", p)
	}
}

// TestRegisterBroker_StaticMinISRIsLiteral: what the operator wrote into the
// node's own settings counts from the next start on, for topics without a value
// of their own, also where no write can be accepted any more; the lowest min ISR
// follows only while the ISR holds every replica.
func TestRegisterBroker_StaticMinISRIsLiteral(t *testing.T) {
	w := newWorld(t, 1)
	w.mustDo(create(topic("derived", 1, 1), topic("own", 1, 1, "min.insync.replicas", "1")))
	static, _, err := config.Load(config.Sources{Flags: []config.Setting{{Key: "min.insync.replicas", Value: "2"}}})
	if err != nil {
		t.Fatal(err)
	}
	w.config = static
	w.mustDo(registration(1, 2))
	if p := w.image.TopicByName("derived").Partitions[0]; p.MinISR != 2 || p.LowestMinISR != 2 {
		t.Errorf("derived: %s", p)
	}
	if p := w.image.TopicByName("own").Partitions[0]; p.MinISR != 1 {
		t.Errorf("own: %s", p)
	}
	reply, _ := w.do(create(topic("new", 1, 1)))
	if reply.Topics[0].Code != kafka.ErrInvalidReplicationFactor {
		t.Errorf("a topic that no write could reach: %+v", reply.Topics[0])
	}
}
