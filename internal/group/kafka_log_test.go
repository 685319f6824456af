package group

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"holdfast/internal/record"
)

// kafkaLog reads a segment of __consumer_offsets that Apache Kafka 4.3.0 wrote
// during the conversation of golden_test.go.
func kafkaLog(t *testing.T, name string) []logged {
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var all []logged
	for len(b) > 0 {
		h, err := record.ParseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		batch := b[:h.Size()]
		b = b[h.Size():]
		if err := record.Verify(batch); err != nil {
			t.Fatal(err)
		}
		err = record.Iterate(batch, 0, func(r record.Record) error {
			all = append(all, logged{Record{r.Key, r.Value}, 0, r.Timestamp})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// facts is what a log says, without times and with ids by number.
func facts(t *testing.T, log []logged, group string) string {
	ids := map[string]string{"": "none"}
	name := func(id string) string {
		if ids[id] == "" {
			ids[id] = fmt.Sprint("id", len(ids))
		}
		return ids[id]
	}
	var b strings.Builder
	for _, l := range log {
		k, err := decodeKey(l.Key)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case k.group != group:
		case l.Value == nil:
			fmt.Fprintf(&b, "delete offset=%v %s-%d\n", k.offset, k.topic, k.partition)
		case k.offset:
			c, _, err := decodeOffset(l.Value)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s-%d %d epoch %d %q expires %d, version %d\n", k.topic, k.partition, c.offset, c.leaderEpoch, c.metadata, c.expires, l.Value[1])
		default:
			s, _, err := decodeGroup(l.Value)
			if err != nil {
				t.Fatal(err)
			}
			leader := ""
			if s.leader != nil {
				leader = *s.leader
			}
			fmt.Fprintf(&b, "generation %d type %q protocol %v leader %s version %d", s.generation, s.protocolType, show(s.protocol), name(leader), l.Value[1])
			for _, m := range s.members {
				fmt.Fprintf(&b, " (%s %s %s %s %d %d %x %q)", name(m.id), show(m.instance), m.clientID, m.host, m.rebalanceTimeout, m.sessionTimeout, m.subscription, m.assignment)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// TestRecords_AreThoseOfKafka: the machine writes what Kafka wrote in the same
// conversation, except that Kafka also writes an empty group for a name that
// somebody wants to join (generation 0).
func TestRecords_AreThoseOfKafka(t *testing.T) {
	s := testSettings()
	s.InitialDelay = 0
	r := newRig(t, s)
	(&conversation{p: &machinePeer{rig: r}}).talk()
	for group, file := range map[string]string{"g": "kafka-4.3.0-g.log", "simple": "kafka-4.3.0-simple.log"} {
		var kafkas []string
		for _, line := range strings.SplitAfter(facts(t, kafkaLog(t, file), group), "\n") {
			if !strings.HasPrefix(line, "generation 0 ") {
				kafkas = append(kafkas, line)
			}
		}
		if want, got := strings.Join(kafkas, ""), facts(t, r.log, group); got != want || len(kafkas) < 3 {
			t.Errorf("%s: Kafka wrote\n%swe write\n%s", group, want, got)
		}
	}
}

// TestReplay_AKafkaLog: the state after it is the one that Kafka ended with.
func TestReplay_AKafkaLog(t *testing.T) {
	m, err := replayed(append(kafkaLog(t, "kafka-4.3.0-g.log"), kafkaLog(t, "kafka-4.3.0-simple.log")...), apply)
	if err != nil {
		t.Fatal(err)
	}
	if m.Skipped() != 0 {
		t.Errorf("%d records skipped", m.Skipped())
	}
	g := m.groups["g"]
	if g == nil || g.phase != empty || g.generation != 2 || g.protocolType != "consumer" || len(g.offsets) != 0 || len(m.groups) != 1 {
		t.Errorf("the log ends with\n%s", dump(m))
	}
}
