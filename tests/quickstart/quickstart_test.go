//go:build rig

package quickstart_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/tests/quickstart"
	"holdfast/tests/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// address is where the README's broker listens.
const address = "127.0.0.1:9092"

// TestQuickStart runs the blocks of the README in their order.
func TestQuickStart(t *testing.T) {
	runPage(t, "README.md", "the README's quick start as printed, in a fresh HOME")
}

// TestNoLoss runs the page for those who fear to lose data: each loss that no
// broker can prevent is shown as it says.
func TestNoLoss(t *testing.T) {
	if _, err := exec.LookPath("kcat"); err != nil {
		rig.Missing(t, "kcat", "docs/NO_LOSS.md shows losses at a kcat producer")
	}
	runPage(t, "docs/NO_LOSS.md", "the commands of docs/NO_LOSS.md as printed, in a fresh HOME")
}

func runPage(t *testing.T, page, what string) {
	if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		conn.Close()
		t.Fatalf("somebody listens on %s already; the broker of %s needs it", address, page)
	}
	blocks, err := quickstart.Blocks(read(t, page))
	if err != nil {
		t.Fatal(err)
	}
	s := &session{page: page, home: rig.TempDir(t)}
	began := time.Now()
	ran := 0
	for _, b := range blocks {
		switch b.Mark {
		case "sh quickstart server":
			s.serve(t, b)
			ran++
		case "sh quickstart":
			s.run(t, b)
			ran++
		case "text quickstart output":
			s.expect(t, b)
		}
	}
	if s.server == nil || ran < 2 {
		t.Fatalf("%d blocks ran; %s needs one marked \"sh quickstart server\" and one marked \"sh quickstart\"", ran, page)
	}
	if err := s.stop(t); err != nil {
		t.Errorf("stop the broker of %s: %v", page, err)
	}
	rig.Record(t, rig.Result{What: what, Rounds: ran, Seconds: time.Since(began).Seconds()})
}

// session is one newcomer.
type session struct {
	page   string
	home   string
	server *rig.Process
	last   func() string // output of the block before
}

// env is a fresh HOME; only Go's caches are handed on, so that nothing is
// compiled or fetched twice.
func (s *session) env(t *testing.T) []string {
	t.Helper()
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "TERM=dumb", "USER=newcomer"}
	out, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GOFLAGS").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(out), "\n")
	for i, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GOFLAGS"} {
		env = append(env, name+"="+lines[i])
	}
	return env
}

// serve starts the block and waits until the broker accepts.
func (s *session) serve(t *testing.T, b quickstart.Block) {
	t.Helper()
	p, err := rig.Start(rig.Command{
		Path: "bash", Args: []string{"-ec", b.Text}, Env: s.env(t), Dir: rig.Root(), Log: filepath.Join(s.home, "server.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.KillGroup)
	s.server, s.last = p, func() string { return p.Tail(1 << 20) }
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			conn.Close()
			return
		}
		if !p.Alive() || time.Now().After(deadline) {
			t.Fatalf("%s line %d: nobody listens on %s:\n%s", s.page, b.Line, address, p.Tail(4000))
		}
	}
}

func (s *session) run(t *testing.T, b quickstart.Block) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", b.Text)
	cmd.Dir, cmd.Env = rig.Root(), s.env(t)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s line %d: %v\n%s\n%s", s.page, b.Line, err, b.Text, out.String())
	}
	s.last = out.String
}

func (s *session) expect(t *testing.T, b quickstart.Block) {
	t.Helper()
	if s.last == nil {
		t.Fatalf("%s line %d: output without a command before it", s.page, b.Line)
	}
	var missing string
	for range 100 { // a server may print a moment after it listens
		if missing = quickstart.Missing(s.last(), b.Text); missing == "" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("%s line %d: the output lacks %q:\n%s", s.page, b.Line, missing, s.last())
}

// stop ends the broker as a person would, with ctrl-C to the whole group.
func (s *session) stop(t *testing.T) error {
	t.Helper()
	s.server.InterruptGroup()
	if _, err := s.server.WaitExit(20 * time.Second); err != nil {
		return err
	}
	for range 200 { // make or go run may end before the broker below it
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return nil
		}
		conn.Close()
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("somebody still listens on %s after ctrl-C", address)
}
