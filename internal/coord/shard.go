package coord

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"holdfast/internal/group"
	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
	"holdfast/internal/partition"
	"holdfast/internal/purgatory"
	"holdfast/internal/record"
)

// callsMax is the most calls that one partition owes an answer. What comes above
// is told to come again.
const callsMax = 100_000

// How long a shard that broke stays broken, and one that could not be loaded,
// which costs a look at the whole log, in milliseconds.
const (
	retryAfter     = 1000
	loadRetryAfter = 5000
)

// never is a deadline that does not come.
const never = math.MaxInt64

// notYet is a number of effects that never commit.
const notYet = group.Seq(math.MaxUint64)

type state uint8

const (
	loading state = iota
	active
	dead // somebody else takes over: a new shard, or another broker
)

// shard is the groups of one partition in one leader epoch. A shard that broke
// is replaced, never repaired.
type shard struct {
	c     *Coordinator
	part  *partition.Partition
	epoch kafka.LeaderEpoch
	end   kafka.Offset // of the log, when loading began: what is loaded
	// looked is where the closed segments ended when the cleaner found nothing worth
	// its while. It is the cleaner's.
	looked kafka.Offset
	// due is when tick has something to do, in milliseconds; of a dead shard, when
	// it is replaced.
	due atomic.Int64
	// owesTopics: topics are gone whose offsets could not be dropped yet.
	owesTopics atomic.Bool

	mu struct {
		sync.Mutex
		state    state
		retryAt  kafka.Timestamp // of a dead one: when it may be replaced
		machine  *group.Machine
		now      kafka.Timestamp // the machine's time, which does not go back
		nextCall group.CallID
		calls    map[group.CallID]*Ticket // the machine owes them a reply
		// batches are appended and not committed yet, in order; the numbers of those
		// with effects are (committed, last].
		batches         []batch
		committed, last group.Seq
		finished        []done // to be completed when the lock is released
		builder         *record.Builder
		// gone are deleted topics whose offsets are not deleted for good yet: they
		// will be when effects goneAt are committed. A shard that breaks hands them
		// on: a commit without a topic id looks like one of a topic that was made
		// again under the name.
		gone   []group.TopicRef
		goneAt group.Seq // notYet before the machine was told
		// current: the metadata here is as new as everything that was loaded. Before
		// that, a topic that it does not know may be one that it has not heard of.
		current bool
		// touched are the keys that were written since a cleaning began; nil while
		// there is none.
		touched map[string]struct{}
		weight  group.Weight // of the machine, as it is counted in the coordinator
		crowded int          // calls turned away, as told to the log
	}
}

// batch is one append, with the replies that wait for it.
type batch struct {
	seq     group.Seq // of its effects; 0 where the cleaner moved records
	receipt partition.Receipt
	replies []done
}

func newShard(c *Coordinator, p *partition.Partition, o partition.Offsets) *shard {
	s := &shard{c: c, part: p, epoch: o.Epoch}
	s.due.Store(never)
	s.mu.goneAt = notYet
	s.mu.calls = make(map[group.CallID]*Ticket)
	s.mu.builder = record.NewBuilder(record.Options{})
	return s
}

// unlock releases mu and completes what has finished under it.
func (s *shard) unlock() {
	finished := s.mu.finished
	s.mu.finished = nil
	due := int64(never)
	switch s.mu.state {
	case active:
		if at, ok := s.mu.machine.Next(); ok {
			due = int64(at)
		}
	case dead:
		due = int64(s.mu.retryAt)
	}
	s.due.Store(due)
	s.weighLocked()
	s.mu.Unlock()
	complete(finished)
	s.c.alarm(due)
}

// timeLocked is the machine's time now; the machine is told the wall clock's.
func (s *shard) timeLocked() kafka.Timestamp {
	s.mu.machine.SetWall(s.c.wall())
	s.mu.now = max(s.mu.now, s.c.now())
	return s.mu.now
}

// activate begins to answer with a loaded machine.
func (s *shard) activate(m *group.Machine) {
	s.mu.Lock()
	defer s.unlock()
	if s.mu.state != loading {
		return
	}
	s.mu.state, s.mu.machine = active, m
	s.doLocked(m.Loaded(s.timeLocked()))
	s.forgetTopicsLocked()
}

// asking is a request to the machine.
type asking func(m *group.Machine, now kafka.Timestamp, id group.CallID) group.Effects

// call hands a request to the machine. The ticket's waiter hears of the outcome.
// Each check is made at the moment of the call, and may refuse it.
func (s *shard) call(w *purgatory.Waiter, ask asking, checks ...func() kafka.ErrorCode) *Ticket {
	if s == nil {
		return Refused(w, kafka.ErrNotCoordinator)
	}
	s.mu.Lock()
	code := s.admitLocked()
	for i := 0; i < len(checks) && code == kafka.ErrNone; i++ {
		code = checks[i]()
	}
	if code != kafka.ErrNone {
		s.mu.Unlock()
		return Refused(w, code)
	}
	defer s.unlock()
	t := s.ticketLocked(w)
	s.mu.calls[t.id] = t
	s.limitLocked()
	s.doLocked(ask(s.mu.machine, s.timeLocked(), t.id))
	return t
}

