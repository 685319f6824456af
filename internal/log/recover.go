package log

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"holdfast/internal/kafka"
	"holdfast/internal/producer"
	"holdfast/internal/vfs"
)

// Report says what opening a log found and did.
type Report struct {
	// Case is the label of the row of the decision table, Action its decision in
	// words.
	Case, Action string
	// RecoveryPoint is where recovery began, DurableEnd the end of what the journal
	// and the recovery point cover, End where the log ends now. Everything below
	// End is in synced segments; the caller may store it as the new recovery point.
	RecoveryPoint, DurableEnd, End kafka.Offset
	// HighWatermark is the largest one in the journal's entries, NoOffset without
	// one: a guard for followers (an End below it proves loss).
	HighWatermark kafka.Offset
	Scanned       int64 // bytes read and verified
	Rewritten     int64 // bytes written again and synced
	Cut           int64 // bytes of torn batches cut
	Dropped       int   // segments dropped behind the end
	// Rebuilt names files that were missing or wrong and are made anew.
	Rebuilt []string
	// Cause is what ended the log before the end of its files, nil if nothing did.
	Cause error
}

// recover makes the log what the survey decided. The caller has the log for
// itself.
func (l *Log) recover(v *survey) (Report, error) {
	c := decide(v.facts)
	r := Report{Case: c.label, Action: c.decision.String(), RecoveryPoint: v.point, DurableEnd: v.want, End: v.end,
		HighWatermark: v.live.high, Scanned: v.read, Cause: v.cause}
	if c.decision == stop {
		return r, l.refuse(v)
	}
	if err := l.rewriteTail(v, &r); err != nil {
		return r, err
	}
	changed, err := l.clear(v, &r)
	if err != nil {
		return r, err
	}
	if changed {
		if err := l.fsys.SyncDir(l.dir); err != nil {
			return r, fmt.Errorf("recover log: %w", err)
		}
	}
	l.disk.bounds = v.bounds
	if err := l.assemble(v, &r); err != nil {
		return r, err
	}
	return r, l.settleDown(v)
}

// settleDown notes what recovery made durable, so that the journal's entries are
// not needed any more.
func (l *Log) settleDown(v *survey) error {
	if v.bounds.cutting {
		return l.finishCut()
	}
	if v.end == 0 && !v.replay.Clean {
		if err := l.enter(); err != nil {
			return err
		}
	}
	if v.noted && v.note.point == v.end && v.note.base == l.active().base {
		l.disk.pointSaved = true
		return nil
	}
	if v.mutant == skipSync {
		return nil
	}
	p := l.capture()
	err := l.store(p, false)
	if errors.Is(err, ErrNoSpace) {
		// The note alone replaces bytes in place. The indexes come with the next
		// checkpoint that finds room, or are made anew.
		return l.saveState(p)
	}
	return err
}

// enter makes the names of a log durable in which nothing was ever written. Its
// creation may have been interrupted before the last sync; what is appended next
// may be acknowledged when the journal has it, and must not lose its directory.
func (l *Log) enter() error {
	for _, dir := range [...]string{l.dir, path.Dir(l.dir)} {
		if err := l.fsys.SyncDir(dir); err != nil {
			return fmt.Errorf("recover log: %w", err)
		}
	}
	l.active().entered.Store(true)
	return nil
}

// refuse is the error of a log that must not be served.
func (l *Log) refuse(v *survey) error {
	cause := v.cause
	if cause == nil {
		cause = &CorruptionError{File: l.dir, Offset: v.end,
			Cause: fmt.Errorf("the log ends at %d, acknowledged up to %d: %w", v.end, v.want, ErrMissing)}
	}
	return fmt.Errorf("recover log %s: valid up to %d, acknowledged up to %d: %w", l.dir, v.end, v.want, cause)
}

// rewriteTail writes everything since the recovery point again, from the journal
// where it has it, and syncs it; then it cuts what is torn.
func (l *Log) rewriteTail(v *survey, r *Report) error {
	for _, p := range v.pieces[:v.used] {
		if p.side != nil {
			continue
		}
		if err := l.rewritePiece(v, p, r); err != nil {
			return fmt.Errorf("recover log: %w", err)
		}
	}
	return nil
}

