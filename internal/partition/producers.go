package partition

import (
	"holdfast/internal/kafka"
	"holdfast/internal/producer"
)

// Producers lists the producers with an id that the partition remembers, by id.
// Only the leader answers.
func (p *Partition) Producers() ([]producer.Producer, kafka.ErrorCode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.role != leads {
		return nil, kafka.ErrNotLeaderOrFollower
	}
	return p.log.Producers().Producers(), kafka.ErrNone
}
