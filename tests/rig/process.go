package rig

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Command says how a child process is started.
type Command struct {
	Path string
	Args []string
	Env  []string // added to PATH and HOME, which is all that is handed down
	Dir  string   // working directory; the test's own when empty
	Log  string   // file that stdout and stderr are appended to
}

// Process is a running child.
type Process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // of Wait; read after done
}

// Start runs the command in a process group of its own. It dies with the test
// process.
func Start(c Command) (*Process, error) {
	if err := os.MkdirAll(filepath.Dir(c.Log), 0o755); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	out, err := os.OpenFile(c.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	defer out.Close()
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.Dir, out, out
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, c.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	p := &Process{cmd: cmd, log: c.Log, done: make(chan struct{})}
	running.Add(1)
	go func() {
		p.err = cmd.Wait()
		running.Add(-1)
		close(p.done)
	}()
	return p, nil
}

// running counts the children that are alive; a test may assert that it is 0.
var running atomic.Int32

// Running is the number of children of this test process that are alive.
func Running() int { return int(running.Load()) }

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log is the file that holds what the process printed.
func (p *Process) Log() string { return p.log }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Kill ends the process at once, as kill -9 does, and waits for it.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Signal sends a signal; a process that has ended is not an error.
func (p *Process) Signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// Terminate asks the process to end (SIGTERM) and waits at most wait. It
// returns nil when the exit status is 0; after the wait the process is killed.
func (p *Process) Terminate(wait time.Duration) error {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return p.exit()
	case <-time.After(wait):
		p.Kill()
		return fmt.Errorf("terminate %d: still running %v after SIGTERM\n%s", p.PID(), wait, p.Tail(2000))
	}
}

// WaitExit waits at most wait for the process to end by itself and returns its
// exit status.
func (p *Process) WaitExit(wait time.Duration) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(wait):
		return 0, fmt.Errorf("wait for %d: still running after %v\n%s", p.PID(), wait, p.Tail(2000))
	}
}

func (p *Process) exit() error {
	if p.err != nil {
		return fmt.Errorf("process %d: %w\n%s", p.PID(), p.err, p.Tail(2000))
	}
	return nil
}

// Alive reports whether the process runs.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Tail is the last n bytes that the process printed.
func (p *Process) Tail(n int64) string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if int64(len(b)) > n {
		b = b[int64(len(b))-n:]
	}
	return string(bytes.ToValidUTF8(b, []byte("?")))
}

// ResidentBytes is the memory that the process holds now.
func (p *Process) ResidentBytes() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, fmt.Errorf("resident memory: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("resident memory: no VmRSS line")
}

// KillGroup kills the process and its children.
func (p *Process) KillGroup() {
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	<-p.done
}

// InterruptGroup sends ctrl-C to the process and its children.
func (p *Process) InterruptGroup() { _ = syscall.Kill(-p.PID(), syscall.SIGINT) }