// callWrite hands a request that writes to the machine, while the partition takes
// writes: a machine whose append is refused is lost, with all that its groups are
// about, and what has no room can be refused before.
func (s *shard) callWrite(w *purgatory.Waiter, ask asking, checks ...func() kafka.ErrorCode) *Ticket {
	return s.call(w, ask, append(checks, func() kafka.ErrorCode {
		if !s.writable() {
			return kafka.ErrCoordinatorNotAvailable
		}
		return kafka.ErrNone
	})...)
}

func (s *shard) ticketLocked(w *purgatory.Waiter) *Ticket {
	s.mu.nextCall++
	return &Ticket{shard: s, id: s.mu.nextCall, waiter: w}
}

// read asks the machine for something that it knows.
func read[T any](s *shard, w *purgatory.Waiter, ask func(m *group.Machine) group.Read[T]) *Ticket {
	if s == nil {
		return Refused(w, kafka.ErrNotCoordinator)
	}
	s.mu.Lock()
	if code := s.admitLocked(); code != kafka.ErrNone {
		s.mu.Unlock()
		return Refused(w, code)
	}
	defer s.unlock()
	t := s.ticketLocked(w)
	got := ask(s.mu.machine)
	s.replyLocked(done{t, Outcome{Value: got.Value}}, got.After)
	return t
}

func (s *shard) admitLocked() kafka.ErrorCode {
	switch {
	case s.mu.state == loading:
		return kafka.ErrCoordinatorLoadInProgress
	case s.mu.state == dead:
		return kafka.ErrNotCoordinator
	case len(s.mu.calls) >= callsMax:
		return kafka.ErrCoordinatorLoadInProgress // every client comes again after a pause
	}
	return kafka.ErrNone
}

// writable reports whether the partition takes appends, as far as that may change
// by itself.
func (s *shard) writable() bool { return s.part.Admits() != kafka.ErrNotEnoughReplicas }

// doLocked executes effects: append, then reply.
func (s *shard) doLocked(e group.Effects) {
	if len(e.Records) > 0 {
		invariant.Check(e.Seq == s.mu.last+1, "effects %d after %d", e.Seq, s.mu.last)
		if s.c.o.Faults.CommitEarly {
			s.appendLateLocked(e)
		} else if code := s.appendLocked(e.Seq, s.stamped(e.Records)); code != kafka.ErrNone {
			s.dropLocked("append: " + code.Error())
			return
		}
	}
	for _, r := range e.Replies {
		if t := s.mu.calls[r.Call]; t != nil {
			delete(s.mu.calls, r.Call)
			s.replyLocked(done{t, Outcome{Value: r.Response}}, r.After)
		}
	}
	s.settleLocked()
}

// stamped gives every record of effects the wall clock's time.
func (s *shard) stamped(records []group.Record) []record.Record {
	now := s.c.wall()
	out := make([]record.Record, len(records))
	for i, r := range records {
		out[i] = record.Record{Timestamp: now, Key: r.Key, Value: r.Value}
	}
	return out
}

// appendLocked appends records as one batch. seq is the number of the effects
// that they are, 0 when they only move.
func (s *shard) appendLocked(seq group.Seq, records []record.Record) kafka.ErrorCode {
	b := s.mu.builder
	b.Reset(record.Options{})
	for _, r := range records {
		b.Append(r.Timestamp, r.Key, r.Value)
		if s.mu.touched != nil && seq > 0 {
			s.mu.touched[string(r.Key)] = struct{}{}
		}
	}
	bytes, err := b.Build(nil)
	if err != nil {
		s.c.o.Log.Error("cannot encode records of consumer groups", "partition", s.part.ID().Partition, "error", err)
		return kafka.ErrUnknownServerError
	}
	result := s.part.Append(partition.AppendRequest{Records: bytes, Own: true, Asked: -1, Wait: partition.WaitISR,
		Waiter: purgatory.New(1, func() { s.c.touched(s) })})
	if result.Code != kafka.ErrNone {
		s.c.o.Log.Warn("consumer groups cannot be written", "partition", s.part.ID().Partition, "records", len(records),
			"bytes", len(bytes), "code", result.Code.Error(), "why", result.Message)
		return result.Code
	}
	if result.Receipt.Epoch != s.epoch {
		return kafka.ErrNotLeaderOrFollower
	}
	if s.c.o.Faults.CommitEarly {
		return kafka.ErrNone
	}
	s.mu.batches = append(s.mu.batches, batch{seq: seq, receipt: result.Receipt})
	s.mu.last = max(s.mu.last, seq)
	return kafka.ErrNone
}

