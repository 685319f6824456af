package lifecycle

import (
	"context"
	"sync"

	"holdfast/internal/clock"
	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/wire"
)

// recoverMax is how many partitions one round of recovery asks about.
const recoverMax = 1000

// recoverAll asks the live replicas of partitions without a leader for what they
// hold, and lets the controller elect where enough have answered.
func (l *Lifecycle) recoverAll(ctx context.Context, image *meta.Image) {
	ask := map[kafka.BrokerID]map[kafka.TopicID][]int32{}
	n := 0
	for _, t := range image.Topics() {
		for _, p := range t.Partitions {
			if p.Leader != kafka.NoBroker || n == recoverMax {
				continue
			}
			n++
			for _, id := range p.Replicas {
				if !image.Broker(id).IsLive() {
					continue
				}
				if ask[id] == nil {
					ask[id] = map[kafka.TopicID][]int32{}
				}
				ask[id][t.ID] = append(ask[id][t.ID], int32(p.Index))
			}
		}
	}
	if n == 0 {
		return
	}
	if reports := l.askAll(ctx, ask); len(reports) > 0 {
		l.try(ctx, "recovery of a partition without a leader", controller.RecoverPartitions{Reports: reports})
	}
}

// askAll asks brokers side by side what their replicas hold.
func (l *Lifecycle) askAll(ctx context.Context, ask map[kafka.BrokerID]map[kafka.TopicID][]int32) (reports []controller.LogReport) {
	ctx, cancel := clock.Within(ctx, l.o.Env.Clock, upkeepWait)
	defer cancel()
	var mu sync.Mutex
	gather(ask, func(id kafka.BrokerID, topics map[kafka.TopicID][]int32) {
		var q wire.ReplicaLogsRequest
		for topic, partitions := range topics {
			q.Topics = append(q.Topics, wire.ReplicaLogsRequestTopic{TopicID: topic, Partitions: partitions})
		}
		response := wire.NewReplicaLogsResponse()
		if id == l.self {
			response = *l.o.Logs(&q)
		} else if err := l.o.Peers.Do(ctx, id, wire.KeyReplicaLogs, &q, &response); err != nil {
			l.o.Log.Debug("a broker does not say what its replicas hold", "broker", id, "error", err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		reports = append(reports, reportsOf(id, &response)...)
	})
	return reports
}

// reportsOf are the replicas that could tell.
func reportsOf(id kafka.BrokerID, r *wire.ReplicaLogsResponse) (reports []controller.LogReport) {
	if r.ErrorCode != int16(kafka.ErrNone) {
		return nil
	}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != int16(kafka.ErrNone) {
				continue
			}
			reports = append(reports, controller.LogReport{TopicID: t.TopicID, Partition: kafka.PartitionIndex(p.Partition),
				Broker: id, BrokerEpoch: kafka.BrokerEpoch(r.BrokerEpoch), Directory: r.DirectoryID,
				LeaderEpoch: kafka.LeaderEpoch(p.LeaderEpoch), LastEpoch: kafka.LeaderEpoch(p.LastEpoch), End: kafka.Offset(p.DurableEnd)})
		}
	}
	return reports
}
