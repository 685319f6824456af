//go:build unix

package cli_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestConsumeGroup_BeginsWhereItStopped(t *testing.T) {
	addr := broker(t)
	b := func(args ...string) []string { return append(args, "-b", addr) }
	hf(t, "", b("topic", "create", "t", "-p", "1")...).want(t, 0)
	in, want := numbers(10)
	hf(t, in, b("produce", "t")...).want(t, 0)
	var got []string
	for _, n := range []string{"3", "1", "6"} {
		r := hf(t, "", b("consume", "t", "-g", "g", "-n", n, "-f", `%v\n`)...).want(t, 0)
		got = append(got, strings.Fields(r.out)...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	hf(t, "", b("group", "describe", "g")...).want(t, 0, "Empty", "0 record(s)")
	hf(t, "", b("consume", "t", "-g", "g", "-p", "0")...).want(t, 2, "the group decides")
	hf(t, "", b("consume", "t", "-g", "g", "-o", ":end")...).want(t, 2, "group seek")
	hf(t, "", b("consume", "t", "-O", "yaml")...).want(t, 2, "json or jsonl")
	if r := hf(t, "", b("consume", "t", "-O", "jsonl", "-o", ":end")...).want(t, 0); strings.Count(r.out, "\n") != 10 {
		t.Errorf("jsonl: %s", r.out)
	}
}

// What could not be written is not committed.
func TestConsumeGroup_AReaderThatHasGoneCommitsNothing(t *testing.T) {
	addr := broker(t)
	b := func(args ...string) []string { return append(args, "-b", addr) }
	hf(t, "", b("topic", "create", "t", "-p", "1")...).want(t, 0)
	hf(t, "a\nb\n", b("produce", "t")...).want(t, 0)
	c := newCall("")
	if code := c.runTo(t, brokenPipe{}, b("consume", "t", "-g", "g", "-n", "2")...); code != 0 {
		t.Errorf("status %d: %s", code, c.err)
	}
	c = newCall("")
	defer time.AfterFunc(20*time.Second, func() { c.interrupts <- os.Interrupt }).Stop()
	if code := c.run(t, b("consume", "t", "-g", "g", "-n", "2", "-f", "%v")...); code != 0 || c.out.String() != "ab" {
		t.Errorf("status %d: %q", code, c.out)
	}
}

// consume --group writes to a file and is killed with SIGKILL at random moments,
// again and again, while records come in. Every record is in the file: what was
// committed had been written.
func TestConsumeGroup_Kill9LosesNothing(t *testing.T) {
	addr := broker(t)
	hf(t, "", "topic", "create", "t", "-p", "3", "-b", addr).want(t, 0)
	const kills, records = 10, 300_000
	file, err := os.OpenFile(filepath.Join(t.TempDir(), "out"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	in, want := numbers(records)
	hf(t, in, "produce", "t", "-b", addr).want(t, 0)
	midway := 0
	for round := range kills {
		cmd := program(t, "consume", "t", "-g", "g", "-f", `%v\n`, "-X", "group.instance.id=one", "-b", addr)
		var talk bytes.Buffer
		cmd.Stdout, cmd.Stderr = file, &talk
		before, _ := file.Stat()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// It is killed soon after it began to write: between a write and its commit,
		// more often than not.
		beat := time.NewTicker(time.Millisecond)
		for deadline := time.After(10 * time.Second); ; {
			st, err := file.Stat()
			if err != nil || st.Size() > before.Size() {
				midway++
				break
			}
			select {
			case <-beat.C:
				continue
			case <-deadline:
			}
			break
		}
		beat.Stop()
		if rand.IntN(2) == 0 {
			<-time.After(time.Duration(rand.IntN(5000)) * time.Microsecond)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		// The kill may have torn the last line; it was not committed, and comes again.
		if _, err := file.WriteString("\n"); err != nil {
			t.Fatal(err)
		}
		if code := cmd.ProcessState.ExitCode(); code != -1 {
			t.Fatalf("round %d: status %d: %s", round, code, talk.String())
		}
	}
	// What no member has committed comes last.
	counts := map[string]int{}
	cmd := program(t, "consume", "t", "-g", "g", "-f", `%v\n`, "-X", "group.instance.id=one", "-b", addr)
	cmd.Stdout = file
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hf(t, "last\n", "produce", "t", "-b", addr).want(t, 0)
	patience := time.Now().Add(30 * time.Second)
	for !strings.Contains(readFile(t, file.Name()), "last\n") || !strings.Contains(hf(t, "", "group", "describe", "g", "-b", addr).out, " 0 record(s)") {
		if time.Now().After(patience) {
			t.Fatal("the group does not come to the end")
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(readFile(t, file.Name())) {
		counts[strings.TrimSuffix(line, "\n")]++
	}
	delete(counts, "last")
	lost, again := 0, 0
	for _, v := range want {
		switch n := counts[v]; {
		case n == 0:
			lost++
		case n > 1:
			again++
		}
	}
	t.Logf("%d kills, %d of them while it wrote, %d records: lost %d, printed more than once %d", kills, midway, len(want), lost, again)
	if lost > 0 {
		t.Errorf("lost %d of %d", lost, len(want))
	}
}

// A broker that is away for a while ends no member, whether it was killed between
// two commits or in the middle of one.
func TestConsumeGroup_OutlivesTheBroker(t *testing.T) {
	for name, committed := range map[string]bool{"between commits": true, "around a commit": false} {
		t.Run(name, func(t *testing.T) { outlive(t, committed) })
	}
}

func outlive(t *testing.T, committed bool) {
	dir := filepath.Join(t.TempDir(), "data")
	running, addr := brokerProcess(t, dir, "127.0.0.1:0")
	hf(t, "", "topic", "create", "t", "-b", addr).want(t, 0)
	c := newCall("")
	done := make(chan int, 1)
	go func() {
		done <- c.run(t, "consume", "t", "-g", "g", "-f", `%v\n`, "-b", addr, "-X", "session.timeout.ms=6000")
	}()
	hf(t, "one\n", "produce", "t", "-b", addr).want(t, 0)
	c.out.wait(t, "one\n")
	for committed && !strings.Contains(hf(t, "", "group", "describe", "g", "-O", "json", "-b", addr).out, `"committed": 1`) {
		if t.Context().Err() != nil {
			t.Fatal("nothing was committed")
		}
	}
	_ = running.Process.Kill()
	_ = running.Wait()
	c.err.wait(t, "waiting for "+addr)
	if committed {
		c.err.wait(t, "the group went on without this member")
	}
	second, _ := brokerProcess(t, dir, addr)
	defer end(t, second)
	hf(t, "two\n", "produce", "t", "-b", addr).want(t, 0)
	c.out.wait(t, "two\n")
	c.interrupts <- os.Interrupt
	if code := <-done; code != 0 {
		t.Errorf("status %d: %s", code, c.err)
	}
	if n := strings.Count(c.err.String(), "the group went on"); n > 1 {
		t.Errorf("it is said %d times that one assignment is lost:\n%s", n, c.err)
	}
	hf(t, "", "group", "describe", "g", "-b", addr).want(t, 0, "Empty", "Lag:             0 record(s)")
}

// What trying again does not mend ends consume.
func TestConsumeGroup_ARefusedMemberEnds(t *testing.T) {
	addr := broker(t)
	hf(t, "", "topic", "create", "t", "-b", addr).want(t, 0)
	r := hf(t, "", "consume", "t", "-g", "g", "-X", "session.timeout.ms=100", "-b", addr).want(t, 1, "INVALID_SESSION_TIMEOUT")
	if strings.Contains(r.err, "partition 0") {
		t.Errorf("a group's session has no partition: %s", r.err)
	}
}

// consume says once that the broker is away and once that it is back.
func TestConsume_SaysThatItWaits(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, addr := brokerProcess(t, dir, "127.0.0.1:0")
	hf(t, "", "topic", "create", "t", "-b", addr).want(t, 0)
	c := newCall("")
	done := make(chan int, 1)
	go func() { done <- c.run(t, "consume", "t", "-f", `%v\n`, "-b", addr) }()
	hf(t, "one\n", "produce", "t", "-b", addr).want(t, 0)
	c.out.wait(t, "one\n")
	end(t, first)
	c.err.wait(t, "waiting for "+addr)
	second, _ := brokerProcess(t, dir, addr)
	c.err.wait(t, addr+" is back")
	hf(t, "two\n", "produce", "t", "-b", addr).want(t, 0)
	c.out.wait(t, "two\n")
	c.interrupts <- os.Interrupt
	if code := <-done; code != 0 {
		t.Errorf("status %d", code)
	}
	end(t, second)
	if n := strings.Count(c.err.String(), "\n"); n != 2 {
		t.Errorf("%d lines, want one for each change:\n%s", n, c.err)
	}
}
