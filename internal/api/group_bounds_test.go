package api_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/config"
	"holdfast/internal/kafka"
)

// joining is a JoinGroup of version 3, which needs no member id first.
func joining(group, member string, metadata int) *kmsg.JoinGroupRequest {
	q := kmsg.NewPtrJoinGroupRequest()
	q.Version, q.Group, q.MemberID, q.ProtocolType = 3, group, member, "consumer"
	q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = 1_800_000, 1<<31-1
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", make([]byte, metadata)
	q.Protocols = append(q.Protocols, p)
	return q
}

// coordinated waits until the coordinator of a group is there and loaded.
func (c *conn) coordinated(group string) {
	c.t.Helper()
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKey = 2, group
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Version, fetch.Group, fetch.Topics = 5, group, nil
	for range 100 {
		if ask[*kmsg.FindCoordinatorResponse](c, find).ErrorCode == 0 && ask[*kmsg.OffsetFetchResponse](c, fetch).ErrorCode == 0 {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	c.t.Fatal("no coordinator")
}

// TestGroups_ParkedJoinsHoldNobodyUp: a handful of clients whose large JoinGroups
// wait for a member that does not come costs nobody else anything.
func TestGroups_ParkedJoinsHoldNobodyUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t, config.Setting{Key: "message.max.bytes", Value: "20971520"}) // as large as members may be
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		c.createTopic("t", 1)
		c.coordinated("g")
		first := l.dial()
		defer first.c.Close()
		if got := ask[*kmsg.JoinGroupResponse](first, joining("g", "", 10)); got.ErrorCode != 0 {
			t.Fatalf("join: %d", got.ErrorCode)
		}
		for range 5 {
			other := l.dial()
			defer other.c.Close()
			other.send(joining("g", "", 16<<20-200))
		}
		<-time.After(10 * time.Second)
		began := time.Now()
		q := produceTo(8, -1, "t", one(string(make([]byte, 8000))))
		if got := ask[*kmsg.ProduceResponse](c, q); got.Topics[0].Partitions[0].ErrorCode != 0 || time.Since(began) > 10*time.Second {
			t.Errorf("produce beside parked joins: code %d after %v", got.Topics[0].Partitions[0].ErrorCode, time.Since(began))
		}
	})
}

// TestGroups_WhatMembersKeepIsBounded: members with large metadata are refused
// before they take the memory.
func TestGroups_WhatMembersKeepIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		c.coordinated("g")
		if got := ask[*kmsg.JoinGroupResponse](c, joining("g", "", 15<<20)); kafka.ErrorCode(got.ErrorCode) != kafka.ErrGroupMaxSizeReached {
			t.Errorf("a member that no record of a group can hold: %d", got.ErrorCode)
		}
	})
}

// TestGroups_AGroupIsAnsweredOnceInARequest: a request of few bytes that names one
// group ten thousand times gets no answer of ten thousand times its size.
func TestGroups_AGroupIsAnsweredOnceInARequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		c.createTopic("t", 1000)
		c.coordinated("g")
		commit := kmsg.NewPtrOffsetCommitRequest()
		commit.Version, commit.Group, commit.Generation = 7, "g", -1
		x := kmsg.NewOffsetCommitRequestTopic()
		x.Topic = "t"
		for i := range int32(1000) {
			y := kmsg.NewOffsetCommitRequestTopicPartition()
			y.Partition, y.Offset = i, 1
			x.Partitions = append(x.Partitions, y)
		}
		commit.Topics = append(commit.Topics, x)
		if got := ask[*kmsg.OffsetCommitResponse](c, commit); got.Topics[0].Partitions[0].ErrorCode != 0 {
			t.Fatalf("commit: %d", got.Topics[0].Partitions[0].ErrorCode)
		}
		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.Version = 8
		describe := kmsg.NewPtrDescribeGroupsRequest()
		describe.Version = 5
		for range 1000 {
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group, g.Topics = "g", nil
			fetch.Groups = append(fetch.Groups, g)
			describe.Groups = append(describe.Groups, "g")
		}
		for _, q := range []kmsg.Request{fetch, describe} {
			c.send(q)
			_, b, err := c.read()
			if err != nil || len(b) > 1<<20 {
				t.Errorf("%s: a reply of %d bytes, %v", fmt.Sprintf("%T", q), len(b), err)
			}
		}
	})
}
