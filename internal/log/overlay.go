package log

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"

	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/record"
)

// live are the journal entries that recovery goes by: in order, without gaps
// that matter and without overlap.
type live struct {
	entries []journal.Entry
	end     kafka.Offset // of the last one; NoOffset without one
	high    kafka.Offset // the largest high watermark; NoOffset without one
}

// settle picks the live entries: those above point, the recovery point. An entry
// that begins below the end of an earlier one says that the log was cut between
// them: what the earlier one has from there on is dead. cut is the cut that the
// log remembers itself, NoOffset for none: an entry across it is from before it.
func settle(entries []journal.Entry, point, cut kafka.Offset) live {
	l := live{end: kafka.NoOffset, high: kafka.NoOffset}
	for _, e := range entries {
		if e.Kind != journal.Data && e.Kind != journal.Extent {
			continue
		}
		l.high = max(l.high, e.HighWatermark)
		if cut != kafka.NoOffset && e.Base < cut && e.End > cut {
			e = shorten(e, cut)
		}
		for n := len(l.entries); n > 0 && l.entries[n-1].Base >= e.Base; n-- {
			l.entries = l.entries[:n-1]
		}
		if n := len(l.entries); n > 0 && l.entries[n-1].End > e.Base {
			l.entries[n-1] = shorten(l.entries[n-1], e.Base)
		}
		l.entries = append(l.entries, e)
	}
	kept := l.entries[:0]
	for _, e := range l.entries {
		l.end = e.End
		if e.End > point {
			kept = append(kept, e)
		}
	}
	l.entries = kept
	return l
}

// shorten returns e without what is at or above end. The checksum of an extent
// covers all of it, so that a shortened one has nothing left to check; its bytes
// were synced by whoever cut.
func shorten(e journal.Entry, end kafka.Offset) journal.Entry {
	e.End = end
	if e.Kind == journal.Extent {
		e.Length = 0
		return e
	}
	at := 0
	for at < len(e.Payload) {
		h, err := record.ParseHeader(e.Payload[at:])
		if err != nil || h.End() > end {
			break
		}
		at += h.Size()
	}
	e.Payload, e.Length = e.Payload[:min(at, len(e.Payload))], int64(min(at, len(e.Payload)))
	return e
}

// overlay is a segment file as the journal says it must be.
type overlay struct {
	file    io.ReaderAt // nil: there is none
	size    int64       // of the file
	patches []journal.Entry
}

// newOverlay lays the Data entries for the segment at base over the file.
func newOverlay(file io.ReaderAt, size int64, base kafka.Offset, entries []journal.Entry) *overlay {
	o := &overlay{file: file, size: size}
	for _, e := range entries {
		if e.Kind != journal.Data || e.SegmentBase != base || len(e.Payload) == 0 {
			continue
		}
		for n := len(o.patches); n > 0 && o.patches[n-1].Position >= e.Position; n-- {
			o.patches = o.patches[:n-1]
		}
		if n := len(o.patches); n > 0 {
			last := &o.patches[n-1]
			if over := last.Position + last.Length - e.Position; over > 0 {
				last.Payload, last.Length = last.Payload[:last.Length-over], last.Length-over
			}
		}
		o.patches = append(o.patches, e)
	}
	return o
}

// end is the size of the segment as it must be, or larger where the file has
// bytes that nobody speaks for.
func (o *overlay) end() int64 {
	end := o.size
	if n := len(o.patches); n > 0 {
		end = max(end, o.patches[n-1].Position+o.patches[n-1].Length)
	}
	return end
}

// ReadAt implements io.ReaderAt. Where neither file nor journal have bytes below
// end, there are zeroes, which no batch begins with.
func (o *overlay) ReadAt(p []byte, off int64) (int, error) {
	want := len(p)
	p = p[:max(0, min(int64(len(p)), o.end()-off))]
	n := 0
	if off < o.size {
		var err error
		if n, err = o.file.ReadAt(p[:min(int64(len(p)), o.size-off)], off); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
	}
	clear(p[n:])
	i := sort.Search(len(o.patches), func(i int) bool { return o.patches[i].Position+o.patches[i].Length > off })
	for ; i < len(o.patches) && o.patches[i].Position < off+int64(len(p)); i++ {
		at := o.patches[i].Position - off
		if at >= 0 {
			copy(p[at:], o.patches[i].Payload)
		} else {
			copy(p, o.patches[i].Payload[-at:])
		}
	}
	if len(p) < want {
		return len(p), io.EOF
	}
	return len(p), nil
}

// checkExtent compares the bytes of an extent with its checksum.
func checkExtent(o *overlay, name string, e journal.Entry) error {
	if e.Length == 0 {
		return nil
	}
	bad := func(cause error, position int64) error {
		return &CorruptionError{File: name, Position: position, Offset: e.Base,
			Cause: fmt.Errorf("bytes that were synced and acknowledged, offsets [%d, %d): %w", e.Base, e.End, cause)}
	}
	buffer := make([]byte, min(e.Length, scanChunk))
	crc := uint32(0)
	for at := e.Position; at < e.Position+e.Length; {
		p := buffer[:min(int64(len(buffer)), e.Position+e.Length-at)]
		n, err := o.ReadAt(p, at)
		if n < len(p) {
			if err == nil || errors.Is(err, io.EOF) {
				return bad(ErrTruncated, at)
			}
			return fmt.Errorf("read segment %s at %d: %w", name, at, err)
		}
		crc = crc32.Update(crc, castagnoli, p)
		at += int64(n)
	}
	if crc != e.Checksum {
		return bad(fmt.Errorf("journal has %08x, segment %08x: %w", e.Checksum, crc, ErrChecksum), e.Position)
	}
	return nil
}
