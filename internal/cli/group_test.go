//go:build unix

package cli_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// broker starts the program's own broker as a process, for the length of the
// test, and returns its address.
func broker(t *testing.T) string {
	t.Helper()
	cmd, addr := brokerProcess(t, filepath.Join(t.TempDir(), "data"), "127.0.0.1:0")
	t.Cleanup(func() { end(t, cmd) })
	return addr
}

// brokerProcess starts a broker that outlives the test's context; end stops it.
func brokerProcess(t *testing.T, dir, listen string, more ...string) (cmd *exec.Cmd, addr string) {
	t.Helper()
	cmd = program(t, "server", "--data-dir", dir, "--listeners", "PLAINTEXT://"+listen, "--admin-listen", "none", "--set", "group.initial.rebalance.delay.ms=0")
	if len(more) > 0 {
		cmd.Args = append(cmd.Args, more...)
	}
	cmd = &exec.Cmd{Path: cmd.Path, Args: cmd.Args, Env: cmd.Env}
	talk, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	lines := bufio.NewScanner(talk)
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if _, rest, ok := strings.Cut(lines.Text(), "listeners="); ok && strings.Contains(lines.Text(), "msg=ready") {
			go func() { _, _ = io.Copy(io.Discard, talk) }()
			return cmd, strings.Fields(rest)[0]
		}
	}
	_ = cmd.Wait()
	t.Fatalf("the broker did not become ready: %s", all.String())
	return nil, ""
}

// end stops a broker cleanly.
func end(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the broker's end: %v", err)
	}
}

// member joins a group, reads n records, commits them and stays.
func member(t *testing.T, addr, group, topic string, n int) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ClientID("member"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	for read := 0; read < n; {
		fetches := cl.PollRecords(t.Context(), n-read)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		read += len(fetches.Records())
		if err := cl.CommitRecords(context.Background(), fetches.Records()...); err != nil {
			t.Fatal(err)
		}
	}
	return cl
}

func TestGroup_LifeOfOne(t *testing.T) {
	addr := broker(t)
	b := func(args ...string) []string { return append(args, "-b", addr) }
	hf(t, "", b("topic", "create", "t", "-p", "2")...).want(t, 0)
	in, _ := numbers(10)
	hf(t, in, b("produce", "t", "-p", "0")...).want(t, 0)
	if r := hf(t, "", b("group", "list")...).want(t, 0); strings.Contains(r.out, "g1") {
		t.Errorf("%s", r.out)
	}
	hf(t, "", b("group", "describe", "g1")...).want(t, 1, "GROUP_ID_NOT_FOUND", "group list")
	cl := member(t, addr, "g1", "t", 4)
	hf(t, "", b("group", "ls")...).want(t, 0, "g1", "Stable")
	hf(t, "", b("group", "list", "--states", "Empty", "-O", "json")...).want(t, 0, "[]")
	hf(t, "", b("group", "describe", "g1")...).want(t, 0, "Stable", "Members:         1", "6 record(s)", "member")
	r := hf(t, "", b("group", "describe", "g1", "-O", "json")...).want(t, 0)
	var groups []struct {
		Lag      int64
		BehindMs int64 `json:"behind_ms"`
		Members  []struct{ Partitions int }
		Offsets  []struct {
			Committed, Lag int64
			End            int64 `json:"end_offset"`
		}
	}
	if err := json.Unmarshal([]byte(r.out), &groups); err != nil {
		t.Fatal(err)
	}
	if g := groups[0]; g.Lag != 6 || g.BehindMs <= 0 || len(g.Members) != 1 || g.Members[0].Partitions != 2 || g.Offsets[0].Committed != 4 || g.Offsets[0].End != 10 {
		t.Errorf("%+v", g)
	}
	// A group with members is moved and deleted by nobody.
	hf(t, "", b("group", "seek", "g1", "--to", "start")...).want(t, 1, "1 member(s): member at", "Stop its consumers first")
	hf(t, "", b("group", "delete", "g1", "--yes")...).want(t, 1, "NON_EMPTY_GROUP", "Stop its consumers first")
	hf(t, "", b("group", "offset-delete", "g1", "-t", "t", "--yes")...).want(t, 1, "GROUP_SUBSCRIBED_TO_TOPIC")
	cl.Close()
	hf(t, "", b("group", "list", "-O", "wide")...).want(t, 0, "Empty", "consumer")
	seekAll(t, b)
	hf(t, "", b("group", "offset-delete", "g1", "-t", "t")...).want(t, 2, "--yes")
	hf(t, "", b("group", "offset-delete", "g1", "-t", "t", "--dry-run")...).want(t, 0, "g1 t/0: would-delete (committed 7)\n")
	hf(t, "", b("group", "offset-delete", "g1", "-t", "t", "--yes")...).want(t, 0, "g1 t/0: deleted\n")
	hf(t, "", b("group", "offset-delete", "g1", "-t", "t", "--yes")...).want(t, 1, "has committed nothing")
	hf(t, "", b("group", "seek", "g1", "--to", "end", "-t", "t", "--execute")...).want(t, 0, "moved")
	hf(t, "", b("group", "delete", "g1", "--dry-run")...).want(t, 0, "g1: would-delete (empty, 0 members, 2 committed offsets)")
	hf(t, "", b("group", "delete", "g1", "--dry-run", "-O", "json")...).want(t, 0, `"result": "would-delete"`, `"detail": "empty, 0 members, 2 committed offsets"`)
	hf(t, "", b("group", "delete", "g1")...).want(t, 2, "cannot be undone")
	if r := hf(t, "", b("group", "delete", "g1", "--yes")...).want(t, 0, "g1: deleted"); strings.Contains(r.err, "would") {
		t.Errorf("a deletion says what it would do: %s", r.err)
	}
	hf(t, "", b("group", "delete", "g1", "--yes")...).want(t, 1, "GROUP_ID_NOT_FOUND")
}

