//go:build unix

package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// devLine is what dev -O json says.
type devLine struct {
	Event   string
	Brokers []struct {
		ID, PID                       int
		Listener, Admin, Dir, Command string
	}
	Broker, PID     int
	Status, Command string
}

// dev --brokers 3 starts three processes that are one cluster, says which one was
// killed and with what command it comes back, sees it come back, and leaves none of
// its own behind.
func TestDev_ThreeBrokersDieAndComeBack(t *testing.T) {
	home := t.TempDir()
	env := append(os.Environ(), "HOLDFAST_TEST_RUN=1", "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	dev := program(t, "dev", "--brokers", "3", "--listeners", "PLAINTEXT://127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "-O", "json")
	dev.Env = env
	var errText bytes.Buffer
	dev.Stderr = &errText
	out, err := dev.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	next := func(event string) devLine {
		t.Helper()
		late := time.AfterFunc(time.Minute, func() { _ = dev.Process.Kill() })
		defer late.Stop()
		var l devLine
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &l) != nil || l.Event != event {
			t.Fatalf("want %q, got %q\n%s", event, lines.Text(), errText.String())
		}
		return l
	}
	ready := next("ready")
	if len(ready.Brokers) != 3 {
		t.Fatalf("%d brokers: %s", len(ready.Brokers), lines.Text())
	}
	for i, b := range ready.Brokers {
		if b.ID != i+1 || b.PID == 0 || b.Listener == "" || b.Admin == "" || filepath.Dir(b.Dir) != filepath.Join(home, "holdfast") {
			t.Errorf("%+v", b)
		}
	}
	addresses := ready.Brokers[0].Listener + "," + ready.Brokers[1].Listener + "," + ready.Brokers[2].Listener
	hf(t, "", "topic", "create", "t", "-p", "3", "-b", addresses).want(t, 0, "replication factor 3")
	hf(t, "a\nb\nc\n", "produce", "t", "-b", addresses).want(t, 0, "acknowledged=3")
	hf(t, "", "topic", "describe", "t", "-b", addresses).want(t, 0, "Durable end on each broker", "BROKER 3")
	hf(t, "", "cluster", "health", "--wait", "20s", "-b", addresses).want(t, 0, "healthy: 3 broker(s)")

	if err := syscall.Kill(ready.Brokers[1].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	died := next("died")
	if died.Broker != 2 || died.PID != ready.Brokers[1].PID || died.Status != "signal: killed" || died.Command != ready.Brokers[1].Command {
		t.Errorf("%+v", died)
	}
	hf(t, "", "cluster", "health", "-b", ready.Brokers[0].Listener).want(t, 10, "NOT healthy", "broker 2", "is down")
	hf(t, "d\n", "produce", "t", "-p", "1", "-b", addresses).want(t, 0, "acknowledged=1")

	again := exec.CommandContext(t.Context(), "sh", "-c", "exec "+died.Command)
	again.Env = env
	again.Dir, err = os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	if back := next("back"); back.Broker != 2 {
		t.Errorf("%+v", back)
	}
	hf(t, "", "cluster", "health", "--wait", "30s", "-b", addresses).want(t, 0, "healthy: 3 broker(s)")
	r := hf(t, "", "consume", "t", "-o", ":end", "-f", `%v\n`, "-b", addresses).want(t, 0)
	if n := strings.Count(r.out, "\n"); n != 4 {
		t.Errorf("%d records, want 4: %q", n, r.out)
	}
	// A broker that somebody else started is somebody else's to stop.
	if err := again.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := again.Wait(); err != nil {
		t.Errorf("the broker that was brought back: %v", err)
	}
	next("died")
	if err := dev.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	next("stopped")
	if err := dev.Wait(); err != nil {
		t.Errorf("%v\n%s", err, errText.String())
	}
	for _, b := range ready.Brokers {
		if err := syscall.Kill(b.PID, 0); err != syscall.ESRCH {
			t.Errorf("process %d of broker %d is still there: %v", b.PID, b.ID, err)
		}
	}
}

// What cannot work is said before anything starts.
func TestDev_RefusesWhatCannotWork(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"--brokers 0", "want at least one"},
		{"--brokers 10", "want at most 9"},
		{"--brokers 3 -O yaml", "text or json"},
		{"--brokers 3 --listeners PLAINTEXT://127.0.0.1:1,INTERNAL://127.0.0.1:2 --set listener.security.protocol.map=INTERNAL:PLAINTEXT,PLAINTEXT:PLAINTEXT --set inter.broker.listener.name=PLAINTEXT", "one listener each"},
	} {
		hf(t, "", append([]string{"dev", "--data-dir", fmt.Sprint(t.TempDir(), "/d")}, strings.Fields(c.args)...)...).want(t, 2, c.says)
	}
}
