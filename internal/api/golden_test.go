package api_test

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/kafka"
)

// recordFrom names a fresh Apache Kafka of one broker, node 1. Its answers become
// the files that ours are compared with.
var recordFrom = flag.String("kafka", "", "HOST:PORT of an Apache Kafka: record its answers instead of comparing")

// recordOnly records one file, of a Kafka that was prepared before.
var recordOnly = flag.String("kafka.only", "", "record the answers of this file only")

// question is one request whose answer is compared. Questions of one file are
// asked in order of the same broker.
type question struct {
	name string
	q    kmsg.Request
	// ordered: the order of the answer's lists is part of the answer.
	ordered bool
}

// difference is a fact that is not Kafka's, on purpose. Facts of the file whose
// text after the question's name begins so are not compared.
type difference struct {
	file, question, fact, why string
}

// TestAnswersAreKafkas asks what Apache Kafka 4.3 was asked, and compares.
func TestAnswersAreKafkas(t *testing.T) {
	if *recordFrom != "" {
		recordGolden(t)
		return
	}
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		prepareGolden(c)
		used := make([]bool, len(differences))
		for _, f := range golden() {
			if f.apart {
				continue
			}
			want, err := os.ReadFile(goldenPath(f.name))
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, f.name, used, string(want), factsOf(c, f))
		}
		for i, u := range used {
			if !u {
				t.Errorf("no fact differs as this says: %+v", differences[i])
			}
		}
	})
}

func goldenPath(name string) string { return filepath.Join("testdata", "kafka", name+".txt") }

