package producer_test

import (
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/producer"
)

// BenchmarkCheckApply is what idempotence costs per batch, with 10,000 producers.
func BenchmarkCheckApply(b *testing.B) {
	const producers = 10_000
	table := producer.New()
	next := make([]kafka.Sequence, producers)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		id := i * 7919 % producers
		i++
		h := data(kafka.ProducerID(id), 0, next[id], 10)
		if _, err := table.Check(h, 0); err != nil {
			b.Fatal(err)
		}
		h.BaseOffset = table.End()
		table.Apply(h, 0)
		next[id] = next[id].Add(10)
	}
}

// BenchmarkWindow writes and reads the file of 10,000 producers.
func BenchmarkWindow(b *testing.B) {
	table := producer.New()
	for round := range 5 {
		for id := range 10_000 {
			add(table, data(kafka.ProducerID(id), 0, kafka.Sequence(round), 1), 0)
		}
	}
	b.SetBytes(int64(len(table.EncodeWindow())))
	for b.Loop() {
		if _, err := producer.DecodeWindow(table.EncodeWindow(), 0); err != nil {
			b.Fatal(err)
		}
	}
}
