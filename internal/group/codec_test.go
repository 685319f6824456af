package group

import (
	"encoding/hex"
	"errors"
	"reflect"
	"testing"

	"holdfast/internal/kafka"
)

// The bytes were written by Apache Kafka 4.3.0's own classes.
var goldenKeys = map[string]key{
	"0000000267310005746f70696300000007": {known: true, offset: true, group: "g1", topic: "topic", partition: 7},
	"0001000267310005746f70696300000007": {known: true, offset: true, group: "g1", topic: "topic", partition: 7},
	"000200026731":                       {known: true, group: "g1"},
	"000300026731":                       {}, // a group of another protocol
}

var goldenOffsets = map[string]committed{
	"0000000000000000002a00046d65746100000000000003e8":                                                   {offset: 42, leaderEpoch: -1, metadata: "meta", at: 1000, expires: -1},
	"0001000000000000002a00046d65746100000000000003e800000000000007d0":                                   {offset: 42, leaderEpoch: -1, metadata: "meta", at: 1000, expires: 2000},
	"0002000000000000002a00046d65746100000000000003e8":                                                   {offset: 42, leaderEpoch: -1, metadata: "meta", at: 1000, expires: -1},
	"0003000000000000002a0000000300046d65746100000000000003e8":                                           {offset: 42, leaderEpoch: 3, metadata: "meta", at: 1000, expires: -1},
	"0004000000000000002a00000003056d65746100000000000003e800":                                           {offset: 42, leaderEpoch: 3, metadata: "meta", at: 1000, expires: -1},
	"0004000000000000002a00000003056d65746100000000000003e80100100102030405060708090a0b0c0d0e0f10":       {offset: 42, leaderEpoch: 3, metadata: "meta", at: 1000, expires: -1, topicID: kafka.TopicID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
	"0004000000000000002a00000003056d65746100000000000003e80200100102030405060708090a0b0c0d0e0f10050100": {offset: 42, leaderEpoch: 3, metadata: "meta", at: 1000, expires: -1, topicID: kafka.TopicID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}, // with a tag that we do not know
}

var goldenGroups = []string{
	"00000008636f6e73756d657200000005000572616e676500036d2d310000000100036d2d31000163000a2f3132372e302e302e3100002710000000030001020000000109",
	"00010008636f6e73756d657200000005000572616e676500036d2d310000000100036d2d31000163000a2f3132372e302e302e310000ea6000002710000000030001020000000109",
	"00020008636f6e73756d657200000005000572616e676500036d2d3100000000000004d20000000100036d2d31000163000a2f3132372e302e302e310000ea6000002710000000030001020000000109",
	"00030008636f6e73756d657200000005000572616e676500036d2d3100000000000004d20000000100036d2d310004696e7374000163000a2f3132372e302e302e310000ea6000002710000000030001020000000109",
	"000409636f6e73756d6572000000050672616e6765046d2d3100000000000004d202046d2d3105696e737402630b2f3132372e302e302e310000ea60000027100400010202090000",
}

func unhex(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCodec_KafkasOwnKeys(t *testing.T) {
	for text, want := range goldenKeys {
		got, err := decodeKey(unhex(t, text))
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	if got := hex.EncodeToString(encodeOffsetKey("g1", kafka.TopicPartition{Topic: "topic", Partition: 7})); goldenKeys[got].topic == "" {
		t.Errorf("we write %s", got)
	}
	if got := hex.EncodeToString(encodeGroupKey("g1")); got != "000200026731" {
		t.Errorf("we write %s", got)
	}
}

func TestCodec_KafkasOwnOffsets(t *testing.T) {
	for text, want := range goldenOffsets {
		got, known, err := decodeOffset(unhex(t, text))
		if err != nil || !known || got != want {
			t.Errorf("%s: %+v %v %v", text, got, known, err)
			continue
		}
		again, _, err := decodeOffset(encodeOffset(got))
		if err != nil || again != got {
			t.Errorf("%s: written again it is %+v, %v", text, again, err)
		}
	}
	withID := "0004000000000000002a00000003056d65746100000000000003e80100100102030405060708090a0b0c0d0e0f10"
	for _, text := range []string{withID, "0004000000000000002a00000003056d65746100000000000003e800", "0001000000000000002a00046d65746100000000000003e800000000000007d0"} {
		if got := hex.EncodeToString(encodeOffset(goldenOffsets[text])); got != text {
			t.Errorf("Kafka writes %s, we write %s", text, got)
		}
	}
}

func TestCodec_KafkasOwnGroups(t *testing.T) {
	inst, protocol, leader := "inst", "range", "m-1"
	for version, text := range goldenGroups {
		want := saved{protocolType: "consumer", generation: 5, protocol: &protocol, leader: &leader, since: 1234, members: []savedMember{{
			id: "m-1", instance: &inst, clientID: "c", host: "/127.0.0.1", rebalanceTimeout: 60000, sessionTimeout: 10000,
			subscription: []byte{0, 1, 2}, assignment: []byte{9},
		}}}
		if version < 1 {
			want.members[0].rebalanceTimeout = -1
		}
		if version < 2 {
			want.since = kafka.NoTimestamp
		}
		if version < 3 {
			want.members[0].instance = nil
		}
		got, known, err := decodeGroup(unhex(t, text))
		if err != nil || !known || !reflect.DeepEqual(got, want) {
			t.Errorf("version %d: %+v %v %v", version, got, known, err)
		}
		if version == groupValue && hex.EncodeToString(encodeGroup(&got)) != text {
			t.Errorf("Kafka writes %s, we write %x", text, encodeGroup(&got))
		}
	}
	none := &saved{protocolType: "consumer", generation: 6, since: 99}
	if got := hex.EncodeToString(encodeGroup(none)); got != "00030008636f6e73756d657200000006ffffffff000000000000006300000000" {
		t.Errorf("empty group: %s", got)
	}
}

func TestReplay_SkipsWhatIsNewer(t *testing.T) {
	m := New(testSettings())
	for _, kv := range [][2][]byte{
		{unhex(t, "0003000267310005"), {1}},                                    // a kind of another protocol, whatever it holds
		{unhex(t, "7fff"), nil},                                                // one that nobody knows yet
		{encodeGroupKey("g"), unhex(t, "000500")},                              // a newer group value
		{encodeOffsetKey("g", kafka.TopicPartition{Topic: "t"}), {0, 9, 1, 2}}, // a newer offset value
	} {
		if err := m.Replay(kv[0], kv[1], 1); err != nil {
			t.Error(err)
		}
	}
	if m.Skipped() != 4 || len(m.groups) != 0 {
		t.Errorf("skipped %d, groups %d", m.Skipped(), len(m.groups))
	}
}

func TestReplay_DamageIsTyped(t *testing.T) {
	m := New(testSettings())
	for _, kv := range [][2][]byte{
		{{}, nil},
		{{0}, nil},
		{unhex(t, "0002ffff"), nil},       // a null group
		{unhex(t, "000200026731ff"), nil}, // something behind
		{encodeGroupKey("g"), {}},         // empty is not a tombstone
		{encodeGroupKey("g"), unhex(t, goldenGroups[3])[:30]},
		{encodeGroupKey("g"), unhex(t, "000000007fffffffffffffff7fffffff")}, // a count that cannot be
		{encodeOffsetKey("g", kafka.TopicPartition{Topic: "t"}), {0, 3, 1}},
	} {
		err := m.Replay(kv[0], kv[1], 1)
		var damage *CorruptionError
		if !errors.As(err, &damage) {
			t.Errorf("%x %x: %v", kv[0], kv[1], err)
		}
	}
	if len(m.groups) != 0 {
		t.Error("damage changed the state")
	}
}

// FuzzReplay: no input panics, what is accepted can be used, and what is kept
// survives being written and read again.
func FuzzReplay(f *testing.F) {
	for text := range goldenOffsets {
		b, _ := hex.DecodeString(text)
		f.Add(encodeOffsetKey("g1", kafka.TopicPartition{Topic: "topic", Partition: 7}), b)
	}
	for _, text := range goldenGroups {
		b, _ := hex.DecodeString(text)
		f.Add(encodeGroupKey("g"), b)
	}
	f.Fuzz(func(t *testing.T, k, v []byte) {
		m := New(testSettings())
		if err := m.Replay(k, v, 1); err != nil {
			var damage *CorruptionError
			if !errors.As(err, &damage) {
				t.Fatalf("untyped: %v", err)
			}
			return
		}
		before := dump(m)
		again := New(testSettings())
		for name, g := range m.groups {
			if g.saved {
				if err := again.Replay(encodeGroupKey(name), encodeGroup(g.save()), 1); err != nil {
					t.Fatal(err)
				}
			}
			for _, tp := range g.partitions() {
				if err := again.Replay(encodeOffsetKey(name, tp), encodeOffset(g.offsets[tp.Topic].partitions[tp.Partition]), 1); err != nil {
					t.Fatal(err)
				}
			}
		}
		if after := dump(again); len(k) < 1000 && len(v) < 1000 && canBeWritten(m) && after != before {
			t.Fatalf("before\n%s\nafter\n%s", before, after)
		}
		m.Loaded(1_000_000)
		for range 1000 {
			at, ok := m.Next()
			if !ok || at > 1<<40 {
				return
			}
			m.Tick(max(at, 1_000_000))
		}
	})
}

// canBeWritten: members without a protocol are accepted from a log but never
// written.
func canBeWritten(m *Machine) bool {
	for _, g := range m.groups {
		if len(g.members) > 0 && g.protocol == nil {
			return false
		}
	}
	return true
}
