package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// inventory is what is in a partition's directory, ascending.
type inventory struct {
	logs      []kafka.Offset
	windows   []kafka.Offset
	snapshots []kafka.Offset
	others    []string // index files and sidecars, by name
	leftovers []string
}

func list(fsys vfs.FS, dir string) (inventory, error) {
	var inv inventory
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return inv, fmt.Errorf("list log %s: %w", dir, err)
	}
	for _, e := range entries {
		offset, suffix, ok := parseFileName(e.Name)
		switch {
		case isLeftover(e.Name):
			inv.leftovers = append(inv.leftovers, e.Name)
		case !ok || e.IsDir:
		case suffix == suffixLog:
			inv.logs = append(inv.logs, offset)
		case suffix == suffixWindow:
			inv.windows = append(inv.windows, offset)
		case suffix == suffixSnapshot:
			inv.snapshots = append(inv.snapshots, offset)
		default:
			inv.others = append(inv.others, e.Name)
		}
	}
	return inv, nil
}

// piece is a segment as recovery finds it.
type piece struct {
	base   kafka.Offset
	exists bool
	size   int64 // of the file
	side   *sidecar
	over   *overlay // of a segment that is scanned
	seg    *Segment

	from    int64 // the scan begins here
	rewrite int64 // what must be written again begins here
	valid   int64 // valid batches end here
}

// survey is the part of recovery that only looks.
type survey struct {
	l      *Log
	replay Replay
	mutant mutant
	inv    inventory
	bounds bounds
	note   state
	noted  bool // the note can be used
	blind  bool // there is none that can be read
	live   live
	synced kafka.Offset // everything below is in synced segments
	point  kafka.Offset // recovery point: synced, or the log start where that is above
	want   kafka.Offset // durable end

	pieces []*piece // in order, dead ones left out
	dead   []kafka.Offset
	used   int          // so many leading pieces make the log
	end    kafka.Offset // where valid batches end
	epochs epochs       // of scanned batches
	newest kafka.LeaderEpoch
	facts  facts
	cause  error // what ended the scan, or the bad extent
	read   int64 // bytes scanned
}

// look finds the facts out. An error is one of reading, or a newer format.
func (v *survey) look() error {
	var err error
	if v.bounds, err = readBounds(v.l.fsys, v.l.dir, v.l.key); err != nil {
		return err
	}
	if v.inv, err = list(v.l.fsys, v.l.dir); err != nil {
		return err
	}
	if v.note, v.noted, err = readState(v.l.fsys, v.l.dir, v.l.key); err != nil {
		return err
	}
	v.blind = !v.noted
	if v.bounds.cutting {
		v.noted = false
	}
	v.point = v.recoveryPoint()
	v.live = settle(v.replay.Entries, v.point, v.bounds.cut)
	// The log start is durable, but bytes below it need not be, and the scan may
	// have to pass over them: they are settled before the start counts.
	v.synced, v.point = v.point, max(v.point, v.bounds.start)
	if err := v.findPieces(); err != nil {
		return err
	}
	v.want = max(v.point, v.live.end)
	if v.mutant == cutFirst {
		v.want = v.point
	}
	v.facts = facts{clean: v.replay.Clean, journal: len(v.live.entries) > 0, intact: true}
	if v.mutant != ignoreExtents {
		if err := v.checkExtents(); err != nil {
			return err
		}
	}
	if err := v.walkPieces(); err != nil {
		return err
	}
	// Without the note, bytes that are bad may have been acknowledged.
	blind := v.blind && (v.facts.torn || v.facts.later)
	// Where nothing at or above the log start is durable, nothing is missing: what is
	// below it was deleted. So ends a TruncatePrefix beyond the end that a crash
	// interrupted before the new segment was there.
	reached := v.end >= v.want || v.want <= v.bounds.start
	v.facts.reached = (reached && !blind) || v.mutant == ignoreDurable
	return nil
}

// recoveryPoint is the highest offset below which everything is in synced
// segments.
func (v *survey) recoveryPoint() kafka.Offset {
	point := v.replay.RecoveryPoint
	if v.bounds.cut != kafka.NoOffset {
		point = min(point, v.bounds.cut)
	}
	if v.noted {
		point = max(point, v.note.point)
	}
	return point
}

