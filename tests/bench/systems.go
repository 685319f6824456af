package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/tests/rig"
)

// system is one broker under measurement.
type system struct {
	name  string
	title string
	limit string // mode of a limit broker, which starts anew for each measurement; else empty
	addr  string
	admin string // ours only
	pid   int
	proc  *rig.Process // ours and the limit brokers
	dir   string
}

// field is every system of a run.
type field struct {
	o        options
	dir      string
	kbench   string
	kafka    string // script
	systems  []*system
	notShown []string
}

// titles in the order of the table.
var titles = []struct{ name, title, limit string }{
	{"holdfast", "Holdfast, fsync before every ack", ""},
	{"kafka", "Apache Kafka, default (no fsync)", ""},
	{"kafkaf", "Apache Kafka, flush.messages=1", ""},
	{"l1", "limit broker L1 (page cache)", "file"},
	{"l1f", "limit broker L1f (fsync)", "fsync"},
	{"l1j", "limit broker L1j (journal)", "journal"},
}

// newField builds the load generator and our broker, and finds the peers.
func newField(dir string, o options) (*field, error) {
	f := &field{o: o, dir: dir, kafka: filepath.Join(o.shared, "peers", "kafka", "kafka.sh")}
	if err := f.buildKbench(); err != nil {
		return nil, err
	}
	_, missing := os.Stat(f.kafka)
	for _, t := range titles {
		if !slices.Contains(o.systems, t.name) {
			continue
		}
		if strings.HasPrefix(t.name, "kafka") && missing != nil {
			f.notShown = append(f.notShown, t.title+": "+missing.Error())
			continue
		}
		f.systems = append(f.systems, &system{name: t.name, title: t.title, limit: t.limit, dir: filepath.Join(dir, t.name)})
	}
	return f, nil
}

// buildKbench compiles a copy: its module lies outside the repository and may be
// read-only.
func (f *field) buildKbench() error {
	src := filepath.Join(f.dir, "kbench-src")
	if err := os.MkdirAll(src, 0o755); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(f.o.shared, "kbench", "*.go"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no load generator in %s: every row needs it", filepath.Join(f.o.shared, "kbench"))
	}
	files = append(files, filepath.Join(f.o.shared, "kbench", "go.mod"), filepath.Join(f.o.shared, "kbench", "go.sum"))
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(src, filepath.Base(name)), b, 0o644); err != nil {
			return err
		}
	}
	f.kbench = filepath.Join(f.dir, "kbench")
	cmd := exec.Command("go", "build", "-o", f.kbench, ".")
	cmd.Dir = src
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build kbench: %w\n%s", err, out)
	}
	return nil
}

// start starts the systems that live through all blocks.
func (f *field) start(ctx context.Context) error {
	for _, s := range f.systems {
		var err error
		switch {
		case s.name == "holdfast":
			_, err = f.startHoldfast(s)
		case s.limit == "":
			_, err = f.startKafka(ctx, s)
		}
		if err != nil {
			return fmt.Errorf("start %s: %w", s.name, err)
		}
	}
	return nil
}

// stop ends every process, by its id.
func (f *field) stop() {
	for _, s := range f.systems {
		f.stopSystem(s)
	}
}

func (f *field) stopSystem(s *system) {
	if s.proc != nil {
		_ = s.proc.Terminate(10 * time.Second)
		s.proc = nil
	}
	if strings.HasPrefix(s.name, "kafka") && s.pid != 0 {
		if out, err := exec.Command("bash", f.kafka, "stop", s.dir).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "stop %s: %v: %s\n", s.name, err, out)
		}
	}
	s.pid = 0
}

// startHoldfast returns the time from exec to a broker that is ready.
func (f *field) startHoldfast(s *system) (time.Duration, error) {
	path := os.Getenv("HOLDFAST_RIG_BINARY")
	if path == "" {
		var err error
		if path, err = rig.Build("./cmd/holdfast", ""); err != nil {
			return 0, err
		}
	}
	port, err := rig.FindPort()
	if err != nil {
		return 0, err
	}
	admin, err := rig.FindPort()
	if err != nil {
		return 0, err
	}
	p := rig.Place{
		DataDir: filepath.Join(s.dir, "data"), Log: filepath.Join(s.dir, "broker.log"),
		Addr: fmt.Sprintf("127.0.0.1:%d", port), Admin: fmt.Sprintf("127.0.0.1:%d", admin),
	}
	began := time.Now()
	proc, err := rig.Start(rig.Command{Path: path, Args: p.ServerArgs(), Log: p.Log})
	if err != nil {
		return 0, err
	}
	s.proc, s.addr, s.admin, s.pid = proc, p.Addr, p.Admin, proc.PID()
	err = rig.WaitReady(rig.Holdfast{}, p, proc, 30*time.Second)
	return time.Since(began), err
}

// scriptPort is where the script's Kafka listens unless it is told otherwise.
const scriptPort = 9092

// kafkaPorts are the ports of the Kafkas that may run at once.
var kafkaPorts = map[string]int{"kafka": scriptPort, "kafkaf": 9592, "kafka-start": 9792}

