package partition

import (
	"errors"
	"time"

	"holdfast/internal/isr"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/purgatory"
)

// ReadRequest asks for records from an offset on.
type ReadRequest struct {
	From     kafka.Offset
	MaxBytes int
	// MinOne allows the first batch to be larger than MaxBytes.
	MinOne bool
	// CurrentEpoch is the leader epoch that the client believes in, or
	// NoLeaderEpoch (KIP-320).
	CurrentEpoch kafka.LeaderEpoch
	// LastFetchedEpoch is the epoch of the record before From, or NoLeaderEpoch
	// (KIP-595): the answer may name a divergence.
	LastFetchedEpoch kafka.LeaderEpoch
	// Committed asks for the last stable offset as the bound (read_committed).
	Committed bool
	// Replica is the broker that reads as a follower, NoBroker for a consumer. A
	// follower reads to the end of the log, and its position counts as its progress
	// where it matches. CurrentEpoch is set then, and ReplicaEpoch is that broker's
	// incarnation.
	Replica      kafka.BrokerID
	ReplicaEpoch kafka.BrokerEpoch
	// FromFollower lets a consumer read here while this replica follows: up to the
	// high watermark that it knows (KIP-392).
	FromFollower bool
}

// ReadResult is what there is to read. Range.Source, when set, is retained: the
// reader releases it.
type ReadResult struct {
	Code      kafka.ErrorCode
	Offsets   Offsets
	Range     log.Range
	Diverging *EpochEnd
}

// EpochEnd names the end of the largest epoch at or below a requested one.
type EpochEnd struct {
	Epoch kafka.LeaderEpoch
	End   kafka.Offset
}

// checkEpoch compares the epoch that a client believes in with the present one.
func checkEpoch(o Offsets, believed kafka.LeaderEpoch, fromFollower bool) kafka.ErrorCode {
	switch {
	case !o.Leading && !(fromFollower && o.Following):
		return kafka.ErrNotLeaderOrFollower
	case believed == kafka.NoLeaderEpoch || believed == o.Epoch:
		return kafka.ErrNone
	case believed < o.Epoch:
		return kafka.ErrFencedLeaderEpoch
	default:
		return kafka.ErrUnknownLeaderEpoch
	}
}

// snapshot takes the marks before anything is read, so that the answer never
// claims more than what was true then. Reads go on when writes have failed.
func (p *Partition) snapshot() Offsets {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offsetsLocked()
}

// Read returns whole batches that hold [From, bound), where bound is the high
// watermark or the last stable offset.
func (p *Partition) Read(r ReadRequest) ReadResult {
	p.flow.reads.Add(1)
	result := p.read(r)
	if result.Code != kafka.ErrNone {
		p.flow.unread.Add(1)
	}
	return result
}

func (p *Partition) read(r ReadRequest) ReadResult {
	if r.Replica != kafka.NoBroker {
		return p.readAsReplica(r)
	}
	o := p.snapshot()
	result := ReadResult{Offsets: o, Code: checkEpoch(o, r.CurrentEpoch, r.FromFollower)}
	if result.Code != kafka.ErrNone {
		return result
	}
	if o.Following && p.Err() != nil {
		result.Code = kafka.ErrKafkaStorageError // a leader's committed bytes stay readable; these may not be the leader's
		return result
	}
	if result.Diverging = p.diverging(r); result.Diverging != nil {
		return result
	}
	if result.Code = inRange(r.From, o); result.Code != kafka.ErrNone {
		return result
	}
	bound := o.HighWatermark
	if r.Committed {
		bound = o.LastStable
	}
	return p.readTo(bound, r, result)
}

// inRange says what a consumer is told about a position. A leader answers beyond
// its high watermark with nothing: it may not know yet what is committed. So may a
// follower not know what the leader has.
func inRange(from kafka.Offset, o Offsets) kafka.ErrorCode {
	switch {
	case from < o.LogStart:
		return kafka.ErrOffsetOutOfRange
	case o.Following && from > o.HighWatermark:
		return kafka.ErrOffsetNotAvailable
	case from > o.LogEnd:
		return kafka.ErrOffsetOutOfRange
	}
	return kafka.ErrNone
}

