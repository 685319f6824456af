package partition

import (
	"errors"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/purgatory"
	"holdfast/internal/record"
)

// AppendRequest is one batch for one partition.
type AppendRequest struct {
	// Records is one encoded batch. Append writes offsets and the leader epoch
	// into it; the caller may reuse it as soon as Append has returned.
	Records []byte
	// Asked is the acks value that the client sent: 0, 1 or -1. It is counted;
	// what it means is Policy's matter.
	Asked int16
	// Own says that the batch is the broker's own: the limits on what clients may
	// write, of its size and of its records' times, do not count for it.
	Own bool
	// Wait says what the acknowledgement stands for.
	Wait Wait
	// Waiter is told when the outcome is known; nil when nobody waits. It is
	// registered only when the result says Waiting.
	Waiter *purgatory.Waiter
}

// Wait is what an acknowledgement stands for.
type Wait uint8

// The kinds of acknowledgement.
const (
	WaitNone  Wait = iota // none is sent
	WaitLocal             // this replica has it on stable storage (acks=1, acks.policy=allow)
	WaitISR               // every in-sync replica has it on stable storage
)

// AppendResult is what Append did.
type AppendResult struct {
	// Code is ErrNone when the batch is in the log (or was there already).
	Code kafka.ErrorCode
	// Message and Records explain a refusal (KIP-467).
	Message string
	Records []record.RecordError
	Receipt Receipt
	// AppendTime is the broker's time in topics with LogAppendTime.
	AppendTime kafka.Timestamp
	LogStart   kafka.Offset
	// Waiting: the waiter was registered; ask Outcome when it completes.
	Waiting bool
}

// Receipt names an append by leader epoch and offsets [Base, End).
type Receipt struct {
	Epoch     kafka.LeaderEpoch
	Base, End kafka.Offset
}

// Append validates one batch, writes it to the log and hands it to the next
// flush round. It does not wait for the disk.
func (p *Partition) Append(r AppendRequest) AppendResult {
	p.count(r.Asked)
	p.flow.appends.Add(1)
	result := p.append(r)
	if result.Code != kafka.ErrNone {
		p.flow.refused.Add(1)
	}
	return result
}

func (p *Partition) append(r AppendRequest) AppendResult {
	c, at := p.config.Load(), p.clock.Now()
	now := kafka.Timestamp(at.UnixMilli())
	rules := p.rules(c, now)
	if r.Own {
		rules.MaxBytes, rules.BeforeMax, rules.AfterMax = 0, record.NoBound, record.NoBound
	}
	header, err := record.ValidateProduce(r.Records, rules)
	if err != nil {
		return refuse(err)
	}
	if c.CompressionType != config.CompressionProducer {
		// Rare: the topic demands its own codec.
		target := record.Compression{Codec: record.Codec(c.CompressionType), Level: c.CompressionLevel}
		if r.Records, header, err = record.Recompress(r.Records, header, target, rules); err != nil {
			return refuse(err)
		}
	}
	var a after
	p.mu.Lock()
	result := p.appendLocked(r, c, header, now)
	if result.Code == kafka.ErrNone {
		p.appendedLocked(at, &a)
	}
	p.mu.Unlock()
	p.finish(&a)
	return result
}

// appendedLocked tells the leader's rules and the followers that the log is longer.
func (p *Partition) appendedLocked(at time.Time, a *after) {
	p.applyLocked(p.mu.lead.Appended(p.log.End(), at), a)
	if p.mu.fetchers.Len() > 0 {
		a.wake = p.mu.fetchers.TakeAll(a.wake)
	}
}

func (p *Partition) appendLocked(r AppendRequest, c *config.Topic, h record.Header, now kafka.Timestamp) AppendResult {
	if refusal, ok := p.admitLocked(r.Wait == WaitISR); !ok {
		return refusal
	}
	verdict, err := p.producersLocked().Check(h, now)
	if err != nil {
		return refuse(err)
	}
	result := AppendResult{AppendTime: kafka.NoTimestamp, LogStart: p.log.Start()}
	if verdict.Duplicate {
		// The batch is in the log already: answer with its first offsets, but
		// only when they are committed.
		result.Receipt = Receipt{Epoch: p.mu.lead.Epoch(), Base: verdict.Base, End: verdict.Last.Add(1)}
		if c.LogAppendTime {
			result.AppendTime = verdict.AppendTime
		}
		result.Waiting = p.parkLocked(result.Receipt.End, r)
		return result
	}
	if p.faulty != nil {
		if result, done := p.appendFaultyLocked(r, h, now); done {
			return result
		}
	}
	base, epoch := p.log.End(), p.mu.lead.Epoch()
	record.SetBase(r.Records, base, epoch)
	h.BaseOffset, h.LeaderEpoch = base, epoch
	if h.Attributes.LogAppendTime() {
		result.AppendTime = h.MaxTimestamp
	}
	span, err := p.log.Append(r.Records, []record.Header{h}, now)
	if err != nil {
		return p.appendFailedLocked(err)
	}
	if !p.pageCache(c) {
		p.storage.Submit(p, p.log, span, r.Records, p.mu.lead.HighWatermark())
	}
	p.flow.records.Add(int64(h.Count))
	p.flow.in.Add(span.Length)
	result.Receipt = Receipt{Epoch: epoch, Base: span.Base, End: span.End}
	result.Waiting = p.parkLocked(span.End, r)
	return result
}