func recordGolden(t *testing.T) {
	nc, err := net.Dial("tcp", *recordFrom)
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{t: t, c: nc}
	if *recordOnly == "" {
		prepareGolden(c)
	}
	for _, f := range golden() {
		if *recordOnly != "" && *recordOnly != f.name {
			continue
		}
		if err := os.WriteFile(goldenPath(f.name), []byte(factsOf(c, f)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// prepareGolden makes what the questions are about: the topics t and u, and an
// idempotent producer's batch in t-0.
func prepareGolden(c *conn) {
	for name, partitions := range map[string]int32{"t": 3, "u": 2} {
		c.createTopic(name, partitions)
		for !c.knows(name) { // Kafka answers before its brokers have heard of it
		}
	}
	p := ask[*kmsg.ProduceResponse](c, produceTo(9, -1, "t", map[int32][]byte{0: idempotentBatch(c), 1: batch("x")}))
	for _, x := range p.Topics[0].Partitions {
		if x.ErrorCode != 0 {
			c.t.Fatalf("produce: %d", x.ErrorCode)
		}
	}
}

func (c *conn) knows(topic string) bool {
	q := kmsg.NewPtrMetadataRequest()
	q.Version = 9
	x := kmsg.NewMetadataRequestTopic()
	x.Topic = &topic
	q.Topics = append(q.Topics, x)
	p := ask[*kmsg.MetadataResponse](c, q)
	return p.Topics[0].ErrorCode == 0 && len(p.Topics[0].Partitions) > 0 && p.Topics[0].Partitions[0].ErrorCode == 0
}

// factsOf asks the file's questions and writes the answers down, one fact a line.
func factsOf(c *conn, f goldenFile) string {
	var out bytes.Buffer
	for _, x := range f.questions {
		fmt.Fprintf(&out, "# %s\n", x.name)
		if *recordFrom != "" { // Kafka answers before it has done what it was told
			<-time.After(300 * time.Millisecond)
		}
		c.send(x.q)
		p, err := c.answer(x.q)
		if *recordFrom != "" && errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Errorf("%s, %s: Kafka does not answer; leave it out", f.name, x.name)
			c.reconnect()
			continue
		}
		if errors.Is(err, errClosed) {
			out.WriteString("(closed)\n")
			c.reconnect()
			continue
		}
		if err != nil {
			c.t.Fatalf("%s, %s: %v", f.name, x.name, err)
		}
		w := factWriter{ordered: x.ordered}
		w.write("", "", reflect.ValueOf(p).Elem())
		if !x.ordered {
			slices.Sort(w.lines)
		}
		for _, line := range w.lines {
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}

// reconnect goes on with another connection to the same place.
func (c *conn) reconnect() {
	if c.again == nil {
		nc, err := net.DialTimeout("tcp", *recordFrom, time.Second)
		if err != nil {
			c.t.Fatal(err)
		}
		c.c = nc
		return
	}
	c.c = c.again().c
}

// factWriter turns an answer into facts: path = value. What differs from run to
// run is written as what kind of thing it is.
type factWriter struct {
	lines   []string
	ordered bool
}

func (w *factWriter) write(path, field string, v reflect.Value) {
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		w.fact(path, "null")
	case v.Kind() == reflect.Slice && v.Len() == 0:
		w.fact(path, map[bool]string{true: "null", false: "empty"}[v.IsNil()])
	case v.Kind() == reflect.Pointer:
		w.write(path, field, v.Elem())
	case v.Kind() == reflect.Struct:
		w.writeStruct(path, v)
	case v.Kind() == reflect.Array:
		w.fact(path, map[bool]string{true: "zero", false: "(id)"}[v.IsZero()])
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			w.write(fmt.Sprintf("%s[%s]", path, nameOf(v.Index(i), i)), field, v.Index(i))
		}
	default:
		w.fact(path, valueOf(field, v))
	}
}

func (w *factWriter) fact(path, value string) {
	line := strings.TrimPrefix(path, ".") + " = " + value
	if w.ordered {
		line = fmt.Sprintf("%03d ", len(w.lines)) + line
	}
	w.lines = append(w.lines, line)
}

func (w *factWriter) writeStruct(path string, v reflect.Value) {
	if c, ok := v.Interface().(kmsg.DescribeConfigsResponseResourceConfig); ok {
		w.writeConfig(path, &c)
		return
	}
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if !slices.Contains([]string{"Version", "ThrottleMillis", "UnknownTags"}, name) {
			w.write(path+"."+name, name, v.Field(i))
		}
	}
}

// writeConfig writes a setting in two lines: there are hundreds.
func (w *factWriter) writeConfig(path string, c *kmsg.DescribeConfigsResponseResourceConfig) {
	line := fmt.Sprintf("%s %s from %s", c.ConfigType, settingText(c.Value, c.Source), c.Source)
	for _, flag := range []struct {
		set  bool
		text string
	}{{c.ReadOnly, "read-only"}, {c.IsSensitive, "sensitive"}, {c.IsDefault, "default"}, {c.Documentation == nil, "undocumented"}} {
		if flag.set {
			line += ", " + flag.text
		}
	}
	w.fact(path, line)
	var synonyms []string
	for _, s := range c.ConfigSynonyms {
		synonyms = append(synonyms, fmt.Sprintf("%s %s from %s", s.Name, settingText(s.Value, s.Source), s.Source))
	}
	w.fact(path+".ConfigSynonyms", strings.Join(synonyms, "; "))
}

// settingText is a value, unless it names the machine that it was recorded on.
func settingText(value *string, source kmsg.ConfigSource) string {
	switch {
	case value == nil:
		return "null"
	case source == kmsg.ConfigSourceStaticBrokerConfig:
		return "(set)"
	}
	return fmt.Sprintf("%q", *value)
}

// nameOf is what tells an element of a list from the others.
func nameOf(v reflect.Value, index int) string {
	if id := v.FieldByName("TopicID"); id.IsValid() && v.FieldByName("Topic").Kind() == reflect.Pointer && v.FieldByName("Topic").IsNil() {
		return "id"
	}
	for _, field := range []string{"Name", "ConfigName", "ResourceName", "Topic", "Feature", "ApiKey", "NodeID", "TransactionalID", "User", "Partition", "ReplicaID"} {
		if f := v.FieldByName(field); f.IsValid() {
			if f.Kind() == reflect.Pointer {
				if f.IsNil() {
					continue
				}
				f = f.Elem()
			}
			return fmt.Sprint(f.Interface())
		}
	}
	return fmt.Sprint(index)
}

func valueOf(field string, v reflect.Value) string {
	switch field {
	case "ErrorMessage", "Documentation":
		return map[bool]string{true: "(empty)", false: "(text)"}[v.Len() == 0]
	case "ErrorCode":
		return kafka.ErrorCode(v.Int()).String()
	case "Host", "Dir", "ClusterID", "SubscriptionID":
		return "(" + field + ")"
	}
	grows := slices.Contains([]string{"Port", "Size", "TotalBytes", "UsableBytes", "HighWatermark", "LogEndOffset", "ProducerID",
		"LeaderEpoch", "LastTimestamp", "LastFetchTimestamp", "LastCaughtUpTimestamp", "FinalizedFeaturesEpoch"}, field)
	if grows && (v.CanInt() && v.Int() > 0 || v.CanUint() && v.Uint() > 0) {
		return "(positive)"
	}
	if v.Kind() == reflect.String {
		return fmt.Sprintf("%q", v.String())
	}
	return fmt.Sprint(v.Interface())
}

// compareGolden reports facts that one side has and the other lacks.
func compareGolden(t *testing.T, file string, used []bool, want, got string) {
	t.Helper()
	w, g := splitFacts(want), splitFacts(got)
	for _, name := range slices.SortedFunc(keysOf(w), cmp.Compare) {
		var missing, extra []string
		have := map[string]int{}
		for _, line := range g[name] {
			have[line]++
		}
		for _, line := range w[name] {
			if have[line]--; have[line] < 0 && !onPurpose(file, name, line, used) {
				missing = append(missing, line)
			}
		}
		for _, line := range g[name] {
			if have[line] > 0 {
				if have[line]--; !onPurpose(file, name, line, used) && !(name == thisBroker && isOurs(want, line)) {
					extra = append(extra, line)
				}
			}
		}
		if len(missing)+len(extra) > 0 {
			t.Errorf("%s, %s:\n  Kafka: %s\n  ours:  %s", file, name, strings.Join(missing, "\n         "), strings.Join(extra, "\n         "))
		}
	}
	if len(w) != len(g) {
		t.Errorf("%s: %d questions were recorded, %d are asked", file, len(w), len(g))
	}
}

// isOurs reports whether a fact is about a setting that Kafka does not have.
func isOurs(want, line string) bool {
	path, _, _ := strings.Cut(line, " = ")
	return strings.Contains(path, "Configs[") && !strings.Contains(want, "\n"+path+" = ")
}

func keysOf(m map[string][]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func splitFacts(text string) map[string][]string {
	out, name := map[string][]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if head, ok := strings.CutPrefix(line, "# "); ok {
			name = head
			out[name] = nil
			continue
		}
		out[name] = append(out[name], line)
	}
	return out
}

func onPurpose(file, name, line string, used []bool) bool {
	for i, d := range differences {
		if d.file == file && (d.question == "" || d.question == name) && strings.HasPrefix(line, d.fact) {
			used[i] = true
			return true
		}
	}
	return false
}
