//go:build rig

package groups_test

import (
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ledger is what the members know: what they have read, and which commits were
// acknowledged.
type ledger struct {
	mu        sync.Mutex
	read      [partitions]map[int64]struct{}
	committed [partitions]int64 // acknowledged: the highest
	fetched   [partitions]int64 // what the broker said last
	produced  int64
	commits   int64
}

func newLedger() *ledger {
	l := &ledger{}
	for p := range partitions {
		l.read[p] = map[int64]struct{}{}
	}
	return l
}

func (l *ledger) noteProduced() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.produced++
}

func (l *ledger) noteRead(records []*kgo.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		l.read[r.Partition][r.Offset] = struct{}{}
	}
}

func (l *ledger) noteCommitted(records []*kgo.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commits++
	for _, r := range records {
		l.committed[r.Partition] = max(l.committed[r.Partition], r.Offset+1)
	}
}

func (l *ledger) noteFetched(partition int, at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fetched[partition] = max(l.fetched[partition], at)
}

// floors are the offsets below which no committed offset may be from now on:
// those that were acknowledged, and those that the broker has told.
func (l *ledger) floors() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]int64, partitions)
	for p := range out {
		if out[p] = max(l.committed[p], l.fetched[p]); out[p] == 0 {
			out[p] = -1 // nothing was committed
		}
	}
	return out
}

// skipped lists the partitions with a committed offset above a record that nobody
// has read.
func (l *ledger) skipped() (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range partitions {
		for o := range max(l.committed[p], l.fetched[p]) {
			if _, ok := l.read[p][o]; !ok {
				found = append(found, fmt.Sprintf("partition %d: committed up to %d, and nobody has read %d", p, l.committed[p], o))
				break
			}
		}
	}
	return found
}

func (l *ledger) counts() (produced, consumed, commits int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range partitions {
		consumed += int64(len(l.read[p]))
	}
	return l.produced, consumed, l.commits
}

// awaitCommits waits until so many more commits were acknowledged.
func (l *ledger) awaitCommits(more int64, limit time.Duration) error {
	_, _, from := l.counts()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if _, _, now := l.counts(); now >= from+more {
			return nil
		}
	}
	_, _, now := l.counts()
	return fmt.Errorf("%d commits in %v, want %d: the group does not get on", now-from, limit, more)
}