// findPieces lists the segments that are there or that the journal speaks of.
func (v *survey) findPieces() error {
	bases := slices.Clone(v.inv.logs)
	for _, e := range v.live.entries {
		if i, found := slices.BinarySearch(bases, e.SegmentBase); !found && v.mutant != cutFirst {
			bases = slices.Insert(bases, i, e.SegmentBase)
		}
	}
	for i, base := range bases {
		if i+1 < len(bases) && bases[i+1] <= v.bounds.start {
			v.dead = append(v.dead, base)
			continue
		}
		p := &piece{base: base, seg: newSegment(v.l, base)}
		info, err := v.l.fsys.Stat(p.seg.name)
		switch {
		case err == nil:
			p.exists, p.size = true, info.Size
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("look at segment: %w", err)
		}
		v.pieces = append(v.pieces, p)
	}
	for i, p := range v.pieces {
		next := kafka.NoOffset
		if i+1 < len(v.pieces) {
			next = v.pieces[i+1].base
		}
		if err := v.findSidecar(p, next); err != nil {
			return err
		}
	}
	return nil
}

// findSidecar reads the sidecar of p. One that does not fit what is there is not
// believed: the segment is scanned.
func (v *survey) findSidecar(p *piece, next kafka.Offset) error {
	side, err := readSidecarHead(v.l.fsys, v.l.dir, p.base)
	if errors.Is(err, ErrNewerFormat) {
		return inFile(filePath(v.l.dir, p.base, suffixSidecar), err)
	}
	fits := err == nil && side.key == v.l.key && side.base == p.base && side.size == p.size &&
		(next == kafka.NoOffset || side.end == next)
	if fits {
		p.side = side
		return nil
	}
	var file io.ReaderAt
	if p.exists {
		file = p.seg
	}
	entries := v.live.entries
	if v.mutant == cutFirst {
		entries = nil
	}
	p.over = newOverlay(file, p.size, p.base, entries)
	return nil
}

