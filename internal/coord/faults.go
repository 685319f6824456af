package coord

import (
	"time"

	"holdfast/internal/group"
)

// Faults are planted on purpose, in builds made for proving that the rigs can
// fail. The zero value plants none.
type Faults struct {
	// CommitEarly answers before the records are written, and writes them a
	// little later.
	CommitEarly bool
	// CleanMovesNothing lets the cleaner forget what only old segments say.
	CleanMovesNothing bool
	// CleanRaisesEarly lets it take the old segments away before the copies are
	// committed.
	CleanRaisesEarly bool
}

// writtenLate is what a kill or a power cut within that time loses.
const writtenLate = 30 * time.Millisecond

// appendLateLocked answers now and writes later.
func (s *shard) appendLateLocked(e group.Effects) {
	s.mu.committed, s.mu.last = e.Seq, e.Seq
	records := s.stamped(e.Records)
	s.c.o.Clock.AfterFunc(writtenLate, func() {
		s.mu.Lock()
		defer s.unlock()
		if s.mu.state == active {
			_ = s.appendLocked(e.Seq, records)
		}
	})
}