// startKafka returns the time that format and start take, as a newcomer pays it.
func (f *field) startKafka(ctx context.Context, s *system) (time.Duration, error) {
	if out, err := exec.CommandContext(ctx, "bash", f.kafka, "install").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("install Apache Kafka: %w\n%s", err, out)
	}
	args := []string{f.kafka, "start", s.dir, "1", "log.segment.delete.delay.ms=1000"}
	port := kafkaPorts[s.name]
	s.addr = fmt.Sprintf("127.0.0.1:%d", port)
	if s.name == "kafkaf" {
		args = append(args, "log.flush.interval.messages=1")
	}
	if port != scriptPort {
		args = append(args, fmt.Sprintf("listeners=PLAINTEXT://%s,CONTROLLER://127.0.0.1:%d", s.addr, port+1), "advertised.listeners=PLAINTEXT://"+s.addr,
			fmt.Sprintf("controller.quorum.voters=1@127.0.0.1:%d", port+1))
	}
	if conn, err := net.DialTimeout("tcp", s.addr, time.Second); err == nil {
		conn.Close()
		return 0, fmt.Errorf("somebody listens on %s already", s.addr)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	began := time.Now()
	cmd := exec.CommandContext(ctx, "bash", args...)
	cmd.Stderr = os.Stderr
	// The script waits for its own port; the others are waited for here.
	done := make(chan error, 1)
	go func() { done <- cmd.Run() }()
	for {
		if conn, err := net.DialTimeout("tcp", s.addr, time.Second); err == nil {
			conn.Close()
			break
		}
		select {
		case <-ctx.Done():
			return 0, errors.New("the port did not open")
		case <-time.After(5 * time.Millisecond):
		}
	}
	took := time.Since(began)
	if port == scriptPort {
		if err := <-done; err != nil {
			return 0, err
		}
	}
	b, err := os.ReadFile(filepath.Join(s.dir, "pids"))
	if err != nil {
		return 0, err
	}
	s.pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
	return took, err
}

// startLimit starts a limit broker on an empty directory.
func (f *field) startLimit(s *system, partitions int) error {
	port, err := rig.FindPort()
	if err != nil {
		return err
	}
	s.addr = fmt.Sprintf("127.0.0.1:%d", port)
	s.proc, err = rig.Start(rig.Command{
		Path: f.kbench, Log: filepath.Join(f.dir, s.name+".log"),
		Args: []string{"broker", "-mode", s.limit, "-addr", s.addr, "-dir", s.dir, "-parts", strconv.Itoa(partitions)},
	})
	if err != nil {
		return err
	}
	s.pid = s.proc.PID()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if conn, err := net.DialTimeout("tcp", s.addr, time.Second); err == nil {
			conn.Close()
			return nil
		}
	}
	return fmt.Errorf("limit broker at %s did not start", s.addr)
}

// order alternates: every other block runs the systems backwards.
func (f *field) order(block int) []*system {
	out := slices.Clone(f.systems)
	if block%2 == 1 {
		slices.Reverse(out)
	}
	return out
}

// warm loads each Kafka until its compiler has seen every path.
func (f *field) warm(ctx context.Context, d time.Duration) error {
	for _, s := range f.systems {
		if !strings.HasPrefix(s.name, "kafka") || d == 0 {
			continue
		}
		fmt.Printf("warming %s for %v\n", s.name, d)
		quarter := (d / 4).String()
		for _, args := range [][]string{
			{"prod", "-size", "100", "-linger", "5ms", "-dur", quarter},
			{"prod", "-size", "1024", "-linger", "5ms", "-dur", quarter},
			{"sync", "-clients", "32", "-size", "1024", "-dur", quarter},
			{"lat", "-rate", "10000", "-size", "1024", "-dur", quarter},
		} {
			topic := "warm-" + args[0] + args[2]
			if _, err := f.load(ctx, s, topic, 6, args); err != nil {
				return err
			}
			f.drop(ctx, s, topic)
		}
	}
	return nil
}

// load runs kbench against the system and returns its line.
func (f *field) load(ctx context.Context, s *system, topic string, partitions int, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	full := append(slices.Clone(args), "-addr", s.addr, "-pids", strconv.Itoa(s.pid), "-parts", strconv.Itoa(partitions))
	if s.limit == "" {
		full = append(full, "-topic", topic)
		if args[0] != "cons" {
			full = append(full, "-create")
		}
	}
	out, err := exec.CommandContext(ctx, f.kbench, full...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kbench %s: %w\n%s", strings.Join(full, " "), err, out)
	}
	return string(out), nil
}

// drop deletes a topic, so that the disk does not fill. Limit brokers have none.
func (f *field) drop(ctx context.Context, s *system, topic string) {
	if s.limit != "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(rig.Options(s.addr)...)
	if err != nil {
		return
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).DeleteTopics(ctx, topic); err != nil {
		fmt.Fprintf(os.Stderr, "delete %s on %s: %v\n", topic, s.name, err)
	}
}
