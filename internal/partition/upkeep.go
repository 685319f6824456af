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
// bytes of files back that were deleted long enough ago. A follower deletes what
// is below the log start that its leader told, and nothing of its own accord. It
// waits for the disk.
func (p *Partition) Maintain(now kafka.Timestamp) (Upkeep, error) {
	p.mu.Lock()
	role, hw := p.mu.role, p.highLocked()
	if role == idle || p.mu.failed != nil {
		p.mu.Unlock()
		return Upkeep{}, nil
	}
	var rollErr error
	if role == leads {
		_, rollErr = p.log.RollExpired(now, hw)
	}
	p.mu.Unlock()
	retain := p.log.Retain
	if role == follows {
		retain = p.log.DropBelowStart
	}
	deleted, retainErr := retain(now, hw)
	swept, sweepErr := p.log.Sweep(now)
	return Upkeep{Deleted: deleted, Swept: swept}, errors.Join(rollErr, retainErr, sweepErr)
}

// ExpireProducers forgets producers that appended nothing for longer than after.
func (p *Partition) ExpireProducers(now kafka.Timestamp, after time.Duration) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.ExpireProducers(now, after)
}
