package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"holdfast/internal/kafka"
	"holdfast/internal/producer"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

// Severity orders findings.
type Severity uint8

// The severities.
const (
	// Note: worth saying; nothing is wrong.
	Note Severity = iota + 1
	// Warning: what a crash may leave. The next start makes it good, from the
	// journal or by making the file anew.
	Warning
	// Fault: stored bytes are wrong or missing.
	Fault
)

// String is the severity in lower case.
func (s Severity) String() string { return [...]string{"", "note", "warning", "fault"}[s%4] }

// FindingKind names what was looked at.
type FindingKind uint8

// The kinds.
const (
	KindIdentity FindingKind = iota + 1
	KindBounds
	KindBatch
	KindGap
	KindIndex
	KindTimeIndex
	KindSidecar
	KindProducers
	KindEpochs
	KindState
	KindLeftover
)

// String is the kind in words.
func (k FindingKind) String() string {
	return [...]string{"", "identity", "bounds", "batch", "gap", "index", "time index", "sidecar", "producers", "leader epochs",
		"checkpoint note", "leftover"}[k%12]
}

// Finding is one thing that Check found.
type Finding struct {
	Kind     FindingKind
	Severity Severity
	File     string
	Position int64
	Offset   kafka.Offset // NoOffset where none is concerned
	Cause    error
}

// String is one line.
func (f Finding) String() string {
	where := fmt.Sprintf("%s at %d", f.File, f.Position)
	if f.Offset != kafka.NoOffset {
		where += fmt.Sprintf(", offset %d", f.Offset)
	}
	return fmt.Sprintf("%s: %s: %s: %v", f.Severity, f.Kind, where, f.Cause)
}

// check is one run of Check.
type check struct {
	fsys   vfs.FS
	dir    string
	report func(Finding)

	id     Identity
	bounds bounds
	inv    inventory
	note   state
	noted  bool
	next   kafka.Offset
	epochs epochs
	newest kafka.LeaderEpoch
}

// Check verifies everything in a partition's directory, offline: checksums of
// all batches, offsets and epochs, indexes, sidecars, producer tables, leader
// epochs. It changes nothing, and it does not know the journal: a torn tail of
// the newest segment is a warning, because the journal may have the bytes. The
// error is one of reading, ErrUnfinished or ErrNewerFormat; what is wrong with
// the bytes goes to report.
func Check(fsys vfs.FS, dir string, report func(Finding)) error {
	c := &check{fsys: fsys, dir: dir, report: report, newest: kafka.NoLeaderEpoch}
	if err := c.small(); err != nil {
		return err
	}
	for i := range c.inv.logs {
		if err := c.segment(i); err != nil {
			return err
		}
	}
	if len(c.inv.logs) == 0 {
		c.add(KindGap, Fault, "", 0, fmt.Errorf("no segment: %w", ErrMissing))
	}
	c.checkEpochs()
	c.tables()
	if c.noted && c.note.point > c.next {
		c.add(KindGap, Fault, nameState, 0, fmt.Errorf("offsets up to %d were synced, the log ends at %d: %w", c.note.point, c.next, ErrMissing))
	}
	return nil
}

func (c *check) add(kind FindingKind, severity Severity, name string, position int64, cause error) {
	f := Finding{Kind: kind, Severity: severity, File: path.Join(c.dir, name), Position: position, Offset: kafka.NoOffset, Cause: cause}
	if corrupt, ok := errors.AsType[*CorruptionError](cause); ok {
		f.Position, f.Offset, f.Cause = corrupt.Position, corrupt.Offset, corrupt.Cause
	}
	c.report(f)
}

// small looks at the files of the log as a whole.
func (c *check) small() error {
	var err error
	if c.id, err = ReadIdentity(c.fsys, c.dir); err != nil {
		if _, bad := errors.AsType[*CorruptionError](err); !bad {
			return err
		}
		c.add(KindIdentity, Fault, nameIdentity, 0, err)
	}
	b, err := vfs.ReadFile(c.fsys, path.Join(c.dir, namePartition), smallFileMax)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.add(KindIdentity, Warning, namePartition, 0, ErrMissing)
	case err != nil:
		return fmt.Errorf("check log: %w", err)
	case string(b) != string(partitionMetadata(c.id.Key.TopicID)):
		c.add(KindIdentity, Warning, namePartition, 0, fmt.Errorf("%q: %w", b, ErrContent))
	}
	if c.bounds, err = readBounds(c.fsys, c.dir, c.id.Key); err != nil {
		if _, bad := errors.AsType[*CorruptionError](err); !bad {
			return err
		}
		c.add(KindBounds, Fault, nameBounds, 0, err)
	}
	if c.inv, err = list(c.fsys, c.dir); err != nil {
		return err
	}
	for _, name := range c.inv.leftovers {
		c.add(KindLeftover, Note, name, 0, errors.New("left over; the next start removes it"))
	}
	if c.note, c.noted, err = readState(c.fsys, c.dir, c.id.Key); err == nil && !c.noted {
		c.add(KindState, Fault, nameState, 0, errors.New("not there or unreadable: what was acknowledged is not known"))
	}
	return err
}

