package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/config"
)

// The bounds of dev --brokers.
const (
	devBrokersMax = 9
	// devReadyMax is how long the brokers may take until each knows all of them.
	devReadyMax = time.Minute
	// devLook is how often dev looks whether a broker is there.
	devLook = 25 * time.Millisecond
	// devStopMax is how long dev waits for the brokers' clean end.
	devStopMax = 40 * time.Second
)

// devBroker is one process of dev --brokers.
type devBroker struct {
	ID       int    `json:"id"`
	PID      int    `json:"pid"`
	Listener string `json:"listener"`
	Admin    string `json:"admin,omitempty"`
	Dir      string `json:"dir"`
	// Command brings the broker back, pasted into a shell.
	Command string `json:"command"`

	args []string
	cmd  *exec.Cmd
	down bool // it is not there, whoever started it
	ours bool // the process that runs is our child
}

// devEvent is what dev --brokers tells a program: one object a line.
type devEvent struct {
	Event      string       `json:"event"` // ready, died, back, stopped
	Brokers    []*devBroker `json:"brokers,omitempty"`
	TookMillis int64        `json:"took_ms,omitempty"`
	Broker     int          `json:"broker,omitempty"`
	PID        int          `json:"pid,omitempty"`
	Status     string       `json:"status,omitempty"`  // how it ended
	Command    string       `json:"command,omitempty"` // that brings it back
}

// devCluster is the brokers of one terminal.
type devCluster struct {
	a       *app
	brokers []*devBroker
	ended   chan *devBroker // a child that has ended
}

// serveCluster runs several brokers, each a process of its own, until a signal.
func (a *app) serveCluster(ctx context.Context, o serverOptions) error {
	if a.format != formatText && a.format != formatJSON && a.format != formatJSONL {
		return usagef("-O %s: dev tells what happens as text or json", a.format)
	}
	d, err := a.planCluster(o)
	if err != nil {
		return err
	}
	begun := a.Streams.Clock.Now()
	for _, b := range d.brokers {
		if err := d.launch(ctx, b); err != nil {
			return errors.Join(err, d.stop())
		}
	}
	if err := d.awaitAll(ctx); err != nil {
		return errors.Join(err, d.stop())
	}
	if err := d.tell(devEvent{Event: "ready", Brokers: d.brokers, TookMillis: a.Streams.Clock.Since(begun).Milliseconds()}); err != nil {
		return errors.Join(err, d.stop())
	}
	return d.watch(ctx)
}

// planCluster decides where each broker lives: ports and directories are those of
// one broker, counted on.
func (a *app) planCluster(o serverOptions) (*devCluster, error) {
	if o.brokers > devBrokersMax {
		return nil, usagef("--brokers %d: want at most %d on one machine", o.brokers, devBrokersMax)
	}
	var err error
	if o.dataDir == "" && !a.saysDataDir(o) {
		if o.dataDir, err = a.userDataDir(); err != nil {
			return nil, err
		}
	}
	first, warnings, err := a.brokerConfig(o)
	for _, w := range warnings {
		a.talk("warning: %s: %s", w.Key, w.Text)
	}
	if err != nil {
		return nil, err
	}
	if len(first.Listeners) != 1 {
		return nil, usagef("--brokers %d: the brokers of one terminal have one listener each; %d are configured", o.brokers, len(first.Listeners))
	}
	if first.DataDir, err = filepath.Abs(first.DataDir); err != nil {
		return nil, err
	}
	d := &devCluster{a: a, ended: make(chan *devBroker, o.brokers)}
	for i := range o.brokers {
		b, err := a.planBroker(first, i)
		if err != nil {
			return nil, err
		}
		d.brokers = append(d.brokers, b)
	}
	d.giveArguments(o, first)
	return d, nil
}