// diverging compares the reader's last record with the log (KIP-595, KIP-279).
func (p *Partition) diverging(r ReadRequest) *EpochEnd {
	if r.LastFetchedEpoch == kafka.NoLeaderEpoch {
		return nil
	}
	if epoch, end := p.log.EpochEnd(r.LastFetchedEpoch); epoch != r.LastFetchedEpoch || end < r.From {
		return &EpochEnd{Epoch: epoch, End: end}
	}
	return nil
}

// divergingReplica is the same for a follower, whose rules are isr's.
func (p *Partition) divergingReplica(r ReadRequest) *EpochEnd {
	part, diverges := isr.Diverges(history{p.log}, isr.EpochEnd{Epoch: r.LastFetchedEpoch, End: r.From})
	if !diverges {
		return nil
	}
	end := EpochEnd(part)
	return &end
}

// readTo reads whole batches of [r.From, bound).
func (p *Partition) readTo(bound kafka.Offset, r ReadRequest, result ReadResult) ReadResult {
	if r.From >= bound || (r.MaxBytes <= 0 && !r.MinOne) {
		return result // nothing committed yet, or no room: an empty answer, not an error
	}
	rng, err := p.log.Read(r.From, bound, r.MaxBytes, r.MinOne)
	switch {
	case err == nil:
		result.Range = rng
		p.flow.out.Add(rng.Length)
	case errors.Is(err, log.ErrOffsetOutOfRange):
		result.Code = kafka.ErrOffsetOutOfRange
	default:
		result.Code = kafka.ErrKafkaStorageError
	}
	return result
}

// readAsReplica answers a follower: to the end of the log, durable or not, so that
// its transfer and the flush here overlap.
func (p *Partition) readAsReplica(r ReadRequest) ReadResult {
	var a after
	now := p.clock.Now()
	p.mu.Lock()
	result := p.matchLocked(r, now, &a)
	p.mu.Unlock()
	p.finish(&a)
	if result.Code != kafka.ErrNone || result.Diverging != nil {
		return result
	}
	return p.readTo(result.Offsets.LogEnd, r, result)
}

// matchLocked compares a follower's position with the log, and notes it where it
// matches.
func (p *Partition) matchLocked(r ReadRequest, now time.Time, a *after) ReadResult {
	result := ReadResult{Code: p.checkReplicaLocked(r.Replica, r.CurrentEpoch)}
	switch {
	case result.Code != kafka.ErrNone:
	case r.From < p.log.Start():
		// Before any comparison: of what was deleted nothing is known any more, and
		// the follower begins anew where the log starts.
		result.Code = kafka.ErrOffsetOutOfRange
	default:
		result.Diverging = p.divergingReplica(r)
		if result.Diverging == nil && r.From > p.log.End() {
			result.Code = kafka.ErrOffsetOutOfRange
		} else if result.Diverging == nil {
			p.applyLocked(p.mu.lead.Fetched(isr.Fetch{Replica: r.Replica, Epoch: r.ReplicaEpoch, From: r.From}, now), a)
		}
	}
	result.Offsets = p.offsetsLocked()
	return result
}

// Await says what a parked fetch waits for.
type Await struct {
	// From is the position of the fetch.
	From kafka.Offset
	// Replica is the broker that reads as a follower, NoBroker for a consumer. It
	// waits for the end of the log to pass From, and for the high watermark to pass
	// HighWatermark, which is what its last answer said.
	Replica       kafka.BrokerID
	HighWatermark kafka.Offset
	// FromFollower: as in ReadRequest.
	FromFollower bool
}

// Await registers w to be told when there is something to answer, or the role ends.
// It reports false, and does not register, when that is so already.
func (p *Partition) Await(wait Await, w *purgatory.Waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	role, high := p.mu.role, p.highLocked()
	switch {
	case role != leads && !(role == follows && wait.FromFollower && wait.Replica == kafka.NoBroker):
		return false
	case wait.Replica == kafka.NoBroker && high <= wait.From:
		p.mu.readers.Add(w)
		return true
	case wait.Replica != kafka.NoBroker && p.log.End() <= wait.From && high <= wait.HighWatermark:
		p.mu.fetchers.Add(w)
		return true
	}
	return false
}

