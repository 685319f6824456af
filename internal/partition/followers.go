package partition

import "holdfast/internal/isr"

// Replicas is what the leader knows of each replica, in the order of the
// assignment; nil where this replica does not lead.
func (p *Partition) Replicas() []isr.ReplicaState {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.role != leads {
		return nil
	}
	return p.mu.lead.Describe()
}

// Waiting is how many requests wait here: writes for the high watermark, and
// fetches of followers and consumers for data.
func (p *Partition) Waiting() (writes, fetches int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.mu.commits {
		if !e.waiter.Done() {
			writes++
		}
	}
	return writes, p.mu.fetchers.Waiting() + p.mu.readers.Waiting()
}
