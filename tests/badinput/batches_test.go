//go:build rig

package badinput_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/kafka"
	"holdfast/tests/rig"
)

const year = int64(365 * 24 * 3600 * 1000)

// change is a good batch of three records, edited.
func change(f func([]byte)) func() []byte {
	return func() []byte { return edit(plain(3, 20).bytes(), f) }
}

// field is a good batch of three records with other fields.
func field(f func(*batch)) func() []byte {
	return func() []byte { b := plain(3, 20); f(&b); return b.bytes() }
}

// badBatches are refused: any code but NONE, or the one named.
var badBatches = []struct {
	name  string
	topic string
	bytes func() []byte
	want  kafka.ErrorCode // ErrNone: any error
}{
	{"bad checksum", topic, func() []byte { b := plain(3, 20).bytes(); b[70] ^= 1; return b }, kafka.ErrCorruptMessage},
	{"magic 0", topic, change(func(b []byte) { b[16] = 0 }), 0},
	{"magic 1", topic, change(func(b []byte) { b[16] = 1 }), 0},
	{"magic 3", topic, change(func(b []byte) { b[16] = 3 }), 0},
	{"empty", topic, func() []byte { return nil }, 0},
	{"sixty bytes", topic, func() []byte { return plain(1, 1).bytes()[:60] }, 0},
	{"cut short", topic, func() []byte { b := plain(3, 20).bytes(); return b[:len(b)-5] }, 0},
	{"length too small", topic, change(func(b []byte) { binary.BigEndian.PutUint32(b[8:], 40) }), 0},
	{"length -1", topic, change(func(b []byte) { binary.BigEndian.PutUint32(b[8:], 0xffffffff) }), 0},
	{"length beyond the field", topic, change(func(b []byte) { binary.BigEndian.PutUint32(b[8:], 1<<30) }), 0},
	{"two batches", topic, func() []byte { b := plain(1, 20).bytes(); return append(b, b...) }, 0},
	{"count 0", topic, field(func(b *batch) { b.count = 0 }), 0},
	{"count -1", topic, field(func(b *batch) { b.count = -1 }), 0},
	{"count 2147483647", topic, field(func(b *batch) { b.count = 1<<31 - 1 }), 0},
	{"count above the records", topic, field(func(b *batch) { b.count = 4 }), 0},
	{"count below the records", topic, field(func(b *batch) { b.count = 2 }), 0},
	{"last offset delta above the records", topic, field(func(b *batch) { b.lastDelta = 1000 }), 0},
	{"last offset delta -1", topic, field(func(b *batch) { b.lastDelta = -1 }), 0},
	{"offset deltas with a hole", topic, field(func(b *batch) {
		b.payload = append(append(rec(0, nil), rec(2, nil)...), rec(3, nil)...)
	}), 0},
	{"record length beyond the batch", topic, field(func(b *batch) { b.payload = append([]byte{0xfe, 0xff, 0xff, 0xff, 0x0f}, b.payload...) }), 0},
	{"control bit", topic, field(func(b *batch) { b.attributes = 0x20 }), kafka.ErrInvalidRecord},
	{"transactional bit without a transaction", topic, field(func(b *batch) { b.attributes = 0x10 }), 0},
	{"unknown compression 7", topic, field(func(b *batch) { b.attributes = 7 }), 0},
	{"compression gzip over plain bytes", topic, field(func(b *batch) { b.attributes = 1 }), 0},
	{"compression zstd over plain bytes", topic, field(func(b *batch) { b.attributes = 4 }), 0},
	{"timestamp in a hundred years", topic, field(func(b *batch) { b.timestamp += 100 * year }), kafka.ErrInvalidTimestamp},
	{"timestamp beyond all years", topic, field(func(b *batch) { b.timestamp = 1<<63 - 1 }), 0},
	{"producer without a sequence", topic, field(func(b *batch) { b.producer, b.epoch, b.sequence = 5, 0, -1 }), 0},
	{"negative epoch", topic, field(func(b *batch) { b.producer, b.epoch, b.sequence = 5, -7, 0 }), 0},
	{"no key on a compacted topic", "compacted", func() []byte { return plain(1, 20).bytes() }, kafka.ErrInvalidRecord},
	{"above max.message.bytes", topic, func() []byte { return plain(1, 2<<20).bytes() }, kafka.ErrMessageTooLarge},
}

