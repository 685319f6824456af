package log

import "holdfast/internal/kafka"

// place says that a batch begins at position in the segment at base, and that
// its first offset is offset.
type place struct {
	offset, base kafka.Offset
	position     int64
}

const (
	recentBatchesMax = 64
	readCursorsMax   = 16
)

// recentBatches remembers where the newest batches begin, so that neither a
// consumer at the tail nor a high watermark just behind it costs a read to be
// found. The zero value is empty.
type recentBatches struct {
	ring [recentBatchesMax]place
	n    int // places ever added
}

func (r *recentBatches) add(offset, base kafka.Offset, position int64) {
	r.ring[r.n%recentBatchesMax] = place{offset, base, position}
	r.n++
}

// find returns the place of the batch that begins at offset in the segment at
// base.
func (r *recentBatches) find(offset, base kafka.Offset) (int64, bool) {
	for i := r.n - 1; i >= max(0, r.n-recentBatchesMax); i-- {
		p := &r.ring[i%recentBatchesMax]
		if p.offset == offset && p.base == base {
			return p.position, true
		}
		if p.offset < offset {
			break // they ascend
		}
	}
	return 0, false
}

// clear forgets everything: the log was cut.
func (r *recentBatches) clear() { r.n = 0 }

// readCursors remembers where the latest reads ended, because a consumer that
// catches up continues there.
type readCursors struct {
	ring [readCursorsMax]place
	n    int
}

func (r *readCursors) add(p place) {
	r.ring[r.n%readCursorsMax] = p
	r.n++
}

func (r *readCursors) find(offset, base kafka.Offset) (int64, bool) {
	for i := range min(r.n, readCursorsMax) {
		if p := &r.ring[i]; p.offset == offset && p.base == base {
			return p.position, true
		}
	}
	return 0, false
}

func (r *readCursors) clear() { r.n = 0 }
