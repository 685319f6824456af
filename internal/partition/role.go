package partition

import (
	"fmt"
	"slices"
	"time"

	"holdfast/internal/invariant"
	"holdfast/internal/isr"
	"holdfast/internal/kafka"
	"holdfast/internal/purgatory"
)

// role is what the metadata wants of this replica.
type role uint8

const (
	idle    role = iota // no leader is known, or the partition leaves this broker
	leads               // appends, serves, decides what is committed
	follows             // takes over what the leader has
)

// Leadership is what the metadata says about the partition that this replica
// leads. All of it is of one metadata offset.
type Leadership struct {
	Epoch          kafka.LeaderEpoch
	PartitionEpoch kafka.PartitionEpoch
	Replicas       []kafka.BrokerID // none stands for those of the ISR
	ISR            []kafka.BrokerID // contains this broker
	// Candidates are the replicas that may be in the ISR: registered, not fenced,
	// not shutting down, each in its present incarnation.
	Candidates []isr.Candidate
	MinISR     int // at least 1
}

// Following is what the metadata says about the partition that this replica
// follows.
type Following struct {
	Epoch          kafka.LeaderEpoch
	Leader         kafka.BrokerID
	PartitionEpoch kafka.PartitionEpoch
}

// after is what is to be done when the lock is released.
type after struct {
	wake       []*purgatory.Waiter
	proposal   *isr.Proposal
	progressed bool
}

// finish does it. The caller holds no lock.
func (p *Partition) finish(a *after) {
	complete(a.wake)
	if a.proposal != nil && p.outward.isr != nil {
		p.outward.isr(p, *a.proposal)
	}
	if a.progressed && p.outward.progressed != nil {
		p.outward.progressed(p)
	}
}

// takeTurn waits until nobody else changes the role, or the log of a follower.
// The turn is held across the disk.
func (p *Partition) takeTurn() { p.turn <- struct{}{} }

func (p *Partition) endTurn() { <-p.turn }

// highLocked is the largest high watermark that this replica knows.
func (p *Partition) highLocked() kafka.Offset {
	switch p.mu.role {
	case leads:
		return max(p.mu.high, p.mu.lead.HighWatermark())
	case follows:
		return max(p.mu.high, p.mu.following.rules.HighWatermark())
	}
	return p.mu.high
}

// Lead begins a leadership, or takes a change of one over: the ISR, min ISR and
// candidates of an epoch that has begun. A new epoch ends the one before, also one
// of this broker: every parked request completes. It waits for a Replicate that is
// under way.
func (p *Partition) Lead(t Leadership) {
	if len(t.Replicas) == 0 {
		t.Replicas = t.ISR
	}
	var a after
	p.takeTurn()
	p.mu.Lock()
	if p.mu.role == leads && t.Epoch == p.mu.epoch {
		p.changeLocked(t, &a)
	} else {
		p.beginLocked(t, &a)
	}
	p.mu.Unlock()
	p.endTurn()
	p.finish(&a)
}

// changeLocked takes over what the metadata says within an epoch.
func (p *Partition) changeLocked(t Leadership, a *after) {
	p.mu.term = t
	p.assignLocked(t)
	p.applyLocked(p.mu.lead.Changed(isr.Change{PartitionEpoch: t.PartitionEpoch, Replicas: t.Replicas, ISR: t.ISR,
		Candidates: t.Candidates, MinISR: t.MinISR, PageCache: p.pageCache(p.config.Load())}, p.clock.Now()), a)
}

// beginLocked begins a leadership at the end of the log.
func (p *Partition) beginLocked(t Leadership, a *after) {
	p.endTermLocked(t.Epoch, idle, a)
	if latest := p.log.LastEpoch(); latest > t.Epoch {
		// The metadata is older than the log: it was restored, or lost its tail.
		p.failLocked(fmt.Errorf("the log has leader epoch %d, the metadata says %d", latest, t.Epoch))
		return
	}
	p.assignLocked(t)
	c, end := p.config.Load(), p.log.End()
	p.mu.term, p.mu.role = t, leads
	high := max(p.mu.high, p.log.Start())
	p.mu.lead = isr.NewLeader(isr.Term{Self: p.self, Epoch: t.Epoch, PartitionEpoch: t.PartitionEpoch, Replicas: t.Replicas, ISR: t.ISR,
		Candidates: t.Candidates, MinISR: t.MinISR, End: end, Durable: min(p.mu.durable, end), HighWatermark: high,
		LagMax: p.lagMax, Now: p.clock.Now(), PageCache: p.pageCache(c)})
}

