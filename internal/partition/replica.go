package partition

import (
	"errors"
	"fmt"

	"holdfast/internal/isr"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/record"
)

// following is the state of a follower in the present epoch.
type following struct {
	leader kafka.BrokerID
	rules  isr.Follower
	// cutting: the log is being cut, outside of the lock.
	cutting bool
}

// history is the log as the rules of matching see it.
type history struct{ l *log.Log }

// EndOf implements isr.History.
func (h history) EndOf(epoch kafka.LeaderEpoch) isr.EpochEnd {
	e, end := h.l.EpochFloor(epoch)
	return isr.EpochEnd{Epoch: e, End: end}
}

// Last implements isr.History.
func (h history) Last() isr.EpochEnd {
	e, end := h.l.Tail()
	return isr.EpochEnd{Epoch: e, End: end}
}

// Cut is a suffix that this replica had and its leader did not: offsets [To, From).
// The zero Cut is none.
type Cut struct {
	Epoch    kafka.LeaderEpoch // in which it was cut
	To, From kafka.Offset
}

// FetchPosition is what a follower asks its leader for.
type FetchPosition struct {
	Epoch     kafka.LeaderEpoch // the leader answers in no other
	From      kafka.Offset      // the end of the log here
	LastEpoch kafka.LeaderEpoch // of what stands before From; NoLeaderEpoch where nothing does
	LogStart  kafka.Offset
	// HighWatermark is this replica's own.
	HighWatermark kafka.Offset
}

// FetchPosition says what to ask the leader for next. It is false where there is
// nothing to ask: the replica does not follow, has failed, or is being cut.
func (p *Partition) FetchPosition() (FetchPosition, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.role != follows || p.mu.failed != nil || p.mu.following.cutting {
		return FetchPosition{}, false
	}
	last, end := p.log.Tail()
	return FetchPosition{Epoch: p.mu.epoch, From: end, LastEpoch: last, LogStart: p.log.Start(), HighWatermark: p.highLocked()}, true
}

// Replicated is a leader's answer to a FetchPosition.
type Replicated struct {
	// Epoch and From are those of the position that was asked for.
	Epoch kafka.LeaderEpoch
	From  kafka.Offset
	// Records are whole batches as the leader has them. They are not kept.
	Records   []byte
	Diverging *EpochEnd // the leader's answer of KIP-595, instead of records
	// HighWatermark and LogStart are the leader's. LogStart counts also beside
	// OFFSET_OUT_OF_RANGE.
	HighWatermark, LogStart kafka.Offset
	Code                    kafka.ErrorCode
}

// ErrUnfit is wrapped by what Replicate says of an answer that can not be true, or
// was damaged on its way or at the leader. The log is as it was; asking again may
// help.
var ErrUnfit = errors.New("the leader's answer does not fit this log")

// DivergedBelowHighWatermarkError says that the leader does not have what this
// replica knows to be committed. The replica is offline for good, its bytes as they
// were: cutting them could take the last copy of an acknowledged write away.
type DivergedBelowHighWatermarkError = isr.DivergedBelowHighWatermarkError

// Replicate takes one answer of the leader over. An answer to another position or
// epoch than the present one is dropped. A divergence cuts the log and does nothing
// else. Otherwise every batch is verified and appended as it is, at exactly the end
// of the log; the high watermark follows, never above the end, and so does the log
// start. It may wait for the disk, and callers of one partition take turns.
//
// *DivergedBelowHighWatermarkError: see there. ErrUnfit, *isr.NotDivergingError: the
// answer is wrong. log.ErrNoSpace: asking again later may help. A kafka.ErrorCode is
// the one of the answer. After any other error the log is offline.
func (p *Partition) Replicate(r Replicated) error {
	var a after
	p.takeTurn()
	err := p.replicate(r, &a)
	p.endTurn()
	p.finish(&a)
	return err
}

func (p *Partition) replicate(r Replicated, a *after) error {
	p.mu.Lock()
	fresh, failed := p.freshLocked(r), p.mu.failed
	p.mu.Unlock()
	switch {
	case !fresh:
		return nil
	case failed != nil:
		return failed
	case r.Code == kafka.ErrOffsetOutOfRange:
		return p.restart(r)
	case r.Code != kafka.ErrNone:
		return r.Code
	case r.Diverging != nil:
		return p.cutDiverging(*r.Diverging)
	}
	if err := p.examine(r); err != nil {
		return err
	}
	p.mu.Lock()
	err := p.takeOverLocked(r, a)
	start := min(r.LogStart, p.highLocked())
	p.mu.Unlock()
	if cap(p.received) > receivedKeep {
		p.received = nil
	}
	if err == nil && start > p.log.Start() {
		err = p.log.SetStart(start)
	}
	return err
}

// receivedKeep is how many headers are kept room for between two answers: there may
// be many partitions.
const receivedKeep = 64

// freshLocked reports whether the answer is to what this replica would ask now.
// The caller has the turn, so that it stays so.
func (p *Partition) freshLocked(r Replicated) bool {
	return p.mu.role == follows && p.mu.following.rules.Accepts(r.Epoch, r.From, p.log.End())
}

