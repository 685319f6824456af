package history

import (
	"fmt"
	"sort"
	"strings"
)

// Kind names one way in which a log breaks its promise.
type Kind string

// The kinds. Every one is bad; the Report counts each.
const (
	// LostWrite: a record that was acknowledged, or that a reader saw, is not in the log.
	LostWrite Kind = "lost-write"
	// Duplicate: one value of an idempotent writer stands at two offsets, or elsewhere than its acknowledgement said.
	Duplicate Kind = "duplicate"
	// InconsistentOffsets: two values at one offset, or an offset that cannot be.
	InconsistentOffsets Kind = "inconsistent-offsets"
	// Phantom: a value that nobody sent, or sent to another partition.
	Phantom Kind = "phantom"
	// Corrupt: a value whose own checksum does not hold.
	Corrupt Kind = "corrupt"
	// Reorder: a writer's records stand in another order than it sent them.
	Reorder Kind = "reorder"
	// NonmonotonicPoll: one reader was given an offset that is not above the one before.
	NonmonotonicPoll Kind = "nonmonotonic-poll"
	// PollSkip: one reader was led past an offset that holds a record.
	PollSkip Kind = "poll-skip"
	// StaleEndOffset: an end offset asked for after an acknowledgement does not cover it.
	StaleEndOffset Kind = "stale-end-offset"
	// FailedButPresent: a record that was refused for good is in the log.
	FailedButPresent Kind = "failed-but-present"
)

// Anomaly is one finding.
type Anomaly struct {
	Kind   Kind
	Detail string
}

// String is the kind and the detail.
func (a Anomaly) String() string { return string(a.Kind) + ": " + a.Detail }

// examplesMax bounds how many findings of one kind a report spells out.
const examplesMax = 5

// Report is the verdict over a history.
type Report struct {
	Sent         int64 // records that were sent
	Acknowledged int64 // of those, acknowledged
	Unknown      int64 // of those, without an outcome
	Unplaced     int64 // of the acknowledged, those whose answer named no offset
	Polled       int64 // records that readers saw, repeats included
	// Repeats counts values of writers without idempotence that stand at two offsets: allowed, but told.
	Repeats  int64
	Counts   map[Kind]int64
	Examples []Anomaly // at most five of each kind
}

// OK reports whether nothing bad was found.
func (r Report) OK() bool { return len(r.Counts) == 0 }

// Count is the number of findings of one kind.
func (r Report) Count(k Kind) int64 { return r.Counts[k] }

// String is one line of figures and one line for each example.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "sent %d, acknowledged %d, unknown %d, polled %d, repeats without idempotence %d", r.Sent, r.Acknowledged, r.Unknown, r.Polled, r.Repeats)
	kinds := make([]string, 0, len(r.Counts))
	for k := range r.Counts {
		kinds = append(kinds, string(k))
	}
	sort.Strings(kinds)
	for _, k := range kinds {
		fmt.Fprintf(&b, ", %s %d", k, r.Counts[Kind(k)])
	}
	for _, a := range r.Examples {
		b.WriteString("\n  " + a.String())
	}
	return b.String()
}
