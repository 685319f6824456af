package controller_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

var rewrite = flag.Bool("rewrite", false, "write the expected pictures of the scenarios anew")

// TestScenarios plays the files of testdata. A line that begins with "> " is a
// command; what follows it is what came of it. Everything else is prose.
//
//	> register ID START [wiped]        an incarnation of a broker
//	> create NAME PARTITIONS FACTOR [key=value ...]
//	> delete NAME
//	> partitions NAME COUNT
//	> set|unset|append|subtract RESOURCE key[=value]
//	> ids ID                           a block of producer ids
//	> image                            the whole picture
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(newWorld(t, 0), string(text))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("%s tells another story now; -rewrite writes it down. Got:\n%s", file, got)
			}
		})
	}
}

// play repeats the text with the outcome of each command behind it. An outcome is
// indented; the old one is left out.
func play(w *world, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "    ") {
			continue
		}
		b.WriteString(line)
		if command, ok := strings.CutPrefix(line, "> "); ok {
			for out := range strings.Lines(run(w, strings.Fields(command))) {
				b.WriteString("    " + strings.TrimRight(out, "\n") + "\n")
			}
		}
	}
	return b.String()
}

func run(w *world, words []string) string {
	if words[0] == "image" {
		return w.image.String()
	}
	reply, err := w.do(parse(w, words))
	var refusal *controller.Error
	if errors.As(err, &refusal) {
		return "refused: " + refusal.Error()
	}
	var b strings.Builder
	for _, r := range reply.Topics {
		fmt.Fprintf(&b, "%s: %s", r.Name, outcome(r.Code, r.Message))
		if r.Partitions > 0 {
			fmt.Fprintf(&b, ", %d partitions, %d replicas", r.Partitions, r.ReplicationFactor)
		}
		b.WriteString("\n")
	}
	for _, r := range reply.Configs {
		fmt.Fprintf(&b, "%s: %s\n", r.Resource, outcome(r.Code, r.Message))
	}
	if c := reply.ProducerIDs; c.Count > 0 {
		fmt.Fprintf(&b, "ids [%d, %d)\n", c.First, c.First+kafka.ProducerID(c.Count))
	}
	if reply.BrokerEpoch > 0 {
		fmt.Fprintf(&b, "epoch %d\n", reply.BrokerEpoch)
	}
	return b.String()
}

func outcome(code kafka.ErrorCode, message string) string {
	if code == kafka.ErrNone {
		return "done"
	}
	return code.String() + ": " + message
}

func parse(w *world, words []string) controller.Command {
	number := func(n int) int {
		v, err := strconv.Atoi(words[n])
		if err != nil {
			w.t.Fatalf("%v: %v", words, err)
		}
		return v
	}
	switch words[0] {
	case "register":
		r := registration(number(1), number(2))
		if len(words) > 3 {
			r.Directories = []kafka.DirectoryID{directory(100 + number(1))}
			r.Incarnation[2] = 1
		}
		return r
	case "create":
		t := topic(words[1], number(2), number(3))
		for _, word := range words[4:] {
			key, value, _ := strings.Cut(word, "=")
			t.Configs = append(t.Configs, controller.Setting{Key: key, Value: &value})
		}
		return create(t)
	case "delete":
		return controller.DeleteTopics{Topics: []controller.TopicRef{{Name: words[1]}}}
	case "partitions":
		return controller.CreatePartitions{Topics: []controller.MorePartitions{{Topic: words[1], Count: number(2)}}}
	case "ids":
		return controller.AllocateProducerIDs{Broker: kafka.BrokerID(number(1)), Epoch: w.image.Broker(kafka.BrokerID(number(1))).Epoch}
	}
	op, ok := map[string]controller.ConfigOp{"set": controller.ConfigSet, "unset": controller.ConfigDelete, "append": controller.ConfigAppend, "subtract": controller.ConfigSubtract}[words[0]]
	if !ok {
		w.t.Fatalf("unknown command %v", words)
	}
	r := meta.ClusterResource()
	if kind, name, split := strings.Cut(words[1], "/"); split && kind == "topic" {
		r = meta.TopicResource(name)
	} else if split {
		r = meta.Resource{Type: meta.ResourceBroker, Name: name}
	}
	key, value, _ := strings.Cut(words[2], "=")
	return change(r, op, key, value)
}