// planBroker is the i-th broker beside the first one.
func (a *app) planBroker(first *config.Broker, i int) (*devBroker, error) {
	b := &devBroker{ID: int(max(first.NodeID, 1)) + i, Dir: first.DataDir}
	if i > 0 {
		b.Dir += "-" + strconv.Itoa(i+1)
	}
	bind := first.Listeners[0].Bind
	listener, err := countOn(bind.Host, int(bind.Port), i)
	if err != nil {
		return nil, err
	}
	b.Listener = listener
	if first.AdminListen == "" {
		return b, nil
	}
	host, port, err := net.SplitHostPort(first.AdminListen)
	if err != nil {
		return nil, usagef("--admin-listen %s: %v", first.AdminListen, err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, usagef("--admin-listen %s: want a port", first.AdminListen)
	}
	b.Admin, err = countOn(host, n, i)
	return b, err
}

// countOn is the i-th address after host:port. Port 0 is any that is free now.
func countOn(host string, port, i int) (string, error) {
	if port > 0 {
		return net.JoinHostPort(host, strconv.Itoa(port+i)), nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// giveArguments writes the command line of every broker: they differ in id,
// directory and addresses only.
func (d *devCluster) giveArguments(o serverOptions, first *config.Broker) {
	var all []string
	for _, b := range d.brokers {
		all = append(all, b.Listener)
	}
	for _, b := range d.brokers {
		admin := b.Admin
		if admin == "" {
			admin = "none"
		}
		b.args = []string{"server", "--node-id", strconv.Itoa(b.ID), "--data-dir", b.Dir, "--listeners", "PLAINTEXT://" + b.Listener,
			"--admin-listen", admin, "--bootstrap", strings.Join(all, ","), "--quiet", "--set", fmt.Sprintf("auto.create.topics.enable=%v", first.AutoCreateTopics)}
		if o.file != "" {
			b.args = append(b.args, "--config", o.file)
		}
		for _, kv := range o.set {
			b.args = append(b.args, "--set", kv)
		}
		words := []string{shellWord(d.a.name())}
		for _, w := range b.args {
			words = append(words, shellWord(w))
		}
		b.Command = strings.Join(words, " ")
	}
}

// launch starts the process of a broker.
func (d *devCluster) launch(ctx context.Context, b *devBroker) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	b.cmd = exec.CommandContext(context.WithoutCancel(ctx), self, b.args...)
	b.cmd.Env = d.a.Streams.Env
	b.cmd.SysProcAttr = childOfDev()
	said := &prefixed{prefix: fmt.Sprintf("broker %d: ", b.ID), to: d.a.Streams.Err}
	b.cmd.Stdout, b.cmd.Stderr = said, said
	if err := b.cmd.Start(); err != nil {
		return fmt.Errorf("start broker %d: %w", b.ID, err)
	}
	b.PID, b.ours = b.cmd.Process.Pid, true
	go func() {
		_ = b.cmd.Wait() // ProcessState says how it ended
		d.ended <- b
	}()
	return nil
}

// awaitAll waits until every broker knows all of them.
func (d *devCluster) awaitAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, devReadyMax)
	defer cancel()
	last := errors.New("no answer")
	for ctx.Err() == nil {
		missing := d.missing(ctx)
		if missing == nil {
			return nil
		}
		last = missing
		select {
		case b := <-d.ended:
			b.ours = false
			return fmt.Errorf("broker %d (process %d) ended while it started: %s", b.ID, b.PID, b.cmd.ProcessState)
		case <-d.a.Streams.Interrupts:
			return errors.New("interrupted while the brokers start")
		case <-d.tick():
		}
	}
	return fmt.Errorf("the brokers are not ready after %v: %w", devReadyMax, last)
}

func (d *devCluster) tick() <-chan time.Time { return d.a.Streams.Clock.NewTimer(devLook).C() }

// missing is an error that names a broker which does not know all the others.
func (d *devCluster) missing(ctx context.Context) error {
	for _, b := range d.brokers {
		n, err := brokersKnownAt(ctx, b.Listener)
		if err != nil {
			return fmt.Errorf("broker %d: %w", b.ID, err)
		}
		if n < len(d.brokers) {
			return fmt.Errorf("broker %d knows %d of %d brokers", b.ID, n, len(d.brokers))
		}
	}
	return nil
}

// brokersKnownAt asks exactly one broker how many it knows.
func brokersKnownAt(ctx context.Context, address string) (int, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RequestRetries(0), kgo.DialTimeout(dialMax), kgo.DisableClientMetrics())
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, dialMax)
	defer cancel()
	r := kmsg.NewPtrMetadataRequest()
	r.Topics = []kmsg.MetadataRequestTopic{}
	got, err := cl.SeedBrokers()[0].Request(ctx, r)
	if err != nil {
		return 0, err
	}
	return len(got.(*kmsg.MetadataResponse).Brokers), nil
}

// watch tells of brokers that die and come back, until a signal.
func (d *devCluster) watch(ctx context.Context) error {
	for {
		select {
		case b := <-d.ended:
			b.ours, b.down = false, true
			if err := d.tell(devEvent{Event: "died", Broker: b.ID, PID: b.PID, Status: b.cmd.ProcessState.String(), Command: b.Command}); err != nil {
				return errors.Join(err, d.stop())
			}
		case <-d.tick():
			for _, b := range d.brokers {
				if b.down && listens(b.Listener) {
					b.down = false
					if err := d.tell(devEvent{Event: "back", Broker: b.ID}); err != nil {
						return errors.Join(err, d.stop())
					}
				} else if !b.ours && !b.down && !listens(b.Listener) {
					b.down = true
					if err := d.tell(devEvent{Event: "died", Broker: b.ID, Status: "its process is not ours", Command: b.Command}); err != nil {
						return errors.Join(err, d.stop())
					}
				}
			}
		case <-d.a.Streams.Interrupts:
			return d.stopTold()
		case <-ctx.Done():
			return d.stopTold()
		}
	}
}

