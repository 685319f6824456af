package producer_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/producer"
	"holdfast/internal/record"
)

// data is the header of a batch of n records.
func data(id kafka.ProducerID, epoch kafka.ProducerEpoch, seq kafka.Sequence, n int32) record.Header {
	return record.Header{ProducerID: id, ProducerEpoch: epoch, BaseSequence: seq, LastOffsetDelta: n - 1, Count: n, MaxTimestamp: 77}
}

// add appends h at the table's end.
func add(t *producer.Table, h record.Header, now kafka.Timestamp) record.Header {
	h.BaseOffset = t.End()
	t.Apply(h, now)
	return h
}

func wantCheck(t *testing.T, table *producer.Table, h record.Header, want error) producer.Verdict {
	t.Helper()
	v, err := table.Check(h, 0)
	if !errors.Is(err, want) {
		t.Fatalf("check of sequence %d, epoch %d, producer %d: got %v, want %v", h.BaseSequence, h.ProducerEpoch, h.ProducerID, err, want)
	}
	return v
}

func TestCheck_EveryRule(t *testing.T) {
	transactional := func(h record.Header) record.Header { h.Attributes = 0x10; return h }
	fill := func(table *producer.Table) {
		add(table, record.Header{ProducerID: -1, BaseSequence: -1, LastOffsetDelta: 99}, 0) // offsets 0-99: somebody else
		for i := range 7 {
			add(table, data(5, 3, kafka.Sequence(i*10), 10), 0) // offsets 100+10i
		}
	}
	duplicate := func(base kafka.Offset) *producer.Verdict {
		return &producer.Verdict{Duplicate: true, Base: base, Last: base + 9, AppendTime: 77}
	}
	fresh := &producer.Verdict{}
	for _, c := range []struct {
		name    string
		h       record.Header
		verdict *producer.Verdict
		err     error
	}{
		{"next in sequence", data(5, 3, 70, 4), fresh, nil},
		{"the last again", data(5, 3, 60, 10), duplicate(160), nil},
		{"the fifth last again", data(5, 3, 20, 10), duplicate(120), nil},
		{"the sixth last again", data(5, 3, 10, 10), nil, kafka.ErrOutOfOrderSequenceNumber},
		{"half of a remembered batch", data(5, 3, 60, 5), nil, kafka.ErrOutOfOrderSequenceNumber},
		{"two remembered batches as one", data(5, 3, 50, 20), nil, kafka.ErrOutOfOrderSequenceNumber},
		{"gap", data(5, 3, 71, 10), nil, kafka.ErrOutOfOrderSequenceNumber},
		{"start again in the same epoch", data(5, 3, 0, 3), nil, kafka.ErrOutOfOrderSequenceNumber},
		{"lower epoch", data(5, 2, 70, 10), nil, kafka.ErrInvalidProducerEpoch},
		{"lower epoch, a repetition by its numbers", data(5, 2, 60, 10), nil, kafka.ErrInvalidProducerEpoch},
		{"higher epoch from 0", data(5, 4, 0, 10), fresh, nil},
		{"higher epoch not from 0", data(5, 4, 70, 10), nil, kafka.ErrOutOfOrderSequenceNumber},
		{"unknown producer from 0", data(6, 0, 0, 10), fresh, nil},
		{"unknown producer not from 0, nothing was ever forgotten", data(6, 0, 10, 10), nil, kafka.ErrOutOfOrderSequenceNumber},
		{"no producer", record.Header{ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1}, fresh, nil},
		{"transactional", transactional(data(5, 3, 70, 1)), fresh, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := producer.New()
			fill(table)
			v := wantCheck(t, table, c.h, c.err)
			if c.verdict != nil && v != *c.verdict {
				t.Errorf("verdict %+v, want %+v", v, *c.verdict)
			}
		})
	}
}

