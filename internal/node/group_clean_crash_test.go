package node_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// cleaningPlan crashes the broker at every change of the disk of one cleaning.
type cleaningPlan struct{ faults string }

// errGroups is what judgeGroups finds.
var errGroups = errors.New("groups are not what they were")

// run returns at how many places it crashed, and what was wrong.
func (p cleaningPlan) run(t *testing.T) (crashes int, err error) {
	r := newRig(t, 9, "offsets.topic.num.partitions", "1", "offsets.topic.segment.bytes", "1048576", "offset.metadata.max.bytes", "32000")
	r.faults = p.faults
	r.mustStart()
	defer func() { _ = r.stop() }()
	want := r.dirtyGroups()
	if err := r.stop(); err != nil {
		return 0, err
	}
	dirty := r.ground
	// From here on the cleaner comes soon after a start, or not at all.
	calm := r.flags
	r.flags = append(r.flags[:len(r.flags):len(r.flags)], setting("log.retention.check.interval.ms", "500"), setting("file.delete.delay.ms", "0"))
	eager := r.flags
	for ; crashes < 1000; crashes++ {
		r.ground = fork(dirty, uint64(1000+2*crashes))
		r.flags = eager
		r.mustStart()
		<-time.After(300 * time.Millisecond)
		r.ground.Disk.CrashAfter(crashes)
		<-time.After(3 * time.Second)
		over := !r.ground.Disk.Crashed()
		r.powerCut(uint64(1001 + 2*crashes))
		r.flags = calm
		if err := r.start(); err != nil {
			return crashes, fmt.Errorf("start after crash %d: %w", crashes, err)
		}
		if err := r.judgeGroups(want); err != nil {
			return crashes, fmt.Errorf("crash %d: %w", crashes, err)
		}
		if over {
			if start := r.startOf("__consumer_offsets"); start == 0 {
				return crashes, errors.New("nothing was cleaned")
			}
			return crashes, r.stop()
		}
		if crashes%8 == 0 { // what a crash left is cleaned like anything else
			_ = r.stop()
			r.flags = eager
			r.mustStart()
			<-time.After(2 * time.Second)
			if err := r.judgeGroups(want); err != nil {
				return crashes, fmt.Errorf("cleaned after crash %d: %w", crashes, err)
			}
		}
		_ = r.stop()
	}
	return crashes, errors.New("the cleaning does not end")
}

// fork is a copy of a machine that is off.
func fork(ground *env.Test, seed uint64) *env.Test {
	next := *ground
	next.Disk = ground.Disk.CrashClone(vfs.CrashOptions{Seed: seed})
	next.FS, next.Rand = next.Disk, env.NewSeededRand(seed)
	return &next
}

// dirtyGroups writes several segments in which little is alive, in every one of
// them something, and returns what the groups have committed. One group is
// stable, one was deleted.
func (r *rig) dirtyGroups() map[string]int64 {
	r.t.Helper()
	c := r.client()
	defer c.Close()
	r.createTopic(c, "t", 1)
	r.findCoordinator()
	l := r.line()
	defer l.close()
	want := map[string]int64{"gone": -1}
	commit := func(group string, at int64, size int) {
		q := commitAt(8, group, "t", at)
		metadata := strings.Repeat("m", size)
		q.Topics[0].Partitions[0].Metadata = &metadata
		if code := l.commit(q); code != kafka.ErrNone {
			r.t.Fatalf("commit: %v", code)
		}
		want[group] = at
	}
	commit("gone", 1, 10)
	if code := r.deleteGroup(l, "gone"); code != kafka.ErrNone {
		r.t.Fatal(code)
	}
	want["gone"] = -1
	l.found("stable")
	for i := range int64(150) {
		commit("busy", i, 31_000)
		if i%10 == 0 { // an old segment alone says these
			commit(fmt.Sprint("still-", i), i, 31_000)
		}
	}
	return want
}

// judgeGroups compares with what was committed.
func (r *rig) judgeGroups(want map[string]int64) error {
	r.findCoordinator()
	l := r.line()
	defer l.close()
	for group, at := range want {
		if got, code := l.offset(group, "t", true); got != at || code != kafka.ErrNone {
			return fmt.Errorf("%w: %s committed %d, the broker says %d (%v)", errGroups, group, at, got, code)
		}
	}
	if d := l.describe("stable"); d.State != "Stable" && d.State != "Empty" && d.State != "PreparingRebalance" || d.ProtocolType != "consumer" {
		return fmt.Errorf("%w: the one that was saved: %+v", errGroups, d)
	}
	if d := l.describe("gone"); d.State != "Dead" {
		return fmt.Errorf("%w: the one that was deleted: %+v", errGroups, d)
	}
	return nil
}

// startOf is the log start of partition 0.
func (r *rig) startOf(topic string) int64 {
	r.t.Helper()
	l := r.line()
	defer l.close()
	q := kmsg.NewPtrListOffsetsRequest()
	q.Version = 5
	t, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = -2
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	return ask[*kmsg.ListOffsetsResponse](l, q).Topics[0].Partitions[0].Offset
}

// TestNode_TheCleanerCrashesAnywhere: whatever change of the disk is the last one
// of a cleaning, no group and no offset is missing, and none is back.
func TestNode_TheCleanerCrashesAnywhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		crashes, err := cleaningPlan{}.run(t)
		if err != nil {
			t.Fatal(err)
		}
		if crashes < 10 {
			t.Errorf("the cleaning changes the disk only %d times", crashes)
		}
		t.Logf("%d crashes", crashes)
	})
}
