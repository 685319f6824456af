package broker

import (
	"context"
	"time"

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
		if here, _ := b.ByID(p.ID().TopicID, p.ID().Partition); err != nil && here == p { // otherwise it was deleted meanwhile
			b.o.Log.Error("retention failed", "topic", p.Topic(), "partition", p.ID().Partition, "error", err)
		}
		for _, d := range done.Deleted {
			b.o.Log.Info("retention deleted a segment", "topic", p.Topic(), "partition", p.ID().Partition, "base", d.Base, "end", d.End, "bytes", d.Size, "reason", d.Reason.String())
		}
		p.ExpireProducers(now, b.Settings().ProducerIDExpiration)
	}
}

// tickEvery is how often the leaders look for replicas that lag.
func (b *Broker) tickEvery() time.Duration {
	return max(b.Settings().ReplicaLagMax/8, time.Millisecond)
}

// tick lets time pass for the partitions that are led here.
func (b *Broker) tick() {
	now := b.o.Env.Clock.Now()
	for _, p := range b.Partitions() {
		p.Tick(now)
	}
}
