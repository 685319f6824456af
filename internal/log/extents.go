package log

import "holdfast/internal/kafka"

// Extent is a closed segment: its offsets and its bytes.
type Extent struct {
	Base, End kafka.Offset
	Size      int64
}

// Closed lists the closed segments above the log start, the oldest first.
func (l *Log) Closed() []Extent {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Extent
	for _, s := range l.mu.segments {
		if s.closed && s.end > l.mu.start {
			out = append(out, Extent{Base: s.base, End: s.end, Size: s.size})
		}
	}
	return out
}
