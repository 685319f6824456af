package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"holdfast/internal/cli"
	"holdfast/internal/clock"
)

// call is one command line run in this process.
type call struct {
	in         io.Reader
	inTTY      bool
	errTTY     bool
	env        []string
	interrupts chan os.Signal
	start      cli.StartBroker
	out, err   *safeBuffer
}

// safeBuffer may be read while a command still writes.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
	// changed is told after every write.
	changed chan struct{}
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// wait blocks until the text has been written.
func (b *safeBuffer) wait(t *testing.T, text string) {
	t.Helper()
	for !strings.Contains(b.String(), text) {
		select {
		case <-b.changed:
		case <-t.Context().Done():
			t.Fatalf("never saw %q in %q", text, b.String())
		}
	}
}

func newCall(input string) *call {
	return &call{in: strings.NewReader(input), interrupts: make(chan os.Signal, 4),
		out: &safeBuffer{changed: make(chan struct{}, 1)}, err: &safeBuffer{changed: make(chan struct{}, 1)}}
}

func (c *call) run(t *testing.T, args ...string) int {
	t.Helper()
	return c.runTo(t, c.out, args...)
}

func (c *call) runTo(t *testing.T, out io.Writer, args ...string) int {
	t.Helper()
	p := cli.Program{Version: "test", StartBroker: c.start, Streams: cli.Streams{In: c.in, Out: out, Err: c.err, InTTY: c.inTTY, ErrTTY: c.errTTY,
		Env: c.env, Clock: clock.Real{}, Interrupts: c.interrupts}}
	return cli.Run(context.Background(), p, args)
}

// result is a finished command line.
type result struct {
	code     int
	out, err string
}

func hf(t *testing.T, input string, args ...string) result {
	t.Helper()
	c := newCall(input)
	code := c.run(t, args...)
	return result{code, c.out.String(), c.err.String()}
}

func (r result) want(t *testing.T, code int, parts ...string) result {
	t.Helper()
	if r.code != code {
		t.Errorf("status %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.out, r.err)
	}
	for _, p := range parts {
		if !strings.Contains(r.out+r.err, p) {
			t.Errorf("%q is missing\nstdout: %s\nstderr: %s", p, r.out, r.err)
		}
	}
	return r
}

// fake starts a fake cluster with the topics, 3 partitions each.
func fake(t *testing.T, topics ...string) (*kfake.Cluster, string) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, strings.Join(c.ListenAddrs(), ",")
}

