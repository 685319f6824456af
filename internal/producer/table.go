package producer

import (
	"cmp"
	"math"
	"slices"
	"time"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
	"holdfast/internal/record"
)

// ProducersMax is the default bound on producers per partition: some 2 MiB of
// memory. A partition with more producers alive than this loses the protection
// against duplicates for the most silent ones; Stats counts them.
const ProducersMax = 10_000

// forgottenAll as the highest forgotten id says that any producer may have been
// forgotten.
const forgottenAll kafka.ProducerID = math.MaxInt64

// Table is the memory of one partition. It is not safe for concurrent use. The
// zero value is not usable.
type Table struct {
	entries map[kafka.ProducerID]*entry
	list    entry        // ring head: list.next is the most silent producer
	end     kafka.Offset // every batch below it was applied
	max     int
	// forgotten is the highest id whose state was ever dropped. Ids are handed
	// out in ascending blocks, so that an unknown id above it was never here.
	forgotten kafka.ProducerID
	stats     Stats
}

// Stats count what may have cost a producer its protection, since the table was
// made or loaded.
type Stats struct {
	UnknownAccepted int64 // batches of unknown producers that began above sequence 0
	Expired         int64 // producers forgotten because they were silent
	Evicted         int64 // producers forgotten because there were too many
}

// Verdict is the answer to an acceptable batch. For a duplicate, Base and Last
// are the offsets (Last inclusive) that the batch got the first time, and
// AppendTime is its max timestamp, which is the append time in topics that
// stamp it. The caller answers with them when they are committed.
type Verdict struct {
	Duplicate  bool
	Base, Last kafka.Offset
	AppendTime kafka.Timestamp
}

// New returns the table of a partition that has never had a record.
func New() *Table { return NewBounded(ProducersMax) }

// NewBounded is New with room for max producers, at least one.
func NewBounded(max int) *Table {
	invariant.Check(max > 0, "producer table for %d producers", max)
	t := &Table{entries: map[kafka.ProducerID]*entry{}, max: max, forgotten: kafka.NoProducerID}
	t.list.prev, t.list.next = &t.list, &t.list
	return t
}

// NewAt returns the table of a log that begins at start: where that is above 0,
// whoever wrote the records before it is unknown.
func NewAt(start kafka.Offset) *Table {
	t := New()
	t.end = start
	if start > 0 {
		t.forgotten = forgottenAll
	}
	return t
}

// Len is the number of producers remembered.
func (t *Table) Len() int { return len(t.entries) }

// End is the offset up to which the log is reflected.
func (t *Table) End() kafka.Offset { return t.end }

// Stats returns the counters.
func (t *Table) Stats() Stats { return t.stats }

// Check decides what to do with a data batch that a client sent. It changes
// nothing. A batch without a producer is always acceptable. The time is not
// looked at: a producer has expired when Expire removed it. Errors are
// kafka.ErrorCode, the one that the client is answered:
//
//	INVALID_PRODUCER_EPOCH        a newer incarnation of the producer has written
//	OUT_OF_ORDER_SEQUENCE_NUMBER  a batch before this one is missing; also for a
//	                              repetition older than the batches remembered
//	INVALID_TXN_STATE             not transactional while a transaction is open
//
// A repetition that is no longer remembered cannot be answered with its offsets.
// The other code for it, DUPLICATE_SEQUENCE_NUMBER, makes clients report success,
// which would be a lie were the batch not committed yet. Kafka answers as we do.
func (t *Table) Check(h record.Header, _ kafka.Timestamp) (Verdict, error) {
	if !h.HasProducer() {
		return Verdict{}, nil
	}
	e := t.entries[h.ProducerID]
	if e == nil {
		if h.BaseSequence != 0 && h.ProducerID > t.forgotten {
			return Verdict{}, kafka.ErrOutOfOrderSequenceNumber
		}
		return Verdict{}, nil
	}
	if h.ProducerEpoch < e.epoch {
		return Verdict{}, kafka.ErrInvalidProducerEpoch
	}
	want := kafka.Sequence(0)
	if h.ProducerEpoch == e.epoch {
		if b, ok := e.find(h); ok {
			return Verdict{Duplicate: true, Base: b.baseOffset(), Last: b.lastOffset, AppendTime: b.timestamp}, nil
		}
		want = e.nextSequence()
	}
	if h.BaseSequence != want {
		return Verdict{}, kafka.ErrOutOfOrderSequenceNumber
	}
	if e.txnFirst != kafka.NoOffset && !h.Attributes.Transactional() {
		return Verdict{}, kafka.ErrInvalidTxnState
	}
	return Verdict{}, nil
}

