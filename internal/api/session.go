package api

import (
	"container/list"
	"sync"

	"holdfast/internal/kafka"
)

// sessionPartitionsMax bounds what all sessions together may remember.
const sessionPartitionsMax = 200_000

// sessionKey names a partition within a session: by id, or by name for versions
// without topic ids.
type sessionKey struct {
	name string
	id   kafka.TopicIDPartition
}

// sessionPartition is what a session remembers of a partition: what the client
// asks for, and what it was told last.
type sessionPartition struct {
	key      sessionKey
	want     wantedPartition
	told     bool // the client has been told the marks below
	hw       kafka.Offset
	logStart kafka.Offset
	code     kafka.ErrorCode
}

// session is a fetch session (KIP-227): the client names its partitions once and
// then only what changes.
type session struct {
	id    int32
	epoch int32 // expected in the next request; 0 until the first reply
	byID  bool  // made by a version with topic ids
	owner kafka.Principal

	mu         sync.Mutex // taken by the one request that is being answered
	partitions *list.List // of *sessionPartition, in the order they are read
	index      map[sessionKey]*list.Element
	counted    int // of its partitions in the total; guarded by the sessions' mutex
}

// sessions keeps the most recently used sessions.
type sessions struct {
	max int
	mu  struct {
		sync.Mutex
		next  int32
		byID  map[int32]*list.Element // of *session
		order *list.List              // most recently used first
		total int                     // partitions of all sessions
	}
}

func newSessions(limit int) *sessions {
	s := &sessions{max: limit}
	s.mu.byID = make(map[int32]*list.Element)
	s.mu.order = list.New()
	return s
}

// open makes a session for the partitions, in place of the least recently used
// ones when there are too many. It returns nil for a list that no session may
// have: the fetch is then answered without one.
func (s *sessions) open(owner kafka.Principal, byID bool, wanted []wantedPartition) *session {
	n := &session{byID: byID, owner: owner, partitions: list.New(), index: make(map[sessionKey]*list.Element, len(wanted))}
	for _, w := range wanted {
		n.set(w)
	}
	if len(n.index) > sessionPartitionsMax || s.max == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.mu.byID) >= s.max || s.mu.total+len(n.index) > sessionPartitionsMax {
		s.removeLocked(s.mu.order.Back())
	}
	n.counted = len(n.index)
	s.mu.total += n.counted
	for {
		s.mu.next++
		if s.mu.next <= 0 {
			s.mu.next = 1
		}
		if s.mu.byID[s.mu.next] == nil {
			break
		}
	}
	n.id = s.mu.next
	s.mu.byID[n.id] = s.mu.order.PushFront(n)
	return n
}

// find returns the session with this id, or nil.
func (s *sessions) find(id int32, owner kafka.Principal) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.mu.byID[id]
	if e == nil || e.Value.(*session).owner != owner {
		return nil
	}
	s.mu.order.MoveToFront(e)
	return e.Value.(*session)
}

func (s *sessions) close(id int32, owner kafka.Principal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.mu.byID[id]; e != nil && e.Value.(*session).owner == owner {
		s.removeLocked(e)
	}
}

func (s *sessions) removeLocked(e *list.Element) {
	n := e.Value.(*session)
	delete(s.mu.byID, n.id)
	s.mu.order.Remove(e)
	s.mu.total -= n.counted
}

// recount counts a session's partitions anew after it was changed; the caller
// holds the session. It reports false when there are too many: the session is
// then closed.
func (s *sessions) recount(n *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.mu.byID[n.id]
	if e == nil {
		return true // closed by somebody else: the next request is told so
	}
	s.mu.total += len(n.index) - n.counted
	n.counted = len(n.index)
	if s.mu.total > sessionPartitionsMax {
		s.removeLocked(e)
		return false
	}
	return true
}

// Len is the number of open sessions.
func (s *sessions) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.byID)
}

// set adds or changes a partition. One that is asked for in another epoch, or from
// further back, is told everything again: a follower waits for the answer to its
// position, also where there is nothing new.
func (s *session) set(w wantedPartition) {
	if e := s.index[w.key]; e != nil {
		p := e.Value.(*sessionPartition)
		p.told = p.told && p.want.currentEpoch == w.currentEpoch && p.want.from <= w.from
		p.want = w
		return
	}
	s.index[w.key] = s.partitions.PushBack(&sessionPartition{key: w.key, want: w})
}

func (s *session) forget(k sessionKey) {
	if e := s.index[k]; e != nil {
		s.partitions.Remove(e)
		delete(s.index, k)
	}
}
