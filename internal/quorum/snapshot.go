package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"holdfast/internal/bin"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/vfs"
)

// A snapshot is an image with what Raft must know to go on from it:
//
//	+-------+---------+-------+------+-----------+---------+------------+---------+--------+
//	| magic | version | index | term | autoleave | members | 29 bytes   | records | crc32c |
//	| u32   | u32     | u64   | u64  | u8        | u32     | per member | meta    | u32    |
//	+-------+---------+-------+------+-----------+---------+------------+---------+--------+
//
// The file is named <index, 20 digits>-<term, 10 digits>.checkpoint, as Kafka
// names its own, and replaced as a whole.
const (
	snapshotMagic    = 0x48467331 // "HFs1"
	snapshotVersion  = 1
	snapshotHead     = 4 + 4 + 8 + 8 + 1 + 4
	snapshotBytesMax = 1 << 30
	membersMax       = 1 << 10
	snapshotSuffix   = ".checkpoint"
)

// snapshot is an image at an index.
type snapshot struct {
	index, term uint64
	membership  membership
	image       *meta.Image
}

func (s snapshot) encode() []byte {
	dst := binary.BigEndian.AppendUint32(nil, snapshotMagic)
	dst = binary.BigEndian.AppendUint32(dst, snapshotVersion)
	dst = binary.BigEndian.AppendUint64(dst, s.index)
	dst = binary.BigEndian.AppendUint64(dst, s.term)
	dst = bin.AppendBool(dst, s.membership.autoLeave)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(s.membership.members)))
	for _, x := range s.membership.members {
		dst = x.append(dst)
	}
	dst = meta.AppendRecords(dst, s.image.Records())
	return binary.BigEndian.AppendUint32(dst, bin.CRC32C(dst))
}

// decodeSnapshot reads what encode wrote. The position of an error is its index in b.
func decodeSnapshot(b []byte) (snapshot, error) {
	if len(b) < snapshotHead+4 {
		return snapshot{}, &CorruptionError{Position: int64(len(b)), Cause: errSize}
	}
	if binary.BigEndian.Uint32(b) != snapshotMagic {
		return snapshot{}, &CorruptionError{Cause: errMagic}
	}
	body := b[:len(b)-4]
	if bin.CRC32C(body) != binary.BigEndian.Uint32(b[len(body):]) {
		return snapshot{}, &CorruptionError{Position: int64(len(body)), Cause: errChecksum}
	}
	if v := binary.BigEndian.Uint32(b[4:]); v > snapshotVersion {
		return snapshot{}, &VersionError{Version: int(v), Known: snapshotVersion}
	}
	s := snapshot{index: binary.BigEndian.Uint64(b[8:]), term: binary.BigEndian.Uint64(b[16:])}
	s.membership.autoLeave = b[24] != 0
	n := int64(binary.BigEndian.Uint32(b[25:]))
	rest := body[snapshotHead:]
	if n > membersMax || n > int64(len(rest)/memberSize) || s.index == 0 || s.index > 1<<62 || b[24] > 1 {
		return snapshot{}, &CorruptionError{Position: 8, Cause: fmt.Errorf("index %d with %d members: %w", s.index, n, errValue)}
	}
	for range n {
		x, err := decodeMember(rest)
		if k := len(s.membership.members); err == nil && k > 0 && s.membership.members[k-1].raftID >= x.raftID {
			err = fmt.Errorf("member %x out of order: %w", x.raftID, errValue)
		}
		if err != nil {
			return snapshot{}, &CorruptionError{Position: snapshotHead, Cause: err}
		}
		s.membership.members = append(s.membership.members, x)
		rest = rest[memberSize:]
	}
	return s, s.decodeImage(rest)
}

func (s *snapshot) decodeImage(b []byte) error {
	records, err := meta.DecodeRecords(b)
	if err == nil {
		s.image, _, err = meta.Empty().Apply(kafka.Offset(s.index), records)
	}
	var newer *meta.VersionError
	if err == nil || errors.As(err, &newer) {
		return err
	}
	return &CorruptionError{Position: snapshotHead, Cause: err}
}

func snapshotName(index, term uint64) string {
	return fmt.Sprintf("%020d-%010d%s", index, term, snapshotSuffix)
}

func parseSnapshotName(name string) (index uint64, ok bool) {
	stem, ok := strings.CutSuffix(name, snapshotSuffix)
	first, second, split := strings.Cut(stem, "-")
	if !ok || !split || len(first) != 20 || len(second) != 10 {
		return 0, false
	}
	index, err1 := strconv.ParseUint(first, 10, 63)
	_, err2 := strconv.ParseUint(second, 10, 63)
	return index, err1 == nil && err2 == nil
}

// snapshotFiles lists the snapshots in dir, the newest last.
func snapshotFiles(fsys vfs.FS, dir string) ([]string, error) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list metadata snapshots: %w", err)
	}
	var names []string
	for _, e := range entries {
		if _, ok := parseSnapshotName(e.Name); ok && !e.IsDir {
			names = append(names, e.Name)
		}
	}
	slices.Sort(names) // the numbers have a fixed width
	return names, nil
}

// readSnapshot reads one file.
func readSnapshot(fsys vfs.FS, name string) (snapshot, error) {
	b, err := vfs.ReadFile(fsys, name, snapshotBytesMax)
	if err != nil {
		return snapshot{}, fmt.Errorf("read metadata snapshot: %w", err)
	}
	s, err := decodeSnapshot(b)
	var (
		damage *CorruptionError
		newer  *VersionError
	)
	switch {
	case errors.As(err, &damage):
		damage.File = name
	case errors.As(err, &newer):
		newer.File = name
	case err == nil && path.Base(name) != snapshotName(s.index, s.term):
		err = &CorruptionError{File: name, Cause: fmt.Errorf("holds index %d of term %d: %w", s.index, s.term, errValue)}
	}
	return s, err
}

// writeSnapshot makes s durable under its name and removes older ones.
func writeSnapshot(fsys vfs.FS, dir string, s snapshot, encoded []byte) error {
	name := snapshotName(s.index, s.term)
	if err := vfs.WriteFile(fsys, path.Join(dir, name), encoded); err != nil {
		err = fmt.Errorf("write metadata snapshot: %w", err)
		if errors.Is(err, vfs.ErrNoSpace) { // what was written of it takes space
			return errors.Join(err, fsys.Remove(path.Join(dir, name+".tmp")))
		}
		return err
	}
	names, err := snapshotFiles(fsys, dir)
	if err != nil {
		return err
	}
	for _, old := range names {
		if old >= name {
			continue
		}
		if err := fsys.Remove(path.Join(dir, old)); err != nil {
			return fmt.Errorf("remove old metadata snapshot: %w", err)
		}
	}
	return nil
}