func TestCheck_SequencesWrap(t *testing.T) {
	table := producer.NewAt(1) // NewAt(1): an unknown producer may begin anywhere.
	add(table, data(1, 0, math.MaxInt32-4, 3), 0)
	straddling := add(table, data(1, 0, math.MaxInt32-1, 4), 0) // max-1, max, 0, 1
	if got := straddling.LastSequence(); got != 1 {
		t.Fatalf("last sequence %d, want 1", got)
	}
	v := wantCheck(t, table, data(1, 0, math.MaxInt32-1, 4), nil)
	if !v.Duplicate || v.Base != straddling.BaseOffset {
		t.Errorf("the straddling batch again: %+v", v)
	}
	wantCheck(t, table, data(1, 0, 2, 1), nil)
	wantCheck(t, table, data(1, 0, 3, 1), kafka.ErrOutOfOrderSequenceNumber)

	exact := producer.NewAt(1)
	add(exact, data(1, 0, math.MaxInt32, 1), 0)
	wantCheck(t, exact, data(1, 0, 0, 1), nil)
	wantCheck(t, exact, data(1, 0, 1, 1), kafka.ErrOutOfOrderSequenceNumber)
}

func TestCheck_ChangesNothing(t *testing.T) {
	table := producer.New()
	add(table, data(1, 0, 0, 5), 0)
	before := string(table.EncodeWindow())
	for _, h := range []record.Header{data(1, 0, 5, 5), data(1, 1, 0, 5), data(2, 0, 0, 5), data(1, 0, 0, 5)} {
		wantCheck(t, table, h, nil)
	}
	if string(table.EncodeWindow()) != before || table.Stats() != (producer.Stats{}) {
		t.Error("Check changed the table")
	}
}

func TestApply_BelowEndIsIgnored(t *testing.T) {
	table := producer.New()
	var log []record.Header
	for i := range 9 {
		log = append(log, add(table, data(1, 0, kafka.Sequence(i), 1), 0))
	}
	before := string(table.EncodeWindow())
	for _, h := range log {
		table.Apply(h, 0)
	}
	if string(table.EncodeWindow()) != before {
		t.Error("a scan below End changed the table")
	}
}

func TestTransaction_OpensAndEnds(t *testing.T) {
	table := producer.New()
	h := data(1, 0, 0, 2)
	h.Attributes = 0x10
	add(table, record.Header{ProducerID: -1, LastOffsetDelta: 9}, 0)
	add(table, h, 0)
	if first, ok := table.FirstOpenTxn(); !ok || first != 10 {
		t.Fatalf("open transaction at %d, %v; want 10", first, ok)
	}
	wantCheck(t, table, data(1, 0, 2, 1), kafka.ErrInvalidTxnState)
	if n := table.Expire(1e12, time.Hour); n != 0 {
		t.Fatalf("%d producers with an open transaction expired", n)
	}
	marker := record.Header{BaseOffset: table.End(), Attributes: 0x30, ProducerID: 1, ProducerEpoch: 1, BaseSequence: -1}
	if err := table.CheckEndTxn(marker, record.EndTxn{CoordinatorEpoch: 4}); err != nil {
		t.Fatal(err)
	}
	table.ApplyEndTxn(marker, record.EndTxn{Commit: true, CoordinatorEpoch: 4}, 0)
	if _, ok := table.FirstOpenTxn(); ok {
		t.Fatal("the marker did not end the transaction")
	}
	if err := table.CheckEndTxn(marker, record.EndTxn{CoordinatorEpoch: 3}); !errors.Is(err, kafka.ErrTransactionCoordinatorFenced) {
		t.Errorf("marker of an older coordinator: %v", err)
	}
	marker.ProducerEpoch = 0
	if err := table.CheckEndTxn(marker, record.EndTxn{CoordinatorEpoch: 4}); !errors.Is(err, kafka.ErrInvalidProducerEpoch) {
		t.Errorf("marker of an older epoch: %v", err)
	}
	wantCheck(t, table, data(1, 0, 2, 1), kafka.ErrInvalidProducerEpoch)
	wantCheck(t, table, data(1, 1, 1, 1), kafka.ErrOutOfOrderSequenceNumber)
	wantCheck(t, table, data(1, 1, 0, 1), nil)

	plain := table.Clone()
	add(plain, record.Header{Attributes: 0x30, ProducerID: 1, ProducerEpoch: 1, BaseSequence: -1}, 0)
	if got := plain.Producers()[0]; got.CoordinatorEpoch != 4 || got.LastOffset != kafka.NoOffset {
		t.Errorf("a marker applied as a plain control batch: %+v", got)
	}
}

