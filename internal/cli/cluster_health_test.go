package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"holdfast/internal/admin"
	"holdfast/internal/kafka"
)

func TestDoorAddress(t *testing.T) {
	for _, c := range []struct{ listen, host, address, why string }{
		{"127.0.0.1:9644", "127.0.0.1", "127.0.0.1:9644", ""},
		{"127.0.0.1:9644", "localhost", "127.0.0.1:9644", ""},
		{"127.0.0.1:9644", "broker-1", "", "its own machine"},
		{"localhost:9644", "10.0.0.1", "", "its own machine"},
		{"[::1]:9644", "10.0.0.1", "", "its own machine"},
		{"0.0.0.0:9644", "broker-1", "broker-1:9644", ""},
		{"[::]:9644", "10.0.0.1", "10.0.0.1:9644", ""},
		{":9644", "broker-1", "broker-1:9644", ""},
		{"10.0.0.7:9644", "broker-1", "10.0.0.7:9644", ""},
		{"127.0.0.1:0", "127.0.0.1", "", "names no port"},
		{"", "127.0.0.1", "", "no admin listener"},
	} {
		address, why := doorAddress(c.listen, c.host)
		if address != c.address || (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("admin.listen=%s of %s: %q, %q; want %q, %q", c.listen, c.host, address, why, c.address, c.why)
		}
	}
}

// Each kind of trouble is one line that names the topic, the partitions and the
// cause, and none is told of what is well.
func TestHealth_NamesTheCause(t *testing.T) {
	partition := func(index, leader int32, isr ...int32) kadm.PartitionDetail {
		return kadm.PartitionDetail{Topic: "t", Partition: index, Leader: leader, Replicas: []int32{1, 2, 3}, ISR: isr}
	}
	detail := func(list ...kadm.PartitionDetail) kadm.TopicDetail {
		d := kadm.TopicDetail{Topic: "t", Partitions: kadm.PartitionDetails{}}
		for _, p := range list {
			d.Partitions[p.Partition] = p
		}
		return d
	}
	for _, c := range []struct {
		detail kadm.TopicDetail
		want   string
	}{
		{detail(partition(0, 1, 1, 2, 3)), ""},
		{detail(partition(0, 1, 1, 2), partition(1, 2, 1, 2, 3), partition(2, 2, 2, 3)), "topic t, partition 0,2: a replica is not in sync; writes go on"},
		{detail(partition(0, 1, 1)), "topic t, partition 0: writes are refused: in sync 1 of 1,2,3, min.insync.replicas is 2"},
		{detail(partition(0, -1, 1)), "topic t, partition 0: no leader, writes and reads wait"},
	} {
		var h health
		h.topic(c.detail, 2)
		if got := strings.Join(h.Reasons, "; "); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	var h health
	h.controller(kadm.Metadata{Controller: 2}, map[int32]admin.BrokerStatus{1: {Quorum: admin.QuorumStatus{Leader: kafka.NoBroker, Voters: []kafka.BrokerID{1, 2, 3}}}})
	if got := fmt.Sprint(h.Reasons); !strings.Contains(got, "broker 1") || !strings.Contains(got, "2 of the 3 voters") {
		t.Errorf("%s", got)
	}
	h = health{}
	h.brokers(kadm.Metadata{Brokers: kadm.BrokerDetails{{NodeID: 4}}}, map[int32]admin.BrokerStatus{4: {Checks: []admin.CheckStatus{{Name: "disk", Reason: "full"}, {Name: "logs", OK: true, Reason: "rot"}, {Name: "x", OK: true}}}}, nil)
	if fmt.Sprint(h.Reasons, h.Warnings) != "[broker 4, disk: full] [broker 4, logs: rot]" {
		t.Errorf("%v %v", h.Reasons, h.Warnings)
	}
}

// What a write waits for, from what the brokers say.
func TestDescribe_WhatAWriteWaitsFor(t *testing.T) {
	status := func(leading bool, durable, end kafka.Offset, waiting int) []admin.PartitionStatus {
		return []admin.PartitionStatus{{Topic: "t", Leading: leading, MinISR: 2, HighWatermark: 5, Durable: durable, LogEnd: end, Waiting: waiting,
			Followers: []admin.FollowerStatus{{Broker: 3, FetchEnd: 8, Durable: 6}}}}
	}
	for _, c := range []struct {
		name     string
		leader   int32
		isr, elr []int32
		statuses map[int32][]admin.PartitionStatus
		silent   map[int32]string
		want     string
		cells    string
	}{
		{"all is well", 1, []int32{1, 2, 3}, nil, map[int32][]admin.PartitionStatus{1: status(true, 9, 9, 0), 2: status(false, 9, 9, 0), 3: status(false, 9, 9, 0)}, nil, "", "9, 9, 9"},
		{"one is slow", 1, []int32{1, 2, 3}, nil, map[int32][]admin.PartitionStatus{1: status(true, 9, 9, 4), 2: status(false, 8, 9, 0), 3: status(false, 6, 9, 0)}, nil, "4 write(s) wait: broker 3 lacks 3 record(s)", "9, 8 -1, 6 -3"},
		{
			"one is silent", 1, []int32{1, 2, 3}, nil, map[int32][]admin.PartitionStatus{1: status(true, 9, 9, 1), 2: status(false, 9, 9, 0)}, map[int32]string{3: "it does not answer"},
			"1 write(s) wait: broker 3 lacks 3 record(s)", "9, 9, 6 -3",
		},
		{
			"too few", 1, []int32{1}, nil, map[int32][]admin.PartitionStatus{1: status(true, 9, 9, 0), 2: status(false, 7, 7, 0)}, nil,
			"writes are refused (NOT_ENOUGH_REPLICAS): 1 in sync, min.insync.replicas is 2; broker 2 lacks 2 record(s), broker 3 is down", "9, 7 -2, 6 -3 down",
		},
		{"no leader", -1, []int32{1}, []int32{2}, map[int32][]admin.PartitionStatus{2: status(false, 7, 7, 0)}, nil, "no leader: writes and reads wait for broker 1 or 2, which may lead", "?, 7, down"},
	} {
		p := describedPartition{Leader: c.leader, Replicas: []int32{1, 2, 3}, ISR: c.isr, ELR: c.elr}
		p.addReplicas("t", c.statuses)
		live := []int32{1, 2}
		if c.statuses[3] != nil || c.silent[3] != "" {
			live = append(live, 3)
		}
		p.addSilence(live, c.silent)
		var cells []string
		for _, r := range p.States {
			cells = append(cells, r.cell())
		}
		if got := p.waits(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if got := strings.Join(cells, ", "); got != c.cells {
			t.Errorf("%s: cells %q, want %q", c.name, got, c.cells)
		}
	}
}
