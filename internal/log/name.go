package log

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"holdfast/internal/kafka"
)

// Suffixes of files named after an offset, and names of the others. Those above
// the line are Kafka's, the others ours; Kafka's tools ignore them.
const (
	suffixLog       = ".log"
	suffixIndex     = ".index"
	suffixTimeIndex = ".timeindex"
	suffixSnapshot  = ".snapshot"
	suffixDeleted   = ".deleted" // added to a whole name
	nameEpochs      = "leader-epoch-checkpoint"
	namePartition   = "partition.metadata"

	suffixSidecar = ".sidecar"
	suffixWindow  = ".window"
	nameIdentity  = "holdfast.identity"
	nameBounds    = "holdfast.bounds"
	nameState     = "holdfast.state"
	suffixTmp     = ".tmp"
)

// offsetDigits is the width of the offset in a file name: every int64 fits.
const offsetDigits = 20

// fileName is the name, without directory, of the file with suffix for offset.
func fileName(offset kafka.Offset, suffix string) string {
	return fmt.Sprintf("%0*d%s", offsetDigits, int64(offset), suffix)
}

func filePath(dir string, offset kafka.Offset, suffix string) string {
	return path.Join(dir, fileName(offset, suffix))
}

// parseFileName splits a name that fileName made. ok is false for any other.
func parseFileName(name string) (offset kafka.Offset, suffix string, ok bool) {
	if len(name) <= offsetDigits || name[offsetDigits] != '.' {
		return 0, "", false
	}
	for _, c := range name[:offsetDigits] {
		if c < '0' || c > '9' {
			return 0, "", false
		}
	}
	n, err := strconv.ParseInt(name[:offsetDigits], 10, 64)
	if err != nil {
		return 0, "", false
	}
	suffix = name[offsetDigits:]
	switch suffix {
	case suffixLog, suffixIndex, suffixTimeIndex, suffixSnapshot, suffixSidecar, suffixWindow:
		return kafka.Offset(n), suffix, true
	}
	return 0, "", false
}

// segmentSuffixes are the files that live and die with a segment, the log last:
// whoever deletes them in this order never leaves a log without a trace that it
// was being deleted, because the durable log start says so already.
var segmentSuffixes = [...]string{suffixSidecar, suffixIndex, suffixTimeIndex, suffixLog}

// isLeftover reports whether name is a file that a crash left behind: half
// written or already deleted.
func isLeftover(name string) bool {
	return strings.HasSuffix(name, suffixTmp) || strings.HasSuffix(name, suffixDeleted)
}
