package producer_test

import (
	"encoding/hex"
	"errors"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/producer"
)

// sample has a producer in every state: five and more batches, one batch, an
// open transaction, an epoch without a batch.
func sample() *producer.Table {
	table := producer.New()
	for i := range 8 {
		add(table, data(1, 0, kafka.Sequence(i*2), 2), 0)
	}
	open := data(2, 7, 0, 3)
	open.Attributes = 0x10
	add(table, open, 0)
	add(table, data(3, 1, 0, 1), 0)
	ended := data(3, 2, -1, 1)
	ended.Attributes = 0x30
	add(table, ended, 0)
	add(table, data(1, 0, 16, 1), 0)
	return table
}

func TestWindow_AnswersEveryRetryAsBefore(t *testing.T) {
	table := sample()
	loaded, err := producer.DecodeWindow(table.EncodeWindow(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for id := kafka.ProducerID(0); id < 5; id++ {
		for epoch := kafka.ProducerEpoch(0); epoch < 9; epoch++ {
			for seq := kafka.Sequence(0); seq < 20; seq++ {
				for n := int32(1); n < 4; n++ {
					h := data(id, epoch, seq, n)
					v1, err1 := table.Check(h, 0)
					v2, err2 := loaded.Check(h, 0)
					if v1 != v2 || err1 != err2 {
						t.Fatalf("producer %d epoch %d sequence %d+%d: %+v %v, after a restart %+v %v", id, epoch, seq, n, v1, err1, v2, err2)
					}
				}
			}
		}
	}
	if string(loaded.EncodeWindow()) != string(table.EncodeWindow()) {
		t.Error("the window of the loaded table differs")
	}
}

func TestSnapshot_KeepsTheLastBatchOfEach(t *testing.T) {
	table := sample()
	b := table.Encode(table.End())
	loaded, err := producer.Decode(b, table.End(), 0)
	if err != nil {
		t.Fatal(err)
	}
	got, want := loaded.Producers(), table.Producers()
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("producer %+v, want %+v", got[i], want[i])
		}
	}
	if len(got) != len(want) || loaded.End() != table.End() {
		t.Errorf("%d producers to %d, want %d to %d", len(got), loaded.End(), len(want), table.End())
	}
	if v, err := loaded.Check(data(1, 0, 16, 1), 0); err != nil || !v.Duplicate {
		t.Errorf("the last batch again: %+v, %v", v, err)
	}
	if _, err := loaded.Check(data(99, 0, 4, 1), 0); err != nil {
		t.Errorf("an unknown producer, after a load that knows not what was forgotten: %v", err)
	}
}

// TestSnapshot_GoldenBytes pins Kafka's layout; its dump tool reads these.
func TestSnapshot_GoldenBytes(t *testing.T) {
	table := producer.New()
	h := data(0x1122, 3, 0, 4)
	h.MaxTimestamp = 0x0102030405
	add(table, h, 0)
	const want = "0001" + "8a529db0" + "00000001" +
		"0000000000001122" + "0003" + "00000003" + "0000000000000003" + "00000003" + "0000000102030405" + "ffffffff" + "ffffffffffffffff"
	if got := hex.EncodeToString(table.Encode(4)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDecode_EveryDamageIsFound(t *testing.T) {
	table := sample()
	decoders := map[string]struct {
		encoded []byte
		decode  func([]byte) error
	}{
		"snapshot": {table.Encode(table.End()), func(b []byte) error { _, err := producer.Decode(b, 1000, 0); return err }},
		"window":   {table.EncodeWindow(), func(b []byte) error { _, err := producer.DecodeWindow(b, 0); return err }},
	}
	for name, d := range decoders {
		if err := d.decode(d.encoded); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		check := func(what string, at int, b []byte) {
			var corruption *producer.CorruptionError
			if err := d.decode(b); !errors.As(err, &corruption) {
				t.Errorf("%s with %s at %d: %v", name, what, at, err)
			}
		}
		for i := range d.encoded {
			flipped := append([]byte(nil), d.encoded...)
			flipped[i] ^= 0x10
			check("a flipped bit", i, flipped)
			check("an end", i, d.encoded[:i])
		}
		check("a byte more", len(d.encoded), append(d.encoded[:len(d.encoded):len(d.encoded)], 0))
	}
}