// Consumers that were started alike on one machine have the same client and host:
// only their member ids say who has which partition.
func TestGroupDescribe_MembersThatAreAlikeAreToldApart(t *testing.T) {
	addr := broker(t)
	hf(t, "", "topic", "create", "t", "-p", "2", "-b", addr).want(t, 0)
	member(t, addr, "g", "t", 0)
	describe := func(members int) string {
		const partitions, most = 2, 10_000
		for range most {
			all := hf(t, "", "group", "describe", "g", "-O", "json", "-b", addr).out
			if strings.Contains(all, `"Stable"`) && strings.Count(all, `"member": "`) == members+partitions {
				return hf(t, "", "group", "describe", "g", "-b", addr).want(t, 0, "Stable").out
			}
		}
		t.Fatal("the group did not come to rest")
		return ""
	}
	if out := describe(1); strings.Contains(out, "MEMBER") {
		t.Errorf("one member needs no id:\n%s", out)
	}
	member(t, addr, "g", "t", 0)
	if out := describe(2); !strings.Contains(out, "MEMBER\n") || strings.Count(out, "member-") != 2 {
		t.Errorf("%s", out)
	}
}

// seekAll moves the group of TestGroup_LifeOfOne everywhere and back.
func seekAll(t *testing.T, b func(...string) []string) {
	t.Helper()
	at := func() string {
		r := hf(t, "", b("group", "seek", "g1", "--shift", "0", "-p", "0", "--export")...).want(t, 0)
		return strings.TrimSpace(strings.TrimPrefix(r.out, "t,0,"))
	}
	if got := at(); got != "4" {
		t.Fatalf("the group is at %s", got)
	}
	hf(t, "", b("group", "seek", "g1", "--to", "start")...).want(t, 0, "would-seek", "nothing was changed")
	if got := at(); got != "4" {
		t.Errorf("a preview moved the group to %s", got)
	}
	file := filepath.Join(t.TempDir(), "offsets.csv")
	if err := os.WriteFile(file, []byte("\"t\",0,7\n# end\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ flags, want string }{
		{"--to start --execute", "0"},
		{"--to end --yes", "10"},
		{"--shift -3 --execute", "7"},
		{"--shift 99 --execute", "10"},
		{"--to 5 --execute", "5"},
		{"--to +2 --execute", "2"},
		{"--to -2 --execute", "8"},
		{"--to @-1h --execute", "0"},
		{"--to @2100-01-01 --execute", "10"},
		{"--to earliest -p 0 --execute", "0"},
		{"--from-file " + file + " --execute", "7"},
	} {
		hf(t, "", b(append([]string{"group", "seek", "g1"}, strings.Fields(c.flags)...)...)...).want(t, 0)
		if got := at(); got != c.want {
			t.Errorf("seek %s went to %s, want %s", c.flags, got, c.want)
		}
	}
	hf(t, "", b("group", "seek", "other", "--to-group", "g1", "--execute")...).want(t, 0, "moved")
	hf(t, "", b("group", "describe", "other", "-O", "json")...).want(t, 0, `"committed": 7`)
	hf(t, "t,0\n", b("group", "seek", "g1", "--from-file", "-")...).want(t, 2, "line 1")
	hf(t, "", b("group", "seek", "g1")...).want(t, 2, "where to? say --to, --shift")
	hf(t, "", b("group", "seek", "nobody", "--to", "start")...).want(t, 1, "there is no group nobody", "group list", "--topic")
	hf(t, "", b("group", "seek", "g1", "--to", "start", "-p", "9")...).want(t, 1, "group g1: there is nothing to move")
	hf(t, "", b("group", "seek", "g1", "--to-group", "nobody")...).want(t, 1, "--to-group nobody: that group has committed nothing")
	hf(t, "", b("group", "seek", "g1", "--to", "start", "-t", "gone")...).want(t, 1, "topic gone: UNKNOWN_TOPIC")
	hf(t, "", b("group", "seek", "nobody", "--to", "start", "-t", "t")...).want(t, 0, "would-seek", "there is no group nobody yet: --execute makes it")
	if r := hf(t, "", b("group", "seek", "g1", "--to", "start", "-t", "t")...).want(t, 0, "would-seek"); strings.Contains(r.err, "no group") {
		t.Errorf("%s", r.err)
	}
	hf(t, "", b("group", "seek", "g1", "--to", "1:2")...).want(t, 2, "want one place")
}

func TestTopicDescribe_SizeRateAndWeakAcks(t *testing.T) {
	admin := freeAddress(t)
	cmd, addr := brokerProcess(t, filepath.Join(t.TempDir(), "data"), "127.0.0.1:0", "--admin-listen", admin)
	defer end(t, cmd)
	hf(t, "", "topic", "create", "t", "-p", "2", "-b", addr).want(t, 0)
	hf(t, "a\nb\n", "produce", "t", "-p", "1", "--acks", "1", "-b", addr).want(t, 0)
	hf(t, "", "topic", "describe", "t", "-b", addr).want(t, 0, "Size:", " B", "1 batch(es) with acks=1, 0 with acks=0") // admin.listen says where
	hf(t, "", "topic", "describe", "t", "-b", addr, "--admin", admin, "--rate", "50ms").want(t, 0, "1 batch(es) with acks=1, 0 with acks=0", `1 with acks=1 from client id "holdfast`, "0.0 record(s)/s")
	hf(t, "", "topic", "describe", "t", "-b", addr, "--admin", "127.0.0.1:1").want(t, 0, "not known: 127.0.0.1:1: connection refused; is that the broker's admin listener")
	for _, as := range []string{"http://" + admin, "http://" + admin + "/", "http://" + admin + "/metrics"} {
		hf(t, "", "topic", "describe", "t", "-b", addr, "--admin", as).want(t, 0, "1 batch(es) with acks=1")
	}
	hf(t, "", "topic", "describe", "t", "-b", addr, "--admin", addr).want(t, 0, "not known: "+addr+" does not speak HTTP")
	hf(t, "", "topic", "describe", "t", "-b", addr, "--rate", "-2s").want(t, 2, "--rate -2s: want a time")
	r := hf(t, "", "topic", "describe", "t", "-b", addr, "--admin", admin, "-O", "json").want(t, 0)
	var d []struct {
		Bytes int64
		Weak  struct {
			One int64 `json:"acks_1"`
		} `json:"weak_acks"`
		Partitions []struct{ Bytes int64 }
	}
	if err := json.Unmarshal([]byte(r.out), &d); err != nil || d[0].Bytes == 0 || d[0].Weak.One != 1 || d[0].Partitions[1].Bytes != d[0].Bytes {
		t.Errorf("%v: %+v", err, d)
	}
}

func TestTopicList_Patterns(t *testing.T) {
	cmd, addr := brokerProcess(t, filepath.Join(t.TempDir(), "data"), "127.0.0.1:0")
	defer end(t, cmd)
	hf(t, "", "topic", "create", "orders-a", "orders-b", "other", "-b", addr).want(t, 0)
	for _, c := range []struct{ args, want string }{
		{"", "orders-a orders-b other"}, {"orders-*", "orders-a orders-b"}, {"*-[b] other", "orders-b other"}, {"x*", ""}, {"orders-a", "orders-a"},
	} {
		r := hf(t, "", append([]string{"topic", "list", "-b", addr, "-O", "json"}, strings.Fields(c.args)...)...).want(t, 0)
		var list []struct{ Topic string }
		if err := json.Unmarshal([]byte(r.out), &list); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range list {
			got = append(got, l.Topic)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("topic list %s: %v, want %s", c.args, got, c.want)
		}
	}
	hf(t, "", "topic", "list", "-b", addr, "o*", "orders-c").want(t, 1, "orders-c: there is no such topic")
	hf(t, "", "topic", "list", "-b", addr, "[").want(t, 2, "is no pattern")
	hf(t, "", "topic", "alter", "other", "-b", addr, "--set", "retention.ms=1h").want(t, 1, "1h is 3600000 milliseconds")
}

func TestTopicAlter_SaysWhatRetentionWillDelete(t *testing.T) {
	addr := broker(t)
	alter := func(topic string, sets ...string) string {
		line := []string{"topic", "alter", topic, "--dry-run", "-b", addr}
		for _, s := range sets {
			line = append(line, "--set", s)
		}
		return hf(t, "", line...).want(t, 0, "would-alter").err
	}
	hf(t, "", "topic", "create", "plain", "-c", "retention.bytes=5000", "-b", addr).want(t, 0)
	hf(t, "", "topic", "create", "keyed", "-c", "cleanup.policy=compact", "-b", addr).want(t, 0)
	for _, c := range []struct{ topic, set, says string }{
		{"plain", "retention.ms=3", "warning: plain: retention.ms=3: records older than 3ms are deleted for ever"},
		{"plain", "retention.ms=86400000", "records older than 24h0m0s are"},
		{"plain", "retention.bytes=2048", "warning: plain: retention.bytes=2048: what a partition holds beyond 2.0 KiB is deleted for ever"},
		{"keyed", "retention.bytes=2048", "beyond 2.0 KiB"}, // it had no limit
		{"keyed", "cleanup.policy=compact,delete", "warning: keyed: cleanup.policy=compact,delete: records beyond retention.ms"},
	} {
		if got := alter(c.topic, c.set); !strings.Contains(got, c.says) {
			t.Errorf("%s of %s says %q", c.set, c.topic, got)
		}
	}
	for _, set := range []string{"retention.ms=604800001", "retention.ms=-1", "retention.bytes=5000", "retention.bytes=-1", "cleanup.policy=delete", "cleanup.policy=compact", "max.message.bytes=5"} {
		if got := alter("plain", set); got != "" {
			t.Errorf("%s says %q", set, got)
		}
	}
}

func TestProduce_ACompactedTopicAsksForKeys(t *testing.T) {
	addr := broker(t)
	hf(t, "", "topic", "create", "t", "-c", "cleanup.policy=compact", "-b", addr).want(t, 0)
	hf(t, "v\n", "produce", "t", "-b", addr).want(t, 1, "refused: line 1: INVALID_RECORD", "takes records with a key only: -k KEY")
	hf(t, "v\n", "produce", "t", "-k", "k", "-b", addr).want(t, 0, "acknowledged=1")
}

func TestAPI_ShowsWhatBothSpeak(t *testing.T) {
	addr := broker(t)
	hf(t, "", "api", "-b", addr).want(t, 0, "REQUEST", "Produce", "ApiVersions", "OffsetCommit")
	r := hf(t, "", "api", "-O", "json", "-b", addr).want(t, 0)
	var list []struct {
		Name           string
		Min, Max, Used int16
	}
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list) < 30 || list[0].Name != "Produce" || list[0].Used < 9 || list[0].Used > list[0].Max {
		t.Errorf("%v: %+v", err, list)
	}
}

// freeAddress is an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