func (l *Log) rewritePiece(v *survey, p *piece, r *Report) error {
	p.seg.handle.Lock()
	reader := p.seg.handle.file
	p.seg.handle.file = nil
	p.seg.handle.Unlock()
	if reader != nil {
		if err := reader.Close(); err != nil {
			return fmt.Errorf("close segment: %w", err)
		}
	}
	f, err := l.fsys.OpenFile(p.seg.name, vfs.Write|vfs.Create)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	p.seg.install(f)
	p.seg.position.size, p.seg.position.allocated = p.valid, p.valid
	if v.mutant != trustPages {
		n, err := copyRange(f, p.over, p.rewrite, p.valid)
		r.Rewritten += n
		if err != nil {
			return err
		}
	}
	torn := p.size > p.valid
	if (p.rewrite < p.valid || torn) && v.mutant != skipSync {
		if err := p.seg.SyncData(); err != nil {
			return err
		}
	}
	if !torn {
		return nil
	}
	r.Cut += p.size - p.valid
	if err := f.Truncate(p.valid); err != nil {
		return fmt.Errorf("cut segment %s: %w", p.seg.name, err)
	}
	// Synced too: what was cut could look like the continuation of what is
	// appended next.
	return p.seg.SyncData()
}

// copyRange writes [from, to) of what the segment must be.
func copyRange(f vfs.File, over *overlay, from, to int64) (int64, error) {
	buffer := make([]byte, min(max(to-from, 0), scanChunk))
	for at := from; at < to; {
		p := buffer[:min(int64(len(buffer)), to-at)]
		if n, err := over.readVia(f, p, at); n < len(p) {
			return at - from, fmt.Errorf("read segment %s at %d: %w", f.Name(), at, err)
		}
		if _, err := f.WriteAt(p, at); err != nil {
			return at - from, fmt.Errorf("rewrite segment %s at %d: %w", f.Name(), at, err)
		}
		at += int64(len(p))
	}
	return max(to-from, 0), nil
}

// readVia is ReadAt with another handle of the same file.
func (o *overlay) readVia(file io.ReaderAt, p []byte, off int64) (int, error) {
	via := *o
	via.file = file
	n, err := via.ReadAt(p, off)
	if n == len(p) {
		return n, nil
	}
	return n, errors.Join(err, io.ErrUnexpectedEOF)
}

