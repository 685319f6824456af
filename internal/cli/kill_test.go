//go:build unix

package cli_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/cli"
)

// TestMain lets the test binary be the program itself.
func TestMain(m *testing.M) {
	if os.Getenv("HOLDFAST_TEST_RUN") == "1" {
		os.Exit(cli.Main(os.Args))
	}
	os.Exit(m.Run())
}

// program is the program as a process of its own.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), "HOLDFAST_TEST_RUN=1")
	return cmd
}

// produce with an unacked file is killed with SIGKILL at random moments, and its
// pipe goes on to the next process. In the end every line that was fed is
// stored. Lines whose acknowledgement was not noted may be stored twice; lost
// ones may not be.
func TestProduce_UnackedFileSurvivesKill9(t *testing.T) {
	_, addr := fake(t, "t")
	file := filepath.Join(t.TempDir(), "left")
	pipeR, pipeW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	const kills = 12
	var want []string // written by the feeder until fed is closed
	enough, fed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(fed)
		defer pipeW.Close()
		beat := time.NewTicker(time.Millisecond)
		defer beat.Stop()
		for {
			select {
			case <-enough:
				return
			case <-beat.C:
			}
			from := len(want)
			for range 50 {
				want = append(want, fmt.Sprintf("record-%06d", len(want)))
			}
			_, _ = io.WriteString(pipeW, strings.Join(want[from:], "\n")+"\n")
		}
	}()
	killed, resumed := 0, 0
	for round := 0; ; round++ {
		var errText bytes.Buffer
		cmd := program(t, "produce", "t", "-b", addr, "--unacked-file", file)
		if st, err := os.Stat(file); err == nil && st.Size() > 0 {
			cmd = program(t, "produce", "--resume", file, "--continue", "-b", addr)
			resumed++
		}
		cmd.Stdin, cmd.Stderr = pipeR, &errText
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		if killed < kills {
			// Every other round is not killed before it has kept something, however
			// slow the machine is.
			go killLater(cmd.Process, ended, round%2 == 0, file)
		}
		err := cmd.Wait()
		close(ended)
		if err == nil {
			if _, left := os.Stat(file); left == nil {
				t.Fatalf("round %d succeeded and left %s", round, file)
			}
			break // read to the end of the input
		}
		if cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("round %d: %v\n%s", round, err, errText.String())
		}
		if killed++; killed == kills {
			close(enough)
		}
	}
	<-fed
	pipeR.Close()
	counts := map[string]int{}
	for _, v := range stored(t, addr, "t") {
		counts[v]++
	}
	lost, doubled := 0, 0
	for _, v := range want {
		switch n := counts[v]; {
		case n == 0:
			lost++
		case n > 1:
			doubled++
		}
		delete(counts, v)
	}
	t.Logf("%d kills, %d resumptions, %d lines: lost %d, stored more than once %d, foreign %d", killed, resumed, len(want), lost, doubled, len(counts))
	if lost > 0 || len(counts) > 0 {
		t.Errorf("lost %d of %d, and %d lines that were never fed", lost, len(want), len(counts))
	}
	if killed < kills || resumed < kills/2 {
		t.Errorf("only %d kills and %d resumptions: the test shows too little", killed, resumed)
	}
}

// killLater kills the process after a random while, which begins, if it is to be
// at work, when file has bytes.
func killLater(p *os.Process, ended <-chan struct{}, atWork bool, file string) {
	for atWork {
		if st, err := os.Stat(file); err == nil && st.Size() > 0 {
			break
		}
		select {
		case <-ended:
			return
		case <-time.After(time.Millisecond):
		}
	}
	select {
	case <-ended:
	case <-time.After(time.Duration(20+rand.IntN(60)) * time.Millisecond):
		_ = p.Kill()
	}
}

// SIGTERM ends a broker with status 0; so does Ctrl-C of consume in a process of
// its own, with what it read on stdout.
func TestProcess_SignalsAndPipes(t *testing.T) {
	_, addr := fake(t, "t")
	in, _ := numbers(5000)
	hf(t, in, "produce", "t", "-b", addr).want(t, 0)
	cmd := program(t, "consume", "t", "-f", `%v\n`, "-b", addr)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if _, err := io.ReadFull(out, buf); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Errorf("consume after Ctrl-C: %v", err)
	}
	// A reader that goes away ends consume quietly.
	cmd = program(t, "consume", "t", "-f", `%v\n`, "-b", addr)
	var errText bytes.Buffer
	cmd.Stderr = &errText
	if out, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, buf); err != nil {
		t.Fatal(err)
	}
	out.Close()
	hf(t, in, "produce", "t", "-b", addr).want(t, 0)
	if err := cmd.Wait(); err != nil || errText.Len() > 0 {
		t.Errorf("consume without a reader: %v, %q", err, errText.String())
	}
}
