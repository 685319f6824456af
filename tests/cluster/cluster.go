package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/internal/kafka"
	"holdfast/tests/rig"
)

// Options say what a cluster is made of.
type Options struct {
	Target  rig.Target // nil: the product
	Brokers int        // 0: three
	Dir     string     // for what the brokers print, and for their data
	// Roots are where the data directories are made, one for each broker; none:
	// below Dir.
	Roots []string
	Fault string   // planted in every broker
	Links bool     // links between brokers can be cut
	Set   []string // KEY=VALUE settings of every broker
}

// Cluster is several brokers of one binary.
type Cluster struct {
	Nodes []*Node // by id, from 1
	o     Options
	tb    testing.TB
	ask   *kgo.Client
	links *links
}

// Node is one broker over all its restarts.
type Node struct {
	ID    kafka.BrokerID
	Place rig.Place
	c     *Cluster
	proc  *rig.Process
}

// startLimit is how long a cluster may take until every broker knows every other.
const startLimit = 60 * time.Second

// New chooses ports and directories and starts nothing. What it starts later ends
// with the test.
func New(tb testing.TB, o Options) *Cluster {
	tb.Helper()
	if o.Brokers == 0 {
		o.Brokers = 3
	}
	if o.Target == nil {
		o.Target = rig.Holdfast{}
	}
	c := &Cluster{o: o, tb: tb}
	var members []rig.Member
	for i := range o.Brokers {
		dir := filepath.Join(o.Dir, fmt.Sprintf("broker-%d", i+1))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			tb.Fatal(err)
		}
		p := rig.NewPlace(tb, dir)
		p.ID, p.Set, p.Fault, p.Shared = i+1, o.Set, o.Fault, filepath.Join(o.Dir, "shared")
		if len(o.Roots) > 0 {
			p.DataDir = filepath.Join(o.Roots[i], filepath.Base(o.Dir), "data")
		}
		members = append(members, rig.Member{ID: p.ID, Addr: p.Addr, Admin: p.Admin})
		c.Nodes = append(c.Nodes, &Node{ID: kafka.BrokerID(p.ID), Place: p, c: c})
	}
	if o.Links {
		c.links = newLinks(o.Dir, members)
	}
	for _, n := range c.Nodes {
		n.Place.Members = members
		if o.Links {
			n.Place.Fault = strings.Trim(n.Place.Fault+","+rig.FaultCut, ",")
			n.Place.Cuts = c.links.file(n.ID)
		}
	}
	c.ask = rig.NewClient(tb, c.Addr(), kgo.RequestRetries(3), kgo.RetryTimeout(2*time.Second))
	return c
}

// Run starts every broker and waits until the cluster stands.
func Run(tb testing.TB, o Options) *Cluster {
	tb.Helper()
	c := New(tb, o)
	if err := c.Start(); err != nil {
		tb.Fatal(err)
	}
	return c
}

// Addr is what clients connect to: every broker, separated by commas.
func (c *Cluster) Addr() string {
	var all []string
	for _, n := range c.Nodes {
		all = append(all, n.Place.Addr)
	}
	return strings.Join(all, ",")
}

// Node is the broker with the id.
func (c *Cluster) Node(id kafka.BrokerID) *Node { return c.Nodes[int(id)-1] }

// Others are all brokers but these.
func (c *Cluster) Others(but ...kafka.BrokerID) (rest []*Node) {
	for _, n := range c.Nodes {
		out := false
		for _, id := range but {
			out = out || id == n.ID
		}
		if !out {
			rest = append(rest, n)
		}
	}
	return rest
}

// Start starts every broker that does not run and waits until each of them knows
// all of them.
func (c *Cluster) Start() error {
	for _, n := range c.Nodes {
		if !n.Alive() {
			if err := n.Launch(); err != nil {
				return err
			}
		}
	}
	return c.WaitStands(startLimit)
}

