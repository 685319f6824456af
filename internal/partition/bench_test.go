package partition_test

import (
	"testing"

	"holdfast/internal/clock"
	"holdfast/internal/config"
	"holdfast/internal/env"
	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/partition"
	"holdfast/internal/record"
)

// BenchmarkAppend is what the partition and the log cost for a batch of ten records
// of 100 bytes, without the flush round and on a file system in memory.
func BenchmarkAppend(b *testing.B) {
	ground := env.NewTest(1)
	id := kafka.TopicIDPartition{TopicID: kafka.TopicID{1}}
	_ = ground.FS.MkdirAll("/d")
	l, err := log.Create(log.Options{FS: ground.FS, Clock: ground.Clock, Dir: "/d/t-0", Topic: "t",
		Key: journal.Key{TopicID: id.TopicID, Generation: 1}, Config: log.DefaultConfig()})
	if err != nil {
		b.Fatal(err)
	}
	c, _ := config.ResolveTopic(nil, nil)
	p := partition.New(partition.Options{Topic: "t", ID: id, Self: 1, Log: l, Storage: lazy{}, Clock: clock.Real{}, Config: &c})
	p.Lead(partition.Leadership{Epoch: 1, ISR: []kafka.BrokerID{1}, MinISR: 1})
	builder := record.NewBuilder(record.Options{})
	for range 10 {
		builder.Append(kafka.Timestamp(1), nil, make([]byte, 100))
	}
	data, err := builder.Build(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		record.SetBase(data, 0, -1)
		if r := p.Append(partition.AppendRequest{Records: data, Asked: -1, Wait: partition.WaitISR}); r.Code != kafka.ErrNone {
			b.Fatalf("%+v", r)
		}
		p.Flushed(l.End())
	}
}
