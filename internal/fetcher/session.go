package fetcher

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/partition"
	"holdfast/internal/peer"
	"holdfast/internal/wire"
)

// fetchVersion is the version of Fetch that followers speak.
const fetchVersion = 18

// callMax is how much longer than its wait a fetch may take. A leader that is
// silent for so long is asked anew.
const callMax = 10 * time.Second

// wanted is one partition of a request, with the position that is asked for.
type wanted struct {
	n   *follower
	pos partition.FetchPosition
}

func byID(a, b wanted) int {
	if c := bytes.Compare(a.n.id.TopicID[:], b.n.id.TopicID[:]); c != 0 {
		return c
	}
	return cmp.Compare(a.n.id.Partition, b.n.id.Partition)
}

// session is the fetch that is always at work. Its lane's goroutine owns it.
type session struct {
	l        *leader
	id       int32 // 0: none is open
	epoch    int32 // of the next request
	list     []wanted
	request  wire.FetchRequest
	response wire.FetchResponse
	buffer   buffer
	answers  []answer
	forgets  []kafka.TopicIDPartition
	began    time.Time // of the last call
	read     int       // bytes of records in the last answer
	poor     int       // answers in a row without a record, which came at once
}

// run fetches until ctx ends.
func (s *session) run(ctx context.Context) {
	l, failures := s.l, 0
	for ctx.Err() == nil {
		wait, ok := s.compose()
		if !ok {
			l.sleep(ctx, l.toSession, wait)
			continue
		}
		code, err := s.call(ctx)
		if ctx.Err() != nil {
			return
		}
		if s.settle(code, err) {
			failures = 0
			if s.barren() {
				l.sleep(ctx, nil, barrenPause)
			}
			continue
		}
		if err != nil || !isSessionError(code) {
			failures++
			l.sleep(ctx, nil, backoff(failures))
		}
	}
}

// A leader that answers at once again and again, and never with records, is broken
// or about to be told something. It is not asked as fast as it answers.
const (
	barrenMost  = 32
	barrenTime  = time.Millisecond
	barrenPause = 5 * time.Millisecond
)

// barren judges the last answer.
func (s *session) barren() bool {
	if s.read > 0 || s.l.clock().Since(s.began) > barrenTime {
		s.poor = 0
		return false
	}
	s.poor++
	return s.poor > barrenMost
}

func isSessionError(code kafka.ErrorCode) bool {
	return code == kafka.ErrFetchSessionIDNotFound || code == kafka.ErrInvalidFetchSessionEpoch || code == kafka.ErrFetchSessionTopicIDError
}

// compose makes the next request: everything for a new session, else what has
// changed. It is false where there is nothing to fetch for as long as it says.
//
// A new session is opened also when a partition enters an epoch, or comes back,
// that the leader's side of the session knows from before: what it remembers of the
// partition must not keep the first answer in an epoch, or after a cut, from being
// spelled out.
func (s *session) compose() (wait time.Duration, ok bool) {
	l, now := s.l, s.l.clock().Now()
	broker := l.f.o.Epoch()
	l.mu.Lock()
	defer l.mu.Unlock()
	if broker < 0 {
		return unregistered, false
	}
	fresh, wait := l.takeLocked(now, true)
	for _, n := range fresh {
		n.place = inSession
	}
	s.list = s.list[:0]
	// One request cannot take a partition out of the session and put it in again: the
	// leader forgets last.
	whole := s.id == 0 || slices.ContainsFunc(l.mu.leaving, func(n *follower) bool {
		back := l.mu.followers[n.id]
		return back != nil && back.place == inSession
	})
	if !whole {
		for _, n := range l.mu.touched {
			s.addLocked(n, now)
		}
		whole = slices.ContainsFunc(s.list, func(w wanted) bool { return w.pos.Epoch != w.n.sent.Epoch })
	}
	if whole {
		s.list = s.list[:0]
		for _, n := range l.mu.followers {
			s.addLocked(n, now)
		}
	} else {
		for _, n := range fresh {
			s.addLocked(n, now)
		}
	}
	if len(s.list) == 0 && (whole || !l.anyInSessionLocked()) {
		l.mu.touched = l.mu.touched[:0]
		return wait, false // those that left are taken out with the next request
	}
	s.forgetLocked(whole)
	l.mu.touched = l.mu.touched[:0]
	s.encodeLocked(whole, broker)
	l.mu.parked = true
	if len(l.mu.waiting) > 0 {
		poke(l.toAside)
	}
	return 0, true
}

// unregistered is how soon one looks again whether this broker is registered.
const unregistered = 20 * time.Millisecond

// addLocked adds a partition of the session to the request.
func (s *session) addLocked(n *follower, now time.Time) {
	if n.place != inSession {
		return
	}
	if pos, ok := s.l.positionLocked(n, now); ok {
		s.list = append(s.list, wanted{n, pos})
	}
}

// forgetLocked lists the partitions that the leader shall take out of the session.
func (s *session) forgetLocked(whole bool) {
	s.forgets = s.forgets[:0]
	for _, n := range s.l.mu.leaving {
		if !whole {
			s.forgets = append(s.forgets, n.id)
		}
		n.registered, n.left = false, false
	}
	clear(s.l.mu.leaving)
	s.l.mu.leaving = s.l.mu.leaving[:0]
}

