package record

import (
	"encoding/binary"
	"fmt"

	"holdfast/internal/kafka"
)

// ControlType is the kind of a control record.
type ControlType int16

// The control records that end a transaction (KIP-98). Others of the format
// belong to a quorum's log and never occur in a topic.
const (
	ControlAbort  ControlType = 0
	ControlCommit ControlType = 1
)

// EndTxn is a transaction marker: the end of one producer's transaction in one
// partition, written by the coordinator of the epoch given.
type EndTxn struct {
	Commit           bool
	CoordinatorEpoch int32
}

// The record's key and value, big-endian:
//
//	key    int16 version 0, int16 type
//	value  int16 version 0, int32 coordinator epoch
const (
	controlKeySize = 4
	endTxnSize     = 6
)

// Key is the marker's record key.
func (e EndTxn) Key() []byte {
	kind := ControlAbort
	if e.Commit {
		kind = ControlCommit
	}
	return binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(kind))
}

// Value is the marker's record value.
func (e EndTxn) Value() []byte {
	return binary.BigEndian.AppendUint32([]byte{0, 0}, uint32(e.CoordinatorEpoch))
}

// ParseEndTxn reads the marker in a control record. Later versions append
// fields; what is known of them is read. A control record of another kind gives
// ok false and no error.
func ParseEndTxn(key, value []byte) (marker EndTxn, ok bool, err error) {
	if len(key) < controlKeySize || int16(binary.BigEndian.Uint16(key)) < 0 {
		return EndTxn{}, false, fmt.Errorf("parse control record: key of %d bytes: %w", len(key), ErrRecords)
	}
	kind := ControlType(binary.BigEndian.Uint16(key[2:]))
	if kind != ControlAbort && kind != ControlCommit {
		return EndTxn{}, false, nil
	}
	if len(value) < endTxnSize || int16(binary.BigEndian.Uint16(value)) < 0 {
		return EndTxn{}, false, fmt.Errorf("parse control record: value of %d bytes: %w", len(value), ErrRecords)
	}
	return EndTxn{Commit: kind == ControlCommit, CoordinatorEpoch: int32(binary.BigEndian.Uint32(value[2:]))}, true, nil
}

// BatchEndTxn reads the marker of the one whole control batch in b. An empty
// control batch, which a cleaner leaves, gives ok false.
func BatchEndTxn(b []byte) (marker EndTxn, ok bool, err error) {
	err = Iterate(b, 0, func(r Record) error {
		marker, ok, err = ParseEndTxn(r.Key, r.Value)
		return err
	})
	return marker, ok, err
}

// AppendEndTxn appends a whole batch with one transaction marker to dst.
func AppendEndTxn(dst []byte, id kafka.ProducerID, epoch kafka.ProducerEpoch, ts kafka.Timestamp, marker EndTxn) []byte {
	b := NewBuilder(Options{
		Control:       true,
		Transactional: true,
		Producer:      &Producer{ID: id, Epoch: epoch, BaseSequence: kafka.NoSequence},
	})
	b.Append(ts, marker.Key(), marker.Value())
	dst, _ = b.Build(dst) // Without a codec nothing can fail.
	return dst
}