// Admits says how an append that waits for every in-sync replica would be refused
// now, whatever it is; ErrNone when it would not. The next one may fare otherwise.
func (p *Partition) Admits() kafka.ErrorCode {
	p.mu.Lock()
	defer p.mu.Unlock()
	refusal, ok := p.admitLocked(true)
	if ok {
		return kafka.ErrNone
	}
	return refusal.Code
}

// admitLocked answers whether an append may happen at all.
func (p *Partition) admitLocked(needISR bool) (AppendResult, bool) {
	switch err := p.storage.Err(); {
	case p.mu.failed != nil:
		return AppendResult{Code: kafka.ErrKafkaStorageError, Message: p.mu.failed.Error()}, false
	case err != nil:
		// A partition in page-cache mode submits nothing and hears of no failure.
		return AppendResult{Code: kafka.ErrKafkaStorageError, Message: err.Error()}, false
	case p.mu.role != leads || p.mu.suspended:
		return AppendResult{Code: kafka.ErrNotLeaderOrFollower}, false
	case needISR && !p.mu.lead.CanAppend():
		return AppendResult{Code: kafka.ErrNotEnoughReplicas, Message: "fewer in-sync replicas than min.insync.replicas"}, false
	case p.storage.Full():
		// Every client retries this code; Kafka's own answer to a full disk is
		// to take the directory offline (docs/DIFFERENCES.md).
		return AppendResult{Code: kafka.ErrNotEnoughReplicas, Message: "the broker's disk is below its reserve of free space; free some and the write will be accepted"}, false
	}
	return AppendResult{}, true
}

func (p *Partition) appendFailedLocked(err error) AppendResult {
	if errors.Is(err, log.ErrNoSpace) {
		return AppendResult{Code: kafka.ErrNotEnoughReplicas, Message: "the broker's disk is full; free some space and the write will be accepted"}
	}
	if errors.Is(err, log.ErrTooLarge) {
		return AppendResult{Code: kafka.ErrRecordListTooLarge, Message: err.Error()}
	}
	p.mu.failed = err
	return AppendResult{Code: kafka.ErrKafkaStorageError, Message: err.Error()}
}

// parkLocked registers the request's waiter unless everything below end is safe
// already.
func (p *Partition) parkLocked(end kafka.Offset, r AppendRequest) bool {
	switch {
	case r.Waiter == nil || r.Wait == WaitNone || p.ackEarly:
		return false
	case r.Wait == WaitLocal && p.pageCache(p.config.Load()):
		return false // no flush of its own will ever tell
	case r.Wait == WaitLocal && p.mu.durable < end:
		p.mu.locals.add(end, r.Waiter)
		return true
	case r.Wait == WaitISR && p.mu.lead.HighWatermark() < end:
		p.mu.commits.add(end, r.Waiter)
		return true
	}
	return false
}

// Outcome says what became of an append that waited: ErrNone when it is safe in
// the sense of wait, in the epoch it was appended in; otherwise a retriable code.
func (p *Partition) Outcome(r Receipt, wait Wait) kafka.ErrorCode {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case wait == WaitLocal && p.mu.role == leads && p.mu.lead.Epoch() == r.Epoch && p.mu.durable >= r.End:
		return kafka.ErrNone
	case p.mu.role == leads && p.mu.lead.Epoch() == r.Epoch && p.mu.lead.HighWatermark() >= r.End:
		return kafka.ErrNone
	case p.mu.failed != nil:
		return kafka.ErrKafkaStorageError
	case p.mu.role != leads || p.mu.suspended || p.mu.lead.Epoch() != r.Epoch:
		return kafka.ErrNotLeaderOrFollower
	case !p.mu.lead.CanAppend():
		return kafka.ErrNotEnoughReplicasAfterAppend
	}
	return kafka.ErrRequestTimedOut
}

func (p *Partition) rules(c *config.Topic, now kafka.Timestamp) record.Rules {
	return record.Rules{MaxBytes: c.MaxMessageBytes, Compacted: c.Compact, LogAppendTime: c.LogAppendTime,
		Now: now, BeforeMax: c.TimestampBeforeMax, AfterMax: c.TimestampAfterMax}
}

func (p *Partition) count(acks int16) {
	switch acks {
	case 0:
		p.weak.zero.Add(1)
	case 1:
		p.weak.one.Add(1)
	}
}

// refuse turns a validation error into a result.
func refuse(err error) AppendResult {
	var code kafka.ErrorCode
	if rejection, ok := errors.AsType[*record.Rejection](err); ok {
		return AppendResult{Code: rejection.Code, Message: rejection.Message, Records: rejection.Records}
	}
	if errors.As(err, &code) {
		return AppendResult{Code: code}
	}
	return AppendResult{Code: kafka.ErrUnknownServerError, Message: err.Error()}
}
