package fetcher

import (
	"context"
	"sync"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/kafka"
	"holdfast/internal/partition"
)

// place is where a follower is.
type place uint8

const (
	waiting   place = iota // for the session to take it, or for its time
	inSession              // in the session
	beside                 // being fetched beside the session
	cutting                // its log is being cut or trimmed
	offline                // it takes nothing any more, for this epoch at least
	gone                   // it is not fetched from this leader any more
)

// follower is one partition that is fetched. Its leader's mu guards what follows
// the first group.
type follower struct {
	p      *partition.Partition
	id     kafka.TopicIDPartition
	leader *leader

	place  place
	listed bool // in leader.waiting
	// due is when a waiting follower is fetched again; the session takes a calm one
	// before its time.
	due      time.Time
	calm     bool
	failures int  // in a row
	quick    int  // answers with records in a row, beside the session
	dirty    bool // in leader.dirty
	// sent is the position that the session asked for last. registered says that the
	// leader's side of the session has it, left that it is none of the session's
	// partitions any more all the same.
	sent             partition.FetchPosition
	registered, left bool
}

// How long a follower waits after an answer that is an error, doubling from first
// to most; and how soon one that is fetched beside the session is looked at again
// when nothing came.
const (
	backoffFirst = 5 * time.Millisecond
	backoffMost  = 500 * time.Millisecond
	asideEvery   = 5 * time.Millisecond
	// asideQuick is how many answers with records are followed at once by the next
	// fetch. Then a pause, in which the session can take the partition over.
	asideQuick = 8
)

func backoff(failures int) time.Duration {
	return min(backoffMost, backoffFirst<<min(max(failures-1, 0), 16))
}

// leader is one broker from which partitions are fetched.
type leader struct {
	f      *Fetcher
	id     kafka.BrokerID
	ctx    context.Context
	cancel context.CancelFunc
	// data and control are the ways to it.
	data, control Client

	toSession, toAside, toProgress chan struct{} // something to do

	mu struct {
		sync.Mutex
		followers map[kafka.TopicIDPartition]*follower
		waiting   []*follower // those that wait, and some that did
		touched   []*follower // in the session, and answered by the last fetch
		parked    bool        // the session's fetch is at the leader
		leaving   []*follower // registered, and not in the session any more
		dirty     []*follower // have progress to report
		cuts      []cut
		cutters   int
		err       error // of the last fetch
	}
}

func newLeader(f *Fetcher, id kafka.BrokerID) *leader {
	l := &leader{f: f, id: id, data: f.o.Data(id), control: f.o.Control(id), toSession: make(chan struct{}, 1), toAside: make(chan struct{}, 1),
		toProgress: make(chan struct{}, 1)}
	l.mu.followers = make(map[kafka.TopicIDPartition]*follower)
	return l
}

func (l *leader) clock() clock.Clock { return l.f.o.Clock }

// poke wakes whoever waits on c.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pokeLanes wakes who fetches: somebody waits to be fetched.
func (l *leader) pokeLanes() {
	poke(l.toSession)
	poke(l.toAside)
}

func (l *leader) add(n *follower) {
	l.mu.Lock()
	l.mu.followers[n.id] = n
	l.waitLocked(n, time.Time{}, false)
	l.mu.Unlock()
	l.pokeLanes()
}

// remove returns how many followers are left.
func (l *leader) remove(n *follower) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.mu.followers, n.id)
	l.leaveLocked(n)
	n.place = gone
	return len(l.mu.followers)
}

// renew has a follower fetched at once, whatever it waited for: it has entered
// another epoch, or somebody thinks that it has.
func (l *leader) renew(n *follower) {
	pos, ok := n.p.FetchPosition()
	l.mu.Lock()
	switch {
	case n.place == inSession && ok && pos.Epoch == n.sent.Epoch:
	case n.place == inSession, n.place == offline, n.place == waiting:
		n.failures = 0
		l.waitLocked(n, time.Time{}, false)
	default:
		n.failures = 0 // it comes back by itself
	}
	l.mu.Unlock()
	l.pokeLanes()
}

// leaveLocked takes a follower out of the session.
func (l *leader) leaveLocked(n *follower) {
	if n.registered && !n.left {
		n.left = true
		l.mu.leaving = append(l.mu.leaving, n)
	}
}

// waitLocked lets a follower wait until due. calm says that nothing is wrong.
func (l *leader) waitLocked(n *follower, due time.Time, calm bool) {
	if n.place == gone {
		return
	}
	l.leaveLocked(n)
	n.place, n.due, n.calm = waiting, due, calm
	if !n.listed {
		n.listed = true
		l.mu.waiting = append(l.mu.waiting, n)
	}
}

// punishLocked lets a follower wait after an error, longer each time.
func (l *leader) punishLocked(n *follower, now time.Time) {
	n.failures++
	l.waitLocked(n, now.Add(backoff(n.failures)), false)
}

// takeLocked takes the followers that may be fetched now out of the waiting ones,
// and returns when the next one of the others may be. hurried takes the calm ones,
// too.
func (l *leader) takeLocked(now time.Time, hurried bool) (ready []*follower, next time.Duration) {
	next = noHurry
	rest := l.mu.waiting[:0]
	for _, n := range l.mu.waiting {
		switch {
		case n.place != waiting:
			n.listed = false
		case hurried && n.calm || !n.due.After(now):
			n.place, n.listed = beside, false // until the caller says where
			ready = append(ready, n)
		default:
			rest = append(rest, n)
			next = min(next, n.due.Sub(now))
		}
	}
	clear(l.mu.waiting[len(rest):])
	l.mu.waiting = rest
	return ready, next
}

// anyInSessionLocked reports whether the session watches any partition.
func (l *leader) anyInSessionLocked() bool {
	for _, n := range l.mu.followers {
		if n.place == inSession {
			return true
		}
	}
	return false
}

// noHurry is how long one waits who waits for nothing in particular.
const noHurry = time.Minute

// positionLocked asks a follower what it wants. One that wants nothing waits, or is
// offline.
func (l *leader) positionLocked(n *follower, now time.Time) (partition.FetchPosition, bool) {
	pos, ok := n.p.FetchPosition()
	switch {
	case ok:
		return pos, true
	case n.p.Err() != nil:
		l.leaveLocked(n)
		n.place = offline
	default: // it has been told to do something else, and so will be this package
		l.punishLocked(n, now)
	}
	return pos, false
}

func (l *leader) describe() Following {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := Following{Leader: l.id, Partitions: len(l.mu.followers), Err: l.mu.err}
	for _, n := range l.mu.followers {
		switch n.place {
		case inSession:
			d.InSession++
		case offline:
			d.Offline++
		}
	}
	return d
}
