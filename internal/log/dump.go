package log

import (
	"errors"
	"fmt"
	"io"
	"path"

	"holdfast/internal/kafka"
	"holdfast/internal/producer"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

// Row is one line of what a file holds: one of the types below.
type Row interface{ row() }

// BatchRow is a batch of a .log file. Err is nil when its checksum is right.
type BatchRow struct {
	Position int64
	Header   record.Header
	Err      error
}

// RecordRow is a record of the batch before it.
type RecordRow struct{ Record record.Record }

// IndexRow is an entry of an .index file: the batch that ends with Last begins at
// Position.
type IndexRow struct {
	Last     kafka.Offset
	Position int64
}

// TimeIndexRow is an entry of a .timeindex file: up to Last, no record is later
// than Timestamp.
type TimeIndexRow struct {
	Timestamp kafka.Timestamp
	Last      kafka.Offset
}

// ProducerRow is a producer of a .snapshot or .window file.
type ProducerRow struct{ Producer producer.Producer }

// EpochRow is an entry of a leader epoch checkpoint or sidecar.
type EpochRow struct {
	Epoch kafka.LeaderEpoch
	Start kafka.Offset
}

// SidecarRow is the head of a sidecar.
type SidecarRow struct {
	Base, End               kafka.Offset
	Size                    int64
	FirstAppend, LastAppend kafka.Timestamp
	MaxTimestamp            kafka.Timestamp
	Blocks                  int
}

// IdentityRow is what the identity file says.
type IdentityRow struct{ Identity Identity }

// BoundsRow is what the bounds file says. Cut is NoOffset when no cut is
// remembered.
type BoundsRow struct {
	Start, Cut kafka.Offset
	Cutting    bool
}

// StateRow is the note of the last checkpoint.
type StateRow struct {
	RecoveryPoint, SegmentBase kafka.Offset
	Position                   int64
}

// TextRow is a line of a text file.
type TextRow struct{ Line string }

func (BatchRow) row()     {}
func (RecordRow) row()    {}
func (IndexRow) row()     {}
func (TimeIndexRow) row() {}
func (ProducerRow) row()  {}
func (EpochRow) row()     {}
func (SidecarRow) row()   {}
func (IdentityRow) row()  {}
func (BoundsRow) row()    {}
func (StateRow) row()     {}
func (TextRow) row()      {}

// ErrUnknownFile: Dump does not know the kind of the file.
var ErrUnknownFile = errors.New("not a file of a log")

// Dump calls fn with what the file holds, in order, and stops at fn's first
// error, which it returns as it is. The kind follows from the name. records adds
// the records of each batch. Where the bytes are wrong, what comes before is
// passed on first; a *CorruptionError tells where it ended. Dump needs no other
// file and changes nothing.
func Dump(fsys vfs.FS, name string, records bool, fn func(Row) error) error {
	base, suffix, ok := parseFileName(path.Base(name))
	if ok && suffix == suffixLog {
		return dumpBatches(fsys, name, records, fn)
	}
	decode := dumpers[suffix]
	if !ok {
		decode = dumpers[path.Base(name)]
	}
	if decode == nil {
		return fmt.Errorf("dump %s: %w", name, ErrUnknownFile)
	}
	b, err := vfs.ReadFile(fsys, name, segmentBytesMax)
	if err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	rows, err := decode(b, base)
	for _, r := range rows {
		if err := fn(r); err != nil {
			return err
		}
	}
	return inFile(name, err)
}

// dumpers decode the files that are small enough to be read as a whole, by
// suffix or name.
var dumpers = map[string]func(b []byte, base kafka.Offset) ([]Row, error){
	suffixIndex:     dumpIndex,
	suffixTimeIndex: dumpTimeIndex,
	suffixSnapshot:  func(b []byte, end kafka.Offset) ([]Row, error) { return dumpTable(producer.Decode(b, end, 0)) },
	suffixWindow:    func(b []byte, _ kafka.Offset) ([]Row, error) { return dumpTable(producer.DecodeWindow(b, 0)) },
	suffixSidecar:   dumpSidecar,
	nameEpochs: func(b []byte, _ kafka.Offset) ([]Row, error) {
		e, err := decodeEpochs(b)
		return epochRows(nil, e), err
	},
	nameIdentity:  dumpIdentity,
	nameBounds:    dumpBounds,
	nameState:     dumpState,
	namePartition: func(b []byte, _ kafka.Offset) ([]Row, error) { return []Row{TextRow{string(b)}}, nil },
}

func dumpBatches(fsys vfs.FS, name string, records bool, fn func(Row) error) error {
	f, err := fsys.OpenFile(name, 0)
	if err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("dump %s: %w", name, err)
	}
	w := newWalk(f, name, 0, size)
	defer w.close()
	for {
		at := w.position
		h, err := w.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		batch := make([]byte, h.Size())
		if err := vfs.ReadFull(f, batch, at); err != nil {
			return fmt.Errorf("dump %s at %d: %w", name, at, err)
		}
		bad := record.Verify(batch)
		if err := fn(BatchRow{Position: at, Header: h, Err: bad}); err != nil {
			return err
		}
		if !records || bad != nil {
			continue
		}
		if err := record.Iterate(batch, 0, func(r record.Record) error { return fn(RecordRow{r}) }); err != nil {
			return err
		}
	}
}

func dumpIndex(b []byte, base kafka.Offset) ([]Row, error) {
	entries, err := decodeIndex(b, segmentBytesMax)
	rows := make([]Row, 0, len(entries))
	for _, e := range entries {
		rows = append(rows, IndexRow{Last: base.Add(int64(e.last)), Position: int64(e.position)})
	}
	return rows, err
}

func dumpTimeIndex(b []byte, base kafka.Offset) ([]Row, error) {
	entries, err := decodeTimeIndex(b)
	rows := make([]Row, 0, len(entries))
	for _, e := range entries {
		rows = append(rows, TimeIndexRow{Timestamp: e.timestamp, Last: base.Add(int64(e.last))})
	}
	return rows, err
}

func dumpTable(t *producer.Table, err error) ([]Row, error) {
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, p := range t.Producers() {
		rows = append(rows, ProducerRow{p})
	}
	return rows, nil
}

func dumpSidecar(b []byte, _ kafka.Offset) ([]Row, error) {
	s, err := decodeSidecar(b)
	if err != nil {
		return nil, err
	}
	rows := []Row{SidecarRow{Base: s.base, End: s.end, Size: s.size, FirstAppend: s.firstAppend, LastAppend: s.lastAppend,
		MaxTimestamp: s.maxTimestamp, Blocks: len(s.blocks)}}
	return epochRows(rows, s.epochs), nil
}

func epochRows(rows []Row, e epochs) []Row {
	for _, s := range e {
		rows = append(rows, EpochRow{Epoch: s.epoch, Start: s.start})
	}
	return rows
}

func dumpIdentity(b []byte, _ kafka.Offset) ([]Row, error) {
	id, err := decodeIdentity(b)
	if err != nil {
		return nil, err
	}
	return []Row{IdentityRow{id}}, nil
}

func dumpBounds(b []byte, _ kafka.Offset) ([]Row, error) {
	v, _, err := decodeBounds(b)
	if err != nil {
		return nil, err
	}
	return []Row{BoundsRow{Start: v.start, Cut: v.cut, Cutting: v.cutting}}, nil
}

func dumpState(b []byte, _ kafka.Offset) ([]Row, error) {
	s, _, err := decodeState(b)
	if err != nil {
		return nil, err
	}
	return []Row{StateRow{RecoveryPoint: s.point, SegmentBase: s.base, Position: s.position}}, nil
}
