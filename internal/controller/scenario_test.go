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
//	> register ID START [wiped] [clean] an incarnation of a broker
//	> heartbeat ID [at OFFSET|fence|shutdown]
//	> fence ID                         its session ends
//	> unregister ID
//	> isr TOPIC MEMBER...              what the leader of partition 0 proposes; a
//	                                   member is ID, or ID@EPOCH for an older one
//	> lost ID TOPIC                    broker ID says that its replica lost records
//	> elect TOPIC [unclean]
//	> reassign TOPIC ID...             of partition 0; without ids: cancel
//	> recover TOPIC ID:EPOCH:END...    what replicas of partition 0 report
//	> force TOPIC ID ID:EPOCH:END...   an operator makes ID the leader
//	> force? TOPIC ID ID:EPOCH:END...  what would be lost by that
//	> balance, ensure                  leaders; replicas of internal topics
//	> create NAME PARTITIONS FACTOR [key=value ...]
//	> delete NAME
//	> partitions NAME COUNT
//	> set|unset|append|subtract RESOURCE key[=value]
//	> ids ID                           a block of producer ids
//	> image                            the whole picture
//	> show TOPIC                       its partitions
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
	switch words[0] {
	case "image":
		return w.image.String()
	case "show":
		var b strings.Builder
		for _, p := range w.image.TopicByName(words[1]).Partitions {
			b.WriteString(p.String() + "\n")
		}
		return b.String()
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
	for _, r := range reply.ISR {
		fmt.Fprintf(&b, "%s\n", outcome(r.Code, r.Message))
	}
	for _, r := range reply.Partitions {
		fmt.Fprintf(&b, "%s-%d: %s\n", r.Topic, r.Partition, outcome(r.Code, r.Message))
	}
	if words[0] == "heartbeat" {
		fmt.Fprintf(&b, "%+v\n", reply.Heartbeat)
	}
	if reply.BrokerEpoch > 0 {
		fmt.Fprintf(&b, "epoch %d\n", reply.BrokerEpoch)
	}
	return b.String()
}

func outcome(code kafka.ErrorCode, message string) string {
	if code == kafka.ErrNone && message != "" {
		return "done, " + message
	}
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
		for _, word := range words[3:] {
			switch word {
			case "wiped":
				r.Directories = []kafka.DirectoryID{directory(100 + number(1))}
				r.Incarnation[2] = 1
			case "clean":
				r.PreviousEpoch = w.epoch(number(1))
			}
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
	if c := parseReplication(w, words); c != nil {
		return c
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

// parseReplication knows the commands about brokers and replicas.
func parseReplication(w *world, words []string) controller.Command {
	id := func(n int) kafka.BrokerID {
		v, err := strconv.Atoi(words[n])
		if err != nil {
			w.t.Fatalf("%v: %v", words, err)
		}
		return kafka.BrokerID(v)
	}
	switch words[0] {
	case "heartbeat":
		c := controller.Heartbeat{Broker: id(1), Epoch: w.image.Broker(id(1)).Epoch, Applied: w.image.Offset()}
		if len(words) > 3 {
			c.Applied = kafka.Offset(id(3))
		}
		c.WantFence, c.WantShutdown = words[len(words)-1] == "fence", words[len(words)-1] == "shutdown"
		return c
	case "fence":
		return controller.FenceBroker{Broker: id(1), Epoch: w.image.Broker(id(1)).Epoch, Reason: "scenario"}
	case "unregister":
		return controller.UnregisterBroker{Broker: id(1)}
	case "isr":
		return parseISR(w, words)
	case "lost":
		return controller.ReportLost{Broker: id(1), Epoch: w.image.Broker(id(1)).Epoch, Replicas: []kafka.TopicIDPartition{{TopicID: w.image.TopicByName(words[2]).ID}}}
	case "elect":
		c := controller.ElectLeaders{Partitions: []kafka.TopicPartition{{Topic: words[1]}}}
		if len(words) > 2 {
			c.Kind = controller.ElectUnclean
		}
		return c
	case "reassign":
		r := controller.Reassignment{Topic: words[1]}
		for n := range words[2:] {
			r.Replicas = append(r.Replicas, id(n+2))
		}
		return controller.AlterReassignments{Reassignments: []controller.Reassignment{r}}
	case "recover":
		return controller.RecoverPartitions{Reports: parseReports(w, words[1], words[2:])}
	case "force", "force?":
		return controller.ForceRecovery{TopicID: w.image.TopicByName(words[1]).ID, Broker: id(2), Reports: parseReports(w, words[1], words[3:]),
			Reason: "scenario", ValidateOnly: words[0] == "force?"}
	case "balance":
		return controller.BalanceLeaders{}
	case "ensure":
		return controller.EnsureReplication{}
	}
	return nil
}

func parseISR(w *world, words []string) controller.Command {
	c := w.propose(words[1])
	for _, word := range words[2:] {
		member, epoch, stale := strings.Cut(word, "@")
		n, _ := strconv.Atoi(member)
		m := controller.Member{ID: kafka.BrokerID(n), Epoch: w.epoch(n)}
		if stale {
			e, _ := strconv.Atoi(epoch)
			m.Epoch = kafka.BrokerEpoch(e)
		}
		c.Changes[0].ISR = append(c.Changes[0].ISR, m)
	}
	return c
}

func parseReports(w *world, topic string, words []string) (out []controller.LogReport) {
	p := w.first(topic)
	for _, word := range words {
		var id, epoch, end int
		if _, err := fmt.Sscanf(word, "%d:%d:%d", &id, &epoch, &end); err != nil {
			w.t.Fatalf("report %q: %v", word, err)
		}
		b := w.image.Broker(kafka.BrokerID(id))
		out = append(out, controller.LogReport{TopicID: p.TopicID, Broker: b.ID, BrokerEpoch: b.Epoch, Directory: b.Directories[0],
			LeaderEpoch: p.LeaderEpoch, LastEpoch: kafka.LeaderEpoch(epoch), End: kafka.Offset(end)})
	}
	return out
}