// segment looks at the i-th segment and what lies beside it.
func (c *check) segment(i int) error {
	base := c.inv.logs[i]
	last := i == len(c.inv.logs)-1
	if !last && c.inv.logs[i+1] <= c.bounds.start {
		c.add(KindLeftover, Note, fileName(base, suffixLog), 0, errors.New("below the log start; the next start removes it"))
		return nil
	}
	if c.next == 0 && base <= c.bounds.start {
		c.next = base
	}
	if base != c.next {
		c.add(KindGap, Fault, fileName(base, suffixLog), 0, fmt.Errorf("begins at %d, the log before ends at %d: %w", base, c.next, ErrOrder))
		c.next = base
	}
	f, err := c.fsys.OpenFile(filePath(c.dir, base, suffixLog), 0)
	if err != nil {
		return fmt.Errorf("check log: %w", err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("check log: %w", err)
	}
	s := segmentCheck{check: c, base: base, size: size, last: last, file: f,
		known: segmentState{origin: base, end: base, maxTimestamp: kafka.NoTimestamp, maxLast: kafka.NoOffset}}
	if err := s.load(); err != nil {
		return err
	}
	return s.run()
}

// segmentCheck is the check of one segment.
type segmentCheck struct {
	*check
	base   kafka.Offset
	size   int64
	last   bool
	file   vfs.File
	side   *sidecar
	index  []indexEntry
	times  []timeEntry
	known  segmentState
	epochs epochs
}

// load reads the files beside the segment.
func (s *segmentCheck) load() error {
	var err error
	if s.side, err = readSidecar(s.fsys, s.dir, s.base); err != nil {
		_, bad := errors.AsType[*CorruptionError](err)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !s.last:
			s.add(KindSidecar, Warning, fileName(s.base, suffixSidecar), 0, ErrMissing)
		case bad:
			s.add(KindSidecar, Fault, fileName(s.base, suffixSidecar), 0, err)
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("check log: %w", err)
		}
		s.side = nil
	}
	b, err := s.beside(suffixIndex, KindIndex)
	if err != nil {
		return err
	}
	if s.index, err = decodeIndex(b, s.size); err != nil {
		s.add(KindIndex, s.severity(), fileName(s.base, suffixIndex), 0, err)
	}
	if b, err = s.beside(suffixTimeIndex, KindTimeIndex); err != nil {
		return err
	}
	if s.times, err = decodeTimeIndex(b); err != nil {
		s.add(KindTimeIndex, s.severity(), fileName(s.base, suffixTimeIndex), 0, err)
	}
	return nil
}

// severity is how bad a wrong index is: that of a segment without a sidecar is
// made anew at the next start.
func (s *segmentCheck) severity() Severity {
	if s.side == nil {
		return Warning
	}
	return Fault
}

func (s *segmentCheck) beside(suffix string, kind FindingKind) ([]byte, error) {
	b, err := vfs.ReadFile(s.fsys, filePath(s.dir, s.base, suffix), segmentBytesMax)
	if errors.Is(err, fs.ErrNotExist) {
		if s.size > 0 {
			s.add(kind, Warning, fileName(s.base, suffix), 0, ErrMissing)
		}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("check log: %w", err)
	}
	return b, nil
}

// run verifies the batches and compares everything else with them.
func (s *segmentCheck) run() error {
	sc := scan{from: s.file, name: s.file.Name(), size: s.size, next: s.base, epoch: s.newest}
	for {
		at := sc.position
		h, _, err := sc.batch()
		if errors.Is(err, io.EOF) {
			break
		}
		if _, bad := errors.AsType[*CorruptionError](err); bad {
			s.badBatch(err, sc.next)
			break
		}
		if err != nil {
			return err
		}
		s.known.noteBatch(&h, at, segmentBytesMax)
		s.epochs, _ = s.epochs.assign(h.LeaderEpoch, h.BaseOffset)
		s.compare(h, at)
	}
	s.check.next, s.newest = sc.next, sc.epoch
	for _, e := range s.epochs {
		s.check.epochs, _ = s.check.epochs.assign(e.epoch, e.start)
	}
	if len(s.index) > 0 || len(s.times) > 0 {
		s.add(KindIndex, s.severity(), fileName(s.base, suffixIndex), 0,
			fmt.Errorf("%d index and %d time index entries name no batch: %w", len(s.index), len(s.times), ErrContent))
	}
	return s.compareSidecar()
}

// badBatch reports the first bad batch. In the newest segment it may be a torn
// write that recovery will cut, or that the journal will mend, if it is not below
// what was synced.
func (s *segmentCheck) badBatch(err error, offset kafka.Offset) {
	severity := Fault
	if s.last && s.side == nil && (!s.noted || offset >= s.note.point) {
		severity = Warning
	}
	s.add(KindBatch, severity, fileName(s.base, suffixLog), 0, err)
}

