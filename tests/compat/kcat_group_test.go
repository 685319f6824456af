//go:build rig

package compat_test

import (
	"bufio"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/tests/rig"
)

// kcatVersion is the version of the library, which does the talking.
func kcatVersion(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("kcat", "-V").CombinedOutput()
	m := regexp.MustCompile(`librdkafka ([0-9.]+)`).FindSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("kcat -V: %v\n%s", err, out)
	}
	return string(m[1])
}

// kcatMember is one kcat -G.
type kcatMember struct {
	leave func() // ends it politely, once
	mu    sync.Mutex
	read  []string
}

// kcatJoin starts a member that reads until it is ended.
func kcatJoin(t *testing.T, addr, group, topic string) *kcatMember {
	t.Helper()
	cmd := exec.Command("kcat", "-b", addr, "-G", group, "-u", "-q", "-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000", topic)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	m := &kcatMember{}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			m.mu.Lock()
			m.read = append(m.read, lines.Text())
			m.mu.Unlock()
		}
		ended <- cmd.Wait()
	}()
	m.leave = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // kcat commits and leaves
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			t.Error("kcat does not end on SIGTERM")
		}
	})
	t.Cleanup(m.leave)
	return m
}

func (m *kcatMember) records() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.read...)
}

// kcatGroup lets one member read, a second one join, both leave, and a third go
// on from what they committed: each record is read once.
func kcatGroup(t *testing.T, addr string) {
	topic, group := topicName("kcat-group"), topicName("kcat-members")
	rig.CreateTopics(t, rig.NewClient(t, addr), rig.Topic{Name: topic, Partitions: 4})
	sent := 0
	send := func() { // 50 records to each partition
		for p := range 4 {
			var lines strings.Builder
			for range 50 {
				fmt.Fprintf(&lines, "record %d\n", sent)
				sent++
			}
			kcat(t, lines.String(), "-P", "-b", addr, "-t", topic, "-p", fmt.Sprint(p))
		}
	}
	var members []*kcatMember
	all := func() (list []string) {
		for _, m := range members {
			list = append(list, m.records()...)
		}
		return list
	}
	await := func(what string, holds func() bool) {
		t.Helper()
		for deadline := time.Now().Add(45 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d of %d records are read", what, len(all()), sent)
			}
		}
	}
	send()
	members = append(members, kcatJoin(t, addr, group, topic))
	await("one member", func() bool { return len(all()) == sent })
	members = append(members, kcatJoin(t, addr, group, topic))
	await("a second member", func() bool {
		send() // it gets something once it has partitions
		return len(members[1].records()) > 0
	})
	await("both members", func() bool { return len(all()) >= sent })
	members[0].leave()
	members[1].leave()
	send()
	members = append(members, kcatJoin(t, addr, group, topic))
	await("from the commit", func() bool { return len(all()) >= sent })
	seen := map[string]bool{}
	for _, r := range all() {
		if seen[r] {
			t.Errorf("%s was read twice", r)
		}
		seen[r] = true
	}
	if len(seen) != sent {
		t.Errorf("%d different records, want %d", len(seen), sent)
	}
}
