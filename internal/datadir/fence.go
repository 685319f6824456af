package datadir

import (
	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/record"
)

// cut drops what entries of one log hold at or above from.
func cut(entries []journal.Entry, from kafka.Offset) []journal.Entry {
	kept := entries[:0]
	for _, e := range entries {
		if e.Base >= from {
			continue
		}
		if e.End > from {
			e = shorten(e, from)
		}
		if e.End > e.Base {
			kept = append(kept, e)
		}
	}
	return kept
}

// shorten returns e without the batches that do not end at or below end. Of an
// extent nothing can be checked any more: its checksum is over all of it. Its
// bytes below end were synced.
func shorten(e journal.Entry, end kafka.Offset) journal.Entry {
	if e.Kind == journal.Extent {
		e.End, e.Length, e.Checksum = end, 0, 0
		return e
	}
	at, reached := 0, e.Base
	for at < len(e.Payload) {
		h, err := record.ParseHeader(e.Payload[at:])
		if err != nil || h.End() > end {
			break
		}
		at += h.Size()
		reached = h.End()
	}
	at = min(at, len(e.Payload))
	e.Payload, e.Length, e.End = e.Payload[:at], int64(at), reached
	return e
}