func TestExit_StatusesOfTheCommandLine(t *testing.T) {
	_, addr := fake(t, "here")
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"", 0, "Run a broker"},
		{"--help", 0, "Exit statuses"},
		{"--version", 0, "holdfast test"},
		{"version", 0, "holdfast test"},
		{"topic", 0, "Available Commands"},
		{"topik list", 2, "did you mean topic?"},
		{"topic lst", 2, "did you mean list?"},
		{"topic list --nonsense", 2, "unknown flag"},
		{"topic list -O xml", 2, "want one of text"},
		{"topic list -O xml", 2, "`holdfast topic list --help`"},
		{"topic alter here -b " + addr, 2, "`holdfast topic alter --help`"},
		{"completion foo", 2, "unknown command"},
		{"topic add-partitions here -n 0 -b " + addr, 2, "want the number"},
		{"topic create", 2, "something is missing: want `holdfast topic create NAME...`"},
		{"produce", 2, "something is missing: want `holdfast produce TOPIC`"},
		{"group offset-delete", 2, "want `holdfast group offset-delete GROUP --topic TOPIC`"},
		{"profile use one two", 2, "\"two\" is one word too many: want `holdfast profile use NAME`"},
		{"group list here", 2, "\"here\" is one word too many: want `holdfast group list`"},
		{"topic trim here", 2, `required flag(s) "offset" not set`},
		{"topic list -b 127.0.0.1:1", 1, "connection refused"},
		{"topic list -b nowhere.invalid:9092", 1, "does not resolve"},
		{"topic list -b PLAINTEXT://127.0.0.1:9092", 2, "-b PLAINTEXT://127.0.0.1:9092: want HOST:PORT without PLAINTEXT://, such as 127.0.0.1:9092"},
		{"topic list -b 127.0.0.1:99999", 2, "want HOST:PORT with a port from 1 to 65535"},
		{"topic list -b here:x", 2, "with a port"},
		{"topic list -X bootstrap.servers=http://here", 2, "without http://"},
		{"topic list -X nonsense=1 -b " + addr, 2, "unknown client property"},
		{"topic list -X sasl.mechanism=PLAIN -b " + addr, 2, "only PLAINTEXT"},
		{"topic list -X linger.ms=x -b " + addr, 2, "want milliseconds"},
		{"topic list -X list", 0, "compression.type"},
		{"topic list --bootstrap-server " + addr, 0, "here"},
		{"topic describe gone -b " + addr, 1, "topic create NAME"},
		{"topic create here -b " + addr, 1, "--if-not-exists"},
		{"topic create here --if-not-exists -b " + addr, 0, "here: exists"},
		{"topic alter here -b " + addr, 2, "nothing to change"},
		{"topic alter here --set novalue -b " + addr, 2, "want KEY=VALUE"},
		{"topic delete here -b " + addr, 2, "--yes"},
		{"consume here -o sideways -b " + addr, 2, "is no offset"},
		{"consume here -n -1 -b " + addr, 2, "want a number"},
		{"consume here -f yaml -b " + addr, 2, "-f yaml: records are printed as json or jsonl, or by a format such as '%v\\n'"},
		{"consume here -f %Q -b " + addr, 2, "-f"},
		{"consume gone -b " + addr, 1, "topic gone"},
		{"consume zz.* -r -b " + addr, 1, "no topic matches"},
		{"consume here -p 9 -b " + addr, 2, "has 3 partitions"},
		{"produce gone -b " + addr, 1, "topic create NAME"},
		{"produce here --acks 2 -b " + addr, 2, "want all"},
		{"produce here -z rar -b " + addr, 2, "want none"},
		{"produce here -H x -b " + addr, 2, "NAME:VALUE"},
		{"produce here -f %Q -b " + addr, 2, "-f"},
		{"server", 1, "no data directory"},
		{"server --set x", 2, "KEY=VALUE"},
		{"server --data-dir /a,/b", 1, "a broker has one"},
		{"server --log-format xml", 2, "text or json"},
		{"dev", 1, "neither XDG_DATA_HOME nor HOME"},
		{"config check /nonexistent", 1, "no such file"},
		{"log check /nonexistent", 1, "no such file"},
	} {
		t.Run(c.args, func(t *testing.T) { hf(t, "", strings.Fields(c.args)...).want(t, c.code, c.says) })
	}
}

// Data goes to stdout and talk to stderr: a failed command prints nothing on
// stdout, a listing nothing on stderr.
func TestStreams_DataAndTalkAreApart(t *testing.T) {
	_, addr := fake(t, "here")
	if r := hf(t, "", "topic", "list", "-b", addr); r.err != "" {
		t.Errorf("a listing talks: %q", r.err)
	}
	if r := hf(t, "", "topic", "describe", "gone", "-b", addr); r.out != "" {
		t.Errorf("a failure prints data: %q", r.out)
	}
	r := hf(t, "a\n", "produce", "here", "-b", addr)
	if r.out != "" || strings.ContainsAny(r.err, "\x1b\r") {
		t.Errorf("produce without a terminal: stdout %q, stderr %q", r.out, r.err)
	}
}

func TestEnvironment_NamesTheBrokers(t *testing.T) {
	_, addr := fake(t, "here")
	c := newCall("")
	c.env = []string{"HOLDFAST_BROKERS=" + addr}
	if code := c.run(t, "topic", "list"); code != 0 || !strings.Contains(c.out.String(), "here") {
		t.Errorf("status %d: %s%s", code, c.out, c.err)
	}
	c = newCall("")
	c.env = []string{"HOLDFAST_BROKERS=127.0.0.1:1"}
	if code := c.run(t, "topic", "list", "-b", addr); code != 0 {
		t.Errorf("-b does not outrank the environment: %s", c.err)
	}
}