// examine verifies the batches of an answer and lists their headers in p.received.
func (p *Partition) examine(r Replicated) error {
	p.received = p.received[:0]
	next, epoch := r.From, max(p.log.LastEpoch(), 0)
	for b := r.Records; len(b) > 0; {
		h, err := record.ParseHeader(b)
		if err == nil {
			err = record.Verify(b[:min(len(b), h.Size())])
		}
		switch {
		case err != nil:
			return p.unfit(next, err)
		case h.BaseOffset != next:
			return p.unfit(next, fmt.Errorf("the next batch has offset %d", h.BaseOffset))
		case h.LeaderEpoch < epoch || h.LeaderEpoch > r.Epoch:
			return p.unfit(next, fmt.Errorf("a batch of leader epoch %d after %d, from the leader of %d", h.LeaderEpoch, epoch, r.Epoch))
		}
		p.received = append(p.received, h)
		next, epoch, b = h.End(), h.LeaderEpoch, b[h.Size():]
	}
	return nil
}

func (p *Partition) unfit(at kafka.Offset, cause error) error {
	return fmt.Errorf("replicate %s-%d at %d: %w: %w", p.topic, p.id.Partition, at, ErrUnfit, cause)
}

// takeOverLocked appends what was examined, and moves the high watermark.
func (p *Partition) takeOverLocked(r Replicated, a *after) error {
	if p.mu.failed != nil {
		return p.mu.failed
	}
	before := p.highLocked()
	err := p.appendReceivedLocked(r)
	first := p.mu.following.rules.Matched(p.log.End(), r.HighWatermark)
	if p.highLocked() > before {
		a.wake = p.mu.readers.TakeAll(a.wake)
		p.noteLocked()
	}
	// Without a flush to come, nothing else would tell.
	a.progressed = first || (len(p.received) > 0 && p.pageCache(p.config.Load()))
	return err
}

// appendReceivedLocked appends in runs that fit into a segment.
func (p *Partition) appendReceivedLocked(r Replicated) error {
	if len(p.received) > 0 && p.storage.Full() {
		return fmt.Errorf("replicate %s-%d: the disk is below its reserve: %w", p.topic, p.id.Partition, log.ErrNoSpace)
	}
	c, now := p.config.Load(), kafka.Timestamp(p.clock.Now().UnixMilli())
	data := r.Records
	for headers := p.received; len(headers) > 0; {
		n, size := 1, headers[0].Size()
		for n < len(headers) && int64(size+headers[n].Size()) <= c.SegmentBytes {
			size += headers[n].Size()
			n++
		}
		span, err := p.log.AppendReplica(data[:size], headers[:n], now)
		if err != nil {
			if !errors.Is(err, log.ErrNoSpace) {
				p.failLocked(err)
			}
			return fmt.Errorf("replicate %s-%d: %w", p.topic, p.id.Partition, err)
		}
		if !p.pageCache(c) {
			// Not above what is durable here: the journal's word on the high
			// watermark is a proof of loss for an end below it.
			p.storage.Submit(p, p.log, span, data[:size], min(p.highLocked(), p.mu.durable))
		}
		p.flow.replicated.Add(span.Length)
		data, headers = data[size:], headers[n:]
	}
	return nil
}

// cutDiverging cuts the log to where it may be what the leader has. The next fetch
// goes on from there, and may find another divergence.
func (p *Partition) cutDiverging(leader EpochEnd) error {
	p.mu.Lock()
	end, rules := p.log.End(), &p.mu.following.rules
	if _, matched := rules.Progress(end); matched {
		// The leader of an epoch only adds to its log: what has matched goes on
		// matching. This is a late answer, to a question about a log that was cut
		// since and has grown to the same end again.
		p.mu.Unlock()
		return p.unfit(end, fmt.Errorf("it diverges at epoch %d, offset %d, and has matched before", leader.Epoch, leader.End))
	}
	to, err := rules.Cut(history{p.log}, isr.EpochEnd(leader))
	if _, below := errors.AsType[*DivergedBelowHighWatermarkError](err); below {
		p.failLocked(err)
	}
	p.mu.following.cutting = err == nil
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s-%d: %w", p.topic, p.id.Partition, err)
	}
	err = p.storage.Cut(p.log, to)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.following.cutting = false
	now := p.log.End()
	p.mu.durable = min(p.mu.durable, now)
	if now < end {
		p.mu.lastCut = Cut{Epoch: p.mu.epoch, To: now, From: end}
		p.flow.cut.Add(int64(end - now))
	}
	if err != nil && p.log.Err() != nil {
		p.failLocked(err)
	}
	return err
}

// restart begins anew at the leader's log start, where everything here is below it:
// the cluster has deleted it.
func (p *Partition) restart(r Replicated) error {
	end := p.log.End()
	if r.LogStart <= end {
		return p.unfit(end, fmt.Errorf("out of the range of a log that starts at %d", r.LogStart))
	}
	p.mu.Lock()
	p.mu.following.cutting = true
	p.mu.Unlock()
	err := p.storage.Restart(p.log, r.LogStart)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.following.cutting = false
	switch {
	case err == nil:
		p.mu.durable = r.LogStart
		p.mu.following.rules.Restarted(r.LogStart)
	case p.log.Err() != nil:
		p.failLocked(err)
	}
	return err
}

// Progress is what a follower may report as durable: it is on stable storage here
// and was matched with the leader of Epoch, in that epoch.
type Progress struct {
	Epoch   kafka.LeaderEpoch
	Durable kafka.Offset
}

// Progress says what to report to the leader. It is false where there is nothing:
// the replica does not follow, has failed, or was not matched in this epoch yet.
func (p *Partition) Progress() (Progress, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.role != follows || p.mu.failed != nil {
		return Progress{}, false
	}
	durable := p.mu.durable
	if p.pageCache(p.config.Load()) {
		durable = p.log.End()
	}
	end, ok := p.mu.following.rules.Progress(durable)
	return Progress{Epoch: p.mu.epoch, Durable: end}, ok
}
