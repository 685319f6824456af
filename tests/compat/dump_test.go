//go:build rig

package compat_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/tests/rig"
)

const dumpTool = "org.apache.kafka.tools.DumpLogSegments"

// TestKafkaDumpTool lets Apache Kafka's own tool read the segments, indexes and
// producer snapshots that a loaded broker leaves, some of them closed and some
// active, before and after a restart.
func TestKafkaDumpTool(t *testing.T) {
	script := rig.Kafka(t)
	b := start(t)
	if b.data == "" {
		t.Skip("no data directory named")
	}
	began := time.Now()
	topic := topicName("dump")
	cl := rig.NewClient(t, b.addr, kgo.DefaultProduceTopic(topic))
	rig.CreateTopics(t, cl, rig.Topic{Name: topic, Partitions: 1, Configs: map[string]string{"segment.bytes": "1048576"}})
	sent := fillEveryCodec(t, b.addr, topic)
	b.stop()

	dir := filepath.Join(b.data, topic+"-0")
	logs, indexes := glob(t, dir, "*.log"), append(glob(t, dir, "*.index"), glob(t, dir, "*.timeindex")...)
	if len(logs) < 3 {
		t.Fatalf("%d segments in %s, want several", len(logs), dir)
	}
	read := 0
	for _, log := range logs {
		out := dump(t, script, "--files", log, "--deep-iteration")
		complaints(t, log, out)
		read += strings.Count(out, "| offset: ")
	}
	if read != sent {
		t.Errorf("the dump tool reads %d records, %d were acknowledged", read, sent)
	}
	out := dump(t, script, "--files", strings.Join(indexes, ","), "--verify-index-only")
	complaints(t, "indexes", out)
	out = dump(t, script, "--files", strings.Join(indexes, ","), "--index-sanity-check")
	complaints(t, "indexes", out)
	if got := strings.Count(out, "passed sanity check"); got != len(indexes) {
		t.Errorf("%d of %d indexes pass the sanity check:\n%s", got, len(indexes), out)
	}
	for _, snapshot := range glob(t, dir, "*.snapshot") {
		complaints(t, snapshot, dump(t, script, "--files", snapshot))
	}
	mustComplain(t, script, logs[0], indexes)
	rig.Record(t, rig.Result{
		What: "Apache Kafka's DumpLogSegments reads segments, indexes and producer snapshots without a complaint",
		Sent: int64(sent), Acknowledged: int64(sent), Seconds: time.Since(began).Seconds(),
		Figures: fmt.Sprintf("%d segments, %d indexes, %d snapshots, %d records", len(logs), len(indexes), len(glob(t, dir, "*.snapshot")), read),
	})
}

// fillEveryCodec writes about 8 MiB and returns the number of records.
func fillEveryCodec(t *testing.T, addr, topic string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	sent := 0
	for _, codec := range codecs {
		cl := rig.NewClient(t, addr, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(codec.franz), kgo.ProducerBatchMaxBytes(64<<10))
		for i := range 3000 {
			value := make([]byte, 500)
			copy(value, fmt.Sprintf("%s %d", codec.name, i))
			for j := 20; j < len(value); j++ {
				value[j] = byte(i * j >> 3)
			}
			cl.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Errorf("produce: %v", err)
				}
			})
			sent++
		}
		if err := cl.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return sent
}

func dump(t *testing.T, script string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "bash", append([]string{script, "tool", dumpTool}, args...)...).CombinedOutput()
	if err != nil && strings.Contains(string(out), "Could not transfer artifact") {
		rig.Missing(t, "kafka", "Maven cannot be reached")
	}
	if err != nil {
		return string(out) + "\nException: " + err.Error()
	}
	return string(out)
}

// complaint matches whatever the tool says about a file that it does not like.
var complaint = regexp.MustCompile(`(?i)isvalid: false|mismatch|out of order|non-consecutive|corrupt|exception|could not|error`)

// quirk is what the tool says with --deep-iteration of every segment that does
// not start at offset 0, Kafka's own included.
var quirk = regexp.MustCompile(`Non-consecutive offsets in .*\n  -1 is followed by \d+\n`)

func complaints(t *testing.T, file, out string) {
	t.Helper()
	for line := range strings.Lines(quirk.ReplaceAllString(out, "")) {
		if complaint.MatchString(line) {
			t.Errorf("%s: the dump tool complains: %s", file, strings.TrimSpace(line))
			return
		}
	}
}

// mustComplain shows that a damaged copy is noticed: otherwise silence would
// mean nothing.
func mustComplain(t *testing.T, script, log string, indexes []string) {
	t.Helper()
	dir := t.TempDir()
	bad := filepath.Join(dir, filepath.Base(log))
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	b = flip(b)
	if err := os.WriteFile(bad, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if out := dump(t, script, "--files", bad); !complaint.MatchString(out) {
		t.Errorf("a flipped bit in %s is not noticed", log)
	}
	var index string
	for _, i := range indexes {
		if st, err := os.Stat(i); err == nil && strings.HasSuffix(i, ".index") && filepath.Base(i) == strings.TrimSuffix(filepath.Base(log), ".log")+".index" && st.Size() > 0 {
			index = i
		}
	}
	if index == "" {
		t.Fatalf("%s has no index with an entry", log)
	}
	if err := os.WriteFile(bad, flip(b), 0o644); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	entries[7] ^= 0x04 // the position of the first entry
	badIndex := filepath.Join(dir, filepath.Base(index))
	if err := os.WriteFile(badIndex, entries, 0o644); err != nil {
		t.Fatal(err)
	}
	if out := dump(t, script, "--files", badIndex, "--verify-index-only"); !complaint.MatchString(out) {
		t.Errorf("a wrong position in %s is not noticed:\n%s", index, out)
	}
}

// flip turns one bit in the records of the first batch: the base offset, which
// no checksum of Kafka's covers, is not the place.
func flip(b []byte) []byte {
	b[100] ^= 0x10
	return b
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if ok, _ := filepath.Match(pattern, filepath.Base(path)); ok {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range out {
		if _, err := strconv.ParseUint(strings.SplitN(filepath.Base(p), ".", 2)[0], 10, 63); err != nil {
			t.Errorf("%s is not named by its base offset", p)
		}
	}
	return out
}