func TestOutput_IsReadByMachines(t *testing.T) {
	_, addr := fake(t, "b", "a")
	var list []map[string]any
	r := hf(t, "", "topic", "list", "-O", "json", "-b", addr).want(t, 0)
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list) != 2 || list[0]["topic"] != "a" || list[0]["partitions"] != 3.0 {
		t.Errorf("%v: %s", err, r.out)
	}
	r = hf(t, "", "topic", "ls", "-O", "jsonl", "-b", addr).want(t, 0)
	if lines := strings.Split(strings.TrimSpace(r.out), "\n"); len(lines) != 2 || !json.Valid([]byte(lines[1])) {
		t.Errorf("jsonl: %s", r.out)
	}
	hf(t, "", "topic", "ls", "-O", "yaml", "-b", addr).want(t, 0, "- topic: a\n", "partitions: 3\n")
	hf(t, "", "topic", "ls", "-O", "wide", "-b", addr).want(t, 0, "UNDER-REPLICATED")
	for _, args := range []string{"topic describe a", "cluster info", "version", "config keys", "config keys --topic", "topic create c", "topic trim a -o end --dry-run",
		"topic delete a --dry-run", "topic alter a --set retention.ms=5 --dry-run"} {
		fields := append(strings.Fields(args), "-O", "json")
		if !strings.HasPrefix(args, "version") && !strings.HasPrefix(args, "config") {
			fields = append(fields, "-b", addr)
		}
		if r := hf(t, "", fields...); r.code != 0 || !json.Valid([]byte(r.out)) {
			t.Errorf("%s: status %d: %s%s", args, r.code, r.out, r.err)
		}
	}
}

func TestTopic_LifeOfOne(t *testing.T) {
	_, addr := fake(t)
	b := func(args ...string) []string { return append(args, "-b", addr) }
	hf(t, "", b("topic", "create", "t", "-p", "2", "-c", "retention.ms=5000", "--dry-run")...).want(t, 0, "would-create")
	hf(t, "", b("topic", "describe", "t")...).want(t, 1)
	hf(t, "", b("topic", "create", "t", "-p", "2", "-c", "min.insync.replicas=1")...).want(t, 0, "t: created", "warning: min.insync.replicas=1")
	hf(t, "one\ntwo\nthree\n", b("produce", "t", "-p", "1")...).want(t, 0, "acknowledged=3 failed=0 unknown=0")
	r := hf(t, "", b("topic", "describe", "t", "-O", "json")...).want(t, 0)
	var d []struct {
		Partitions []struct {
			Leader, Partition int32
			Start             int64 `json:"start_offset"`
			End               int64 `json:"end_offset"`
			ISR               []int32
		}
		Configs    []struct{ Key, Value string }
		AcksPolicy string `json:"acks_policy"`
		Durability string
	}
	if err := json.Unmarshal([]byte(r.out), &d); err != nil {
		t.Fatal(err)
	}
	if len(d) != 1 || len(d[0].Partitions) != 2 || d[0].Partitions[1].End != 3 || len(d[0].Partitions[1].ISR) != 1 {
		t.Errorf("described: %+v", d)
	}
	if d[0].AcksPolicy != "unknown" || d[0].Durability != "unknown" {
		t.Errorf("a broker of others has no such settings: %+v", d[0])
	}
	hf(t, "", b("topic", "describe", "t")...).want(t, 0, "acks.policy=unknown", "min.insync.replicas", "PARTITION")
	hf(t, "", b("topic", "alter", "t", "--set", "retention.ms=9", "-p", "4")...).want(t, 0, "t: altered (retention.ms: ", " -> 9; partitions: 2 -> 4)")
	hf(t, "", b("topic", "alter", "t", "--set", "retention.ms=10", "--dry-run")...).want(t, 0, "t: would-alter (retention.ms: 9 -> 10)")
	hf(t, "", b("topic", "describe", "t")...).want(t, 0, "retention.ms")
	hf(t, "", b("topic", "alter", "t", "--delete", "retention.ms")...).want(t, 0)
	if r := hf(t, "", b("topic", "describe", "t")...); strings.Contains(r.out, "retention.ms") {
		t.Errorf("a default is shown: %s", r.out)
	}
	hf(t, "", b("topic", "trim", "t", "-p", "1", "-o", "2", "--dry-run")...).want(t, 0, "offsets 0 to 2, about 2 records")
	hf(t, "", b("topic", "trim", "t", "-p", "1", "-o", "9", "--yes")...).want(t, 2, "ends at offset 3")
	hf(t, "", b("topic", "trim", "t", "-p", "1", "-o", "2", "--yes")...).want(t, 0, "t/1: trimmed (begins at 2)")
	hf(t, "", b("consume", "t", "-o", ":end", "-f", `%p %o %v\n`)...).want(t, 0, "1 2 three\n")
	hf(t, "", b("topic", "add-partitions", "t", "-n", "1", "--dry-run")...).want(t, 0, "t: would-alter (partitions: 4 -> 5)")
	hf(t, "", b("topic", "delete", "t", "--dry-run")...).want(t, 0, "4 partitions, about 1 records")
	c := newCall("no\n")
	c.inTTY = true
	if code := c.run(t, b("topic", "delete", "t")...); code != 1 || !strings.Contains(c.err.String(), "nothing was done") {
		t.Errorf("an answer of no: status %d: %s", code, c.err)
	}
	c = newCall("yes\n")
	c.inTTY = true
	if code := c.run(t, b("topic", "delete", "t")...); code != 0 {
		t.Errorf("an answer of yes: status %d: %s", code, c.err)
	}
	hf(t, "", b("topic", "describe", "t")...).want(t, 1)
}

