package broker

import (
	"context"

	"holdfast/internal/kafka"
)

// upkeep applies retention and forgets producers that have been silent for too
// long, one partition after the other.
func (b *Broker) upkeep(ctx context.Context) {
	for _, p := range b.Partitions() {
		if ctx.Err() != nil || b.o.Dir.Err() != nil {
			return
		}
		now := kafka.Timestamp(b.o.Env.Clock.Now().UnixMilli())
		done, err := p.Maintain(now)
		if err != nil {
			b.o.Log.Error("retention failed", "topic", p.Topic(), "partition", p.ID().Partition, "error", err)
		}
		for _, d := range done.Deleted {
			b.o.Log.Info("retention deleted a segment", "topic", p.Topic(), "partition", p.ID().Partition, "base", d.Base, "end", d.End, "bytes", d.Size, "reason", d.Reason.String())
		}
		p.ExpireProducers(now, b.Settings().ProducerIDExpiration)
	}
}
