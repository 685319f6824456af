//go:build rig

package compat_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/tests/compat/table"
	"holdfast/tests/rig"
)

// report writes one cell of docs/COMPATIBILITY.md.
func report(t *testing.T, client, version, feature, verdict, why string) {
	t.Helper()
	row := table.Row{Client: client, Version: version, Feature: feature, Verdict: verdict, Why: why}
	t.Logf("%s %s: %s %s %s", client, version, feature, verdict, why)
	path := os.Getenv("HOLDFAST_COMPAT_RESULTS")
	if path == "" {
		return
	}
	line, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
}

// bench is one client in front of one broker.
type bench struct {
	client  client
	program program
	version string
	broker  broker
}

// feature runs f as a subtest and reports how it went.
func (b bench) feature(t *testing.T, name string, f func(t *testing.T) error) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		err := f(t)
		var lacks unsupported
		switch {
		case err == nil && !t.Failed():
			report(t, b.client.name, b.version, name, "passed", "")
		case errors.As(err, &lacks):
			report(t, b.client.name, b.version, name, "unsupported", err.Error())
		case err == nil:
			report(t, b.client.name, b.version, name, "failed", "see the test's output")
		default:
			report(t, b.client.name, b.version, name, "failed", err.Error())
			t.Error(err)
		}
	})
}

// TestClients runs the same scenarios with every client.
func TestClients(t *testing.T) {
	b := start(t)
	for _, c := range clients {
		if !c.chosen() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			bench := bench{client: c, program: install(t, c), broker: b}
			s := bench.program.open(t)
			info, err := s.ask(request{Verb: "info"}, time.Minute)
			if err != nil || len(info) == 0 {
				t.Fatal(err)
			}
			bench.version = info[0].Value
			bench.produce(t, s)
			bench.consume(t, s)
			bench.admin(t, s)
			bench.group(t)
			rig.Record(t, rig.Result{
				What:    c.name + " " + bench.version + ": produce in 5 compressions and 3 modes, consume from offset and timestamp, admin calls, a group of two members",
				Seconds: time.Since(began).Seconds(),
			})
		})
	}
}

const sample = 100

