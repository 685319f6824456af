package partition

import (
	"errors"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/log"
)

// Upkeep is what one look after a partition did.
type Upkeep struct {
	Deleted []log.Deleted // segments that retention no longer wants
	Swept   int           // files whose bytes were given back
}

// Maintain rolls a segment that is old enough, deletes what the topic's
// retention no longer wants (never at or above the high watermark) and gives the
// bytes of files back that were deleted long enough ago. It waits for the disk.
func (p *Partition) Maintain(now kafka.Timestamp) (Upkeep, error) {
	p.mu.Lock()
	if !p.mu.leading || p.mu.failed != nil {
		p.mu.Unlock()
		return Upkeep{}, nil
	}
	hw := p.mu.lead.HighWatermark()
	_, rollErr := p.log.RollExpired(now, hw)
	p.mu.Unlock()
	deleted, retainErr := p.log.Retain(now, hw)
	swept, sweepErr := p.log.Sweep(now)
	return Upkeep{Deleted: deleted, Swept: swept}, errors.Join(rollErr, retainErr, sweepErr)
}

// ExpireProducers forgets producers that appended nothing for longer than after.
func (p *Partition) ExpireProducers(now kafka.Timestamp, after time.Duration) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.ExpireProducers(now, after)
}