// TestBadBatches produces each batch. The answer is an error code or a closed
// connection; nothing is stored.
func TestBadBatches(t *testing.T) {
	b := start(t)
	began := time.Now()
	for _, tt := range badBatches {
		t.Run(tt.name, func(t *testing.T) {
			code, err := b.produce(t, tt.topic, 0, -1, tt.bytes())
			switch {
			case errors.Is(err, io.EOF):
				if tt.want != 0 {
					t.Errorf("connection closed, want %v", tt.want)
				}
			case err != nil:
				t.Error(err)
			case code == 0:
				t.Error("accepted")
			case tt.want != 0 && code != tt.want:
				t.Errorf("%v, want %v", code, tt.want)
			}
			b.unharmed(t)
		})
	}
	b.noPanic(t)
	rig.Record(t, rig.Result{What: "record batches that lie", Rounds: len(badBatches), Seconds: time.Since(began).Seconds()})
}

// produce sends one batch on a connection of its own and returns its code.
func (b *broker) produce(t *testing.T, topic string, partition int32, acks int16, records []byte) (kafka.ErrorCode, error) {
	t.Helper()
	resp, err := dial(t, b.place.Addr).ask(produce(topic, partition, acks, records))
	if err != nil {
		return 0, err
	}
	r := resp.(*kmsg.ProduceResponse)
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("reply names %d topics", len(r.Topics))
	}
	return kafka.ErrorCode(r.Topics[0].Partitions[0].ErrorCode), nil
}

// bombSize is what the largest bomb grows to. Every compressed batch is under a
// megabyte, so that its own size is no reason to refuse it.
const bombSize = 512 << 20

// growthMax is by how much a bomb may swell the broker.
const growthMax = 256 << 20

// TestDecompressionBombs sends records of half a gigabyte that compress to
// little. They are refused, in bounded memory.
func TestDecompressionBombs(t *testing.T) {
	b := start(t)
	before, err := b.proc.ResidentBytes()
	if err != nil {
		t.Fatal(err)
	}
	bombs := []struct {
		name string
		attr int16
		size int64
		make func(io.Writer) (io.WriteCloser, error)
	}{
		{"gzip", 1, bombSize, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.BestCompression) }},
		{"lz4", 3, 200 << 20, func(w io.Writer) (io.WriteCloser, error) { return lz4.NewWriter(w), nil }},
		{"zstd", 4, bombSize, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }},
	}
	for _, bomb := range bombs {
		t.Run(bomb.name, func(t *testing.T) {
			// The same construction, small, is a good batch: only the size is refused.
			control := plain(1, 0)
			control.attributes, control.payload = bomb.attr, compressed(t, bomb.make, 1<<10)
			if code, err := b.produce(t, "neighbour", 0, -1, control.bytes()); err != nil || code != 0 {
				t.Errorf("a small batch: %v, %v", code, err)
			}
			b.detonate(t, bomb.attr, compressed(t, bomb.make, bomb.size), before)
		})
	}
	t.Run("snappy that claims 4 GiB", func(t *testing.T) {
		b.detonate(t, 2, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 'x'}, before)
	})
	t.Run("snappy xerial", func(t *testing.T) {
		xerial := []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1}
		block := s2.EncodeSnappy(nil, make([]byte, 4<<20))
		for len(xerial)+len(block) < 900<<10 {
			xerial = binary.BigEndian.AppendUint32(xerial, uint32(len(block)))
			xerial = append(xerial, block...)
		}
		b.detonate(t, 2, xerial, before)
	})
	b.noPanic(t)
	rig.Record(t, rig.Result{What: fmt.Sprintf("decompression bombs of %d MiB", bombSize>>20), Rounds: len(bombs) + 2})
}

