package fetcher

import (
	"context"
	"slices"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/peer"
	"holdfast/internal/wire"
)

// report notes that a follower has progress to report.
func (l *leader) report(n *follower) {
	l.mu.Lock()
	l.reportLocked(n)
	l.mu.Unlock()
	poke(l.toProgress)
}

func (l *leader) reportLocked(n *follower) {
	if !n.dirty && n.place != gone {
		n.dirty = true
		l.mu.dirty = append(l.mu.dirty, n)
	}
}

// reportAll has everything told again: the leader may have lost it with the
// connection.
func (l *leader) reportAll() {
	l.mu.Lock()
	for _, n := range l.mu.followers {
		l.reportLocked(n)
	}
	l.mu.Unlock()
	poke(l.toProgress)
}

// lost notes that the leader could not be asked.
func (l *leader) lost(err error) {
	l.f.stats.Lost.Add(1)
	l.mu.Lock()
	first := l.mu.err == nil
	l.mu.err = err
	l.mu.Unlock()
	l.reportAll()
	if first {
		l.f.o.Log.Warn("cannot fetch from a leader; trying again", "leader", l.id, "error", err)
	}
}

// progress tells the leader what is durable here. Its lane's goroutine owns it.
type progress struct {
	l        *leader
	list     []reported
	request  wire.ReplicaProgressRequest
	response wire.ReplicaProgressResponse
	buffer   buffer
	again    []*follower // refused for now
	failures int
}

// reported is one follower in a report.
type reported struct {
	n       *follower
	epoch   kafka.LeaderEpoch
	durable kafka.Offset
}

func (s *progress) run(ctx context.Context) {
	l := s.l
	for ctx.Err() == nil {
		if !s.compose() {
			l.sleep(ctx, l.toProgress, noHurry)
			continue
		}
		err := s.tell(ctx)
		if err == nil {
			l.f.stats.Reports.Add(1)
			s.failures = 0
			s.settle()
			continue
		}
		s.failures++
		l.reportAll()
		l.sleep(ctx, nil, backoff(s.failures))
	}
}

// compose makes a report of what has grown since the last one.
func (s *progress) compose() bool {
	l := s.l
	broker := l.f.o.Epoch()
	s.list = s.list[:0]
	l.mu.Lock()
	for _, n := range l.mu.dirty {
		n.dirty = false
		if n.place == gone {
			continue
		}
		if p, ok := n.p.Progress(); ok {
			s.list = append(s.list, reported{n, p.Epoch, p.Durable})
		}
	}
	clear(l.mu.dirty)
	l.mu.dirty = l.mu.dirty[:0]
	l.mu.Unlock()
	if len(s.list) == 0 {
		return false
	}
	slices.SortFunc(s.list, func(a, b reported) int { return byID(wanted{n: a.n}, wanted{n: b.n}) })
	topics := s.request.Topics[:0]
	s.request.Default()
	s.request.BrokerID, s.request.BrokerEpoch = int32(l.f.o.Self), int64(broker)
	for i := range s.list {
		r := &s.list[i]
		if i == 0 || topics[len(topics)-1].TopicID != r.n.id.TopicID {
			if len(topics) < cap(topics) {
				topics = topics[:len(topics)+1]
			} else {
				topics = append(topics, wire.ReplicaProgressRequestTopic{})
			}
			t := &topics[len(topics)-1]
			t.TopicID, t.Partitions = r.n.id.TopicID, t.Partitions[:0]
		}
		t := &topics[len(topics)-1]
		t.Partitions = append(t.Partitions, wire.ReplicaProgressRequestTopicPartition{Partition: int32(r.n.id.Partition),
			LeaderEpoch: int32(r.epoch), DurableEnd: int64(r.durable)})
	}
	s.request.Topics = topics
	return true
}

func (s *progress) tell(ctx context.Context) error {
	err := s.buffer.call(ctx, s.l.control, callMax, peer.Call{Key: wire.KeyReplicaProgress, Request: &s.request, Response: &s.response})
	if err == nil && s.response.ErrorCode != 0 {
		err = kafka.ErrorCode(s.response.ErrorCode)
	}
	return err
}

// settle has told again what the leader was not ready to hear. What is of an old
// epoch is told by itself in the next one.
func (s *progress) settle() {
	l := s.l
	s.again = s.again[:0]
	l.mu.Lock()
	for i := range s.response.Topics {
		t := &s.response.Topics[i]
		for k := range t.Partitions {
			p := &t.Partitions[k]
			code := kafka.ErrorCode(p.ErrorCode)
			if code == kafka.ErrNone || code == kafka.ErrFencedLeaderEpoch {
				continue
			}
			if n := l.mu.followers[kafka.TopicIDPartition{TopicID: t.TopicID, Partition: kafka.PartitionIndex(p.Partition)}]; n != nil {
				s.again = append(s.again, n)
			}
		}
	}
	l.mu.Unlock()
	if len(s.again) == 0 {
		return
	}
	again := slices.Clone(s.again)
	l.clock().AfterFunc(againAfter, func() {
		l.mu.Lock()
		for _, n := range again {
			l.reportLocked(n)
		}
		l.mu.Unlock()
		poke(l.toProgress)
	})
}

// againAfter is how soon a leader is told again what it was not ready to hear.
const againAfter = 20 * time.Millisecond
