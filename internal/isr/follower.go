package isr

import (
	"fmt"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
)

// EpochEnd says where the records of one leader epoch end in some log, exclusive.
type EpochEnd struct {
	Epoch kafka.LeaderEpoch
	End   kafka.Offset
}

// History answers about the leader epochs of a log.
type History interface {
	// EndOf returns the largest epoch of the log that is at or below epoch, and where
	// it ends: at the start of the next one, or at the log's end. When the log has no
	// such epoch it returns NoLeaderEpoch and the start of its oldest one, or the
	// log's end when it has none at all.
	EndOf(epoch kafka.LeaderEpoch) EpochEnd
	// Last returns the log's last epoch (NoLeaderEpoch: none) and the log's end.
	Last() EpochEnd
}

// Diverges is the leader's half of matching: given its own log and where a
// follower wants to go on (its last epoch and its end), it returns where the
// follower's log leaves the leader's, and whether it does (KIP-595's answer in a
// fetch). Below every epoch that the leader knows the answer names the follower's own,
// so that it keeps what stands below the end. A follower without any epoch matches when
// it begins at or below the leader's log start, which the caller has checked as for
// everybody.
func Diverges(leader History, follower EpochEnd) (EpochEnd, bool) {
	if follower.Epoch == kafka.NoLeaderEpoch {
		return EpochEnd{}, false
	}
	own := leader.EndOf(follower.Epoch)
	if own.Epoch == kafka.NoLeaderEpoch {
		own.Epoch = follower.Epoch
	}
	return own, own.Epoch != follower.Epoch || own.End < follower.End
}

// DivergedBelowHighWatermarkError says that a follower was asked to cut what it
// knows to be committed. The replica goes offline with its bytes untouched: either
// its leader or its own high watermark is wrong, and no cut can tell which.
type DivergedBelowHighWatermarkError struct {
	Leader        EpochEnd // where the leader says that the logs part
	Cut           kafka.Offset
	HighWatermark kafka.Offset
}

// Error names the cut and the high watermark.
func (e *DivergedBelowHighWatermarkError) Error() string {
	return fmt.Sprintf("follow: the leader's epoch %d ends at %d, which asks for a cut to %d, below the high watermark %d: committed records would be lost",
		e.Leader.Epoch, e.Leader.End, e.Cut, e.HighWatermark)
}

// NotDivergingError says that a leader's divergence answer names nothing that the
// follower could cut. Following it would repeat the same fetch for ever.
type NotDivergingError struct {
	Leader, Own EpochEnd
}

// Error names both ends.
func (e *NotDivergingError) Error() string {
	return fmt.Sprintf("follow: the leader says that the logs part at epoch %d, offset %d; the own log ends in epoch %d at %d and has nothing to cut",
		e.Leader.Epoch, e.Leader.End, e.Own.Epoch, e.Own.End)
}

// Follower is what a follower knows of its place behind one leader in one epoch.
// Every new epoch begins a new one, also under the same leader (KAFKA-7164): what
// was matched before is matched again. It belongs to one owner, as Leader does.
type Follower struct {
	epoch   kafka.LeaderEpoch
	matched kafka.Offset // exclusive end of what matches the leader's log; NoOffset: unknown
	// highWatermark is the highest value that this replica has ever known.
	highWatermark kafka.Offset
}

// NewFollower begins to follow in epoch. highWatermark is the highest value that
// this replica has ever known, also before a restart.
func NewFollower(epoch kafka.LeaderEpoch, highWatermark kafka.Offset) Follower {
	invariant.Check(highWatermark >= 0, "high watermark %d", highWatermark)
	return Follower{epoch: epoch, matched: kafka.NoOffset, highWatermark: highWatermark}
}

// Epoch is the leader epoch that is followed.
func (f *Follower) Epoch() kafka.LeaderEpoch { return f.epoch }

// HighWatermark is the highest value that this replica has ever known. It is what
// the guard compares with; readers of this replica see no more than its log's end.
func (f *Follower) HighWatermark() kafka.Offset { return f.highWatermark }

// Accepts reports whether an answer to a fetch made in epoch from position from
// still fits: the epoch is the one followed and the log still ends there. Everything
// else is an old message and is dropped whole (KAFKA R14).
func (f *Follower) Accepts(epoch kafka.LeaderEpoch, from, end kafka.Offset) bool {
	return epoch == f.epoch && from == end
}

// Cut is the follower's answer to a divergence: the offset to truncate to, by
// epochs only and never by a high watermark (KIP-101). It may equal the log's end:
// then only an epoch without records goes (KAFKA-10706), so the owner's truncation
// drops every epoch that starts at or above the cut. One round may not be enough;
// the next fetch tells. Nothing else of the same answer counts: no records, no high
// watermark (KAFKA-14704).
//
// It fails with *DivergedBelowHighWatermarkError or *NotDivergingError, and then
// nothing is to be cut.
func (f *Follower) Cut(own History, leader EpochEnd) (kafka.Offset, error) {
	last, shared := own.Last(), own.EndOf(leader.Epoch)
	cut := min(shared.End, leader.End)
	if cut >= last.End && last.Epoch <= leader.Epoch {
		return 0, &NotDivergingError{Leader: leader, Own: last}
	}
	cut = min(cut, last.End)
	if cut < f.highWatermark {
		return 0, &DivergedBelowHighWatermarkError{Leader: leader, Cut: cut, HighWatermark: f.highWatermark}
	}
	f.matched = min(f.matched, cut)
	return cut, nil
}

// Matched notes that the leader has answered a fetch without divergence, and that
// the log now ends at end: what was there before matches, and what was added came
// from the leader. It reports whether this is the first match in the epoch: the
// owner then reports durable progress, for an idle partition has no flush to wait
// for. leaderHighWatermark is the answer's.
func (f *Follower) Matched(end, leaderHighWatermark kafka.Offset) (first bool) {
	invariant.Check(end >= f.matched, "the matched end goes from %d back to %d", f.matched, end)
	first = f.matched == kafka.NoOffset
	f.matched = end
	f.highWatermark = max(f.highWatermark, min(leaderHighWatermark, end))
	return first
}

// Restarted notes that the log was emptied and begins anew at start, because the
// leader's log starts above the follower's end: retention has removed what lay
// between, nothing diverged.
func (f *Follower) Restarted(start kafka.Offset) {
	f.matched, f.highWatermark = start, max(f.highWatermark, start)
}

// Progress is what may be reported as durable to this leader: the part of the
// durable prefix that matches the leader's log. False before the first match of
// the epoch: a suffix that the leader does not have must not be counted.
func (f *Follower) Progress(durable kafka.Offset) (kafka.Offset, bool) {
	if f.matched == kafka.NoOffset {
		return 0, false
	}
	return min(durable, f.matched), true
}
