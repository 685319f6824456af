package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// stored reads every value of a topic that the broker has.
func stored(t *testing.T, addr, topic string) []string {
	t.Helper()
	r := hf(t, "", "consume", topic, "-o", ":end", "-f", `%v\n`, "-b", addr).want(t, 0)
	var list []string
	for line := range strings.Lines(r.out) {
		list = append(list, strings.TrimSuffix(line, "\n"))
	}
	return list
}

func numbers(n int) (string, []string) {
	var text strings.Builder
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("record-%06d", i))
		text.WriteString(list[i] + "\n")
	}
	return text.String(), list
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

func missing(t *testing.T, name string) {
	t.Helper()
	for _, n := range []string{name, name + ".state", name + ".next"} {
		if _, err := os.Stat(n); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there (%v)", n, err)
		}
	}
}

func TestProduce_CountsEveryRecord(t *testing.T) {
	_, addr := fake(t, "t")
	in, want := numbers(20_000)
	hf(t, in, "produce", "t", "-b", addr).want(t, 0, "acknowledged=20000 failed=0 unknown=0")
	got := stored(t, addr, "t")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d records are stored, want %d", len(got), len(want))
	}
}

func TestProduce_NoInputIsNoFailure(t *testing.T) {
	_, addr := fake(t, "t")
	hf(t, "", "produce", "t", "-b", addr).want(t, 0, "acknowledged=0 failed=0 unknown=0")
}

func TestProduce_TheLastLineMayLackItsEnd(t *testing.T) {
	_, addr := fake(t, "t")
	hf(t, "a\nb", "produce", "t", "-p", "0", "-b", addr).want(t, 0, "acknowledged=2")
	if got := stored(t, addr, "t"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("stored %q", got)
	}
}

func TestProduce_AckFormatPrintsWhatIsStored(t *testing.T) {
	_, addr := fake(t, "t")
	r := hf(t, "a\nb\n", "produce", "t", "-p", "2", "--ack-format", `%p/%o %v\n`, "-b", addr).want(t, 0)
	if r.out != "2/0 a\n2/1 b\n" {
		t.Errorf("%q", r.out)
	}
}

// Retriable refusals are tried again until they end, and nothing is doubled.
func TestProduce_RetriesWithoutLimit(t *testing.T) {
	for _, code := range []*kerr.Error{kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.NotLeaderForPartition, kerr.KafkaStorageError, kerr.UnknownTopicOrPartition} {
		t.Run(code.Message, func(t *testing.T) {
			t.Parallel()
			c, addr := fake(t, "t")
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "t", Err: code, Count: 4})
			hf(t, "a\nb\n", "produce", "t", "-p", "0", "-b", addr).want(t, 0, "acknowledged=2 failed=0 unknown=0")
			if got := stored(t, addr, "t"); !slices.Equal(got, []string{"a", "b"}) {
				t.Errorf("stored %q", got)
			}
		})
	}
}

// A refusal is reported with its line, the rest is sent, and the status is 1.
func TestProduce_ReportsWhatWasRefused(t *testing.T) {
	_, addr := fake(t, "t")
	file := filepath.Join(t.TempDir(), "left")
	long := strings.Repeat("x", 2<<20)
	r := hf(t, "a\n"+long+"\nc\n", "produce", "t", "-b", addr, "--unacked-file", file).
		want(t, 1, "acknowledged=2 failed=1 unknown=0", "refused: line 2: MESSAGE_TOO_LARGE", "--resume")
	if !strings.HasSuffix(r.err, "acknowledged=2 failed=1 unknown=0\n") {
		t.Errorf("the counts are not the last line: %s", r.err)
	}
	if got := readFile(t, file); got != long+"\n" {
		t.Errorf("%d bytes are kept, want the refused record's %d", len(got), len(long)+1)
	}
	hf(t, "more\n", "produce", "t", "-b", addr, "--unacked-file", file).want(t, 1, "holds", "--resume")
	hf(t, "a\n", "produce", "t", "-p", "7", "-b", addr).want(t, 1, "failed=1", "invalid record partitioning")
	if got := stored(t, addr, "t"); len(got) != 2 {
		t.Errorf("stored %.60q", got)
	}
}

