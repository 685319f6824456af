package producer

import (
	"holdfast/internal/kafka"
	"holdfast/internal/record"
)

// Remembered is the number of batches kept per producer. Clients have at most
// five in flight, so that a retry is always one of the last five.
const Remembered = 5

// batch is one remembered append.
type batch struct {
	lastOffset   kafka.Offset
	timestamp    kafka.Timestamp // the batch's max timestamp; its append time in topics that stamp
	lastSequence kafka.Sequence
	offsetDelta  int32 // last offset minus base offset, and the same in sequences
}

func (b batch) baseOffset() kafka.Offset { return b.lastOffset.Add(-int64(b.offsetDelta)) }

// matches reports whether b and the batch with header h hold the same sequences.
func (b batch) matches(h record.Header) bool {
	return b.lastSequence == h.LastSequence() && b.offsetDelta == h.LastOffsetDelta
}

// entry is what is remembered of one producer. Entries are linked in the order
// of their last batch or marker.
type entry struct {
	id               kafka.ProducerID
	epoch            kafka.ProducerEpoch
	coordinatorEpoch int32           // of the last marker; -1 before the first
	timestamp        kafka.Timestamp // of the last batch or marker
	txnFirst         kafka.Offset    // base offset of the open transaction; NoOffset: none is open
	appendedAt       kafka.Timestamp // our clock at the last Apply, or at loading
	count            int             // batches in use
	batches          [Remembered]batch
	prev, next       *entry
}

// noCoordinatorEpoch is the epoch before any marker.
const noCoordinatorEpoch int32 = -1

// window are the remembered batches, oldest first. Empty in a new epoch until
// its first batch.
func (e *entry) window() []batch { return e.batches[:e.count] }

// find returns the remembered batch with the sequences of h.
func (e *entry) find(h record.Header) (batch, bool) {
	for i := e.count - 1; i >= 0; i-- {
		if e.batches[i].matches(h) {
			return e.batches[i], true
		}
	}
	return batch{}, false
}

// nextSequence is what the next batch of the current epoch must begin with.
func (e *entry) nextSequence() kafka.Sequence {
	if e.count == 0 {
		return 0
	}
	return e.batches[e.count-1].lastSequence.Add(1)
}

func (e *entry) push(b batch) {
	if e.count == Remembered {
		copy(e.batches[:], e.batches[1:])
		e.count--
	}
	e.batches[e.count] = b
	e.count++
}

// enter moves to another epoch, whose batches are all to come.
func (e *entry) enter(epoch kafka.ProducerEpoch) {
	if e.epoch != epoch {
		e.epoch = epoch
		e.count = 0
		e.batches = [Remembered]batch{}
	}
}