// assignLocked notes in the log that the epoch begins at its end (KIP-101), where
// there are others that will ask. It waits for no disk: a fail-over of a thousand
// partitions would wait a thousand times. The note is durable with the next
// checkpoint, and before with the first batch of the epoch, which carries it. What a
// crash can forget is an epoch that has no durable batch here. The next leadership
// begins at the same offset then, and would drop the note (two epochs cannot begin at
// one offset), so that it answers alike with and without it: the largest epoch below,
// and where that ends.
func (p *Partition) assignLocked(t Leadership) {
	if len(t.Replicas) > 1 && p.log.LastEpoch() < t.Epoch {
		p.log.AssignEpoch(t.Epoch)
	}
}

// Follow begins to follow, or changes nothing when this epoch has begun. Every new
// epoch matches the log with the leader's from its end on, also where the leader
// is the one of before (KAFKA-7164). It waits for a Replicate that is under way.
func (p *Partition) Follow(f Following) {
	var a after
	p.takeTurn()
	p.mu.Lock()
	if p.mu.role != follows || f.Epoch != p.mu.epoch {
		p.endTermLocked(f.Epoch, follows, &a)
		p.mu.following = following{rules: isr.NewFollower(f.Epoch, p.mu.high)}
	}
	p.mu.following.leader = f.Leader
	p.mu.Unlock()
	p.endTurn()
	p.finish(&a)
}

// Resign ends the role, or the partition's life on this broker. Every parked
// request completes and finds NOT_LEADER_OR_FOLLOWER. It waits for a Replicate
// that is under way; nothing is appended after it has returned.
func (p *Partition) Resign() {
	var a after
	p.takeTurn()
	p.mu.Lock()
	p.endTermLocked(p.mu.epoch, idle, &a)
	p.mu.Unlock()
	p.endTurn()
	p.finish(&a)
}

// endTermLocked ends the role and enters epoch in the next one.
func (p *Partition) endTermLocked(epoch kafka.LeaderEpoch, next role, a *after) {
	if epoch < p.mu.epoch {
		invariant.Unreachable("%s-%d: leader epoch goes from %d back to %d", p.topic, p.id.Partition, p.mu.epoch, epoch)
	}
	p.mu.high = p.highLocked()
	p.mu.role, p.mu.epoch, p.mu.suspended = next, epoch, false
	a.wake = p.parkedLocked(a.wake)
}

// parkedLocked collects every parked request: its epoch is over.
func (p *Partition) parkedLocked(wake []*purgatory.Waiter) []*purgatory.Waiter {
	const everything = kafka.Offset(1<<63 - 1)
	wake = p.mu.commits.take(wake, everything)
	wake = p.mu.locals.take(wake, everything)
	wake = p.mu.fetchers.TakeAll(wake)
	return p.mu.readers.TakeAll(wake)
}

// Flushed implements datadir.Flushable: everything below end is on stable
// storage here.
func (p *Partition) Flushed(end kafka.Offset) {
	var a after
	p.mu.Lock()
	grew := end > p.mu.durable
	p.mu.durable = max(p.mu.durable, end)
	a.wake = p.mu.locals.take(a.wake, p.mu.durable)
	switch {
	case p.mu.role == leads:
		p.applyLocked(p.mu.lead.Flushed(end, p.clock.Now()), &a)
	case p.mu.role == follows:
		_, matched := p.mu.following.rules.Progress(end)
		a.progressed = grew && matched
	}
	p.noteLocked()
	p.mu.Unlock()
	p.finish(&a)
}

// noteLocked lets the data directory remember the high watermark, where no append is
// under way that would carry it into the journal.
func (p *Partition) noteLocked() {
	if high := p.highLocked(); high == p.log.End() && high == p.mu.durable && high > p.mu.noted {
		p.mu.noted = high
		p.storage.Note(p.log, high)
	}
}

// Failed implements datadir.Flushable: the directory has stopped and nothing
// that was not durable before ever will be. Whoever else finds that this replica
// can not be used any more says so here, too; the first reason counts.
func (p *Partition) Failed(err error) {
	var a after
	p.mu.Lock()
	p.failLocked(err)
	a.wake = p.parkedLocked(a.wake)
	p.mu.Unlock()
	p.finish(&a)
}