// WaitStands waits until every broker answers that all brokers are there and that
// one of them is the controller.
func (c *Cluster) WaitStands(limit time.Duration) error {
	return c.Await(limit, func(ctx context.Context) error {
		for _, n := range c.Nodes {
			m, err := c.metadata(ctx, n)
			switch {
			case err != nil:
				return fmt.Errorf("broker %d: %w", n.ID, err)
			case len(m.Brokers) != len(c.Nodes):
				return fmt.Errorf("broker %d knows %d of %d brokers", n.ID, len(m.Brokers), len(c.Nodes))
			case m.ControllerID < 0:
				return fmt.Errorf("broker %d knows no controller", n.ID)
			}
		}
		return nil
	})
}

// Await repeats a question until its answer is nil, at most for limit. The error
// holds the last answer and what the brokers printed last.
func (c *Cluster) Await(limit time.Duration, question func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	last := errors.New("nothing asked")
	for ctx.Err() == nil {
		one, stop := context.WithTimeout(ctx, 3*time.Second)
		err := question(one)
		stop()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || !errors.Is(err, context.DeadlineExceeded) {
			last = err
		}
		pause(ctx, 10*time.Millisecond)
	}
	return fmt.Errorf("after %v: %w\n%s", limit, last, c.Tails(1500))
}

// Tails is what every broker printed last.
func (c *Cluster) Tails(each int64) string {
	var text strings.Builder
	for _, n := range c.Nodes {
		state := "is down"
		if n.Alive() {
			state = fmt.Sprintf("runs as process %d", n.proc.PID())
		}
		fmt.Fprintf(&text, "--- broker %d %s\n", n.ID, state)
		if n.proc != nil {
			text.WriteString(n.proc.Tail(each) + "\n")
		}
	}
	return text.String()
}

// Launch starts the broker and does not wait.
func (n *Node) Launch() error {
	proc, err := rig.Start(n.c.o.Target.Command(n.c.tb, n.Place))
	if err != nil {
		return err
	}
	n.proc = proc
	n.c.tb.Cleanup(proc.Kill)
	return nil
}

// Start starts the broker and waits until it serves.
func (n *Node) Start() error {
	if err := n.Launch(); err != nil {
		return err
	}
	return rig.WaitReady(n.c.o.Target, n.Place, n.proc, startLimit)
}

// Alive reports whether the process runs; a paused one does.
func (n *Node) Alive() bool { return n.proc != nil && n.proc.Alive() }

// PID is the process id of the broker.
func (n *Node) PID() int { return n.proc.PID() }

// Process is the running broker.
func (n *Node) Process() *rig.Process { return n.proc }

// Kill ends the broker as kill -9 does.
func (n *Node) Kill() { n.proc.Kill() }

// Pause stops the process (SIGSTOP) and waits until the kernel says that it is.
func (n *Node) Pause() error {
	n.proc.Signal(syscall.SIGSTOP)
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if state, err := processState(n.PID()); err != nil || state == 'T' {
			return err
		}
	}
	return fmt.Errorf("broker %d: process %d does not stop", n.ID, n.PID())
}

// Resume lets a paused process go on.
func (n *Node) Resume() { n.proc.Signal(syscall.SIGCONT) }

// Stop ends the broker as an operator does, with status 0.
func (n *Node) Stop(limit time.Duration) error {
	if err := n.proc.Terminate(limit); err != nil {
		return fmt.Errorf("stop broker %d: %w", n.ID, err)
	}
	return nil
}

// Wipe removes the data directory of a broker that is down.
func (n *Node) Wipe() error {
	if n.Alive() {
		return fmt.Errorf("wipe broker %d: it runs", n.ID)
	}
	return os.RemoveAll(n.Place.DataDir)
}

// Said returns the lines of the broker's output since it was first started that
// hold all of the words.
func (n *Node) Said(words ...string) (lines []string) {
	text, err := os.ReadFile(n.Place.Log)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// Listens reports whether the broker's port accepts.
func (n *Node) Listens() bool {
	conn, err := net.DialTimeout("tcp", n.Place.Addr, 200*time.Millisecond)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// processState is the letter that the kernel gives for the process: R, S, T, ...
func processState(pid int) (byte, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, after, found := strings.Cut(string(b), ") ")
	if !found || after == "" {
		return 0, fmt.Errorf("state of process %d: %q", pid, b)
	}
	return after[0], nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
