package broker

import "holdfast/internal/kafka"

// Applied is the metadata offset that the partitions here are brought to, NoOffset
// before the first.
func (b *Broker) Applied() kafka.Offset {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.done
}