func listens(address string) bool {
	conn, err := net.DialTimeout("tcp", address, dialMax)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

func (d *devCluster) stopTold() error {
	if err := d.stop(); err != nil {
		return err
	}
	return d.tell(devEvent{Event: "stopped"})
}

// stop ends our children cleanly and waits for them. A second signal, or a child
// that takes too long, does not wait for a clean end.
func (d *devCluster) stop() error {
	left := 0
	for _, b := range d.brokers {
		if b.ours {
			_ = b.cmd.Process.Signal(syscall.SIGTERM)
			left++
		}
	}
	began := d.a.Streams.Clock.Now()
	limit := d.a.Streams.Clock.NewTimer(devStopMax)
	defer limit.Stop()
	var failed error
	for left > 0 {
		select {
		case b := <-d.ended:
			b.ours = false
			left--
			if !b.cmd.ProcessState.Success() {
				failed = fmt.Errorf("broker %d (process %d) did not end in order: %s", b.ID, b.PID, b.cmd.ProcessState)
			}
		case <-limit.C():
			d.kill()
			failed = fmt.Errorf("the brokers did not end within %v and were killed; what was acknowledged is safe", devStopMax)
		case <-d.a.Streams.Interrupts:
			if d.a.Streams.Clock.Since(began) >= repeatWithin {
				d.kill()
				failed = errors.New("a second signal: the brokers were killed; what was acknowledged is safe")
			}
		}
	}
	return failed
}

func (d *devCluster) kill() {
	for _, b := range d.brokers {
		if b.ours {
			_ = b.cmd.Process.Kill()
		}
	}
}

// tell says what has happened, to a person or to a program.
func (d *devCluster) tell(e devEvent) error {
	if d.a.format != formatText {
		enc := json.NewEncoder(d.a.Streams.Out)
		enc.SetEscapeHTML(false)
		return enc.Encode(e)
	}
	var err error
	switch e.Event {
	case "ready":
		err = d.welcome(e)
	case "died":
		process := ""
		if e.PID > 0 {
			process = fmt.Sprintf(" (process %d)", e.PID)
		}
		_, err = fmt.Fprintf(d.a.Streams.Out, "\nBroker %d%s is gone: %s. In another terminal, this brings it back:\n\n  %s\n", e.Broker, process, e.Status, e.Command)
	case "back":
		_, err = fmt.Fprintf(d.a.Streams.Out, "\nBroker %d is back. Its process belongs to the terminal that started it.\n", e.Broker)
	case "stopped":
		_, err = fmt.Fprintln(d.a.Streams.Out, "stopped")
	}
	return err
}

// welcome tells a person where everything is and what to do next.
func (d *devCluster) welcome(e devEvent) error {
	a, n := d.a, len(d.brokers)
	fmt.Fprintf(a.Streams.Out, "Holdfast %s: %d brokers are ready after %d ms.\n\n", a.version(), n, e.TookMillis)
	var grid [][]any
	for _, b := range d.brokers {
		grid = append(grid, []any{b.ID, b.PID, b.Listener, adminText(b.Admin), b.Dir})
	}
	if err := a.grid([]any{"BROKER", "PROCESS", "LISTENER", "METRICS", "DATA DIRECTORY"}, grid); err != nil {
		return err
	}
	flag := ""
	if d.brokers[0].Listener != defaultBroker {
		flag = " -b " + d.brokers[0].Listener
	}
	_, err := fmt.Fprintf(a.Streams.Out, `
%s

Next, in another terminal:

  %[3]s topic create hello --partitions 6%[2]s
  echo "hello, world" | %[3]s produce hello%[2]s
  %[3]s topic describe hello%[2]s
  kill -9 PROCESS      # of the broker that leads, as printed above
  %[3]s consume hello -o :end%[2]s

Ctrl-C stops all of them.
`, survives(n), flag, shellWord(a.name()))
	return err
}

// survives says what so many brokers on one machine are proof against.
func survives(brokers int) string {
	if brokers < 3 {
		return `survives  kill -9 and power cuts. With two brokers, writes stop while one of them
          is away, because nothing is acknowledged that only one of them holds.`
	}
	return `survives  kill -9 of any one broker without losing or refusing a write, kill -9 of
          all, power cuts, and the loss of one data directory. They share this
          machine: its loss takes them all.`
}

// prefixed writes lines with a prefix. It is safe for concurrent use.
type prefixed struct {
	prefix string
	to     io.Writer

	mu   sync.Mutex
	part []byte // a line that has not ended
}

// prefixedLineMax bounds a line that never ends.
const prefixedLineMax = 64 << 10

// Write implements io.Writer.
func (p *prefixed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.part = append(p.part, b...)
	for {
		line, rest, ended := bytes.Cut(p.part, []byte("\n"))
		if !ended && len(p.part) < prefixedLineMax {
			return len(b), nil
		}
		if _, err := fmt.Fprintf(p.to, "%s%s\n", p.prefix, line); err != nil {
			return 0, err
		}
		p.part = append([]byte(nil), rest...)
	}
}