func TestExpire_RunsFromAppendTimeNotBatchTime(t *testing.T) {
	table := producer.New()
	old := data(1, 0, 0, 1)
	old.MaxTimestamp = 5 // a back-fill with the timestamps of long ago
	add(table, old, 1_000_000)
	add(table, data(2, 0, 0, 1), 2_000_000)
	if n := table.Expire(1_000_000+3_599_999, time.Hour); n != 0 {
		t.Fatalf("%d producers expired before their hour", n)
	}
	wantCheck(t, table, data(1, 0, 0, 1), nil)
	if n := table.Expire(1_000_000+3_600_000, time.Hour); n != 1 {
		t.Fatalf("%d producers expired after an hour, want 1", n)
	}
	// Producer 1 may go on where it was; 3 was never here.
	wantCheck(t, table, data(1, 0, 1, 1), nil)
	wantCheck(t, table, data(3, 0, 1, 1), kafka.ErrOutOfOrderSequenceNumber)
	add(table, data(1, 0, 1, 1), 0)
	if got := table.Stats(); got != (producer.Stats{UnknownAccepted: 1, Expired: 1}) {
		t.Errorf("stats %+v", got)
	}
	// After a restart everybody was heard of at load time.
	loaded, err := producer.DecodeWindow(table.EncodeWindow(), 10_000_000)
	if err != nil {
		t.Fatal(err)
	}
	if n := loaded.Expire(10_000_000+3_599_999, time.Hour); n != 0 {
		t.Errorf("%d producers expired within an hour of loading", n)
	}
}

func TestEvict_TheMostSilentGoesFirst(t *testing.T) {
	table := producer.NewBounded(3)
	for _, id := range []kafka.ProducerID{1, 2, 3} {
		add(table, data(id, 0, 0, 1), 0)
	}
	add(table, data(1, 0, 1, 1), 0) // 2 is the most silent now
	add(table, data(9, 0, 0, 1), 0)
	if table.Len() != 3 || table.Stats().Evicted != 1 {
		t.Fatalf("%d producers, %+v", table.Len(), table.Stats())
	}
	for i, want := range []kafka.ProducerID{1, 3, 9} {
		if got := table.Producers()[i].ID; got != want {
			t.Errorf("producer %d is %d, want %d", i, got, want)
		}
	}
}

func TestDropBefore_KeepsWhatTheLogStillHolds(t *testing.T) {
	table := producer.New()
	add(table, data(1, 0, 0, 10), 0)
	add(table, data(2, 0, 0, 10), 0)
	if n := table.DropBefore(11); n != 1 || table.Producers()[0].ID != 2 {
		t.Fatalf("dropped %d, left %+v", n, table.Producers())
	}
	wantCheck(t, table, data(1, 0, 10, 1), nil)
	if n := table.DropBefore(500); n != 1 || table.End() != 500 {
		t.Errorf("dropped %d, end %d", n, table.End())
	}
}

func TestClone_IsIndependent(t *testing.T) {
	table := producer.New()
	add(table, data(1, 0, 0, 1), 0)
	clone := table.Clone()
	add(clone, data(1, 0, 1, 1), 0)
	add(clone, data(2, 0, 0, 1), 0)
	wantCheck(t, table, data(1, 0, 1, 1), nil)
	if table.Len() != 1 || clone.Len() != 2 {
		t.Errorf("%d and %d producers", table.Len(), clone.Len())
	}
}
