package coord

import "holdfast/internal/group"

// most is what all groups of this broker may hold in memory; package group says
// how it is counted. Above it calls that would add something are told to come
// again. Members go with their sessions, half an hour after they were heard of at
// the latest; offsets with their retention, their topic or their group.
var most = group.Weight{Members: 128 << 20, Offsets: 1 << 30}

// warnEvery is how often the log says that somebody is turned away, in
// milliseconds.
const warnEvery = 60_000

// limitLocked tells the machine how much room all the others leave. Calls of
// several shards at the same time may go above by what they bring.
func (s *shard) limitLocked() {
	c, w := s.c, s.mu.weight
	s.mu.machine.Limit(group.Weight{Members: w.Members + most.Members - c.members.Load(), Offsets: w.Offsets + most.Offsets - c.offsets.Load()})
}

// weighLocked counts what the machine holds now.
func (s *shard) weighLocked() {
	var w group.Weight
	if s.mu.machine != nil {
		w = s.mu.machine.Weight()
		s.warnLocked()
	}
	s.c.members.Add(w.Members - s.mu.weight.Members)
	s.c.offsets.Add(w.Offsets - s.mu.weight.Offsets)
	s.mu.weight = w
}

func (s *shard) warnLocked() {
	n := s.mu.machine.Crowded()
	now, last := int64(s.c.now()), s.c.warned.Load()
	if n == s.mu.crowded || now < last+warnEvery || !s.c.warned.CompareAndSwap(last, now) {
		return
	}
	s.c.o.Log.Warn("consumer groups hold as much memory as they may: who adds to it is told to come again", "partition", s.part.ID().Partition,
		"turned_away", n-s.mu.crowded, "members_bytes", s.c.members.Load(), "members_max", most.Members, "offsets_bytes", s.c.offsets.Load(), "offsets_max", most.Offsets)
	s.mu.crowded = n
}