// compare takes the entries for one batch off the indexes.
func (s *segmentCheck) compare(h record.Header, at int64) {
	last := int32(h.End() - 1 - s.base)
	for len(s.index) > 0 && (s.index[0].last <= last || int64(s.index[0].position) <= at) {
		if e := s.index[0]; e.last != last || int64(e.position) != at {
			s.add(KindIndex, s.severity(), fileName(s.base, suffixIndex), 0,
				fmt.Errorf("entry +%d at %d: the batch is +%d at %d: %w", e.last, e.position, last, at, ErrContent))
		}
		s.index = s.index[1:]
	}
	for len(s.times) > 0 && s.times[0].last <= last {
		e := s.times[0]
		if e.last != last || e.timestamp != h.MaxTimestamp || e.timestamp != s.known.maxTimestamp {
			s.add(KindTimeIndex, s.severity(), fileName(s.base, suffixTimeIndex), 0,
				fmt.Errorf("entry +%d with %d: the batch is +%d with %d, largest so far %d: %w", e.last, e.timestamp, last,
					h.MaxTimestamp, s.known.maxTimestamp, ErrContent))
		}
		s.times = s.times[1:]
	}
}

func (s *segmentCheck) compareSidecar() error {
	if s.side == nil {
		return nil
	}
	name, side := fileName(s.base, suffixSidecar), s.side
	if side.key != s.id.Key || side.base != s.base || side.end != s.known.end || side.size != s.size ||
		side.maxTimestamp != s.known.maxTimestamp || side.maxLast != s.known.maxLast {
		s.add(KindSidecar, Fault, name, 0, fmt.Errorf("says [%d, %d) of %d bytes, the segment has [%d, %d) of %d: %w",
			side.base, side.end, side.size, s.base, s.known.end, s.size, ErrContent))
	}
	block := make([]byte, BlockSize)
	for i := range side.blocks {
		at := int64(i) * BlockSize
		if at >= s.size {
			break
		}
		p := block[:min(BlockSize, s.size-at)]
		if err := vfs.ReadFull(s.file, p, at); err != nil {
			return fmt.Errorf("check log: %w", err)
		}
		if err := side.verifyBlock(i, p); err != nil {
			s.add(KindSidecar, Fault, fileName(s.base, suffixLog), at, err)
		}
	}
	return nil
}

// checkEpochs compares the leader epoch checkpoint with the batches.
func (c *check) checkEpochs() {
	b, err := vfs.ReadFile(c.fsys, path.Join(c.dir, nameEpochs), epochsFileMax)
	var stored epochs
	if err == nil {
		stored, err = decodeEpochs(b)
	}
	if err != nil {
		if len(c.epochs) > 0 {
			c.add(KindEpochs, Warning, nameEpochs, 0, err)
		}
		return
	}
	for _, e := range c.epochs.cutPrefix(c.bounds.start) {
		if slices.Contains(stored, e) || e.start < c.bounds.start {
			continue
		}
		severity := Fault
		if !c.noted || e.start >= c.note.point {
			severity = Warning // appended after the last checkpoint
		}
		if i := slices.IndexFunc(stored, func(s epochStart) bool { return s.epoch == e.epoch }); i >= 0 && stored[i].start <= e.start {
			// The first batch of an epoch may come after its beginning, and the log
			// start may have been raised after the file was written.
			continue
		}
		c.add(KindEpochs, severity, nameEpochs, 0, fmt.Errorf("epoch %d begins at %d, the file says %v: %w", e.epoch, e.start, stored, ErrMissing))
	}
}

// tables looks at the producer tables on disk.
func (c *check) tables() {
	look := func(ends []kafka.Offset, suffix string, decode func([]byte, kafka.Offset) (*producer.Table, error)) {
		for _, end := range ends {
			name := fileName(end, suffix)
			b, err := vfs.ReadFile(c.fsys, path.Join(c.dir, name), windowTableMax)
			if err == nil {
				_, err = decode(b, end)
			}
			if err == nil && end > c.next {
				err = fmt.Errorf("reflects the log up to %d, which ends at %d: %w", end, c.next, ErrContent)
			}
			if err != nil {
				c.add(KindProducers, Warning, name, 0, err)
			}
		}
	}
	look(c.inv.windows, suffixWindow, func(b []byte, end kafka.Offset) (*producer.Table, error) {
		t, err := producer.DecodeWindow(b, 0)
		if err == nil && t.End() != end {
			err = fmt.Errorf("ends at %d: %w", t.End(), ErrContent)
		}
		return t, err
	})
	look(c.inv.snapshots, suffixSnapshot, func(b []byte, end kafka.Offset) (*producer.Table, error) {
		return producer.Decode(b, end, 0)
	})
}
