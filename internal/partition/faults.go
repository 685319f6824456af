package partition

import (
	"bytes"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/producer"
	"holdfast/internal/record"
)

// Faults are planted on purpose, in builds made for proving that the rigs can
// fail. The zero value plants none.
type Faults struct {
	// AckBeforeWrite acknowledges a batch before it is written.
	AckBeforeWrite bool
	// AckEarly acknowledges a batch when the leader alone has it, before the high
	// watermark has passed it.
	AckEarly bool
	// ForgetProducers starts with a producer table that knows nobody, whatever
	// the log says.
	ForgetProducers bool
}

// ackedAhead is how long a batch is acknowledged before it is written: what a
// kill within that time loses.
const ackedAhead = 30 * time.Millisecond

// faulty is the state of the planted faults; a partition without any has none.
type faulty struct {
	Faults
	table   *producer.Table // consulted instead of the log's
	pending []aheadBatch    // acknowledged and not written, in order
	end     kafka.Offset    // of pending
}

type aheadBatch struct {
	data   []byte
	header record.Header
}

func newFaulty(f Faults, l *log.Log) *faulty {
	if !f.AckBeforeWrite && !f.ForgetProducers {
		return nil // AckEarly needs no state
	}
	s := &faulty{Faults: f, table: l.Producers().Clone(), end: l.End()}
	if f.ForgetProducers {
		s.table = producer.NewAt(l.End())
	}
	return s
}

// producersLocked is the table that decides about duplicates.
func (p *Partition) producersLocked() *producer.Table {
	if p.faulty != nil {
		return p.faulty.table
	}
	return p.log.Producers()
}

// appendFaultyLocked appends the way the faults ask for. done is false where the
// right way is left to take.
func (p *Partition) appendFaultyLocked(r AppendRequest, h record.Header, now kafka.Timestamp) (result AppendResult, done bool) {
	f := p.faulty
	f.end = max(f.end, p.log.End())
	if !f.AckBeforeWrite {
		h.BaseOffset = f.end
		f.table.Apply(h, now)
		return AppendResult{}, false
	}
	h.BaseOffset, h.LeaderEpoch = f.end, p.mu.lead.Epoch()
	f.end = h.End()
	f.table.Apply(h, now)
	f.pending = append(f.pending, aheadBatch{data: bytes.Clone(r.Records), header: h})
	p.clock.AfterFunc(ackedAhead, p.writeLate)
	result = AppendResult{AppendTime: kafka.NoTimestamp, LogStart: p.log.Start(), Receipt: Receipt{Epoch: h.LeaderEpoch, Base: h.BaseOffset, End: h.End()}}
	if h.Attributes.LogAppendTime() {
		result.AppendTime = h.MaxTimestamp
	}
	return result, true
}

// writeLate writes the batch that has waited longest.
func (p *Partition) writeLate() {
	now := kafka.Timestamp(p.clock.Now().UnixMilli())
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.faulty
	b := f.pending[0]
	f.pending = f.pending[1:]
	if p.mu.failed != nil || p.mu.role != leads {
		return
	}
	b.header.BaseOffset, b.header.LeaderEpoch = p.log.End(), p.mu.lead.Epoch()
	record.SetBase(b.data, b.header.BaseOffset, b.header.LeaderEpoch)
	span, err := p.log.Append(b.data, []record.Header{b.header}, now)
	if err != nil {
		p.appendFailedLocked(err)
		return
	}
	if p.config.Load().Durability != config.DurabilityPageCache {
		p.storage.Submit(p, p.log, span, b.data, p.mu.lead.HighWatermark())
	}
}
