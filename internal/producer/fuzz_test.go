package producer_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/producer"
)

// mended gives b a right CRC, so that the fuzzer reaches what is behind it.
func mended(b []byte) []byte {
	if len(b) < 6 {
		return b
	}
	b = append([]byte(nil), b...)
	binary.BigEndian.PutUint32(b[2:], crc32.Checksum(b[6:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func fuzzDecoder(f *testing.F, decode func([]byte) (*producer.Table, error), encode func(*producer.Table) []byte) {
	f.Add(encode(sample()))
	f.Add(encode(producer.New()))
	f.Add([]byte{0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = mended(b)
		table, err := decode(b)
		if err != nil {
			var corruption *producer.CorruptionError
			if !errors.As(err, &corruption) || corruption.Position > len(b) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		// What was accepted must work, and come back the same.
		again, err := decode(encode(table))
		if err != nil || string(encode(again)) != string(encode(table)) {
			t.Fatalf("decoded once, then: %v", err)
		}
		for _, p := range table.Producers() {
			h := data(p.ID, p.Epoch, p.LastSequence.Add(1), 1)
			if _, err := table.Check(h, 0); err != nil && !errors.Is(err, kafka.ErrInvalidTxnState) {
				t.Fatalf("the next batch of %+v: %v", p, err)
			}
		}
		table.Apply(data(1, 1, 0, 1), 0)
		table.Expire(1, 0)
		table.DropBefore(table.End())
	})
}

func FuzzDecode(f *testing.F) {
	fuzzDecoder(f,
		func(b []byte) (*producer.Table, error) { return producer.Decode(b, 1<<40, 0) },
		func(t *producer.Table) []byte { return t.Encode(1 << 40) })
}

func FuzzDecodeWindow(f *testing.F) {
	fuzzDecoder(f,
		func(b []byte) (*producer.Table, error) { return producer.DecodeWindow(b, 0) },
		(*producer.Table).EncodeWindow)
}
