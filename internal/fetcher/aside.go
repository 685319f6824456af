package fetcher

import (
	"context"
	"slices"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/partition"
	"holdfast/internal/peer"
	"holdfast/internal/wire"
)

// What a fetch beside the session asks for at most: the connection has more to
// carry.
const (
	asidePartitionBytes = 256 << 10
	asideResponseBytes  = 1 << 20
	asidePartitions     = 1000
)

// aside fetches, outside of the session, what must not wait until the parked fetch
// of the session comes back: partitions that have entered an epoch, or whose time
// after an error has come. Its lane's goroutine owns it.
type aside struct {
	l        *leader
	list     []wanted
	asked    map[*follower]partition.FetchPosition
	request  wire.FetchRequest
	response wire.FetchResponse
	buffer   buffer
	answers  []answer
}

func (s *aside) run(ctx context.Context) {
	l := s.l
	for ctx.Err() == nil {
		wait, ok := s.compose()
		if !ok {
			l.sleep(ctx, l.toAside, wait)
			continue
		}
		s.fetch(ctx)
	}
}

// compose makes a request of the followers that wait, if the session cannot take
// them.
func (s *aside) compose() (wait time.Duration, ok bool) {
	l, now := s.l, s.l.clock().Now()
	broker := l.f.o.Epoch()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.mu.parked || broker < 0 {
		return noHurry, false // compose of the session pokes
	}
	ready, wait := l.takeLocked(now, false)
	s.list = s.list[:0]
	clear(s.asked)
	for i, n := range ready {
		if i >= asidePartitions {
			l.waitLocked(n, now, n.calm)
			wait = 0
		} else if pos, ok := l.positionLocked(n, now); ok {
			s.list = append(s.list, wanted{n, pos})
			s.asked[n] = pos
		}
	}
	if len(s.list) == 0 {
		return wait, false
	}
	slices.SortFunc(s.list, byID)
	topics := s.request.Topics[:0]
	s.request.Default() // no session, and no wait
	s.request.ReplicaState = wire.FetchRequestReplicaState{ID: int32(l.f.o.Self), Epoch: int64(broker)}
	s.request.MaxBytes = asideResponseBytes
	s.request.Topics = appendTopics(topics, s.list, min(asidePartitionBytes, l.f.o.PartitionBytes))
	return 0, true
}

// fetch sends the request and takes the answer over.
func (s *aside) fetch(ctx context.Context) {
	l := s.l
	err := s.buffer.call(ctx, l.control, callMax, peer.Call{Key: wire.KeyFetch, Version: fetchVersion, Request: &s.request, Response: &s.response})
	if err == nil && s.response.ErrorCode != 0 {
		err = kafka.ErrorCode(s.response.ErrorCode)
	}
	s.answers = s.answers[:0]
	if err == nil {
		l.f.stats.Fetches.Add(1)
		s.answers = l.resolve(s.answers, &s.response, s.asked)
		for i := range s.answers {
			l.apply(&s.answers[i])
		}
	} else if ctx.Err() == nil {
		l.f.stats.Lost.Add(1)
	}
	l.noteAside(s.answers)
	s.giveBack()
	clear(s.answers)
	poke(l.toSession)
}

// giveBack lets those wait that got no answer.
func (s *aside) giveBack() {
	l, now := s.l, s.l.clock().Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range s.list {
		if w.n.place == beside {
			l.punishLocked(w.n, now)
		}
	}
}
