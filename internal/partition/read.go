package partition

import (
	"errors"

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

// checkEpoch compares the epoch that a client believes in with the leader's.
func (p *Partition) checkEpoch(o Offsets, believed kafka.LeaderEpoch, failed error) kafka.ErrorCode {
	switch {
	case failed != nil:
		return kafka.ErrKafkaStorageError
	case !o.Leading:
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
	o := p.snapshot()
	result := ReadResult{Offsets: o, Code: p.checkEpoch(o, r.CurrentEpoch, nil)}
	if result.Code != kafka.ErrNone {
		return result
	}
	if r.LastFetchedEpoch != kafka.NoLeaderEpoch {
		if epoch, end := p.log.EpochEnd(r.LastFetchedEpoch); epoch != r.LastFetchedEpoch || end < r.From {
			result.Diverging = &EpochEnd{Epoch: epoch, End: end}
			return result
		}
	}
	bound := o.HighWatermark
	if r.Committed {
		bound = o.LastStable
	}
	if r.From < o.LogStart || r.From > o.LogEnd {
		result.Code = kafka.ErrOffsetOutOfRange
		return result
	}
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

// AwaitData registers w to be told when something at or above from is
// committed, or the leadership ends. It reports false, and does not register,
// when that is so already.
func (p *Partition) AwaitData(from kafka.Offset, w *purgatory.Waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.mu.leading || p.mu.lead.HighWatermark() > from {
		return false
	}
	p.mu.readers.Add(w)
	return true
}

// OffsetAt is the answer to a look-up by timestamp.
type OffsetAt struct {
	Timestamp kafka.Timestamp
	Offset    kafka.Offset
	Epoch     kafka.LeaderEpoch
}

// LookUp finds the offset for a timestamp or one of the special timestamps
// (KIP-79, KIP-734, KIP-405). found is false when no record is that late. The
// error is a kafka.ErrorCode or the log's.
func (p *Partition) LookUp(ts kafka.Timestamp, believed kafka.LeaderEpoch, committed bool) (at OffsetAt, found bool, err error) {
	o := p.snapshot()
	if code := p.checkEpoch(o, believed, nil); code != kafka.ErrNone {
		return OffsetAt{}, false, code
	}
	bound := o.HighWatermark
	if committed {
		bound = o.LastStable
	}
	plain := func(offset kafka.Offset) (OffsetAt, bool, error) {
		return OffsetAt{Timestamp: kafka.NoTimestamp, Offset: offset, Epoch: p.log.EpochAt(offset, o.Epoch)}, true, nil
	}
	switch ts {
	case kafka.TimestampLatest:
		return OffsetAt{Timestamp: kafka.NoTimestamp, Offset: bound, Epoch: o.Epoch}, true, nil
	case kafka.TimestampEarliest, kafka.TimestampEarliestLocal:
		return plain(o.LogStart)
	case kafka.TimestampLatestTiered:
		return OffsetAt{Timestamp: kafka.NoTimestamp, Offset: kafka.NoOffset, Epoch: kafka.NoLeaderEpoch}, false, nil
	case kafka.TimestampMax:
		to, ok, err := p.log.MaxTimestamp(bound)
		return OffsetAt{Timestamp: to.Timestamp, Offset: to.Offset, Epoch: p.log.EpochAt(to.Offset, o.Epoch)}, ok, err
	}
	to, ok, err := p.log.OffsetForTimestamp(ts, bound)
	return OffsetAt{Timestamp: to.Timestamp, Offset: to.Offset, Epoch: p.log.EpochAt(to.Offset, o.Epoch)}, ok, err
}

// EndOfEpoch answers OffsetForLeaderEpoch (KIP-101, KIP-279): the largest epoch
// at or below epoch, and where it ends.
func (p *Partition) EndOfEpoch(epoch, believed kafka.LeaderEpoch) (EpochEnd, kafka.ErrorCode) {
	o := p.snapshot()
	if code := p.checkEpoch(o, believed, nil); code != kafka.ErrNone {
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