// AwaitData registers w to be told when something at or above from is
// committed, or the leadership ends. It reports false, and does not register,
// when that is so already.
func (p *Partition) AwaitData(from kafka.Offset, w *purgatory.Waiter) bool {
	return p.Await(Await{From: from, Replica: kafka.NoBroker}, w)
}

// OffsetAt is the answer to a look-up by timestamp.
type OffsetAt struct {
	Timestamp kafka.Timestamp
	Offset    kafka.Offset
	Epoch     kafka.LeaderEpoch
}

// LookUp finds the offset for a timestamp or one of the special timestamps
// (KIP-79, KIP-734, KIP-405). found is false when no record is that late. The
// error is a kafka.ErrorCode or the log's. While a new leader does not know all
// that is committed, what depends on it is OFFSET_NOT_AVAILABLE (KIP-207).
func (p *Partition) LookUp(ts kafka.Timestamp, believed kafka.LeaderEpoch, committed bool) (at OffsetAt, found bool, err error) {
	o := p.snapshot()
	if code := checkEpoch(o, believed, false); code != kafka.ErrNone {
		return OffsetAt{}, false, code
	}
	bound := o.HighWatermark
	if committed {
		bound = o.LastStable
	}
	plain := func(offset kafka.Offset) (OffsetAt, bool, error) {
		return OffsetAt{Timestamp: kafka.NoTimestamp, Offset: offset, Epoch: p.log.EpochAt(offset, o.Epoch)}, true, nil
	}
	unsure := o.HighWatermark < o.EpochStart
	switch ts {
	case kafka.TimestampLatest:
		if unsure {
			return OffsetAt{}, false, kafka.ErrOffsetNotAvailable
		}
		return OffsetAt{Timestamp: kafka.NoTimestamp, Offset: bound, Epoch: o.Epoch}, true, nil
	case kafka.TimestampEarliest, kafka.TimestampEarliestLocal:
		return plain(o.LogStart)
	case kafka.TimestampLatestTiered:
		return OffsetAt{Timestamp: kafka.NoTimestamp, Offset: kafka.NoOffset, Epoch: kafka.NoLeaderEpoch}, false, nil
	case kafka.TimestampMax:
		if unsure {
			return OffsetAt{}, false, kafka.ErrOffsetNotAvailable
		}
		to, ok, err := p.log.MaxTimestamp(bound)
		return OffsetAt{Timestamp: to.Timestamp, Offset: to.Offset, Epoch: p.log.EpochAt(to.Offset, o.Epoch)}, ok, err
	}
	to, ok, err := p.log.OffsetForTimestamp(ts, bound)
	if unsure && !ok && err == nil {
		return OffsetAt{}, false, kafka.ErrOffsetNotAvailable
	}
	return OffsetAt{Timestamp: to.Timestamp, Offset: to.Offset, Epoch: p.log.EpochAt(to.Offset, o.Epoch)}, ok, err
}

// EndOfEpoch answers OffsetForLeaderEpoch (KIP-101, KIP-279): the largest epoch
// at or below epoch, and where it ends.
func (p *Partition) EndOfEpoch(epoch, believed kafka.LeaderEpoch) (EpochEnd, kafka.ErrorCode) {
	o := p.snapshot()
	if code := checkEpoch(o, believed, false); code != kafka.ErrNone {
		return EpochEnd{}, code
	}
	if epoch == o.Epoch {
		return EpochEnd{Epoch: epoch, End: o.LogEnd}, kafka.ErrNone
	}
	e, end := p.log.EpochEnd(epoch)
	return EpochEnd{Epoch: e, End: end}, kafka.ErrNone
}

// DeleteRecords raises the log start offset to before, exclusive, never above
// the high watermark; before -1 means the high watermark. It waits until the new
// start is durable.
func (p *Partition) DeleteRecords(before kafka.Offset) (kafka.Offset, kafka.ErrorCode) {
	o := p.snapshot()
	switch {
	case !o.Leading:
		return kafka.NoOffset, kafka.ErrNotLeaderOrFollower
	case before == kafka.NoOffset:
		before = o.HighWatermark
	case before < 0 || before > o.HighWatermark:
		return kafka.NoOffset, kafka.ErrOffsetOutOfRange
	}
	if err := p.log.SetStart(before); err != nil {
		return kafka.NoOffset, kafka.ErrKafkaStorageError
	}
	return p.log.Start(), kafka.ErrNone
}
