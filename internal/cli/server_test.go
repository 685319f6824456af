package cli_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"holdfast/internal/cli"
	"holdfast/internal/kafka"
	"holdfast/internal/record"
)

// pretend is a broker that only remembers how it was started and stopped.
type pretend struct {
	options cli.BrokerOptions
	done    chan struct{}
	err     error
	stopped bool
}

func (p *pretend) Listeners() []string {
	return []string{p.options.Config.Listeners[0].Advertised.String()}
}
func (p *pretend) Admin() string         { return p.options.Config.AdminListen }
func (p *pretend) Done() <-chan struct{} { return p.done }
func (p *pretend) Err() error            { return p.err }
func (p *pretend) Stop(context.Context) error {
	p.stopped = true
	return nil
}

func (p *pretend) start(_ context.Context, o cli.BrokerOptions) (cli.Running, error) {
	p.options, p.done = o, make(chan struct{})
	if p.err != nil {
		return nil, p.err
	}
	return p, nil
}

func TestDev_TellsWhereEverythingIs(t *testing.T) {
	for _, c := range []struct{ env, dir string }{
		{"XDG_DATA_HOME=/x/data", "/x/data/holdfast/dev"},
		{"HOME=/home/me", "/home/me/.local/share/holdfast/dev"},
	} {
		var p pretend
		call := newCall("")
		call.env, call.start = []string{c.env}, p.start
		call.interrupts <- os.Interrupt
		if code := call.run(t, "dev"); code != 0 || !p.stopped {
			t.Fatalf("status %d, stopped %v: %s", code, p.stopped, call.err)
		}
		out := call.out.String()
		for _, want := range []string{c.dir, "127.0.0.1:9092", "http://127.0.0.1:9644/metrics", "losing this disk", "no follower holds a copy",
			"holdfast topic create hello\n", "holdfast produce hello\n", "holdfast consume hello -o :end\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is missing in %s", want, out)
			}
		}
		if strings.Contains(out, "\x1b") {
			t.Error("escape codes without a terminal")
		}
		if p.options.Config.DataDir != c.dir {
			t.Errorf("data directory %s, want %s", p.options.Config.DataDir, c.dir)
		}
	}
}

func TestServer_FlagsEnvironmentFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "server.properties")
	if err := os.WriteFile(file, []byte("log.dirs=/from/file\nnum.partitions=2\nlog.segment.bytes=2048\nnum.partitons=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var p pretend
	c := newCall("")
	c.start, c.env = p.start, []string{"KAFKA_NUM_PARTITIONS=3", "HOLDFAST_MAX_CONNECTIONS=77"}
	c.interrupts <- syscall.SIGTERM
	code := c.run(t, "server", "--config", file, "--data-dir", "/from/flag", "--listeners", "PLAINTEXT://127.0.0.1:19092", "--admin-listen", "none", "--node-id", "5", "--set", "num.partitions=4")
	if code != 0 || !p.stopped {
		t.Fatalf("status %d: %s", code, c.err)
	}
	b := p.options.Config
	if b.DataDir != "/from/flag" || b.Partitions != 4 || b.Connections != 77 || b.NodeID != 5 || b.AdminListen != "" || b.Listeners[0].Bind.Port != 19092 {
		t.Errorf("%+v", b)
	}
	if !strings.Contains(c.err.String(), "did you mean num.partitions?") || !strings.Contains(c.err.String(), "server.properties:4") {
		t.Errorf("no warning: %s", c.err)
	}
	if c.out.String() != "" {
		t.Errorf("server prints data: %s", c.out)
	}
}

func TestServer_ErrorsSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		err  error
		says string
	}{
		{syscall.EADDRINUSE, "takes other ports"},
		{os.ErrPermission, "--data-dir names another place"},
		{errors.New("locked by another process"), "locked by another process"},
	} {
		p := pretend{err: c.err}
		call := newCall("")
		call.start = p.start
		if code := call.run(t, "server", "--data-dir", "/d"); code != 1 || !strings.Contains(call.err.String(), c.says) {
			t.Errorf("%v: status %d: %s", c.err, code, call.err)
		}
	}
}