// A fault in the input loses nothing: what came before is sent, the line is
// named, the rest is kept.
func TestProduce_FaultyInput(t *testing.T) {
	_, addr := fake(t, "t")
	file := filepath.Join(t.TempDir(), "left")
	in := "1 a\n2 b\nthree c\n4 d\n"
	hf(t, in, "produce", "t", "-f", `%p %v\n`, "-b", addr).want(t, 1, "line 3", "acknowledged=2 failed=0 unknown=0")
	hf(t, in, "produce", "t", "-f", `%p{ascii} %v\n`, "-b", addr, "--unacked-file", file).want(t, 1, "line 3")
	if got := readFile(t, file); !strings.HasSuffix(got, "three c\n4 d\n") {
		t.Errorf("kept %q", got)
	}
	hf(t, `{"a":1}`+"\n{broken\n", "produce", "t", "-f", `%v{json}\n`, "-b", addr).want(t, 1, "line 2", "acknowledged=1 failed=0 unknown=0")
	hf(t, "5 abc", "produce", "t", "-f", `%V{ascii} %v`, "-b", addr).want(t, 1, "middle of a record", "acknowledged=0")
}

func TestProduce_AcksNoneIsNeverAnAcknowledgement(t *testing.T) {
	_, addr := fake(t, "t")
	hf(t, "a\nb\n", "produce", "t", "--acks", "0", "-b", addr).want(t, 11, "acknowledged=0 failed=0 unknown=2", "nobody acknowledges")
	hf(t, "a\nb\n", "produce", "t", "--acks", "1", "-b", addr).want(t, 0, "acknowledged=2")
}

// stall makes the broker keep every produce request without an answer until the
// returned function is called.
func stall(c *kfake.Cluster) (release func(), held *atomic.Int32) {
	held = new(atomic.Int32)
	open := make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		held.Add(1)
		c.SleepControl(func() { <-open })
		return nil, nil, false
	})
	return func() { close(open) }, held
}

func TestProduce_SaysWhatItWaitsFor(t *testing.T) {
	cluster, addr := fake(t, "t")
	h := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "t", Err: kerr.NotEnoughReplicas, Count: -1})
	c := newCall("a\nb\n")
	done := make(chan int, 1)
	go func() { done <- c.run(t, "produce", "t", "-b", addr) }()
	c.err.wait(t, "waiting for "+addr)
	c.err.wait(t, "NOT_ENOUGH_REPLICAS")
	c.err.wait(t, "2 record(s) not acknowledged")
	h.Remove()
	if code := <-done; code != 0 || !strings.HasSuffix(c.err.String(), "acknowledged=2 failed=0 unknown=0\n") {
		t.Errorf("status %d: %s", code, c.err)
	}
}

// No broker yet: produce waits for it and then goes on.
func TestProduce_WaitsForABroker(t *testing.T) {
	c := newCall("a\n")
	done := make(chan int, 1)
	go func() { done <- c.run(t, "produce", "t", "-b", "127.0.0.1:1") }()
	c.err.wait(t, "waiting for 127.0.0.1:1")
	c.err.wait(t, "connection refused")
	c.interrupts <- os.Interrupt
	if code := <-done; code != 1 || !strings.HasSuffix(c.err.String(), "acknowledged=0 failed=0 unknown=0\n") {
		t.Errorf("status %d: %s", code, c.err)
	}
}

func TestProduce_OneSignalWaitsTheSecondGivesUp(t *testing.T) {
	cluster, addr := fake(t, "t")
	_, held := stall(cluster)
	file := filepath.Join(t.TempDir(), "left")
	in, feed := io.Pipe()
	c := newCall("")
	c.in = in
	done := make(chan int, 1)
	go func() { done <- c.run(t, "produce", "t", "-p", "0", "-b", addr, "--unacked-file", file) }()
	if _, err := io.WriteString(feed, "a\nb\nc\n"); err != nil {
		t.Fatal(err)
	}
	c.err.wait(t, "waiting for")
	c.interrupts <- os.Interrupt
	c.err.wait(t, "waiting for 3 pending record(s)")
	c.interrupts <- os.Interrupt
	code := <-done
	if code != 11 || !strings.HasSuffix(c.err.String(), "acknowledged=0 failed=0 unknown=3\n") {
		t.Errorf("status %d: %s", code, c.err)
	}
	if held.Load() == 0 {
		t.Error("the broker never held a request: the test shows nothing")
	}
	if got := readFile(t, file); got != "a\nb\nc\n" {
		t.Errorf("kept %q", got)
	}
	feed.Close()
}

