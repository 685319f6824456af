//go:build rig

package compat_test

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/tests/rig"
)

func kcat(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kcat", args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("kcat %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

// TestKcat writes with each compression, idempotent and not, and reads from the
// start, from an offset and from a timestamp.
func TestKcat(t *testing.T) {
	if _, err := exec.LookPath("kcat"); err != nil {
		rig.Missing(t, "kcat", "kcat is not installed (apt-get install kcat)")
	}
	b := start(t)
	began := time.Now()
	version := kcatVersion(t)
	verdict := func(feature string, ok bool) {
		word := "passed"
		if !ok {
			word = "failed"
		}
		report(t, "kcat (librdkafka)", version, feature, word, "")
	}
	read := true
	for _, codec := range codecs {
		for _, idempotent := range []string{"true", "false"} {
			mode := map[string]string{"true": "idempotent", "false": "ordinary"}[idempotent]
			ok := t.Run(codec.name+" idempotent="+idempotent, func(t *testing.T) { kcatRoundTrip(t, b.addr, codec.name, idempotent) })
			verdict("produce "+codec.name+" "+mode, ok)
			read = read && ok
		}
	}
	for _, from := range []string{"start", "offset", "timestamp"} {
		verdict("consume from "+from, read)
	}
	verdict("group rebalance and restart from the commit", t.Run("group", func(t *testing.T) { kcatGroup(t, b.addr) }))
	report(t, "kcat (librdkafka)", version, "admin", "unsupported", "kcat changes no topics and no groups")
	report(t, "kcat (librdkafka)", version, "survive", "unsupported", "kcat tells how it ended, not which record was acknowledged; confluent-kafka shows the same library")
	rig.Record(t, rig.Result{
		What:    "kcat (librdkafka) writes with 5 compressions, idempotent and not, and reads from start, offset and timestamp; a group of two, restarted",
		Seconds: time.Since(began).Seconds(),
	})
}

func kcatRoundTrip(t *testing.T, addr, codec, idempotent string) {
	topic := topicName("kcat")
	rig.CreateTopics(t, rig.NewClient(t, addr), rig.Topic{Name: topic, Partitions: 1})
	var lines []string
	for i := range 3000 {
		lines = append(lines, fmt.Sprintf("k%d:line %d of the input, which repeats itself a little", i%5, i))
	}
	first, second := strings.Join(lines[:2000], "\n")+"\n", strings.Join(lines[2000:], "\n")+"\n"
	produce := []string{"-P", "-b", addr, "-t", topic, "-p", "0", "-K", ":", "-z", codec, "-X", "enable.idempotence=" + idempotent, "-X", "acks=all"}
	if codec == "none" {
		produce = append(produce[:9], produce[11:]...)
	}
	kcat(t, first, produce...)
	time.Sleep(50 * time.Millisecond) // a timestamp that lies between the two halves
	between := time.Now()
	time.Sleep(50 * time.Millisecond)
	kcat(t, second, produce...)

	read := []string{"-C", "-q", "-e", "-b", addr, "-t", topic, "-p", "0", "-K", ":"}
	if got := kcat(t, "", append(read, "-o", "beginning")...); got != first+second {
		t.Errorf("from the beginning: %d bytes, want %d", len(got), len(first+second))
	}
	if got, want := kcat(t, "", append(read, "-o", "2500")...), strings.Join(lines[2500:], "\n")+"\n"; got != want {
		t.Errorf("from offset 2500: %d bytes, want %d", len(got), len(want))
	}
	if got := kcat(t, "", append(read, "-o", fmt.Sprintf("s@%d", between.UnixMilli()))...); got != second {
		t.Errorf("from the timestamp between the halves: %d bytes, want %d", len(got), len(second))
	}
	if got := len(consume(t, addr, topic, kgo.NewOffset().AtStart(), len(lines))); got != len(lines) {
		t.Errorf("franz-go reads %d records of kcat, want %d", got, len(lines))
	}
	if list := kcat(t, "", "-L", "-b", addr, "-t", topic); !strings.Contains(list, topic) {
		t.Errorf("kcat -L does not list %s:\n%s", topic, list)
	}
}