// checkExtents verifies what was synced straight to segments.
func (v *survey) checkExtents() error {
	for _, e := range v.live.entries {
		if e.Kind != journal.Extent {
			continue
		}
		i := slices.IndexFunc(v.pieces, func(p *piece) bool { return p.base == e.SegmentBase })
		if i < 0 || v.pieces[i].side != nil {
			continue // deleted below the log start, or covered by a sidecar
		}
		err := checkExtent(v.pieces[i].over, v.pieces[i].seg.name, e)
		if c, ok := errors.AsType[*CorruptionError](err); ok {
			v.facts.intact, v.cause = false, c
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// walkPieces goes from segment to segment as long as each continues the one
// before.
func (v *survey) walkPieces() error {
	v.end, v.newest = v.bounds.start, kafka.NoLeaderEpoch
	for i, p := range v.pieces {
		first := i == 0 && p.base <= v.bounds.start
		if !first && p.base != v.end {
			v.facts.later = true
			v.gap(p)
			break
		}
		v.end = p.base
		if p.side != nil {
			if err := v.adopt(p); err != nil {
				return err
			}
			v.used++
			continue
		}
		ended, err := v.scanPiece(p)
		if err != nil {
			return err
		}
		v.used++
		if ended {
			v.facts.torn = true
			v.facts.later = i+1 < len(v.pieces)
			break
		}
	}
	return nil
}

func (v *survey) gap(p *piece) {
	if v.cause == nil {
		v.cause = &CorruptionError{File: p.seg.name, Position: 0, Offset: v.end,
			Cause: fmt.Errorf("the segment begins at %d, the one before ends at %d: %w", p.base, v.end, ErrOrder)}
	}
}

// adopt takes what the sidecar says for true.
func (v *survey) adopt(p *piece) error {
	side := p.side
	if len(v.epochs) > 0 { // behind a segment that was scanned
		full, err := readSidecar(v.l.fsys, v.l.dir, p.base)
		if err != nil {
			return fmt.Errorf("read sidecar: %w", err)
		}
		for _, e := range full.epochs {
			v.epochs, _ = v.epochs.assign(e.epoch, max(e.start, p.base))
		}
	}
	k := &p.seg.segmentState
	k.size, k.end, k.closed, k.sealed = side.size, side.end, true, true
	k.firstAppend, k.lastAppend = side.firstAppend, side.lastAppend
	k.maxTimestamp, k.maxLast = side.maxTimestamp, side.maxLast
	k.indexWritten, k.timesWritten, k.indexCRC, k.timesCRC = int(side.index), int(side.times), side.indexCRC, side.timesCRC
	k.checked = make([]uint64, side.size/BlockSize/64+1)
	p.seg.position.size, p.seg.position.allocated = side.size, side.size
	p.seg.position.sums.skip(side.size)
	p.seg.entered.Store(true)
	p.seg.complete.Store(true)
	p.valid, v.end = side.size, side.end
	return nil
}

// scanPiece goes over the batches of one segment. It reports whether the segment
// has bytes behind its last valid batch.
func (v *survey) scanPiece(p *piece) (ended bool, err error) {
	v.begin(p)
	s := scan{from: p.over, name: p.seg.name, size: p.over.end(), position: p.from, next: p.seg.end, epoch: v.newest}
	interval := int64(v.l.config.Load().IndexIntervalBytes)
	p.rewrite = -1
	for {
		at := s.position
		h, b, err := s.batch()
		if err != nil {
			v.end, p.valid = s.next, s.position
			v.read += s.position - p.from
			if p.rewrite < 0 {
				p.rewrite = s.position
			}
			return v.stopped(err)
		}
		if p.rewrite < 0 && h.End() > v.synced {
			p.rewrite = at
		}
		v.newest = h.LeaderEpoch
		v.epochs, _ = v.epochs.assign(h.LeaderEpoch, h.BaseOffset)
		p.seg.noteBatch(&h, at, interval)
		p.seg.position.sums.add(b)
	}
}

func (v *survey) stopped(err error) (bool, error) {
	c, bad := errors.AsType[*CorruptionError](err)
	switch {
	case errors.Is(err, io.EOF):
		return false, nil
	case bad:
		if v.cause == nil {
			v.cause = c
		}
		return true, nil
	}
	return false, err
}

// begin sets the scan of p up: behind what the last checkpoint noted where that
// and the index files can be used, at the beginning otherwise.
func (v *survey) begin(p *piece) {
	k := &p.seg.segmentState
	k.indexLoaded = true
	if p.exists {
		p.seg.entered.Store(false)
	}
	usable := v.noted && v.note.base == p.base && v.note.position <= p.size
	// A note without index entries that has walked far was written on a full disk.
	sparse := v.note.index == 0 && v.note.position > scanChunk
	if !usable || sparse || !v.useIndexes(p) {
		return
	}
	p.from = v.note.position
	k.size, k.end = v.note.position, v.note.point
	k.firstAppend, k.lastAppend = v.note.firstAppend, v.note.lastAppend
	k.maxTimestamp, k.maxLast = v.note.maxTimestamp, v.note.maxLast
	k.inherit(v.note.position)
	p.seg.position.sums.skip(v.note.position)
}

// useIndexes loads the index files that the note speaks of.
func (v *survey) useIndexes(p *piece) bool {
	index, err1 := vfs.ReadFile(v.l.fsys, filePath(v.l.dir, p.base, suffixIndex), segmentBytesMax)
	times, err2 := vfs.ReadFile(v.l.fsys, filePath(v.l.dir, p.base, suffixTimeIndex), segmentBytesMax)
	if err1 != nil || err2 != nil || !v.note.matches(index, times) {
		return false
	}
	entries, err1 := decodeIndex(index[:int(v.note.index)*indexEntrySize], v.note.position)
	stamps, err2 := decodeTimeIndex(times[:int(v.note.times)*timeIndexEntrySize])
	if err1 != nil || err2 != nil {
		return false
	}
	k := &p.seg.segmentState
	k.index, k.times = entries, stamps
	k.indexWritten, k.timesWritten = len(entries), len(stamps)
	k.indexCRC, k.timesCRC = v.note.indexCRC, v.note.timesCRC
	return true
}

// storedEpochs reads the leader epoch checkpoint; ok is false where there is none
// that can be used.
func (v *survey) storedEpochs() (epochs, bool) {
	b, err := vfs.ReadFile(v.l.fsys, path.Join(v.l.dir, nameEpochs), epochsFileMax)
	if err != nil {
		return nil, false
	}
	e, err := decodeEpochs(b)
	return e, err == nil
}