func TestProduce_OneSignalStopsReading(t *testing.T) {
	_, addr := fake(t, "t")
	in, feed := io.Pipe()
	c := newCall("")
	c.in = in
	done := make(chan int, 1)
	go func() { done <- c.run(t, "produce", "t", "--ack-format", `%v\n`, "-b", addr) }()
	if _, err := io.WriteString(feed, "a\n"); err != nil {
		t.Fatal(err)
	}
	c.out.wait(t, "a\n")
	c.interrupts <- os.Interrupt
	// The input was not read to its end, so that this is no success.
	if code := <-done; code != 1 || !strings.HasSuffix(c.err.String(), "acknowledged=1 failed=0 unknown=0\n") {
		t.Errorf("status %d: %s", code, c.err)
	}
	feed.Close()
}

func TestProduce_GiveUpAfter(t *testing.T) {
	cluster, addr := fake(t, "t")
	stall(cluster)
	hf(t, "a\n", "produce", "t", "--give-up-after", "300ms", "-b", "127.0.0.1:1").want(t, 1,
		"gave up after 300ms (--give-up-after) and sent nothing: 127.0.0.1:1: connection refused", "acknowledged=0 failed=0 unknown=0")
	hf(t, "a\n", "produce", "t", "--give-up-after", "300ms", "-b", addr).want(t, 11, "acknowledged=0 failed=0 unknown=1")
}

// What an interrupted run leaves, --resume sends; together every record is
// stored, and none twice, because everything acknowledged was noted.
func TestProduce_ResumeSendsTheRest(t *testing.T) {
	cluster, addr := fake(t, "t")
	file := filepath.Join(t.TempDir(), "left")
	_, want := numbers(3000)
	var in strings.Builder
	for i, v := range want {
		fmt.Fprintf(&in, "key-%d %s\n", i, v)
	}
	h := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "t", Partitions: []int32{1}, Err: kerr.NotEnoughReplicas, Count: -1})
	hf(t, in.String(), "produce", "t", "-f", `%k %v\n`, "--give-up-after", "700ms", "-b", addr, "--unacked-file", file, "-X", "linger.ms=5").want(t, 11, "--resume "+file)
	h.Remove()
	left := strings.Count(readFile(t, file), "\n")
	if left == 0 || left >= len(want) {
		t.Fatalf("%d of %d records are left: the test shows nothing", left, len(want))
	}
	hf(t, "", "produce", "--resume", file, "-b", addr).want(t, 0, fmt.Sprintf("acknowledged=%d failed=0 unknown=0", left))
	missing(t, file)
	got := stored(t, addr, "t")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d records are stored, want each of %d once", len(got), len(want))
	}
	hf(t, "", "produce", "--resume", file, "-b", addr).want(t, 1, "there is no such file")
}

func TestProduce_ResumeRemembersHowTheInputReads(t *testing.T) {
	cluster, addr := fake(t, "t")
	file := filepath.Join(t.TempDir(), "left")
	h := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Topic: "t", Count: -1})
	hf(t, "2:b;1:a;", "produce", "t", "-f", `%p:%v;`, "-k", "key", "-H", "h:v", "--give-up-after", "300ms", "-b", addr, "--unacked-file", file).want(t, 11, "unknown=2")
	h.Remove()
	hf(t, "", "produce", "other", "--resume", file, "-b", addr).want(t, 2, "for topic t")
	hf(t, "", "produce", "--resume", file, "-b", addr).want(t, 0, "acknowledged=2")
	r := hf(t, "", "consume", "t", "-o", ":end", "-b", addr, "-f", `%p %k %v %h{%k}\n`)
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	slices.Sort(lines)
	if fmt.Sprint(lines) != "[1 key a h 2 key b h]" {
		t.Errorf("%q", lines)
	}
}

