package datadir

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"holdfast/internal/bin"
	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// pointsName is the file that recovery goes by. Kafka's files beside it say the
// same, without a checksum and by topic name; they are written for people and
// tools and never read.
const (
	pointsName    = "holdfast.points"
	pointsMax     = 64 << 20 // bytes that are believed
	pointsVersion = 1

	recoveryName = "recovery-point-offset-checkpoint"
	startName    = "log-start-offset-checkpoint"
	highName     = "replication-offset-checkpoint"
)

// points are what is remembered of a log between two starts.
type points struct {
	recovery kafka.Offset // everything below is in synced segments
	high     kafka.Offset // a high watermark that was reached
}

var errPoints = errors.New("damaged")

func encodePoints(all map[journal.Key]points) []byte {
	keys := make([]journal.Key, 0, len(all))
	for k := range all {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b journal.Key) int {
		return cmp.Or(bytes.Compare(a.TopicID[:], b.TopicID[:]), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Generation, b.Generation))
	})
	b := fmt.Appendf(nil, "version=%d\nlogs=%d\n", pointsVersion, len(keys))
	for _, k := range keys {
		b = fmt.Appendf(b, "%s %d %d %d %d\n", k.TopicID, k.Partition, k.Generation, all[k].recovery, all[k].high)
	}
	return fmt.Appendf(b, "checksum=%08x\n", bin.CRC32C(b))
}

// decodePoints reads what encodePoints wrote. ErrNewer is final; any other error
// costs the next recovery time and nothing else.
func decodePoints(b []byte) (map[journal.Key]points, error) {
	head, _, _ := strings.Cut(string(b[:min(len(b), 64)]), "\n")
	version, err := strconv.Atoi(strings.TrimPrefix(head, "version="))
	if err != nil {
		return nil, fmt.Errorf("%w: no version", errPoints)
	}
	if version > pointsVersion {
		return nil, fmt.Errorf("format %d: %w", version, ErrNewer)
	}
	at := bytes.LastIndex(b, []byte("checksum="))
	if at < 0 || string(b[at:]) != fmt.Sprintf("checksum=%08x\n", bin.CRC32C(b[:at])) {
		return nil, fmt.Errorf("%w: checksum", errPoints)
	}
	lines := strings.Split(strings.TrimSuffix(string(b[:at]), "\n"), "\n")
	if len(lines) < 2 || lines[1] != fmt.Sprintf("logs=%d", len(lines)-2) {
		return nil, fmt.Errorf("%w: number of logs", errPoints)
	}
	all := make(map[journal.Key]points, len(lines)-2)
	for _, line := range lines[2:] {
		key, p, err := decodePoint(line)
		if err != nil {
			return nil, fmt.Errorf("%w: line %.80q: %w", errPoints, line, err)
		}
		all[key] = p
	}
	return all, nil
}

func decodePoint(line string) (journal.Key, points, error) {
	fields := strings.Split(line, " ")
	if len(fields) != 5 {
		return journal.Key{}, points{}, fmt.Errorf("%d fields", len(fields))
	}
	id, err1 := kafka.ParseUUID(fields[0])
	partition, err2 := strconv.ParseInt(fields[1], 10, 32)
	generation, err3 := strconv.ParseUint(fields[2], 10, 32)
	recovery, err4 := strconv.ParseInt(fields[3], 10, 64)
	high, err5 := strconv.ParseInt(fields[4], 10, 64)
	key := journal.Key{TopicID: kafka.TopicID(id), Partition: kafka.PartitionIndex(partition), Generation: uint32(generation)}
	return key, points{recovery: kafka.Offset(recovery), high: kafka.Offset(high)}, errors.Join(err1, err2, err3, err4, err5)
}

