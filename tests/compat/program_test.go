//go:build rig

package compat_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/tests/rig"
)

// client is somebody else's Kafka client: a program below testdata/clients that speaks
// the protocol of testdata/clients/README.md.
type client struct {
	name  string   // as the table shows it
	dir   string   // below testdata/clients
	needs []string // commands
	deps  []string // files whose content names the dependencies, in dir
	fetch []string // installs the dependencies, in a copy of dir; run once for each content of deps
	build []string // run before every test
	run   []string
	lacks map[string]string // compressions it cannot read, and why
	ci    bool              // small runs have it too
}

// clients is every client there is a program for. $CACHE is the place of the
// copy, and the working directory of each command.
var clients = []client{
	goClient("franz-go", "franz", true),
	goClient("sarama", "sarama", true),
	{
		name: "Apache Kafka Java client", dir: "java", ci: true, needs: []string{"java", "javac", "mvn"}, deps: []string{"pom.xml"},
		fetch: []string{"mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs"},
		build: []string{"javac", "-cp", "libs/*", "-d", "classes", "Main.java"},
		run:   []string{"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx128m", "-cp", "classes:libs/*", "Main"},
	},
	goClient("kafka-go", "kafkago", false),
	goClient("confluent-kafka-go", "confluent", false),
	pythonClient("confluent-kafka (Python)", "confluent"),
	pythonClient("aiokafka", "aiokafka"),
	pythonClient("kafka-python", "kafkapython"),
	{
		name: "rskafka (Rust)", dir: "rust", needs: []string{"cargo"}, deps: []string{"Cargo.toml"},
		fetch: []string{"cargo", "fetch", "-q"}, build: []string{"cargo", "build", "-q"}, run: []string{"target/debug/holdfast-test-client"},
	},
	{
		name: "kafkajs", dir: "node", needs: []string{"node", "npm"}, deps: []string{"package.json"},
		fetch: []string{"npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent"}, run: []string{"node", "main.js"},
		lacks: map[string]string{"zstd": "kafkajs has no codec of its own for it"},
	},
}

func goClient(name, sub string, ci bool) client {
	return client{
		name: name, dir: "go", ci: ci, needs: []string{"go"}, deps: []string{"go.mod", "go.sum"},
		fetch: []string{"go", "mod", "download"},
		build: []string{"go", "build", "-o", "bin-" + sub, "./" + sub}, run: []string{"./bin-" + sub},
	}
}

func pythonClient(name, sub string) client {
	return client{
		name: name, dir: "python/" + sub, needs: []string{"python3"}, deps: []string{"requirements.txt"},
		fetch: []string{"sh", "-c", "python3 -m venv venv && venv/bin/pip install -q -r requirements.txt"},
		run:   []string{"venv/bin/python", "main.py"},
	}
}

// chosen is whether the run has the client: HOLDFAST_COMPAT_CLIENTS names some,
// otherwise a full run has all and a small one those of CI.
func (c client) chosen() bool {
	if only := os.Getenv("HOLDFAST_COMPAT_CLIENTS"); only != "" {
		return slices.Contains(strings.Split(only, ","), c.name)
	}
	return c.ci || rig.Full()
}

// program is an installed client.
type program struct {
	client client
	dir    string
}

// installs remembers what this test process has installed.
var installs sync.Map

// install copies the client into the user's cache directory and fetches what it
// needs there. A machine without the toolchain or the registry skips the test,
// and the table says why.
func install(t *testing.T, c client) program {
	t.Helper()
	p, err := c.install()
	if err != nil {
		report(t, c.name, "", "everything", "not run", err.Error())
		fmt.Printf("NOT SHOWN %s: %v\n", t.Name(), err)
		rig.Record(t, rig.Result{NotShown: err.Error()})
		t.Skip("NOT SHOWN: " + err.Error())
	}
	if _, again := installs.LoadOrStore(c.name, true); !again {
		if err := p.command(c.build); err != nil {
			t.Fatalf("build %s: %v", c.name, err)
		}
	}
	return p
}