var codecNumbers = map[string]uint8{"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}

func key(i int) string   { return fmt.Sprintf("k%d", i%7) }
func value(i int) string { return strings.Repeat(fmt.Sprintf("value %d ", i), 1+i%50) }

// produce writes with each compression in each mode, and reads back what came.
func (b bench) produce(t *testing.T, s *session) {
	for _, mode := range []string{"ordinary", "default", "idempotent"} {
		for _, codec := range codecs {
			b.feature(t, "produce "+codec.name+" "+mode, func(t *testing.T) error {
				topic := b.topic(t, 1)
				base := time.Now().Add(-time.Hour).UnixMilli()
				acked, err := s.ask(request{
					Verb: "produce", Addr: b.broker.addr, Topic: topic, Count: sample, Compression: codec.name, Mode: mode, Time: base,
				}, time.Minute)
				if err != nil {
					return err
				}
				got := consume(t, b.broker.addr, topic, kgo.NewOffset().AtStart(), sample)
				compressed := codec.name == "none"
				for i, r := range got {
					c := r.Attrs.CompressionType() // a batch that did not shrink may be sent as it was
					if c != 0 && c != codecNumbers[codec.name] {
						return fmt.Errorf("record %d is compressed with %d, want %s", i, c, codec.name)
					}
					compressed = compressed || c != 0
					if mode == "idempotent" && r.ProducerID < 0 {
						return fmt.Errorf("record %d has no producer id", i)
					}
				}
				if !compressed {
					return fmt.Errorf("no record is compressed with %s", codec.name)
				}
				if err := sameRecords(fromFranz(got), 0, base); err != nil {
					return err
				}
				offsets := map[int64]bool{}
				for _, a := range acked {
					if a.Offset >= 0 {
						offsets[a.Offset] = true
					}
				}
				if len(acked) != sample || len(offsets) != 0 && len(offsets) != sample {
					return fmt.Errorf("%d acknowledgements with %d offsets, want %d", len(acked), len(offsets), sample)
				}
				return nil
			})
		}
	}
}

func fromFranz(records []*kgo.Record) []event {
	out := make([]event, 0, len(records))
	for _, r := range records {
		e := event{Offset: r.Offset, Time: r.Timestamp.UnixMilli(), Key: string(r.Key), Value: string(r.Value)}
		for _, h := range r.Headers {
			e.Header = string(h.Value)
		}
		out = append(out, e)
	}
	return out
}

// sameRecords compares with the records first, first+1, ... of the sample:
// checksums of keys, values and headers, and each offset and timestamp.
func sameRecords(got []event, first int, base int64) error {
	if len(got) != sample-first {
		return fmt.Errorf("%d records, want %d", len(got), sample-first)
	}
	have, want := crc32.NewIEEE(), crc32.NewIEEE()
	for n, g := range got {
		i := first + n
		fmt.Fprintf(have, "%s %s %s\n", g.Key, g.Value, g.Header)
		fmt.Fprintf(want, "%s %s %d\n", key(i), value(i), i)
		if have.Sum32() != want.Sum32() {
			return fmt.Errorf("record %d is %q %q %q, which is not what was sent", i, g.Key, g.Value, g.Header)
		}
		if g.Offset != int64(i) || g.Time != base+int64(i)*1000 {
			return fmt.Errorf("record %d is at offset %d with timestamp base%+d ms", i, g.Offset, g.Time-base)
		}
	}
	return nil
}

// topic is a new topic of this test.
func (b bench) topic(t *testing.T, partitions int32) string {
	t.Helper()
	name := topicName("client")
	rig.CreateTopics(t, rig.NewClient(t, b.broker.addr), rig.Topic{Name: name, Partitions: partitions})
	return name
}

// consume reads what franz-go wrote in every compression.
func (b bench) consume(t *testing.T, s *session) {
	for _, from := range []struct {
		name, op string
		first    int
	}{{"start", "", 0}, {"offset", "", 37}, {"timestamp", "time", 61}} {
		b.feature(t, "consume from "+from.name, func(t *testing.T) error {
			for _, codec := range codecs {
				if why := b.client.lacks[codec.name]; why != "" {
					report(t, b.client.name, b.version, "consume "+codec.name, "unsupported", why)
					continue
				}
				topic := b.topic(t, 1)
				base := time.Now().Add(-time.Hour).UnixMilli()
				cl := rig.NewClient(t, b.broker.addr, kgo.ProducerBatchCompression(codec.franz))
				fill(t, cl, topic, base)
				got, err := s.ask(request{
					Verb: "consume", Addr: b.broker.addr, Topic: topic, Count: sample - from.first, Op: from.op,
					Offset: int64(from.first), Time: base + int64(from.first)*1000 - 500,
				}, time.Minute)
				if err == nil {
					err = sameRecords(got, from.first, base)
				}
				if err != nil {
					return fmt.Errorf("%s: %w", codec.name, err)
				}
			}
			return nil
		})
	}
}

// fill writes the sample in four batches or more.
func fill(t *testing.T, cl *kgo.Client, topic string, base int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for first := 0; first < sample; first += 25 {
		var records []*kgo.Record
		for i := first; i < first+25; i++ {
			records = append(records, &kgo.Record{
				Topic: topic, Key: []byte(key(i)), Value: []byte(value(i)), Timestamp: time.UnixMilli(base + int64(i)*1000),
				Headers: []kgo.RecordHeader{{Key: "n", Value: []byte(strconv.Itoa(i))}},
			})
		}
		if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// admin creates a topic, changes it and deletes it.
func (b bench) admin(t *testing.T, s *session) {
	topic := topicName("admin")
	cl := rig.NewClient(t, b.broker.addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	adm := kadm.NewClient(cl)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, step := range []struct {
		op, want   string
		partitions int32
		prepare    func(t *testing.T) // makes the step possible where the client could not do an earlier one
	}{
		{"create-topic", "", 3, nil},
		{"describe-topic", "3", 0, func(t *testing.T) {
			if d, err := adm.ListTopics(ctx, topic); err != nil || d[topic].Err != nil {
				rig.CreateTopics(t, cl, rig.Topic{Name: topic, Partitions: 3})
			}
		}},
		{"add-partitions", "", 5, nil},
		{"alter-config", "", 0, nil},
		{"describe-config", "1234567", 0, func(t *testing.T) {
			v := "1234567"
			if _, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &v}}, topic); err != nil {
				t.Fatal(err)
			}
		}},
		{"list-offsets", "100", 0, func(t *testing.T) { fill(t, cl, topic, time.Now().UnixMilli()) }},
		{"delete-topic", "", 0, nil},
	} {
		b.feature(t, "admin "+step.op, func(t *testing.T) error {
			if step.prepare != nil {
				step.prepare(t)
			}
			return b.step(s, request{Verb: "admin", Addr: b.broker.addr, Topic: topic, Op: step.op, Partitions: step.partitions, Value: "1234567"}, step.want)
		})
	}
	_, _ = adm.DeleteTopic(ctx, topic) // where the client could not
}

// step asks until the answer is what is wanted: metadata may come a moment later.
func (b bench) step(s *session, r request, want string) error {
	deadline := time.Now().Add(5 * time.Second)
	for {
		got, err := s.ask(r, 30*time.Second)
		if err != nil {
			return err
		}
		if len(got) != 1 {
			return fmt.Errorf("%s %s: %d answers", s.name, r.Op, len(got))
		}
		if strings.EqualFold(got[0].Value, want) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s %s: %q, want %q", s.name, r.Op, got[0].Value, want)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
