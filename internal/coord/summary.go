package coord

import (
	"maps"
	"slices"

	"holdfast/internal/group"
)

// Summaries lists the groups that are coordinated here and loaded, with at most
// so many positions in all; hidden is how many more there are.
func (c *Coordinator) Summaries(most int) (all []group.Summary, hidden int) {
	shards := c.shards.Load().byID
	for _, id := range slices.Sorted(maps.Keys(shards)) {
		part, more := shards[id].summaries(most)
		for i := range part {
			most -= len(part[i].Offsets)
		}
		all, hidden = append(all, part...), hidden+more
	}
	return all, hidden
}

func (s *shard) summaries(most int) ([]group.Summary, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.state != active {
		return nil, 0
	}
	return s.mu.machine.Summaries(most)
}