func TestConfigCheck_StatusAndText(t *testing.T) {
	write := func(text string) string {
		name := filepath.Join(t.TempDir(), "server.properties")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	good := write("node.id=1\nlog.dirs=/var/lib/holdfast\nnum.io.threads=8\n")
	hf(t, "", "config", "check", good).want(t, 0, "accepted 2, ignored 1, unknown 0, unsafe 0, refused 0")
	bad := write("unclean.leader.election.enable=true\nmin.insync.replicas=1\nnum.partitons=3\n")
	r := hf(t, "", "config", "check", bad).want(t, 10, "unsafe    min.insync.replicas=1  (server.properties:2)", "did you mean num.partitions?", "unsafe 2")
	if strings.Contains(r.out, "accepted") && !strings.Contains(r.err, "accepted 0") {
		t.Errorf("%s%s", r.out, r.err)
	}
	r = hf(t, "", "config", "check", bad, "-O", "json").want(t, 10)
	var list []struct{ Verdict, Key, Origin, Nearest string }
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list) != 3 || list[2].Nearest != "num.partitions" {
		t.Errorf("%v: %s", err, r.out)
	}
	both := write("min.insync.replicas=3\ndefault.replication.factor=2\nlisteners=PLAINTEXT://:9092,CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER\n")
	hf(t, "", "config", "check", both).want(t, 10, "more than default.replication.factor=2", "CONTROLLER is not opened", "accepted 3, ignored 0, unknown 0, unsafe 1, refused 0")
	hf(t, "", "config", "check", write("a=\\u00\n")).want(t, 1, ":1: ")
	hf(t, "log.dirs=/tmp/x\n", "config", "check", "-").want(t, 10, "temporary place")
}

func TestCompletion_OffersTopicsAndSettings(t *testing.T) {
	_, addr := fake(t, "orders", "other", "zebra")
	r := hf(t, "", "__complete", "topic", "describe", "-b", addr, "o")
	if !strings.Contains(r.out, "orders\nother\n") || strings.Contains(r.out, "zebra") {
		t.Errorf("%s", r.out)
	}
	hf(t, "", "__complete", "topic", "create", "x", "-c", "reten").want(t, 0, "retention.bytes=", "retention.ms=")
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := hf(t, "", "completion", shell); r.code != 0 || len(r.out) < 500 {
			t.Errorf("%s: status %d, %d bytes", shell, r.code, len(r.out))
		}
	}
}

