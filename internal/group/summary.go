package group

import "holdfast/internal/kafka"

// Summary is what a dashboard shows of a group. It may be ahead of what is
// committed by what is under way: it answers no client.
type Summary struct {
	Group, State string
	Members      int
	Offsets      []Position
}

// Position is where a group has come to in one partition.
type Position struct {
	kafka.TopicPartition
	TopicID kafka.TopicID // zero: not known
	Offset  kafka.Offset
}

// Summaries lists the groups of this partition by name, with at most so many
// positions in all; hidden is how many more there are.
func (m *Machine) Summaries(most int) (all []Summary, hidden int) {
	for _, name := range m.names() {
		g := m.groups[name]
		s := Summary{Group: name, State: g.phase.String(), Members: len(g.members)}
		for _, tp := range g.partitions() {
			if most == 0 {
				hidden++
				continue
			}
			most--
			c := g.offsets[tp.Topic].partitions[tp.Partition]
			s.Offsets = append(s.Offsets, Position{TopicPartition: tp, TopicID: c.topicID, Offset: c.offset})
		}
		all = append(all, s)
	}
	return all, hidden
}