// replyLocked finishes d when effects number after is committed.
func (s *shard) replyLocked(d done, after group.Seq) {
	if after <= s.mu.committed {
		s.mu.finished = append(s.mu.finished, d)
		return
	}
	i := len(s.mu.batches) - 1
	for i >= 0 && s.mu.batches[i].seq != after {
		i--
	}
	invariant.Check(i >= 0, "a reply waits for effects %d of %d", after, s.mu.last)
	b := &s.mu.batches[i]
	b.replies = append(b.replies, d)
}

// settle sends what the high watermark has passed.
func (s *shard) settle() {
	s.mu.Lock()
	defer s.unlock()
	s.settleLocked()
}

func (s *shard) settleLocked() {
	for s.mu.state == active && len(s.mu.batches) > 0 {
		b := &s.mu.batches[0]
		switch code := s.part.Outcome(b.receipt, partition.WaitISR); code {
		case kafka.ErrNone:
			s.mu.finished = append(s.mu.finished, b.replies...)
			s.mu.committed = max(s.mu.committed, b.seq)
			s.mu.batches = s.mu.batches[1:]
		case kafka.ErrRequestTimedOut, kafka.ErrNotEnoughReplicasAfterAppend: // not yet
			return
		default:
			s.dropLocked("commit: " + code.Error())
			return
		}
	}
	if s.mu.state == active && s.mu.committed >= s.mu.goneAt {
		s.mu.gone = nil
	}
}

// drop ends the shard: whoever waits finds the coordinator again.
func (s *shard) drop(why string) {
	s.mu.Lock()
	defer s.unlock()
	s.dropLocked(why)
}

// failLoad ends a shard that could not be loaded.
func (s *shard) failLoad(err error) {
	s.mu.Lock()
	defer s.unlock()
	if s.mu.state == loading {
		s.dropLocked(err.Error())
		s.mu.retryAt = s.c.now() + loadRetryAfter
	}
}

func (s *shard) dropLocked(why string) {
	if s.mu.state == dead {
		return
	}
	owed := 0
	fail := func(t *Ticket) {
		owed++
		s.mu.finished = append(s.mu.finished, done{t, Outcome{Code: kafka.ErrNotCoordinator}})
	}
	for _, b := range s.mu.batches {
		for _, d := range b.replies {
			fail(d.ticket)
		}
	}
	for _, t := range s.mu.calls {
		fail(t)
	}
	s.c.o.Log.Debug("consumer groups unloaded", "partition", s.part.ID().Partition, "epoch", s.epoch, "calls", owed, "why", why)
	s.mu.state, s.mu.machine, s.mu.batches, s.mu.calls = dead, nil, nil, nil
	s.mu.retryAt = s.c.now() + retryAfter
	s.c.touched(s)
}

// replaceable reports whether the shard broke long enough ago.
func (s *shard) replaceable(now kafka.Timestamp) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.state == dead && now >= s.mu.retryAt
}

// abandon forgets a call that nobody waits for. The member stays: its session
// decides.
func (s *shard) abandon(t *Ticket) {
	s.mu.Lock()
	defer s.unlock()
	if s.mu.calls[t.id] != t {
		return
	}
	delete(s.mu.calls, t.id) // the machine's reply, if one comes, finds nobody
}

// tick does what is due.
func (s *shard) tick(now kafka.Timestamp) {
	s.mu.Lock()
	defer s.unlock()
	for s.mu.state == active {
		at, ok := s.mu.machine.Next()
		if !ok || at > max(now, s.mu.now) {
			return
		}
		s.doLocked(s.mu.machine.Tick(s.timeLocked()))
	}
}

// forgetTopics drops the offsets of topics that are gone: those named, and those
// that the metadata does not know although it is current.
func (s *shard) forgetTopics(removed []group.TopicRef) {
	s.mu.Lock()
	defer s.unlock()
	s.mu.gone, s.mu.goneAt = append(s.mu.gone, removed...), notYet
	s.forgetTopicsLocked()
}

func (s *shard) forgetTopicsLocked() {
	if s.mu.state != active {
		return
	}
	if !s.writable() { // a topic may go because the disk is full
		s.owesTopics.Store(true)
		return
	}
	s.owesTopics.Store(false)
	image := s.c.o.Image()
	gone := slices.Clone(s.mu.gone)
	for _, ref := range s.mu.machine.Topics() {
		unknown := ref.ID.IsZero() && image.TopicByName(ref.Name) == nil || !ref.ID.IsZero() && image.TopicByID(ref.ID) == nil
		if unknown && s.mu.current { // else it may be one that this broker has not heard of yet
			gone = append(gone, ref)
		}
	}
	if len(gone) > 0 {
		e := s.mu.machine.DeleteTopics(s.timeLocked(), gone)
		s.mu.goneAt = max(s.mu.last, e.Seq)
		s.doLocked(e)
	}
}

// metadataIsCurrent: the metadata here is not older than anything that was loaded.
func (s *shard) metadataIsCurrent() {
	s.mu.Lock()
	defer s.unlock()
	s.mu.current = true
	s.forgetTopicsLocked()
}

func (s *shard) isActive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.state == active
}

// goneTopics are the deleted topics that a successor has to think of.
func (s *shard) goneTopics() []group.TopicRef {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.gone
}
