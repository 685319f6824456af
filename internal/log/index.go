package log

import (
	"encoding/binary"
	"sort"

	"holdfast/internal/kafka"
)

// Sizes of the entries of Kafka's index files, in bytes.
const (
	indexEntrySize     = 8
	timeIndexEntrySize = 12
)

// indexEntry is one entry of a .index file: the last offset of the batch that
// begins at position, relative to the segment's base. Entries ascend strictly
// in both. The arrays hold no pointers, so that many of them cost the collector
// nothing.
type indexEntry struct {
	last     int32
	position int32
}

// timeEntry is one entry of a .timeindex file: when it was made, timestamp was
// the largest so far in the segment, and last the last offset (relative) of the
// batch that brought it. Entries ascend strictly in both.
type timeEntry struct {
	timestamp kafka.Timestamp
	last      int32
}

func appendIndex(dst []byte, entries []indexEntry) []byte {
	for _, e := range entries {
		dst = binary.BigEndian.AppendUint32(dst, uint32(e.last))
		dst = binary.BigEndian.AppendUint32(dst, uint32(e.position))
	}
	return dst
}

func appendTimeIndex(dst []byte, entries []timeEntry) []byte {
	for _, e := range entries {
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.timestamp))
		dst = binary.BigEndian.AppendUint32(dst, uint32(e.last))
	}
	return dst
}

// decodeIndex reads a .index file of a segment of size bytes. Every entry must
// ascend and point below size; the error is a *CorruptionError without a file.
func decodeIndex(b []byte, size int64) ([]indexEntry, error) {
	if len(b)%indexEntrySize != 0 {
		return nil, corrupt("", int64(len(b)), ErrTruncated, "%d bytes", len(b))
	}
	entries := make([]indexEntry, len(b)/indexEntrySize)
	before := indexEntry{last: -1, position: -1}
	for i := range entries {
		p := b[i*indexEntrySize:]
		e := indexEntry{last: int32(binary.BigEndian.Uint32(p)), position: int32(binary.BigEndian.Uint32(p[4:]))}
		if e.last <= before.last || e.position <= before.position || int64(e.position) >= size {
			return nil, corrupt("", int64(i*indexEntrySize), ErrOrder, "entry %d: offset +%d at %d", i, e.last, e.position)
		}
		entries[i], before = e, e
	}
	return entries, nil
}

// decodeTimeIndex reads a .timeindex file. Every entry must ascend; the error is
// a *CorruptionError without a file.
func decodeTimeIndex(b []byte) ([]timeEntry, error) {
	if len(b)%timeIndexEntrySize != 0 {
		return nil, corrupt("", int64(len(b)), ErrTruncated, "%d bytes", len(b))
	}
	entries := make([]timeEntry, len(b)/timeIndexEntrySize)
	for i := range entries {
		p := b[i*timeIndexEntrySize:]
		e := timeEntry{timestamp: kafka.Timestamp(binary.BigEndian.Uint64(p)), last: int32(binary.BigEndian.Uint32(p[8:]))}
		if e.last < 0 || (i > 0 && (e.timestamp <= entries[i-1].timestamp || e.last <= entries[i-1].last)) {
			return nil, corrupt("", int64(i*timeIndexEntrySize), ErrOrder, "entry %d: timestamp %d, offset +%d", i, e.timestamp, e.last)
		}
		entries[i] = e
	}
	return entries, nil
}

// floorLast returns the position of the last entry whose offset is at or below
// last, 0 without one: the batch that holds last begins there or later.
func floorLast(entries []indexEntry, last int64) int64 {
	i := sort.Search(len(entries), func(i int) bool { return int64(entries[i].last) > last })
	if i == 0 {
		return 0
	}
	return int64(entries[i-1].position)
}

// floorPosition returns the last indexed position at or below limit, 0 without
// one. A batch begins there.
func floorPosition(entries []indexEntry, limit int64) int64 {
	i := sort.Search(len(entries), func(i int) bool { return int64(entries[i].position) > limit })
	if i == 0 {
		return 0
	}
	return int64(entries[i-1].position)
}

// floorTime returns the last entry with a timestamp below ts. Every record up to
// that entry's offset is older than ts.
func floorTime(entries []timeEntry, ts kafka.Timestamp) (timeEntry, bool) {
	i := sort.Search(len(entries), func(i int) bool { return entries[i].timestamp >= ts })
	if i == 0 {
		return timeEntry{}, false
	}
	return entries[i-1], true
}

// cutIndex drops the entries of batches that do not begin below position.
func cutIndex(entries []indexEntry, position int64) []indexEntry {
	n := sort.Search(len(entries), func(i int) bool { return int64(entries[i].position) >= position })
	return entries[:n:n]
}

// cutTimeIndex drops the entries of offsets at or above end (relative).
func cutTimeIndex(entries []timeEntry, end int64) []timeEntry {
	n := sort.Search(len(entries), func(i int) bool { return int64(entries[i].last) >= end })
	return entries[:n:n]
}