// Without its state the file counts as not acknowledged, and flags say what it is.
func TestProduce_ResumeWithoutState(t *testing.T) {
	_, addr := fake(t, "t")
	file := filepath.Join(t.TempDir(), "left")
	for _, state := range []string{"", "{", `{"holdfast_unacked_state":1,"topic":"t","format":"%v`} {
		if err := os.WriteFile(file, []byte("a\nb\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file+".state", []byte(state), 0o600); err != nil {
			t.Fatal(err)
		}
		hf(t, "", "produce", "--resume", file, "-b", addr).want(t, 2, "name it")
		hf(t, "", "produce", "t", "--resume", file, "-b", addr).want(t, 0, "acknowledged=2")
		missing(t, file)
	}
}

func TestProduce_UnackedFileIsRefusedWithRegularExpressions(t *testing.T) {
	_, addr := fake(t, "t")
	file := filepath.Join(t.TempDir(), "left")
	hf(t, "a1", "produce", "t", "-f", `%v{re[[a-z]]}%k{re[[0-9]]}`, "--unacked-file", file, "-b", addr).want(t, 2, "regular expression")
	missing(t, file)
}

// The broker and the client disagree about what is stored when an answer is
// lost; the client must find out by trying again, and not by guessing.
func TestProduce_LostAnswersDoubleNothing(t *testing.T) {
	cluster, addr := fake(t, "t")
	var n atomic.Int32
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if n.Add(1)%3 == 1 {
			return nil, errors.New("cut the connection"), true
		}
		return nil, nil, false
	})
	in, want := numbers(500)
	hf(t, in, "produce", "t", "-b", addr).want(t, 0, "acknowledged=500 failed=0 unknown=0")
	got := stored(t, addr, "t")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d records are stored, want each of %d once", len(got), len(want))
	}
}

// The stored records are what kgo itself reads, headers and nulls included.
func TestProduce_KeysHeadersTombstones(t *testing.T) {
	_, addr := fake(t, "t")
	hf(t, "\nx\n", "produce", "t", "-p", "0", "-k", "key", "-H", "a:1", "-H", "b=2", "-Z", "-b", addr).want(t, 0)
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var got []*kgo.Record
	for len(got) < 2 {
		got = append(got, cl.PollFetches(context.Background()).Records()...)
	}
	if got[0].Value != nil || string(got[0].Key) != "key" || len(got[0].Headers) != 2 || string(got[0].Headers[1].Value) != "2" {
		t.Errorf("first: %+v", got[0])
	}
	if string(got[1].Value) != "x" {
		t.Errorf("second: %+v", got[1])
	}
}

// A script that resumes until it succeeds must be able to see that it never will.
func TestProduce_ResumeSaysWhenItCannotHelp(t *testing.T) {
	_, addr := fake(t, "t")
	file := filepath.Join(t.TempDir(), "left")
	hf(t, "1 a\nbad\n2 b\n", "produce", "t", "-f", `%p{ascii} %v\n`, "-b", addr, "--unacked-file", file).want(t, 1, "line 2")
	hf(t, "", "produce", "--resume", file, "-b", addr).want(t, 10, "will not help", "acknowledged=0 failed=0 unknown=0")
	if err := os.WriteFile(file, []byte("2 b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hf(t, "", "produce", "--resume", file, "-b", addr).want(t, 0, "acknowledged=1")
	missing(t, file)
}

func TestProduce_GivingUpSaysWhatBecameOfEveryRecord(t *testing.T) {
	c, addr := fake(t, "t")
	release, _ := stall(c)
	defer release()
	hf(t, "a\nb\n", "produce", "t", "-p", "0", "--timeout", "300ms", "-b", addr).want(t, 11, "gave up after 300ms", "2 may be stored or not", "acknowledged=0 failed=0 unknown=2")
}