// encodeLocked fills in the request.
func (s *session) encodeLocked(whole bool, broker kafka.BrokerEpoch) {
	o := &s.l.f.o
	q := &s.request
	if whole {
		s.epoch = 0
		s.l.f.stats.Sessions.Add(1)
	}
	topics, forgotten := q.Topics[:0], q.ForgottenTopics[:0]
	q.Default()
	q.ReplicaState = wire.FetchRequestReplicaState{ID: int32(o.Self), Epoch: int64(broker)}
	q.MaxWaitMillis, q.MinBytes, q.MaxBytes = int32(o.Wait.Milliseconds()), 1, int32(o.ResponseBytes)
	q.SessionID, q.SessionEpoch = s.id, s.epoch
	slices.SortFunc(s.list, byID)
	q.Topics = appendTopics(topics, s.list, o.PartitionBytes)
	for _, id := range s.forgets {
		q.ForgottenTopics = append(forgotten, wire.FetchRequestForgottenTopic{TopicID: id.TopicID, Partitions: []int32{int32(id.Partition)}})
		forgotten = q.ForgottenTopics
	}
	if whole {
		for _, n := range s.l.mu.followers {
			n.registered = false
		}
	}
	for _, w := range s.list {
		w.n.sent, w.n.registered, w.n.left = w.pos, true, false
	}
}

// appendTopics appends the partitions of a sorted list by topic. It uses what dst
// has room for again.
func appendTopics(dst []wire.FetchRequestTopic, list []wanted, bytesMax int) []wire.FetchRequestTopic {
	for i := range list {
		n, pos := list[i].n, &list[i].pos
		if len(dst) == 0 || i == 0 || dst[len(dst)-1].TopicID != n.id.TopicID {
			if len(dst) < cap(dst) {
				dst = dst[:len(dst)+1]
			} else {
				dst = append(dst, wire.FetchRequestTopic{})
			}
			t := &dst[len(dst)-1]
			t.TopicID, t.Partitions = n.id.TopicID, t.Partitions[:0]
		}
		t := &dst[len(dst)-1]
		p := wire.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.LogStartOffset = int32(n.id.Partition), int64(pos.From), int64(pos.LogStart)
		p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.PartitionMaxBytes = int32(pos.Epoch), int32(pos.LastEpoch), int32(bytesMax)
		t.Partitions = append(t.Partitions, p)
	}
	return dst
}

// call sends the request and waits for the answer.
func (s *session) call(ctx context.Context) (kafka.ErrorCode, error) {
	s.began, s.read = s.l.clock().Now(), 0
	err := s.buffer.call(ctx, s.l.data, s.l.f.o.Wait+callMax,
		peer.Call{Key: wire.KeyFetch, Version: fetchVersion, Request: &s.request, Response: &s.response})
	s.l.mu.Lock()
	s.l.mu.parked = false
	s.l.mu.Unlock()
	if err != nil {
		return kafka.ErrNone, err
	}
	return kafka.ErrorCode(s.response.ErrorCode), nil
}

// settle takes the answer over. It is false where there is none: the session is
// opened anew then.
func (s *session) settle(code kafka.ErrorCode, err error) bool {
	l := s.l
	if err == nil && code != kafka.ErrNone {
		err = code
	}
	if err != nil {
		s.id = 0
		if !isSessionError(code) {
			l.lost(err)
		}
		return false
	}
	if s.epoch == 0 {
		s.id = s.response.SessionID
	}
	if s.id != 0 {
		s.epoch = kafka.NextSessionEpoch(s.epoch)
	}
	l.f.stats.Fetches.Add(1)
	s.answers = l.resolve(s.answers[:0], &s.response, nil)
	for i := range s.answers {
		l.apply(&s.answers[i])
		s.read += s.answers[i].read
	}
	l.noteSession(s.answers)
	clear(s.answers)
	return true
}

// buffer is where answers are read into, again and again.
type buffer struct {
	b    []byte
	idle int // answers in a row that needed a small part of it
}

const (
	bufferFirst = 32 << 10
	// A buffer above bufferKeep goes when so many answers have needed an eighth of
	// it at most.
	bufferKeep = 1 << 20
	bufferIdle = 256
)

// call sends a request, whose answer is read into the buffer, and waits for limit.
func (u *buffer) call(ctx context.Context, to Client, limit time.Duration, q peer.Call) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	q.Buffer = u.take()
	err := to.Call(ctx, &q)
	u.give(q.Buffer)
	return err
}

func (u *buffer) take() []byte {
	if u.b == nil {
		u.b = make([]byte, 0, bufferFirst)
	}
	b := u.b
	u.b = nil
	return b
}

// give takes the buffer back; nil: it is lost.
func (u *buffer) give(b []byte) {
	u.idle++
	if cap(b) <= bufferKeep || len(b) > cap(b)/8 {
		u.idle = 0
	}
	if u.idle < bufferIdle {
		u.b = b
	} else {
		u.idle = 0
	}
}
