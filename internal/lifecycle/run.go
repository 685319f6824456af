package lifecycle

import (
	"context"
	"sync"

	"holdfast/internal/kafka"
)

// Run takes part in the cluster until ctx ends: heartbeats, and the sessions of
// others where this node leads the quorum.
func (l *Lifecycle) Run(ctx context.Context) {
	var group sync.WaitGroup
	for _, run := range []func(context.Context){l.runHeartbeats, l.runSessions, l.runDeaths, l.runUpkeep} {
		group.Go(func() { run(ctx) })
	}
	group.Wait()
}

// gather calls f for every broker, side by side, and waits for all.
func gather(ask map[kafka.BrokerID]map[kafka.TopicID][]int32, f func(kafka.BrokerID, map[kafka.TopicID][]int32)) {
	var group sync.WaitGroup
	for id, topics := range ask {
		group.Go(func() { f(id, topics) })
	}
	group.Wait()
}

// eachAddress calls f for every address, side by side, and waits for all.
func eachAddress(addresses []string, f func(i int, address string)) {
	var group sync.WaitGroup
	for i, a := range addresses {
		group.Go(func() { f(i, a) })
	}
	group.Wait()
}
