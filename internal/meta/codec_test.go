package meta_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"holdfast/internal/bin"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

var rewrite = flag.Bool("rewrite", false, "write golden files anew")

// samples has one record of every kind, every field set and distinct.
func samples() map[string]meta.Record {
	p := meta.PartitionRecord{TopicID: topicID(3), Index: 300, Replicas: []kafka.BrokerID{1, 2, 300}, Directories: []kafka.DirectoryID{{1}, {2}, {3}},
		ISR: []kafka.BrokerID{1}, ELR: []kafka.BrokerID{2}, Lost: []kafka.BrokerID{300}, Leader: 1, LeaderEpoch: 5, PartitionEpoch: 600,
		MinISR: 3, LowestMinISR: 2, TargetReplicas: 4}
	all := meta.PartitionChange{Fields: meta.SetReplicas | meta.SetDirectories | meta.SetISR | meta.SetELR | meta.SetLost | meta.SetLeader | meta.SetMinISR | meta.SetTargetReplicas, PartitionRecord: p}
	one := meta.PartitionChange{Fields: meta.SetLeader, PartitionRecord: meta.PartitionRecord{TopicID: topicID(3), Index: 1, Leader: kafka.NoBroker, LeaderEpoch: 7, PartitionEpoch: 9}}
	return map[string]meta.Record{
		"cluster":              &meta.Cluster{ID: kafka.ClusterID{1, 2}, FeatureLevel: 1},
		"feature-level":        &meta.FeatureLevelRecord{Level: 1},
		"broker":               &meta.Broker{ID: 5, Epoch: 1000, Incarnation: kafka.UUID{3}, Starts: 77, Directories: []kafka.DirectoryID{{4}, {5}}, Endpoints: []meta.Endpoint{{"PLAINTEXT", "host", 9092}, {"SSL", "::1", 65535}}, Rack: "r1", Fenced: true},
		"broker-of-entry":      &meta.Broker{ID: 1, Epoch: meta.EpochOfEntry, Starts: 1},
		"topic":                &meta.TopicRecord{ID: topicID(3), Name: "orders"},
		"partition":            &p,
		"partition-change-all": &all,
		"partition-change-one": &one,
		"remove-topic":         &meta.RemoveTopic{ID: topicID(3)},
		"config-set":           &meta.Config{Resource: meta.TopicResource("orders"), Key: "retention.ms", Value: ptr("1000")},
		"config-empty":         &meta.Config{Resource: meta.BrokerResource(7), Key: "k", Value: ptr("")},
		"config-removed":       &meta.Config{Resource: meta.ClusterResource(), Key: "k"},
		"producer-ids":         &meta.ProducerIDs{Next: 123456789000, Broker: 3, Epoch: 44},
	}
}

// samplesV2 are what version 1 of the records could not hold.
func samplesV2() map[string]meta.Record {
	p := *samples()["partition"].(*meta.PartitionRecord)
	p.Adding, p.Removing = []kafka.BrokerID{2}, []kafka.BrokerID{300}
	p.Forced = &meta.ForcedRecovery{LeaderEpoch: 4, Cut: 123456789, At: 1234567890123, Reason: "why"}
	all := meta.PartitionChange{Fields: meta.SetForced<<1 - 1, PartitionRecord: p}
	b := *samples()["broker"].(*meta.Broker)
	b.ShuttingDown, b.Features = true, 2
	return map[string]meta.Record{
		"broker":                      &b,
		"partition":                   &p,
		"partition-change-all":        &all,
		"partition-change-reassigned": &meta.PartitionChange{Fields: meta.SetReassignment, PartitionRecord: meta.PartitionRecord{TopicID: topicID(3), PartitionEpoch: 9}},
		"partition-change-unforced":   &meta.PartitionChange{Fields: meta.SetForced, PartitionRecord: meta.PartitionRecord{TopicID: topicID(3), PartitionEpoch: 9}},
		"remove-broker":               &meta.RemoveBroker{ID: 300},
	}
}

