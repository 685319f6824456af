//go:build rig

package badinput_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"

	"holdfast/internal/kafka"
	"holdfast/tests/history"
	"holdfast/tests/rig"
)

// refused starts a broker that must end by itself, not with status 0, and say why.
func refused(t *testing.T, p rig.Place, why *regexp.Regexp) {
	t.Helper()
	p.Log = filepath.Join(t.TempDir(), "refused.log")
	proc := rig.StartBroker(t, rig.DefaultTarget(t), p)
	code, err := proc.WaitExit(15 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	out := proc.Tail(4000)
	if code == 0 || !why.MatchString(out) {
		t.Errorf("exit status %d, want another than 0 and a message like %v:\n%s", code, why, out)
	}
	if strings.Contains(out, "goroutine ") || strings.Contains(out, "panic") {
		t.Errorf("a stack is no message:\n%s", out)
	}
}

// TestSecondProcess starts a second broker on the directory of a running one.
func TestSecondProcess(t *testing.T) {
	b := start(t)
	second := rig.NewPlace(t, t.TempDir())
	second.DataDir = b.place.DataDir
	refused(t, second, regexp.MustCompile(`(?i)(another|already|in use|locked).*|`+regexp.QuoteMeta(b.place.DataDir)))
	b.unharmed(t)
	rig.Record(t, rig.Result{What: "a second process on the same data directory ends with a clear message"})
}

// TestNewerDirectory rewrites the version that the directory names.
func TestNewerDirectory(t *testing.T) {
	target := rig.DefaultTarget(t)
	p := rig.NewPlace(t, rig.TempDir(t))
	proc := rig.RunBroker(t, target, p)
	if err := proc.Terminate(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(p.DataDir, "meta.properties")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^(holdfast\.format|format|version)=(\d+)$`)
	if !version.Match(b) {
		t.Fatalf("%s names no version:\n%s", path, b)
	}
	for _, m := range version.FindAllSubmatch(b, -1) {
		newer := strings.Replace(string(b), string(m[0]), string(m[1])+"=99", 1)
		if err := os.WriteFile(path, []byte(newer), 0o644); err != nil {
			t.Fatal(err)
		}
		refused(t, p, regexp.MustCompile(`(?i)newer|version`))
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	again := rig.RunBroker(t, target, p)
	if err := again.Terminate(20 * time.Second); err != nil {
		t.Error(err)
	}
	rig.Record(t, rig.Result{What: "a directory of a newer version is refused in plain words, and opens again unchanged"})
}

// TestFullDisk fills the file system under the broker: writes are refused with a
// code that clients retry, reads go on, and writing resumes by itself when space
// returns. Nothing that was acknowledged is lost on the way.
func TestFullDisk(t *testing.T) {
	disk := rig.NewDisk(t, 1<<10)
	began := time.Now()
	target := rig.DefaultTarget(t)
	p := rig.NewPlace(t, rig.TempDir(t))
	p.DataDir = filepath.Join(disk.Path(), "data")
	proc := rig.RunBroker(t, target, p)
	tp := rig.Topic{Name: "t", Partitions: 1}
	rig.CreateTopics(t, rig.NewClient(t, p.Addr), tp)
	l := &filler{b: &broker{place: p, proc: proc}, ledger: rig.NewLedger()}
	l.ledger.Do(func(c *history.Checker) { l.writer = c.AddWriter(true) })
	l.write(t, true)

	ballast := filepath.Join(disk.Path(), "ballast")
	occupy(t, disk.Path(), ballast)
	refusedWith := l.untilRefused(t)
	if !refusedWith.Retriable() {
		t.Errorf("a full disk is answered with %v, which clients do not retry", refusedWith)
	}
	if !proc.Alive() {
		t.Fatalf("the broker ended on a full disk:\n%s", proc.Tail(4000))
	}
	if err := rig.Audit(p.Addr, l.ledger, []rig.Topic{tp}, 20*time.Second); err != nil {
		t.Errorf("reading from a full disk: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	freed := time.Now()
	l.untilAccepted(t, 30*time.Second)
	recovered := time.Since(freed)
	proc.Kill()
	again := rig.RunBroker(t, target, p)
	if err := rig.Audit(p.Addr, l.ledger, []rig.Topic{tp}, 20*time.Second); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if err := again.Terminate(20 * time.Second); err != nil {
		t.Error(err)
	}
	r := l.ledger.Report()
	if !r.OK() {
		t.Errorf("%s", r)
	}
	rig.Record(t, rig.Result{
		What: "full disk: writes refused with " + refusedWith.String() + ", reads go on, writing resumes by itself",
		Sent: r.Sent, Acknowledged: r.Acknowledged, Lost: r.Count(history.LostWrite), Seconds: time.Since(began).Seconds(),
		Figures: "accepted again " + recovered.Round(time.Millisecond).String() + " after space returned",
	})
}

// filler writes single batches without retries and remembers the answers.
type filler struct {
	b      *broker
	ledger *rig.Ledger
	writer history.Writer
}

// write sends one record of half a megabyte and returns its code. A refusal
// promises that the record is not in the log.
func (l *filler) write(t *testing.T, mustSucceed bool) kafka.ErrorCode {
	t.Helper()
	var v history.Value
	tp := kafka.TopicPartition{Topic: "t"}
	l.ledger.Do(func(c *history.Checker) { v = c.Invoke(l.writer, tp) })
	value := make([]byte, 512<<10)
	v.Encode(value)
	bt := plain(1, 0)
	bt.payload = rec(0, value)
	c := dial(t, l.b.place.Addr)
	defer c.Close()
	resp, err := c.ask(produce("t", 0, -1, bt.bytes()))
	if err != nil {
		t.Fatalf("produce: %v", err)
	}
	part := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	code := kafka.ErrorCode(part.ErrorCode)
	if code == 0 {
		l.ledger.Acknowledge(v, part.BaseOffset)
	} else if mustSucceed {
		t.Fatalf("produce: %v", code)
	}
	return code
}

func (l *filler) untilRefused(t *testing.T) kafka.ErrorCode {
	t.Helper()
	for range 1000 {
		if code := l.write(t, false); code != 0 {
			return code
		}
	}
	t.Fatal("500 MiB fitted where 100 MiB were free")
	return 0
}

func (l *filler) untilAccepted(t *testing.T, wait time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if l.write(t, false) == 0 {
			return
		}
	}
	t.Errorf("writes are still refused %v after space returned", wait)
}

// occupy leaves about 100 MiB free.
func occupy(t *testing.T, mount, path string) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(mount, &st); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := int64(st.Bavail)*st.Bsize - 100<<20; n > 0 {
		if err := unix.Fallocate(int(f.Fd()), 0, 0, n); err != nil {
			t.Fatal(err)
		}
	}
}