func (c client) install() (program, error) {
	for _, name := range c.needs {
		if _, err := exec.LookPath(name); err != nil {
			return program{}, fmt.Errorf("no %s on this machine", name)
		}
	}
	source := filepath.Join(rig.Root(), "tests", "compat", "testdata", "clients", c.dir)
	sum := sha256.New()
	for _, f := range c.deps {
		b, err := os.ReadFile(filepath.Join(source, f))
		if err != nil {
			return program{}, err
		}
		_, _ = sum.Write(b)
	}
	dir, err := cacheDir(fmt.Sprintf("%s-%x", strings.ReplaceAll(c.dir, "/", "-"), sum.Sum(nil)[:6]))
	if err != nil {
		return program{}, err
	}
	p := program{client: c, dir: dir}
	if err := copyTree(source, dir); err != nil {
		return program{}, err
	}
	done := filepath.Join(dir, ".fetched")
	if _, err := os.Stat(done); err == nil {
		return p, nil
	}
	if err := p.command(c.fetch); err != nil {
		return program{}, fmt.Errorf("its dependencies cannot be fetched: %w", err)
	}
	return p, os.WriteFile(done, nil, 0o644)
}

func cacheDir(name string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "holdfast-compat", name)
	return dir, os.MkdirAll(dir, 0o755)
}

// copyTree copies the files below from that differ.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if old, err := os.ReadFile(target); err == nil && bytes.Equal(old, b) {
			return nil
		}
		return os.WriteFile(target, b, 0o644)
	})
}

// command runs one step of the installation.
func (p program) command(args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.Join(lines[max(0, len(lines)-5):], " / "))
	}
	return nil
}

// request and event are the protocol of testdata/clients/README.md.
type request struct {
	Verb        string `json:"verb"`
	Addr        string `json:"addr"`
	Topic       string `json:"topic,omitempty"`
	Group       string `json:"group,omitempty"`
	Partition   int32  `json:"partition"`
	Partitions  int32  `json:"partitions"`
	First       int    `json:"first"`
	Count       int    `json:"count"`
	Compression string `json:"compression,omitempty"`
	Mode        string `json:"mode,omitempty"`
	Offset      int64  `json:"offset"`
	Time        int64  `json:"time"`
	Op          string `json:"op,omitempty"`
	Value       string `json:"value,omitempty"`
}

type event struct {
	Event       string  `json:"event"`
	Index       int     `json:"index"`
	Partition   int32   `json:"partition"`
	Offset      int64   `json:"offset"`
	Time        int64   `json:"time"`
	Key         string  `json:"key"`
	Value       string  `json:"value"`
	Header      string  `json:"header"`
	Partitions  []int32 `json:"partitions"`
	Error       string  `json:"error"`
	Unsupported string  `json:"unsupported"`
}

// session is a running program.
type session struct {
	name   string
	in     io.WriteCloser
	events chan event
	errs   *bytes.Buffer // readable after the events have ended
	cmd    *exec.Cmd
}

// open starts the program; it ends with the test.
func (p program) open(t *testing.T) *session {
	t.Helper()
	cmd := exec.Command(p.client.run[0], p.client.run[1:]...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	s := &session{name: p.client.name, events: make(chan event, 100_000), errs: &bytes.Buffer{}, cmd: cmd}
	cmd.Stderr = s.errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.in = in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e event
			if json.Unmarshal(lines.Bytes(), &e) == nil && e.Event != "" {
				s.events <- e
			}
		}
		_ = cmd.Wait()
		close(s.events)
	}()
	t.Cleanup(func() {
		in.Close()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	return s
}

// send gives the program a request.
func (s *session) send(r request) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = s.in.Write(append(b, '\n'))
	return err
}

// unsupported is what a client has no support for.
type unsupported string

func (u unsupported) Error() string { return string(u) }

// ask sends a request and returns everything up to its end.
func (s *session) ask(r request, wait time.Duration) ([]event, error) {
	if err := s.send(r); err != nil {
		return nil, fmt.Errorf("%s %s: %w", s.name, r.Verb, err)
	}
	return s.until(r.Verb, wait)
}

func (s *session) until(verb string, wait time.Duration) ([]event, error) {
	var got []event
	timeout := time.After(wait)
	for {
		select {
		case e, ok := <-s.events:
			switch {
			case !ok:
				return got, fmt.Errorf("%s ended in the middle of %s: %s", s.name, verb, tail(s.errs.String()))
			case e.Event != "end":
				got = append(got, e)
			case e.Unsupported != "":
				return got, unsupported(e.Unsupported)
			case e.Error != "":
				return got, fmt.Errorf("%s %s: %s", s.name, verb, e.Error)
			default:
				return got, nil
			}
		case <-timeout:
			return got, fmt.Errorf("%s %s: no end after %v and %d events", s.name, verb, wait, len(got))
		}
	}
}

func tail(s string) string { return s[max(0, len(s)-1500):] }
