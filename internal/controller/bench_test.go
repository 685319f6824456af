package controller_test

import (
	"fmt"
	"testing"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// BenchmarkDecide is one command on a cluster of 10,000 partitions.
func BenchmarkDecide(b *testing.B) {
	for _, shape := range []struct{ topics, partitions int }{{1000, 10}, {10000, 1}} {
		w := newWorld(b, 3)
		var records []meta.Record
		for n := range shape.topics {
			out, _, err := controller.Decide(w.image, w.inputs(), create(topic(fmt.Sprintf("topic-%d", n), shape.partitions, 3, "retention.ms", "1000")))
			if err != nil {
				b.Fatal(err)
			}
			records = append(records, out...)
		}
		w.apply(records)
		for _, c := range []struct {
			name    string
			command controller.Command
		}{
			{"create", create(topic("new_topic", 1, 3))},
			{"alter", change(meta.TopicResource("topic-7"), controller.ConfigSet, "retention.ms", "5")},
			{"ids", controller.AllocateProducerIDs{Broker: 1, Epoch: w.image.Broker(1).Epoch}},
			{"restart", registration(1, 2)},
			{"delete", controller.DeleteTopics{Topics: []controller.TopicRef{{Name: "topic-7"}}}},
		} {
			in := w.inputs()
			in.NewID = func() kafka.UUID { return kafka.UUID{0x77} }
			b.Run(fmt.Sprintf("%dx%d/%s", shape.topics, shape.partitions, c.name), func(b *testing.B) {
				for b.Loop() {
					if _, _, err := controller.Decide(w.image, in, c.command); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkDecide_Fence is the death of one of three brokers with 10,000
// partitions: the time until others lead begins with it.
func BenchmarkDecide_Fence(b *testing.B) {
	w := newWorld(b, 3)
	w.mustDo(create(topic("a", controller.NewPartitionsMax, 3)))
	c := controller.FenceBroker{Broker: 2, Epoch: w.epoch(2)}
	var records []meta.Record
	for b.Loop() {
		var err error
		if records, _, err = controller.Decide(w.image, w.inputs(), c); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(records)), "records")
	b.ReportMetric(float64(len(meta.AppendRecords(nil, records))), "bytes")
}