// CheckEndTxn decides whether a coordinator may write a marker in a batch with
// header h. Errors are kafka.ErrorCode: INVALID_PRODUCER_EPOCH or
// TRANSACTION_COORDINATOR_FENCED.
func (t *Table) CheckEndTxn(h record.Header, marker record.EndTxn) error {
	e := t.entries[h.ProducerID]
	switch {
	case e == nil:
		return nil
	case h.ProducerEpoch < e.epoch:
		return kafka.ErrInvalidProducerEpoch
	case marker.CoordinatorEpoch < e.coordinatorEpoch:
		return kafka.ErrTransactionCoordinatorFenced
	}
	return nil
}

// Apply reflects a data batch that is now in the log; h.BaseOffset is its place
// there. now is our clock. Batches are applied in the order of the log; one
// below End is reflected already and ignored. A batch without a producer only
// moves End. It does not ask Check's questions again: the log is the truth, on
// a follower and in recovery too.
func (t *Table) Apply(h record.Header, now kafka.Timestamp) {
	if h.Attributes.Control() {
		t.ApplyEndTxn(h, record.EndTxn{CoordinatorEpoch: noCoordinatorEpoch}, now)
		return
	}
	if !t.advance(h) {
		return
	}
	e := t.touch(h, now)
	if e.count == 0 && h.BaseSequence > 0 {
		t.stats.UnknownAccepted++
	}
	e.push(batch{
		lastOffset:   h.End() - 1,
		timestamp:    h.MaxTimestamp,
		lastSequence: h.LastSequence(),
		offsetDelta:  h.LastOffsetDelta,
	})
	if h.Attributes.Transactional() && e.txnFirst == kafka.NoOffset {
		e.txnFirst = h.BaseOffset
	}
}

// ApplyEndTxn is Apply for the control batch with the marker given: it ends the
// producer's transaction. Apply of a control batch does the same without
// learning the coordinator's epoch.
func (t *Table) ApplyEndTxn(h record.Header, marker record.EndTxn, now kafka.Timestamp) {
	if !t.advance(h) {
		return
	}
	e := t.touch(h, now)
	e.txnFirst = kafka.NoOffset
	e.coordinatorEpoch = max(e.coordinatorEpoch, marker.CoordinatorEpoch)
}

// advance moves End over the batch and reports whether there is more to do.
func (t *Table) advance(h record.Header) bool {
	if h.BaseOffset < t.end {
		return false
	}
	t.end = h.End()
	return h.HasProducer()
}

// touch returns the entry for h in h's epoch, as the least silent one.
func (t *Table) touch(h record.Header, now kafka.Timestamp) *entry {
	e := t.entries[h.ProducerID]
	if e == nil {
		if len(t.entries) >= t.max {
			t.evict()
		}
		e = &entry{id: h.ProducerID, epoch: h.ProducerEpoch, coordinatorEpoch: noCoordinatorEpoch, txnFirst: kafka.NoOffset}
		t.entries[e.id] = e
	} else {
		e.unlink()
	}
	t.link(e)
	e.enter(h.ProducerEpoch)
	e.timestamp = h.MaxTimestamp
	e.appendedAt = now
	return e
}