func TestServer_ABrokerThatStopsByItselfIsAFailure(t *testing.T) {
	var p pretend
	c := newCall("")
	c.start = func(ctx context.Context, o cli.BrokerOptions) (cli.Running, error) {
		r, err := p.start(ctx, o)
		p.err = errors.New("the disk failed")
		close(p.done)
		return r, err
	}
	if code := c.run(t, "server", "--data-dir", "/d"); code != 1 || !strings.Contains(c.err.String(), "the disk failed") {
		t.Errorf("status %d: %s", code, c.err)
	}
}

// segment writes a segment file of three batches and returns its name.
func segment(t *testing.T) string {
	t.Helper()
	var data []byte
	for i := range 3 {
		b := record.NewBuilder(record.Options{Compression: record.Compression{Codec: record.Zstd}})
		b.Append(1_700_000_000_000, []byte("k"), []byte{'v', byte('0' + i)})
		batch, err := b.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		record.SetBase(batch, kafka.Offset(10+i), 1)
		data = append(data, batch...)
	}
	name := filepath.Join(t.TempDir(), "00000000000000000010.log")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestLogDump_BatchesAndRecords(t *testing.T) {
	name := segment(t)
	hf(t, "", "log", "dump", name).want(t, 0, "offsets 10-10 count 1", "offsets 12-12", "codec zstd")
	hf(t, "", "log", "dump", name, "-r").want(t, 0, `11 key "k" value "v1"`)
	if r := hf(t, "", "log", "dump", filepath.Dir(name), "-o", "12", "-O", "jsonl"); strings.Count(r.out, "\n") != 1 || !strings.Contains(r.out, `"base_offset":12`) {
		t.Errorf("%s", r.out)
	}
	if r := hf(t, "", "log", "dump", name, "-n", "2", "-O", "json"); strings.Count(r.out, `"base_offset"`) != 2 {
		t.Errorf("%s", r.out)
	}
	hf(t, "", "log", "dump", t.TempDir()).want(t, 1, "no segment")
	hf(t, "", "log", "dump", "server_test.go").want(t, 2, "is no segment")
}

// Every byte of a segment is covered: with any one of them changed, check or
// dump finds something, or the byte is one that the checksum leaves out.
func TestLogCheck_FindsEveryChangedByte(t *testing.T) {
	name := segment(t)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	hf(t, "", "log", "check", name).want(t, 0, "checked 1, faults 0")
	size := len(whole) / 3
	for i := range whole {
		damaged := append([]byte(nil), whole...)
		damaged[i] ^= 0x55
		if err := os.WriteFile(name, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		r := hf(t, "", "log", "check", name)
		// Base offset and leader epoch are outside of the checksum.
		outside := i%size < 8 || i%size >= 12 && i%size < 16
		if r.code != 10 && !outside {
			t.Errorf("byte %d changed: status %d: %s%s", i, r.code, r.out, r.err)
		}
	}
	for n := range len(whole) {
		if n%size == 0 {
			continue
		}
		if err := os.WriteFile(name, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if r := hf(t, "", "log", "check", name); r.code != 10 {
			t.Errorf("cut at %d: status %d", n, r.code)
		}
	}
	hf(t, "", "log", "dump", name).want(t, 10, "BROKEN")
}

// A directory that a broker has is neither started on nor checked, and the
// message says who has it.
func TestLock_SaysWhoHasTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	cmd, addr := brokerProcess(t, dir, "127.0.0.1:0")
	defer end(t, cmd)
	hf(t, "", "topic", "create", "t", "-b", addr).want(t, 0)
	second := program(t, "server", "--data-dir", dir, "--listeners", "PLAINTEXT://127.0.0.1:0", "--admin-listen", "none")
	out, err := second.CombinedOutput()
	if err == nil || second.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "is in use by") || !strings.Contains(string(out), "--data-dir") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat("/proc/locks"); err == nil && !strings.Contains(string(out), fmt.Sprintf("process %d (", cmd.Process.Pid)) {
		t.Errorf("process %d is not named: %s", cmd.Process.Pid, out)
	}
	hf(t, "", "log", "check", dir).want(t, 1, "is in use by", "--while-running")
	hf(t, "", "log", "check", filepath.Join(dir, "t-0")).want(t, 1, "is in use by")
	hf(t, "", "log", "check", dir, "--while-running").want(t, 0)
}
