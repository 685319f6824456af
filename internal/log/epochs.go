package log

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strconv"

	"holdfast/internal/kafka"
)

// epochStart says at which offset a leader epoch begins in this log.
type epochStart struct {
	epoch kafka.LeaderEpoch
	start kafka.Offset
}

// epochs is the leader epoch cache of KIP-101: both fields ascend strictly. A
// slice is never changed in place, so that a copy of the header is a snapshot.
type epochs []epochStart

// assign notes that epoch begins at start. It reports false, and changes
// nothing, when the epoch is the latest one already. Entries that the new one
// contradicts (a later epoch, or a start at or above) are dropped: the log was
// cut below them.
func (e epochs) assign(epoch kafka.LeaderEpoch, start kafka.Offset) (epochs, bool) {
	if epoch < 0 || (len(e) > 0 && e[len(e)-1].epoch == epoch) {
		return e, false
	}
	n := sort.Search(len(e), func(i int) bool { return e[i].epoch >= epoch || e[i].start >= start })
	return append(e[:n:n], epochStart{epoch, start}), true
}

// cutSuffix drops what begins at or above end.
func (e epochs) cutSuffix(end kafka.Offset) epochs {
	n := sort.Search(len(e), func(i int) bool { return e[i].start >= end })
	return e[:n:n]
}

// cutPrefix drops the epochs that ended at or below start and lets the one that
// start is in begin there.
func (e epochs) cutPrefix(start kafka.Offset) epochs {
	n := sort.Search(len(e), func(i int) bool { return e[i].start > start })
	if n == 0 {
		return e
	}
	kept := slices.Clone(e[n-1:])
	kept[0].start = start
	return kept
}

// latest is the newest epoch, NoLeaderEpoch when there is none.
func (e epochs) latest() kafka.LeaderEpoch {
	if len(e) == 0 {
		return kafka.NoLeaderEpoch
	}
	return e[len(e)-1].epoch
}

// end answers Kafka's OffsetForLeaderEpoch in a log that ends at logEnd:
//
//	the latest epoch         that epoch, logEnd
//	an epoch above it        NoLeaderEpoch, NoOffset
//	below every known one    the epoch asked for, the start of the first known
//	otherwise                the largest known one at or below, the next one's start
func (e epochs) end(epoch kafka.LeaderEpoch, logEnd kafka.Offset) (kafka.LeaderEpoch, kafka.Offset) {
	if epoch < 0 || epoch > e.latest() {
		return kafka.NoLeaderEpoch, kafka.NoOffset
	}
	if epoch == e.latest() {
		return epoch, logEnd
	}
	higher := sort.Search(len(e), func(i int) bool { return e[i].epoch > epoch })
	if higher == 0 {
		return epoch, e[0].start
	}
	return e[higher-1].epoch, e[higher].start
}

// floor is the largest epoch at or below epoch, and where it ends: at the start of
// the next one or at logEnd. Where there is none: NoLeaderEpoch and the start of
// the first, or logEnd without any.
func (e epochs) floor(epoch kafka.LeaderEpoch, logEnd kafka.Offset) (kafka.LeaderEpoch, kafka.Offset) {
	higher := sort.Search(len(e), func(i int) bool { return e[i].epoch > epoch })
	end := logEnd
	if higher < len(e) {
		end = e[higher].start
	}
	if higher == 0 {
		return kafka.NoLeaderEpoch, end
	}
	return e[higher-1].epoch, end
}

// at is the epoch that offset was appended in.
func (e epochs) at(offset kafka.Offset) (kafka.LeaderEpoch, bool) {
	n := sort.Search(len(e), func(i int) bool { return e[i].start > offset })
	if n == 0 {
		return kafka.NoLeaderEpoch, false
	}
	return e[n-1].epoch, true
}

// epochsFileMax bounds the file that is believed, in bytes: a million entries.
const epochsFileMax = 32 << 20

// encode returns Kafka's leader-epoch-checkpoint file: version 0, the number of
// entries, and an entry a line.
func (e epochs) encode() []byte {
	out := fmt.Appendf(nil, "0\n%d\n", len(e))
	for _, s := range e {
		out = fmt.Appendf(out, "%d %d\n", s.epoch, s.start)
	}
	return out
}

// decodeEpochs reads what encode wrote. The error is a *CorruptionError without
// a file.
func decodeEpochs(b []byte) (epochs, error) {
	lines := bytes.Split(b, []byte("\n"))
	if len(lines) < 3 || string(lines[0]) != "0" || len(lines[len(lines)-1]) != 0 {
		return nil, corrupt("", 0, ErrContent, "not a version 0 checkpoint")
	}
	n, err := strconv.Atoi(string(lines[1]))
	if err != nil || n != len(lines)-3 {
		return nil, corrupt("", 2, ErrTruncated, "%q entries in %d lines", lines[1], len(lines)-3)
	}
	out := make(epochs, 0, n)
	for i, line := range lines[2 : 2+n] {
		epochText, startText, ok := bytes.Cut(line, []byte(" "))
		epoch, err1 := strconv.ParseInt(string(epochText), 10, 32)
		start, err2 := strconv.ParseInt(string(startText), 10, 64)
		s := epochStart{kafka.LeaderEpoch(epoch), kafka.Offset(start)}
		switch {
		case !ok || err1 != nil || err2 != nil || epoch < 0 || start < 0:
			return nil, corrupt("", 0, ErrContent, "line %d: %q", i+3, line)
		case i > 0 && (s.epoch <= out[i-1].epoch || s.start <= out[i-1].start):
			return nil, corrupt("", 0, ErrOrder, "line %d: %q", i+3, line)
		}
		out = append(out, s)
	}
	return out, nil
}
