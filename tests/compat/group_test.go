//go:build rig

package compat_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/tests/rig"
)

const groupPartitions = 4

// crew is a consumer group of one client's programs.
type crew struct {
	t       *testing.T // of the client: members outlive the steps
	bench   bench
	topic   string
	group   string
	cl      *kgo.Client
	adm     *kadm.Client
	sent    int
	members []*member
	seen    map[string]int // value to how often it was delivered
}

// member is one program in the group.
type member struct {
	*session
	held []int32
	got  int
}

// hasGroups reports whether the broker offers the classic group protocol.
func hasGroups(t *testing.T, addr string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	versions, err := kadm.NewClient(rig.NewClient(t, addr)).ApiVersions(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions.Sorted() {
		if _, ok := v.KeyMaxVersion(kmsg.JoinGroup.Int16()); !ok {
			return false
		}
	}
	return true
}

// group joins, rebalances with a second member, commits, and goes on from the
// commit after a restart.
func (b bench) group(t *testing.T) {
	if !hasGroups(t, b.broker.addr) {
		report(t, b.client.name, b.version, "group", "not run", "the broker has no groups")
		return
	}
	c := &crew{t: t, bench: b, topic: b.topic(t, groupPartitions), group: topicName("group"), seen: map[string]int{}}
	c.cl = rig.NewClient(t, b.broker.addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	c.adm = kadm.NewClient(c.cl)
	ok, lacks := true, unsupported("")
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"group join and commit", c.joinAndCommit},
		{"group rebalance", c.rebalance},
		{"group restart from the commit", c.restart},
	} {
		if lacks != "" {
			report(t, b.client.name, b.version, step.name, "unsupported", lacks.Error())
			continue
		}
		if !ok {
			report(t, b.client.name, b.version, step.name, "not run", "the step before failed")
			continue
		}
		b.feature(t, step.name, func(*testing.T) error {
			err := step.do()
			ok = err == nil
			errors.As(err, &lacks)
			return err
		})
	}
	c.leave()
	c.admin(t)
}

// join starts a member.
func (c *crew) join() (*member, error) {
	m := &member{session: c.bench.program.open(c.t)}
	c.members = append(c.members, m)
	return m, m.send(request{Verb: "group", Addr: c.bench.broker.addr, Topic: c.topic, Group: c.group})
}

// await takes what the members say until the condition holds.
func (c *crew) await(what string, holds func() bool) error {
	deadline := time.Now().Add(45 * time.Second)
	for {
		for _, m := range c.members {
			if err := c.drain(m); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
		if holds() {
			return nil
		}
		if time.Now().After(deadline) {
			state := ""
			for _, m := range c.members {
				state += fmt.Sprintf(" [member holds %v, read %d]", m.held, m.got)
			}
			return fmt.Errorf("%s: not after 45 s: %d sent, %d seen,%s", what, c.sent, len(c.seen), state)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (c *crew) drain(m *member) error {
	for {
		select {
		case e, ok := <-m.events:
			switch {
			case !ok:
				return fmt.Errorf("the member ended: %s", tail(m.errs.String()))
			case e.Event == "assigned":
				m.held = e.Partitions
				slices.Sort(m.held)
			case e.Event == "record":
				m.got++
				c.seen[e.Value]++
			case e.Event == "end" && e.Unsupported != "":
				return unsupported(e.Unsupported)
			case e.Event == "end":
				return fmt.Errorf("the member stopped: %s", e.Error)
			}
		default:
			return nil
		}
	}
}

// produce writes n records over all partitions.
func (c *crew) produce(n int) error {
	var records []*kgo.Record
	for range n {
		records = append(records, &kgo.Record{Topic: c.topic, Partition: int32(c.sent % groupPartitions), Value: []byte(strconv.Itoa(c.sent))})
		c.sent++
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return c.cl.ProduceSync(ctx, records...).FirstErr()
}

// committed reports whether every record sent is below the group's offsets.
func (c *crew) committed() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	offsets, err := c.adm.FetchOffsets(ctx, c.group)
	if err != nil {
		return false
	}
	for p := range int32(groupPartitions) {
		if o, ok := offsets.Lookup(c.topic, p); !ok || o.At != int64(c.sent/groupPartitions) {
			return false
		}
	}
	return true
}

func (c *crew) joinAndCommit() error {
	m, err := c.join()
	if err != nil {
		return err
	}
	if err := c.await("join", func() bool { return len(m.held) == groupPartitions }); err != nil {
		return err
	}
	if err := c.produce(100); err != nil {
		return err
	}
	return c.await("read and commit", func() bool { return len(c.seen) == c.sent && c.committed() })
}

func (c *crew) rebalance() error {
	first := c.members[0]
	second, err := c.join()
	if err != nil {
		return err
	}
	err = c.await("share", func() bool { return len(first.held) == 2 && len(second.held) == 2 && first.held[0] != second.held[0] })
	if err != nil {
		return err
	}
	if err := c.produce(100); err != nil {
		return err
	}
	err = c.await("read in two", func() bool { return len(c.seen) == c.sent && c.committed() })
	if err != nil {
		return err
	}
	if second.got != 50 {
		return fmt.Errorf("the second member read %d records, want 50", second.got)
	}
	second.in.Close()
	c.members = c.members[:1]
	return c.await("take over", func() bool { return len(first.held) == groupPartitions })
}

func (c *crew) restart() error {
	c.leave()
	if err := c.produce(60); err != nil {
		return err
	}
	if _, err := c.join(); err != nil {
		return err
	}
	if err := c.await("go on", func() bool { return len(c.seen) == c.sent && c.committed() }); err != nil {
		return err
	}
	for v, n := range c.seen {
		if n != 1 {
			return fmt.Errorf("record %s was delivered %d times", v, n)
		}
	}
	return nil
}

// leave ends the members politely.
func (c *crew) leave() {
	for _, m := range c.members {
		m.in.Close()
		timeout := time.After(15 * time.Second)
		for open := true; open; {
			select {
			case _, open = <-m.events:
			case <-timeout:
				open = false
			}
		}
	}
	c.members = nil
}

// admin looks at the group that the members have left, and deletes it.
func (c *crew) admin(t *testing.T) {
	s := c.bench.program.open(t)
	for _, step := range []struct{ op, want string }{
		{"list-groups", "true"}, {"describe-group", "Empty"}, {"group-offsets", strconv.Itoa(c.sent / groupPartitions)}, {"delete-group", ""},
	} {
		c.bench.feature(t, "admin "+step.op, func(*testing.T) error {
			return c.bench.step(s, request{Verb: "admin", Addr: c.bench.broker.addr, Topic: c.topic, Group: c.group, Op: step.op}, step.want)
		})
	}
}
