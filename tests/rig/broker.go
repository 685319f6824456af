package rig

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Place is where one broker lives, over all its restarts.
type Place struct {
	DataDir string
	Addr    string   // host:port of the listener
	Admin   string   // host:port of the admin listener
	Log     string   // file for what it prints
	Fault   string   // planted faults, separated by commas, or empty
	Cuts    string   // file that says which links are cut; needs FaultCut
	Set     []string // key=value settings
	// ID is the broker's in a cluster, from 1; 0: it lives alone.
	ID int
	// Members are all brokers of its cluster, itself included; none: it lives alone.
	Members []Member
	// Shared is what the brokers of one user share: the place of their secret.
	// Empty: the user's own.
	Shared string
}

// Member is how one broker of a cluster knows another.
type Member struct {
	ID          int
	Addr, Admin string // as in Place
}

// The planted faults. A binary without the build tag faults ignores them.
const (
	FaultAckBeforeWrite  = "ack-before-write"
	FaultNoFsync         = "no-fsync"
	FaultNoProducerTable = "no-producer-table"
	FaultCommitEarly     = "commit-early"
	// FaultAckEarly acknowledges when the leader alone holds a batch, before the
	// high watermark: invisible with one broker.
	FaultAckEarly = "ack-before-high-watermark"
	// FaultCut lies about nothing: it lets Place.Cuts cut links between brokers.
	FaultCut = "cut"
)

// NewPlace chooses ports and file names below dir.
func NewPlace(tb testing.TB, dir string) Place {
	tb.Helper()
	return Place{
		DataDir: filepath.Join(dir, "data"),
		Addr:    fmt.Sprintf("127.0.0.1:%d", FreePort(tb)),
		Admin:   fmt.Sprintf("127.0.0.1:%d", FreePort(tb)),
		Log:     filepath.Join(dir, "broker.log"),
	}
}

// FreePort is a port that nobody listens on. It lies below the range that the
// kernel takes for outgoing connections, so that it stays free while a broker
// is down.
func FreePort(tb testing.TB) int {
	tb.Helper()
	port, err := FindPort()
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

// FindPort is FreePort outside a test.
func FindPort() (int, error) {
	for range 1000 {
		port := 15000 + rand.IntN(15000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return port, nil
		}
	}
	return 0, errors.New("find a port: none is free in a thousand tries")
}

// Target is a kind of broker that a rig can run.
type Target interface {
	Name() string
	// Command is how to start it at the place.
	Command(tb testing.TB, p Place) Command
	// ReadyURL answers 200 when it serves, or is empty: then an open port is enough.
	ReadyURL(p Place) string
}

// DefaultTarget is the product, or what HOLDFAST_RIG_TARGET names.
func DefaultTarget(tb testing.TB) Target {
	tb.Helper()
	switch name := os.Getenv("HOLDFAST_RIG_TARGET"); name {
	case "", "holdfast":
		return Holdfast{}
	case "strawman":
		return Strawman{}
	case "kafka":
		return ApacheKafka{}
	case "kafka-flush":
		return ApacheKafka{Flush: true}
	default:
		tb.Fatalf("HOLDFAST_RIG_TARGET=%q: want holdfast, strawman, kafka or kafka-flush", name)
		return nil
	}
}

// Holdfast is the product.
type Holdfast struct{}

// Name is "holdfast".
func (Holdfast) Name() string { return "holdfast" }

// Command is holdfast server; with a fault, the faulty build of it.
func (Holdfast) Command(tb testing.TB, p Place) Command {
	c := Command{Args: p.ServerArgs(), Log: p.Log}
	if p.Shared != "" {
		c.Env = append(c.Env, "XDG_CONFIG_HOME="+p.Shared)
	}
	if p.Fault == "" {
		c.Path = Binary(tb)
		return c
	}
	c.Path = FaultyBinary(tb)
	c.Env = append(c.Env, "HOLDFAST_FAULT="+p.Fault)
	if p.Cuts != "" {
		c.Env = append(c.Env, "HOLDFAST_CUTS="+p.Cuts)
	}
	return c
}

// ServerArgs is the product's command line for the place.
func (p Place) ServerArgs() []string {
	args := []string{"server", "--data-dir", p.DataDir, "--listeners", "PLAINTEXT://" + p.Addr, "--admin-listen", p.Admin}
	if len(p.Members) > 0 {
		args = append(args, "--node-id", strconv.Itoa(p.ID), "--bootstrap", p.bootstrap(func(m Member) string { return m.Addr }))
	}
	for _, kv := range p.Set {
		args = append(args, "--set", kv)
	}
	return args
}

// bootstrap is the list of all members, each as text says.
func (p Place) bootstrap(text func(Member) string) string {
	var all []string
	for _, m := range p.Members {
		all = append(all, text(m))
	}
	return strings.Join(all, ",")
}

// ReadyURL is /readyz of the admin listener.
func (Holdfast) ReadyURL(p Place) string { return "http://" + p.Admin + "/readyz" }

// Strawman is the substitute of tests/strawman: an honest broker without a
// fault, and a liar with one. The rigs are proven against it.
type Strawman struct{}

// Name is "strawman".
func (Strawman) Name() string { return "strawman" }

// Command is the strawman's.
func (Strawman) Command(tb testing.TB, p Place) Command {
	return Command{
		Path: mustBuild(tb, "./tests/strawman", "rig"),
		Args: []string{"-dir", p.DataDir, "-addr", p.Addr, "-fault", p.Fault},
		Log:  p.Log,
	}
}

// ReadyURL is empty.
func (Strawman) ReadyURL(Place) string { return "" }

// StartBroker starts the target and returns at once; see WaitReady.
func StartBroker(tb testing.TB, t Target, p Place) *Process {
	tb.Helper()
	proc, err := Start(t.Command(tb, p))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(proc.Kill)
	return proc
}

// RunBroker starts the target and waits until it serves.
func RunBroker(tb testing.TB, t Target, p Place) *Process {
	tb.Helper()
	proc := StartBroker(tb, t, p)
	if err := WaitReady(t, p, proc, 30*time.Second); err != nil {
		tb.Fatal(err)
	}
	return proc
}

// WaitReady waits until the broker accepts connections and says that it is
// ready.
func WaitReady(t Target, p Place, proc *Process, wait time.Duration) error {
	deadline := time.Now().Add(wait)
	last := "nothing tried"
	for time.Now().Before(deadline) {
		if !proc.Alive() {
			return fmt.Errorf("broker at %s ended before it was ready:\n%s", p.Addr, proc.Tail(4000))
		}
		err := probe(t.ReadyURL(p), p.Addr)
		if err == nil {
			return nil
		}
		last = err.Error()
		time.Sleep(2 * time.Millisecond)
	}
	return fmt.Errorf("broker at %s is not ready after %v: %s\n%s", p.Addr, wait, last, proc.Tail(4000))
}

// probe is nil when the port accepts and the url, if any, answers 200.
func probe(url, addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	conn.Close()
	if url == "" {
		return nil
	}
	code, err := get(url)
	if err != nil {
		return err
	}
	if code != http.StatusOK {
		return fmt.Errorf("%s answers %d", url, code)
	}
	return nil
}

func get(url string) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}