func TestConsume_OffsetsAndFormats(t *testing.T) {
	_, addr := fake(t, "t")
	b := func(args ...string) []string { return append(args, "-b", addr) }
	var in strings.Builder
	for i := range 10 {
		fmt.Fprintf(&in, "k%d v%d\n", i, i)
	}
	hf(t, in.String(), b("produce", "t", "-p", "0", "-f", `%k %v\n`, "-H", "h:x", "-z", "zstd")...).want(t, 0, "acknowledged=10")
	for _, c := range []struct{ offset, want string }{
		{":end", "0123456789"},
		{"start:end", "0123456789"},
		{"3:5", "34"},
		{"+8:end", "89"},
		{"-2:end", "89"},
		{"7:", "789"},
		{"@-1h:end", "0123456789"},
		{"@2001-01-01T00:00:00Z:2002-01-01T00:00:00Z", ""},
		{"@0:end", "0123456789"},
		{"5:1000", "56789"},
	} {
		args := b("consume", "t", "-o", c.offset, "-f", `%o`)
		if strings.HasSuffix(c.offset, ":") && c.offset != ":" {
			args = append(args, "-n", "3")
		}
		if r := hf(t, "", args...); r.code != 0 || r.out != c.want {
			t.Errorf("-o %s: status %d, %q (%s), want %q", c.offset, r.code, r.out, r.err, c.want)
		}
	}
	hf(t, "", b("consume", "t", "-o", "2", "-p", "0", "-n", "1", "-f", `%t %p %o %k %v %h{%k=%v}\n`)...).want(t, 0, "t 0 2 k2 v2 h=x\n")
	r := hf(t, "", b("consume", "t", "-n", "1")...).want(t, 0)
	var rec struct {
		Key, Value string
		Offset     int64
	}
	if err := json.Unmarshal([]byte(r.out), &rec); err != nil || rec.Value != "v0" || rec.Key != "k0" {
		t.Errorf("%v: %s", err, r.out)
	}
	r = hf(t, "", b("consume", "t", "-n", "1", "--meta-only")...).want(t, 0, `"value_size": 2`)
	if strings.Contains(r.out, "v0") {
		t.Errorf("--meta-only shows a value: %s", r.out)
	}
	hf(t, "", b("consume", "t", "-o", "99", "-p", "0", "-n", "1")...).want(t, 1, "OFFSET_OUT_OF_RANGE", "topic describe")
	hf(t, "", b("consume", "[tx]", "-r", "-o", ":end", "-f", "%v")...).want(t, 0, "v0v1")
	hf(t, "", b("consume", "t", "-o", "end:end")...).want(t, 0)
}

func TestConsume_CtrlCIsSuccessAfterTheFlush(t *testing.T) {
	_, addr := fake(t, "t")
	hf(t, "x\n", "produce", "t", "-b", addr).want(t, 0)
	c := newCall("")
	done := make(chan int, 1)
	go func() { done <- c.run(t, "consume", "t", "-f", `%v\n`, "-b", addr) }()
	c.out.wait(t, "x\n")
	c.interrupts <- os.Interrupt
	if code := <-done; code != 0 || c.err.String() != "" {
		t.Errorf("status %d: %s", code, c.err)
	}
}

func TestConsume_BinaryAndNullAreKept(t *testing.T) {
	_, addr := fake(t, "t")
	hf(t, "\xff\xfe\n", "produce", "t", "-b", addr, "-p", "0").want(t, 0)
	hf(t, "k \n", "produce", "t", "-b", addr, "-p", "0", "-f", `%k %v\n`, "-Z").want(t, 0)
	hf(t, "\n", "produce", "t", "-b", addr, "-p", "0").want(t, 0)
	r := hf(t, "", "consume", "t", "-o", ":end", "-b", addr).want(t, 0, `"value_base64": "//4="`, `"value": ""`)
	if strings.Count(r.out, `"value": null`) != 2 {
		t.Errorf("%s", r.out)
	}
}

// brokenPipe is stdout whose reader has gone.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestOutput_AReaderThatHasGoneIsNoError(t *testing.T) {
	_, addr := fake(t, "t")
	hf(t, "x\n", "produce", "t", "-b", addr).want(t, 0)
	var errText bytes.Buffer
	p := cli.Program{Streams: cli.Streams{In: strings.NewReader(""), Out: brokenPipe{}, Err: &errText, Clock: clock.Real{}, Interrupts: make(chan os.Signal)}}
	if code := cli.Run(context.Background(), p, []string{"consume", "t", "-o", ":end", "-b", addr}); code != 0 || errText.Len() > 0 {
		t.Errorf("status %d: %s", code, errText.String())
	}
}