// clear removes what is no part of the log: segments behind its end and below
// its start, producer tables above its end, leftovers. It reports whether it
// removed anything.
func (l *Log) clear(v *survey, r *Report) (bool, error) {
	var names []string
	drop := func(base kafka.Offset) {
		for _, suffix := range segmentSuffixes {
			names = append(names, fileName(base, suffix))
		}
	}
	if v.mutant != dropNothing {
		for _, p := range v.pieces[v.used:] {
			drop(p.base)
			r.Dropped++
		}
	}
	for _, base := range v.dead {
		drop(base)
	}
	// A log that lost everything below its start begins anew there.
	if v.end < v.bounds.start {
		for _, p := range v.pieces[:v.used] {
			drop(p.base)
			p.seg.retire()
		}
		v.used, v.end, v.epochs = 0, v.bounds.start, nil
		r.End = v.end
	}
	names = append(names, v.orphans()...)
	for _, end := range v.inv.windows {
		if end > v.end {
			names = append(names, fileName(end, suffixWindow))
		} else {
			l.disk.windows = append(l.disk.windows, end)
		}
	}
	for _, end := range v.inv.snapshots {
		if end > v.end {
			names = append(names, fileName(end, suffixSnapshot))
		} else {
			l.disk.snapshots = append(l.disk.snapshots, end)
		}
	}
	names = append(names, v.inv.leftovers...)
	removed := false
	for _, name := range names {
		err := l.fsys.Remove(path.Join(l.dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, fmt.Errorf("recover log: %w", err)
		}
		removed = removed || err == nil
	}
	return removed, nil
}

// orphans are the files beside segments that are no more, or that speak of an
// earlier life of a segment. One that stayed could fit a later life by chance.
func (v *survey) orphans() []string {
	var names []string
	for _, name := range v.inv.others {
		base, suffix, _ := parseFileName(name)
		i, found := slices.BinarySearchFunc(v.pieces[:v.used], base, func(p *piece, o kafka.Offset) int { return cmp.Compare(p.base, o) })
		if !found || (suffix == suffixSidecar && v.pieces[i].side == nil) {
			names = append(names, name)
		}
	}
	return names
}

// assemble makes the log's state in memory.
func (l *Log) assemble(v *survey, r *Report) error {
	now := kafka.Timestamp(l.clock.Now().UnixMilli())
	for i, p := range v.pieces[:v.used] {
		k := &p.seg.segmentState
		if p.side == nil {
			k.closed = i+1 < v.used
			if k.size > 0 && k.firstAppend == kafka.NoTimestamp {
				k.firstAppend = now // not known: keep it rather too long
			}
			if p.rewrite < p.valid {
				k.lastAppend = max(k.lastAppend, now)
			}
			k.lastAppend = max(k.lastAppend, k.firstAppend)
			if k.closed {
				k.noteTime()
			}
			if p.from == 0 && p.size > 0 {
				r.Rebuilt = append(r.Rebuilt, fileName(p.base, suffixIndex))
			}
		}
		l.mu.segments = append(l.mu.segments, p.seg)
		l.mu.size += k.size
	}
	l.mu.start, l.mu.end = v.bounds.start, v.end
	l.disk.point = v.end
	if err := l.recoverEpochs(v, r); err != nil {
		return err
	}
	if n := len(l.mu.segments); n == 0 || l.activeLocked().closed {
		next := newSegment(l, v.end)
		next.indexLoaded = true
		if err := next.openForWriting(true); err != nil {
			return err
		}
		l.mu.segments = append(l.mu.segments, next)
	}
	return l.recoverTable(v, r)
}

// recoverEpochs takes the stored epochs and those of the scanned batches. Where
// none are stored, sidecars and headers have them.
func (l *Log) recoverEpochs(v *survey, r *Report) error {
	stored, ok := v.storedEpochs()
	if !ok && v.end > v.bounds.start {
		r.Rebuilt = append(r.Rebuilt, nameEpochs)
		var err error
		if stored, err = l.rebuildEpochs(v); err != nil {
			return err
		}
	} else {
		l.disk.epochsStored = stored
	}
	all := stored.cutSuffix(v.end)
	if len(v.epochs) > 0 {
		all = all.cutSuffix(v.epochs[0].start) // the batches say it better
	}
	for _, e := range v.epochs {
		all, _ = all.assign(e.epoch, e.start)
	}
	// An epoch that begins at the end has no batch yet and is kept.
	if n := len(stored); n > 0 && stored[n-1].start == v.end && stored[n-1].epoch > all.latest() {
		all, _ = all.assign(stored[n-1].epoch, v.end)
	}
	l.mu.epochs = all.cutPrefix(v.bounds.start)
	if v.bounds.cutting && len(l.mu.epochs) > 0 {
		// The cut that a crash interrupted may have lowered the start to the base of
		// the batch that it was inside of.
		l.mu.epochs = append(epochs{{l.mu.epochs[0].epoch, min(v.bounds.start, l.mu.epochs[0].start)}}, l.mu.epochs[1:]...)
	}
	return nil
}

func (l *Log) rebuildEpochs(v *survey) (epochs, error) {
	var all epochs
	for _, p := range v.pieces[:v.used] {
		if p.side != nil {
			side, err := readSidecar(l.fsys, l.dir, p.base)
			if err != nil {
				return nil, fmt.Errorf("rebuild leader epochs: %w", err)
			}
			for _, e := range side.epochs {
				all, _ = all.assign(e.epoch, e.start)
			}
			continue
		}
		w := newWalk(p.seg, p.seg.name, 0, p.from)
		for {
			h, err := w.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				w.close()
				return nil, fmt.Errorf("rebuild leader epochs: %w", err)
			}
			all, _ = all.assign(h.LeaderEpoch, h.BaseOffset)
		}
		w.close()
	}
	return all, nil
}

func (l *Log) recoverTable(v *survey, r *Report) error {
	table, unreadable := l.loadTable(v.end, l.mu.segments[0].base)
	r.Rebuilt = append(r.Rebuilt, unreadable...)
	if v.mutant == forgetProducer {
		l.mu.table = producer.New()
		return nil
	}
	if err := l.applyHeaders(table, l.mu.segments, v.end); err != nil {
		return fmt.Errorf("rebuild producer table: %w", err)
	}
	l.mu.table = table
	l.mu.sinceWindow = windowMinBytes
	return nil
}

// finishCut ends a TruncateSuffix that a crash interrupted: the cut may have
// gone anywhere between cut and the old end, and what is there now is durable.
func (l *Log) finishCut() error {
	p := l.capture()
	if err := l.store(p, true); err != nil {
		return err
	}
	l.disk.cutAge = 0
	return l.storeBounds(bounds{start: l.disk.bounds.start, cut: l.disk.bounds.cut})
}
