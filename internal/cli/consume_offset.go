package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// pointKind is how a place in a partition was named.
type pointKind uint8

const (
	pointStart   pointKind = iota // the first record that is there
	pointEnd                      // after the last one
	pointExact                    // an offset
	pointAfter                    // so many records after the start
	pointBefore                   // so many records before the end
	pointInstant                  // the first record at or after a time
	pointNone                     // no bound
)

// point is a place in every partition.
type point struct {
	kind pointKind
	n    int64
	at   time.Time
}

// offsetRange is what -o asks for: from is inclusive, to exclusive.
type offsetRange struct{ from, to point }

// parseOffsets reads start, end, N, +N, -N, @TIME, FROM:TO, :end and @TIME:TIME.
func parseOffsets(text string, now time.Time) (offsetRange, error) {
	none := point{kind: pointNone}
	if rest, ok := strings.CutPrefix(text, "@"); ok {
		return parseInstants(rest, now)
	}
	from, to, ranged := strings.Cut(text, ":")
	if !ranged {
		p, err := parsePoint(text)
		return offsetRange{p, none}, err
	}
	r := offsetRange{point{kind: pointStart}, none}
	var err error
	if from != "" {
		if r.from, err = parsePoint(from); err != nil {
			return r, err
		}
	}
	if to != "" {
		r.to, err = parsePoint(to)
	}
	if err == nil && r.from.kind == pointExact && r.to.kind == pointExact && r.to.n < r.from.n {
		err = fmt.Errorf("the end lies before the start")
	}
	return r, err
}

// parseInstants reads TIME or TIME:TIME. A time may itself contain colons, so
// every colon is tried.
func parseInstants(text string, now time.Time) (offsetRange, error) {
	if at, err := parseTime(text, now); err == nil {
		return offsetRange{point{kind: pointInstant, at: at}, point{kind: pointNone}}, nil
	}
	for i := range text {
		if text[i] != ':' {
			continue
		}
		from, err := parseTime(text[:i], now)
		if err != nil {
			continue
		}
		right := strings.TrimPrefix(text[i+1:], "@")
		if right == "end" {
			return offsetRange{point{kind: pointInstant, at: from}, point{kind: pointEnd}}, nil
		}
		to, err := parseTime(right, now)
		if err != nil {
			continue
		}
		if to.Before(from) {
			return offsetRange{}, fmt.Errorf("the end lies before the start")
		}
		return offsetRange{point{kind: pointInstant, at: from}, point{kind: pointInstant, at: to}}, nil
	}
	_, err := parseTime(text, now)
	return offsetRange{}, err
}

func parsePoint(text string) (point, error) {
	switch text {
	case "start", "oldest", "earliest", "beginning":
		return point{kind: pointStart}, nil
	case "end", "newest", "latest":
		return point{kind: pointEnd}, nil
	}
	kind := pointExact
	digits := text
	if rest, ok := strings.CutPrefix(text, "+"); ok {
		kind, digits = pointAfter, rest
	} else if rest, ok := strings.CutPrefix(text, "-"); ok {
		kind, digits = pointBefore, rest
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return point{}, fmt.Errorf("%q is no offset; want start, end, N, +N, -N, FROM:TO, :end or @TIME", text)
	}
	return point{kind: kind, n: int64(n)}, nil
}

// offset is the point as the client takes it, for reading without an end.
func (p point) offset() kgo.Offset {
	o := kgo.NewOffset()
	switch p.kind {
	case pointEnd:
		return o.AtEnd()
	case pointExact:
		return o.At(p.n)
	case pointAfter:
		return o.AtStart().Relative(p.n)
	case pointBefore:
		return o.AtEnd().Relative(-p.n)
	case pointInstant:
		return o.AfterMilli(p.at.UnixMilli())
	}
	return o.AtStart()
}

// marks are the first and the next offset of partitions.
type marks struct{ starts, ends kadm.ListedOffsets }

func listMarks(ctx context.Context, adm *kadm.Client, topics []string) (marks, error) {
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return marks{}, err
	}
	ends, err := adm.ListEndOffsets(ctx, topics...)
	return marks{starts, ends}, err
}

// inPartition says where an error was met. Of a topic that does not exist the
// client lists a partition -1.
func inPartition(topic string, number int32, err error) error {
	if number < 0 {
		return fmt.Errorf("topic %s: %w", topic, err)
	}
	return fmt.Errorf("topic %s partition %d: %w", topic, number, err)
}

// resolve finds the point in every partition of the topics.
func (m marks) resolve(ctx context.Context, adm *kadm.Client, p point, topics []string) (map[string]map[int32]int64, error) {
	var instants kadm.ListedOffsets
	if p.kind == pointInstant {
		var err error
		if instants, err = adm.ListOffsetsAfterMilli(ctx, p.at.UnixMilli(), topics...); err != nil {
			return nil, err
		}
	}
	found := map[string]map[int32]int64{}
	for topic, partitions := range m.ends {
		found[topic] = map[int32]int64{}
		for number, end := range partitions {
			start, _ := m.starts.Lookup(topic, number)
			instant, _ := instants.Lookup(topic, number)
			if err := cmpOr(end.Err, cmpOr(start.Err, instant.Err)); err != nil {
				return nil, inPartition(topic, number, err)
			}
			at := start.Offset
			switch p.kind {
			case pointEnd:
				at = end.Offset
			case pointExact:
				at = p.n
			case pointAfter:
				at = start.Offset + p.n
			case pointBefore:
				at = max(start.Offset, end.Offset-p.n)
			case pointInstant:
				if at = instant.Offset; at < 0 {
					at = end.Offset
				}
			}
			found[topic][number] = at
		}
	}
	return found, nil
}