// compressed is one record whose value is size zeroes, a multiple of 1 KiB.
func compressed(t *testing.T, create func(io.Writer) (io.WriteCloser, error), size int64) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := create(&out)
	if err != nil {
		t.Fatal(err)
	}
	head := []byte{0, 0, 0, 1} // attributes, timestamp delta, offset delta, no key
	head = binary.AppendVarint(head, size)
	write := func(b []byte) {
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	write(binary.AppendVarint(nil, int64(len(head))+size+1))
	write(head)
	zero := make([]byte, 1<<10)
	for range size >> 10 {
		write(zero)
	}
	write([]byte{0}) // no headers
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func (b *broker) detonate(t *testing.T, attr int16, payload []byte, before int64) {
	t.Helper()
	bt := plain(1, 0)
	bt.attributes, bt.payload = attr, payload
	records := bt.bytes()
	code, err := b.produce(t, topic, 0, -1, records)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if err == nil && code == 0 {
		t.Errorf("a batch of %d bytes was accepted", len(records))
	}
	after, err := b.proc.ResidentBytes()
	if err != nil {
		t.Fatal(err)
	}
	if after-before > growthMax {
		t.Errorf("the broker grew by %d MiB", (after-before)>>20)
	}
	t.Logf("%d bytes: code %v, memory %+d MiB", len(records), code, (after-before)>>20)
	b.unharmed(t)
}

// TestRequestsForUnknownThings wants the codes that clients understand.
func TestRequestsForUnknownThings(t *testing.T) {
	b := start(t)
	good := plain(1, 20).bytes()
	for _, tt := range []struct {
		name      string
		topic     string
		partition int32
		acks      int16
		want      kafka.ErrorCode
	}{
		{"unknown topic", "nobody-made-this", 0, -1, kafka.ErrUnknownTopicOrPartition},
		{"unknown partition", topic, 99, -1, kafka.ErrUnknownTopicOrPartition},
		{"partition -1", topic, -1, -1, kafka.ErrUnknownTopicOrPartition},
		{"acks 7", topic, 0, 7, kafka.ErrInvalidRequiredAcks},
		{"acks -2", topic, 0, -2, kafka.ErrInvalidRequiredAcks},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, err := b.produce(t, tt.topic, tt.partition, tt.acks, good)
			if err != nil || code != tt.want {
				t.Errorf("%v, %v, want %v", code, err, tt.want)
			}
			b.unharmed(t)
		})
	}
	t.Run("fetch as a broker", func(t *testing.T) {
		req := kmsg.NewPtrFetchRequest()
		req.Version, req.ReplicaID, req.MaxBytes = 11, 1, 1<<20
		if resp, err := dial(t, b.place.Addr).ask(req); err == nil && resp.(*kmsg.FetchResponse).ErrorCode == 0 && len(resp.(*kmsg.FetchResponse).Topics) > 0 {
			t.Error("a client may fetch as a broker")
		}
		b.unharmed(t)
	})
	t.Run("fetch beyond the end", func(t *testing.T) {
		req := kmsg.NewPtrFetchRequest()
		req.Version, req.ReplicaID, req.MaxBytes = 11, -1, 1<<20
		ft, fp := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
		fp.FetchOffset, fp.PartitionMaxBytes = 1<<40, 1<<20
		ft.Topic, ft.Partitions = topic, append(ft.Partitions, fp)
		req.Topics = append(req.Topics, ft)
		resp, err := dial(t, b.place.Addr).ask(req)
		if err != nil {
			t.Fatal(err)
		}
		if code := kafka.ErrorCode(resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode); code != kafka.ErrOffsetOutOfRange {
			t.Errorf("%v, want %v", code, kafka.ErrOffsetOutOfRange)
		}
	})
	t.Run("absurd topics", func(t *testing.T) { absurdTopics(t, b) })
	b.noPanic(t)
}

func absurdTopics(t *testing.T, b *broker) {
	for _, tt := range []struct {
		name       string
		partitions int32
		rf         int16
		config     string
	}{
		{"a/b", 1, 1, ""}, {"..", 1, 1, ""}, {"", 1, 1, ""}, {string(bytes.Repeat([]byte("x"), 300)), 1, 1, ""},
		{"no-partitions", 0, 1, ""}, {"negative", -5, 1, ""}, {"too-many", 1<<31 - 1, 1, ""},
		{"three-copies", 1, 3, ""}, {"no-copies", 1, 0, ""}, {"bad-config", 1, 1, "no.such.config"},
	} {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis = 5, 5000
		ct := kmsg.NewCreateTopicsRequestTopic()
		ct.Topic, ct.NumPartitions, ct.ReplicationFactor = tt.name, tt.partitions, tt.rf
		if tt.config != "" {
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name, c.Value = tt.config, kmsg.StringPtr("1")
			ct.Configs = append(ct.Configs, c)
		}
		req.Topics = append(req.Topics, ct)
		resp, err := dial(t, b.place.Addr).ask(req)
		if err != nil {
			t.Errorf("create %.20q: %v", tt.name, err)
			continue
		}
		if code := resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode; code == 0 {
			t.Errorf("topic %.20q with %d partitions and %d copies was created", tt.name, tt.partitions, tt.rf)
		}
	}
	b.unharmed(t)
}
