package quorum

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/bin"
	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

var rewrite = flag.Bool("rewrite", false, "write golden files anew")

func reseal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[len(b)-4:], bin.CRC32C(b[:len(b)-4]))
	return b
}

func sampleVote() vote {
	return vote{sequence: 9, raftID: 0x1122334455667788, term: 7, vote: 0x1122334455667788, commit: 40, durable: 43}
}

func sampleSnapshot() snapshot {
	image, _, err := meta.Empty().Apply(40, controller.Found(testCluster))
	if err != nil {
		panic(err)
	}
	return snapshot{index: 40, term: 7, image: image, membership: membership{autoLeave: true, members: []member{
		{raftID: 3, node: 1, directory: testDirectory, roles: roleVoter | roleOutgoing},
		{raftID: 0x1122334455667788, node: 2, directory: kafka.DirectoryID{1}, roles: roleLearner},
	}}}
}

func sampleEntries() []*pb.Entry {
	return []*pb.Entry{
		{Type: pb.EntryNormal.Enum(), Index: proto.Uint64(5), Term: proto.Uint64(2)},
		{Type: pb.EntryNormal.Enum(), Index: proto.Uint64(6), Term: proto.Uint64(2), Data: meta.AppendRecords(nil, controller.Found(testCluster))},
		{Type: pb.EntryConfChangeV2.Enum(), Index: proto.Uint64(7), Term: proto.Uint64(3), Data: []byte{1}},
	}
}

func sampleBatches(t testing.TB) []byte {
	var data []byte
	for _, x := range sampleEntries() {
		var err error
		if data, _, err = appendBatch(data, nil, x, 1700000000000); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

// TestFormat_GoldenBytes: every file of the quorum has the bytes that were written
// down when its version was made.
func TestFormat_GoldenBytes(t *testing.T) {
	for name, got := range map[string][]byte{"vote-slot": sampleVote().appendSlot(nil)[:voteBodySize+4], "snapshot": sampleSnapshot().encode(), "entries": sampleBatches(t),
		"joining": encodeJoining(sampleSnapshot().membership.members)} {
		file := filepath.Join("testdata", "format", "v1", name+".hex")
		if *rewrite {
			must(t, os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(hex.EncodeToString(got)+"\n"), 0o644))
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := hex.DecodeString(strings.TrimSpace(string(text))); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, golden %x", name, got, want)
		}
	}
}

// TestFormat_ReadsBack: what is written is what is read.
func TestFormat_ReadsBack(t *testing.T) {
	if v, repair, err := decodeVote(sampleVote().encode()); err != nil || repair || v != sampleVote() {
		t.Errorf("vote %+v %v %v", v, repair, err)
	}
	want := sampleSnapshot()
	got, err := decodeSnapshot(want.encode())
	if err != nil || got.index != want.index || got.term != want.term || got.image.String() != want.image.String() || len(got.membership.members) != 2 ||
		got.membership.members[1] != want.membership.members[1] || !got.membership.autoLeave {
		t.Errorf("snapshot %+v %v", got, err)
	}
	entries, err := decodeEntries(nil, sampleBatches(t), 5)
	if err != nil || len(entries) != 3 {
		t.Fatalf("entries %v %v", entries, err)
	}
	for n, x := range sampleEntries() {
		if !proto.Equal(x, entries[n]) {
			t.Errorf("entry %v, want %v", entries[n], x)
		}
	}
	list, err := decodeJoining(encodeJoining(want.membership.members))
	if err != nil || len(list) != 2 || list[0] != want.membership.members[0] {
		t.Errorf("joining %+v %v", list, err)
	}
}

// TestVote_EveryTear: while a vote is written over another one, a crash may leave
// any mix of sectors in one slot: what is read is the old vote or the new one, and
// the new one once both slots have it.
func TestVote_EveryTear(t *testing.T) {
	old := sampleVote()
	next := old
	next.sequence, next.term, next.vote = 10, 8, 0
	oldSlot, nextSlot := old.appendSlot(nil), next.appendSlot(nil)
	for cut := 0; cut <= voteBodySize+4; cut++ {
		torn := append(bytes.Clone(nextSlot[:cut]), oldSlot[cut:]...)
		if v, _, err := decodeVote(append(bytes.Clone(torn), oldSlot...)); err != nil || v != old && v != next {
			t.Errorf("slot A torn at %d: %+v %v", cut, v, err)
		}
		if v, _, err := decodeVote(append(bytes.Clone(nextSlot), torn...)); err != nil || v != next {
			t.Errorf("slot B torn at %d: %+v %v", cut, v, err)
		}
	}
	for _, pair := range [][2][]byte{{oldSlot, nextSlot}, {make([]byte, voteSlotSize), make([]byte, voteSlotSize)}} {
		if v, _, err := decodeVote(append(bytes.Clone(pair[0]), pair[1]...)); err == nil {
			t.Errorf("impossible slots gave %+v", v)
		}
	}
}

func FuzzDecodeVote(f *testing.F) {
	f.Add(sampleVote().encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, repair, err := decodeVote(b); err == nil && !repair {
			if again, _, err := decodeVote(v.encode()); err != nil || again != v {
				t.Fatalf("%+v became %+v: %v", v, again, err)
			}
		}
		if len(b) >= 4 { // past the checksum
			slot := append(bytes.Clone(b), make([]byte, voteSlotSize)...)[:voteSlotSize]
			binary.BigEndian.PutUint32(slot, voteMagic)
			binary.BigEndian.PutUint32(slot[voteBodySize:], bin.CRC32C(slot[:voteBodySize]))
			_, _ = decodeSlot(slot)
		}
	})
}

func FuzzDecodeSnapshot(f *testing.F) {
	f.Add(sampleSnapshot().encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 8 {
			return
		}
		b = reseal(bytes.Clone(b)) // past the checksum
		s, err := decodeSnapshot(b)
		if err != nil {
			return
		}
		_ = s.membership.confState()
		again, err := decodeSnapshot(s.encode())
		if err != nil || again.image.String() != s.image.String() || again.index != s.index {
			t.Fatalf("%x: %v", b, err)
		}
	})
}

func FuzzDecodeEntries(f *testing.F) {
	f.Add(sampleBatches(f), int64(5))
	f.Fuzz(func(t *testing.T, b []byte, next int64) {
		entries, err := decodeEntries(nil, b, kafka.Offset(next))
		if err != nil {
			return
		}
		for n, x := range entries {
			if x.GetIndex() != uint64(next)+uint64(n) {
				t.Fatalf("entry %d at place %d", x.GetIndex(), n)
			}
		}
	})
}

func FuzzDecodeMessage(f *testing.F) {
	b, _ := proto.Marshal(&pb.Message{Type: pb.MsgApp.Enum(), To: proto.Uint64(1), Entries: sampleEntries()})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = decodeMessage(b) })
}