// loadPoints reads the file. Where it is missing or damaged, recovery starts at
// the log's own notes, or at the start.
func (d *Dir) loadPoints() error {
	d.mu.points = make(map[journal.Key]points)
	name := path.Join(d.o.Dir, pointsName)
	b, err := vfs.ReadFile(d.o.Env.FS, name, pointsMax)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	all, err := decodePoints(b)
	switch {
	case errors.Is(err, ErrNewer):
		return fmt.Errorf("data directory %s: %s: %w", d.o.Dir, pointsName, err)
	case err != nil:
		d.o.Log.Warn("recovery points are unusable; recovery reads more", "file", name, "error", err)
	default:
		d.mu.points = all
	}
	return nil
}

// storePoints makes the recovery points durable when they have changed. It
// returns false when it could not. Callers take turns, so that what is stored last
// is what was true last.
func (d *Dir) storePoints() bool {
	d.pointsTurn <- struct{}{}
	defer func() { <-d.pointsTurn }()
	d.mu.Lock()
	if !d.mu.pointsChanged {
		d.mu.Unlock()
		return true
	}
	d.mu.pointsChanged = false
	content := encodePoints(d.mu.points)
	forgotten := maps.Clone(d.mu.forgotten)
	d.mu.Unlock()
	if d.Err() != nil {
		return false
	}
	err := vfs.WriteFile(d.o.Env.FS, path.Join(d.o.Dir, pointsName), content)
	d.mu.Lock()
	d.mu.pointsChanged = d.mu.pointsChanged || err != nil
	for key, number := range forgotten {
		if err == nil && d.mu.forgotten[key] == number {
			delete(d.mu.forgotten, key)
		}
	}
	d.mu.Unlock()
	if err == nil {
		return true
	}
	d.writeFailed("recovery points", err)
	return false
}

// writeFailed judges a failed write of a small file, of which the old content is
// still there. A full disk, or a file that could not even be opened (no
// descriptor is left), is no reason to stop; a failed write or sync is.
func (d *Dir) writeFailed(what string, err error) {
	if errors.Is(err, vfs.ErrNoSpace) {
		d.o.Log.Warn("the disk is full; "+what+" will be written later", "dir", d.o.Dir, "error", err)
		d.lookSoon()
		return
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok && e.Op == "open" {
		d.o.Log.Warn(what+" cannot be opened; they will be written later", "dir", d.o.Dir, "error", err)
		return
	}
	d.stop(fmt.Errorf("write %s: %w", what, err))
}

// exportPoints writes Kafka's three files.
func (d *Dir) exportPoints() {
	type row struct {
		topic     string
		partition kafka.PartitionIndex
		offsets   [3]kafka.Offset
	}
	d.mu.Lock()
	rows := make([]row, 0, len(d.mu.logs))
	for l, s := range d.mu.logs {
		p := d.mu.points[s.key]
		rows = append(rows, row{l.Topic(), s.key.Partition, [3]kafka.Offset{p.recovery, l.Start(), max(p.high, s.high)}})
	}
	d.mu.Unlock()
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	for i, name := range [...]string{recoveryName, startName, highName} {
		b := fmt.Appendf(nil, "0\n%d\n", len(rows))
		for _, r := range rows {
			b = fmt.Appendf(b, "%s %d %d\n", r.topic, r.partition, r.offsets[i])
		}
		if bytes.Equal(b, d.exported[i]) {
			continue
		}
		if err := vfs.WriteFile(d.o.Env.FS, path.Join(d.o.Dir, name), b); err != nil {
			d.writeFailed(name, err)
			return
		}
		d.exported[i] = b
	}
}

// HighWatermark is the largest high watermark of an open log that its appends,
// or an earlier start, have told; 0 where none is known.
func (d *Dir) HighWatermark(key journal.Key) kafka.Offset {
	d.mu.Lock()
	defer d.mu.Unlock()
	high := d.mu.points[key].high
	if s := d.mu.byKey[key]; s != nil {
		high = max(high, s.high)
	}
	return max(high, 0)
}
