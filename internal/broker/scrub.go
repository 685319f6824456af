package broker

import (
	"context"
	"errors"
	"maps"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/partition"
)

// How the scrub is paced: every scrubEvery as many bytes as that time is worth,
// in steps of scrubStep, after each of which a stop is noticed. While more than
// busyBytes or busyRounds are flushed in the same time, a busyPart of it: a broker
// that is never idle must not go without for ever.
const (
	scrubEvery = time.Second
	scrubStep  = 1 << 20
	busyBytes  = 1 << 20
	busyRounds = 50
	busyPart   = 16
)

// corruptSegment names a segment in which rot was found.
type corruptSegment struct {
	id   kafka.TopicIDPartition
	file string
}

// scrub goes through the closed segments of every partition, one after the other.
// Its goroutine owns it.
type scrub struct {
	b       *Broker
	queue   []*partition.Partition // of this pass, still to be looked at
	place   log.ScrubPlace         // in the first of them
	next    time.Time              // the next pass begins
	bytes   int64                  // flushed, at the last tick
	rounds  int64
	started bool
}

func newScrub(b *Broker) *scrub { return &scrub{b: b} }

// tick reads what one tick is worth.
func (s *scrub) tick(ctx context.Context) {
	settings, now := s.b.Settings(), s.b.o.Env.Clock.Now()
	budget := settings.ScrubBytesPerSecond * int64(scrubEvery) / int64(time.Second)
	if s.busy() {
		budget /= busyPart
	}
	if len(s.queue) == 0 && (!s.started || !now.Before(s.next)) {
		s.queue, s.place = s.b.Partitions(), log.ScrubPlace{}
		s.started, s.next = true, now.Add(settings.ScrubInterval)
	}
	for budget > 0 && len(s.queue) > 0 && ctx.Err() == nil {
		budget -= s.step(min(budget, scrubStep))
	}
}

// busy reports whether much was written since the last tick.
func (s *scrub) busy() bool {
	stats := s.b.o.Dir.Stats()
	bytes, rounds := stats.Bytes.Load(), stats.Rounds.Load()
	busy := bytes-s.bytes > busyBytes || rounds-s.rounds > busyRounds
	s.bytes, s.rounds = bytes, rounds
	return busy
}

// step reads a little and returns how much, or goes on to the next partition.
func (s *scrub) step(maxBytes int64) int64 {
	p := s.queue[0]
	if here, _ := s.b.ByID(p.ID().TopicID, p.ID().Partition); here != p { // deleted meanwhile
		s.leave()
		return 0
	}
	next, read, err := p.Log().Scrub(s.place, maxBytes)
	s.b.scrubbed.Add(read)
	s.place = next
	rot, bad := errors.AsType[*log.CorruptionError](err)
	switch {
	case bad:
		s.b.noteCorrupt(p, rot)
	case err != nil:
		s.b.o.Log.Warn("cannot compare a segment with its checksums; the next pass tries again", "topic", p.Topic(), "partition", p.ID().Partition, "error", err)
	case read == 0:
		s.leave()
	}
	return read
}

// leave goes on to the next partition.
func (s *scrub) leave() {
	s.queue[0] = nil
	s.queue, s.place = s.queue[1:], log.ScrubPlace{}
}

// noteCorrupt keeps what was found, and says so once.
func (b *Broker) noteCorrupt(p *partition.Partition, rot *log.CorruptionError) {
	key := corruptSegment{id: p.ID(), file: rot.File}
	b.mu.Lock()
	_, known := b.mu.corrupt[key]
	b.mu.corrupt[key] = rot
	b.mu.Unlock()
	if !known {
		b.noteRot(p, rot)
		b.o.Log.Error("a closed segment is corrupt: it is not served any more, and not changed. Records in it are lost here unless a copy exists",
			"topic", p.Topic(), "partition", p.ID().Partition, "file", rot.File, "position", rot.Position, "error", rot)
	}
}

// Corrupt lists the segments in which the scrub has found rot since the start, by
// file, of partitions that are still here.
func (b *Broker) Corrupt() map[string]error {
	b.mu.Lock()
	all := maps.Clone(b.mu.corrupt)
	b.mu.Unlock()
	out := make(map[string]error, len(all))
	for key, rot := range all {
		if p, _ := b.ByID(key.id.TopicID, key.id.Partition); p != nil {
			out[key.file] = rot
		}
	}
	return out
}

// Scrubbed is how many bytes the scrub has compared since the start.
func (b *Broker) Scrubbed() int64 { return b.scrubbed.Load() }