// evict forgets the most silent producer without an open transaction. Only the
// order of the log decides which one, so that replicas agree. Where every
// producer has one open, the table grows: coordinators bound those.
func (t *Table) evict() {
	for e := t.list.next; e != &t.list; e = e.next {
		if e.txnFirst == kafka.NoOffset {
			t.forget(e)
			t.stats.Evicted++
			return
		}
	}
}

// Expire forgets producers whose last append, by our clock, is at least after
// ago, and returns how many. A producer with an open transaction stays.
func (t *Table) Expire(now kafka.Timestamp, after time.Duration) int {
	n := 0
	limit := now - kafka.Timestamp(after.Milliseconds())
	for e := t.list.next; e != &t.list && e.appendedAt <= limit; {
		next := e.next
		if e.txnFirst == kafka.NoOffset {
			t.forget(e)
			n++
		}
		e = next
	}
	t.stats.Expired += int64(n)
	return n
}

// DropBefore forgets producers whose every batch is below start, the log's new
// start, and returns how many. Kafka keeps them until they expire, and so may
// the caller: this is for a table that shall hold nothing that a scan of the
// remaining log would not find.
func (t *Table) DropBefore(start kafka.Offset) int {
	n := 0
	for e := t.list.next; e != &t.list; {
		next := e.next
		if e.txnFirst == kafka.NoOffset && (e.count == 0 || e.batches[e.count-1].lastOffset < start) {
			t.forget(e)
			n++
		}
		e = next
	}
	t.end = max(t.end, start)
	return n
}

// ForgetUnknown records that batches of any producer may be missing from the
// table: the log begins above 0 and no window reaches back to its start.
func (t *Table) ForgetUnknown() { t.forgotten = forgottenAll }

func (t *Table) forget(e *entry) {
	e.unlink()
	delete(t.entries, e.id)
	t.forgotten = max(t.forgotten, e.id)
}

func (t *Table) link(e *entry) {
	e.prev, e.next = t.list.prev, &t.list
	e.prev.next, e.next.prev = e, e
}

func (e *entry) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil
}

// Clone returns an independent copy.
func (t *Table) Clone() *Table {
	c := NewBounded(t.max)
	c.end, c.forgotten, c.stats = t.end, t.forgotten, t.stats
	for e := t.list.next; e != &t.list; e = e.next {
		twin := *e
		c.entries[twin.id] = &twin
		c.link(&twin)
	}
	return c
}

// Producer is one row of a listing (DescribeProducers).
type Producer struct {
	ID               kafka.ProducerID
	Epoch            kafka.ProducerEpoch
	LastSequence     kafka.Sequence // NoSequence in an epoch without a batch
	LastOffset       kafka.Offset   // NoOffset likewise
	LastTimestamp    kafka.Timestamp
	CoordinatorEpoch int32        // -1 before the first marker
	TxnFirst         kafka.Offset // NoOffset: no transaction is open
}

// Producers lists the producers by id.
func (t *Table) Producers() []Producer {
	out := make([]Producer, 0, len(t.entries))
	for e := t.list.next; e != &t.list; e = e.next {
		p := Producer{ID: e.id, Epoch: e.epoch, LastSequence: kafka.NoSequence, LastOffset: kafka.NoOffset,
			LastTimestamp: e.timestamp, CoordinatorEpoch: e.coordinatorEpoch, TxnFirst: e.txnFirst}
		if e.count > 0 {
			last := e.batches[e.count-1]
			p.LastSequence, p.LastOffset = last.lastSequence, last.lastOffset
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Producer) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// FirstOpenTxn is the lowest base offset of an open transaction; ok is false
// where none is open. The last stable offset cannot pass it.
func (t *Table) FirstOpenTxn() (first kafka.Offset, ok bool) {
	for e := t.list.next; e != &t.list; e = e.next {
		if e.txnFirst != kafka.NoOffset && (!ok || e.txnFirst < first) {
			first, ok = e.txnFirst, true
		}
	}
	return first, ok
}
