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