func (p *Partition) failLocked(err error) {
	if p.mu.failed == nil {
		p.mu.failed = err
	}
}

// Err is why this replica takes nothing any more: a
// *DivergedBelowHighWatermarkError, a failure of its log or of its data directory;
// nil while it does.
func (p *Partition) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.errLocked()
}

func (p *Partition) errLocked() error {
	if p.mu.failed != nil {
		return p.mu.failed
	}
	return p.storage.Err()
}

// applyLocked notes what the rules of the leader ask for.
func (p *Partition) applyLocked(e isr.Effects, a *after) {
	if e.Moved {
		// The caller completes them after releasing mu.
		a.wake = p.mu.commits.take(a.wake, p.mu.lead.HighWatermark())
		a.wake = p.mu.readers.TakeAll(a.wake)
		a.wake = p.mu.fetchers.TakeAll(a.wake) // followers learn of it at once
	}
	if e.Propose != nil {
		a.proposal = e.Propose
	}
}

// Tick lets time pass: a leader proposes to do without the replicas that have
// lagged for replica.lag.time.max.ms.
func (p *Partition) Tick(now time.Time) {
	p.step(func(l *isr.Leader) isr.Effects { return l.Tick(now) })
}

// ISRProposal is the ISR change that the leader has asked for and whose outcome is
// not known, for sending it, also again. It is false where there is none.
func (p *Partition) ISRProposal() (isr.Proposal, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.role != leads || p.mu.failed != nil {
		return isr.Proposal{}, false
	}
	return p.mu.lead.Outstanding()
}

// ISRAnswered tells the controller's answer to a proposal. Only a definite refusal
// changes anything: that of the only attempt that was made. The refusal of an attempt
// that was made again says nothing about the first one, which may have been applied;
// then the metadata says, through Lead, what became of it.
func (p *Partition) ISRAnswered(answer isr.Answer) {
	now := p.clock.Now()
	p.step(func(l *isr.Leader) isr.Effects { return l.Answered(answer, now) })
}

// step hands an event to the rules of the leader, if this replica leads.
func (p *Partition) step(event func(*isr.Leader) isr.Effects) {
	var a after
	p.mu.Lock()
	if p.mu.role == leads && p.mu.failed == nil {
		p.applyLocked(event(&p.mu.lead), &a)
	}
	p.mu.Unlock()
	p.finish(&a)
}

// ReplicaDurable takes a follower's report that everything below end is on its
// stable storage and was matched with this leader in leaderEpoch. It answers
// ErrNone also where the report changes nothing, and STALE_BROKER_EPOCH where the
// metadata here does not know the follower's incarnation as a live one: it has to
// tell again.
func (p *Partition) ReplicaDurable(replica kafka.BrokerID, brokerEpoch kafka.BrokerEpoch, leaderEpoch kafka.LeaderEpoch, end kafka.Offset) kafka.ErrorCode {
	var a after
	now := p.clock.Now()
	p.mu.Lock()
	code := p.checkReplicaLocked(replica, leaderEpoch)
	switch {
	case code != kafka.ErrNone:
	case !slices.Contains(p.mu.term.Candidates, isr.Candidate{ID: replica, Epoch: brokerEpoch}):
		code = kafka.ErrStaleBrokerEpoch
	case end < 0 || end > p.log.End():
		code = kafka.ErrInvalidRequest // matched with this leader, which has no such offset
	default:
		p.applyLocked(p.mu.lead.Reported(isr.Report{Replica: replica, Epoch: brokerEpoch, Durable: end}, now), &a)
		p.noteLocked()
	}
	p.mu.Unlock()
	p.finish(&a)
	return code
}

// checkReplicaLocked says whether a follower in an epoch has come to its leader.
func (p *Partition) checkReplicaLocked(replica kafka.BrokerID, epoch kafka.LeaderEpoch) kafka.ErrorCode {
	switch {
	case p.mu.role != leads:
		return kafka.ErrNotLeaderOrFollower
	case epoch < p.mu.epoch: // none included: what it matched would be of no epoch
		return kafka.ErrFencedLeaderEpoch
	case epoch > p.mu.epoch:
		return kafka.ErrUnknownLeaderEpoch
	case replica == p.self || !slices.Contains(p.mu.term.Replicas, replica):
		return kafka.ErrUnknownLeaderEpoch // as Kafka: one of us has older metadata
	}
	return kafka.ErrNone
}