// TestCodec_GoldenBytes: every record of every version has the bytes that were
// written down when the version was made. Later versions read them for ever.
func TestCodec_GoldenBytes(t *testing.T) {
	golden(t, "v1", samples())
	golden(t, "v2", samplesV2())
}

func golden(t *testing.T, version string, samples map[string]meta.Record) {
	for name, r := range samples {
		file := filepath.Join("testdata", "format", version, name+".hex")
		got := meta.AppendRecords(nil, []meta.Record{r})
		if *rewrite {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(hex.EncodeToString(got)+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, golden %x", name, got, want)
		}
		back, err := meta.DecodeRecords(want)
		if err != nil || len(back) != 1 || !reflect.DeepEqual(back[0], r) {
			t.Errorf("%s: read back %+v (%v), want %+v", name, back, err, r)
		}
	}
}

// TestCodec_NewerIsRefusedInPlainWords: nothing that a newer program wrote is
// skipped.
func TestCodec_NewerIsRefusedInPlainWords(t *testing.T) {
	one := func(kind uint16, version uint8, body ...byte) []byte {
		b := bin.AppendUvarint(nil, 1)
		b = bin.AppendUvarint(b, uint32(3+len(body)))
		return append(append(bin.AppendUint16(b, kind), version), body...)
	}
	for name, b := range map[string][]byte{"kind": one(500, 1, 1, 2), "version": one(uint16(meta.KindTopic), 2, 1, 2), "version 3": one(uint16(meta.KindPartition), 3, 1, 2)} {
		_, err := meta.DecodeRecords(b)
		var newer *meta.VersionError
		if !errors.As(err, &newer) || !strings.Contains(err.Error(), "a newer version of holdfast has written it") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCodec_Damage: bytes that no encoder writes are refused, wherever they are.
func TestCodec_Damage(t *testing.T) {
	all := samples()
	for name, r := range samplesV2() {
		all[name+" v2"] = r
	}
	for name, r := range all {
		good := meta.AppendRecords(nil, []meta.Record{r})
		for cut := range good {
			if _, err := meta.DecodeRecords(good[:cut]); err == nil {
				t.Errorf("%s: the first %d bytes of %d are taken", name, cut, len(good))
			}
		}
		if _, err := meta.DecodeRecords(append(bytes.Clone(good), 0)); err == nil {
			t.Errorf("%s: a byte behind the end is taken", name)
		}
		long := bytes.Clone(good)
		long[1]++ // the frame's length
		if _, err := meta.DecodeRecords(append(long, 0)); err == nil {
			t.Errorf("%s: a byte behind the body is taken", name)
		}
	}
	// A count that promises more than there is costs nothing.
	if _, err := meta.DecodeRecords([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}); err == nil {
		t.Error("4 billion records in 5 bytes")
	}
}

// FuzzDecodeRecords: no panic; what is taken has one encoding only; applying it
// does not panic either.
func FuzzDecodeRecords(f *testing.F) {
	var all []meta.Record
	for _, r := range samples() {
		f.Add(meta.AppendRecords(nil, []meta.Record{r}))
		all = append(all, r)
	}
	for _, r := range samplesV2() {
		f.Add(meta.AppendRecords(nil, []meta.Record{r}))
	}
	f.Add(meta.AppendRecords(nil, all))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, err := meta.DecodeRecords(b)
		if err != nil {
			return
		}
		again := meta.AppendRecords(nil, records)
		back, err := meta.DecodeRecords(again)
		if err != nil || fmt.Sprint(len(back)) != fmt.Sprint(len(records)) || !reflect.DeepEqual(back, records) {
			t.Fatalf("%x became %x: %v", b, again, err)
		}
		if i, _, err := meta.Empty().Apply(0, records); err == nil {
			_ = i.String()
			if _, _, err := meta.Empty().Apply(0, i.Records()); err != nil {
				t.Fatalf("snapshot of what was applied: %v", err)
			}
		}
	})
}
