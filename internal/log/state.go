package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path"

	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

const (
	stateMagic    = "HFst"
	stateBodySize = 16 + 4 + 4 + 8*3 + 4*4 + 8*4
	stateFileSize = sealSize + stateBodySize
)

// state is what the last checkpoint made durable, and what it knew of the active
// segment. It is written in place and synced, after everything that it speaks of:
// it fits a sector, which a disk writes as a whole. Create makes the file, so
// that a log without a readable one has been damaged.
type state struct {
	point    kafka.Offset // everything below is in synced segments
	base     kafka.Offset // of the active segment
	position int64        // of point in it
	// The index files hold at least so many entries, with this checksum.
	index, times       int32
	indexCRC, timesCRC uint32
	firstAppend        kafka.Timestamp
	lastAppend         kafka.Timestamp
	maxTimestamp       kafka.Timestamp
	maxLast            kafka.Offset // last offset of the batch with maxTimestamp
}

func (s state) encode(key journal.Key) []byte {
	return seal(stateMagic, func(dst []byte) []byte {
		dst = appendKey(dst, key)
		for _, v := range [...]int64{int64(s.point), int64(s.base), s.position} {
			dst = binary.BigEndian.AppendUint64(dst, uint64(v))
		}
		for _, v := range [...]uint32{uint32(s.index), uint32(s.times), s.indexCRC, s.timesCRC} {
			dst = binary.BigEndian.AppendUint32(dst, v)
		}
		for _, v := range [...]int64{int64(s.firstAppend), int64(s.lastAppend), int64(s.maxTimestamp), int64(s.maxLast)} {
			dst = binary.BigEndian.AppendUint64(dst, uint64(v))
		}
		return dst
	})
}

func decodeState(raw []byte) (state, journal.Key, error) {
	body, err := unseal(stateMagic, raw)
	if err != nil {
		return state{}, journal.Key{}, err
	}
	if len(body) != stateBodySize {
		return state{}, journal.Key{}, corrupt("", int64(len(raw)), ErrTruncated, "%d bytes", len(raw))
	}
	f := fields{body}
	key := f.key()
	s := state{point: kafka.Offset(f.i64()), base: kafka.Offset(f.i64()), position: f.i64(),
		index: int32(f.u32()), times: int32(f.u32()), indexCRC: f.u32(), timesCRC: f.u32(),
		firstAppend: kafka.Timestamp(f.i64()), lastAppend: kafka.Timestamp(f.i64()),
		maxTimestamp: kafka.Timestamp(f.i64()), maxLast: kafka.Offset(f.i64())}
	if s.base < 0 || s.point < s.base || s.position < 0 || s.index < 0 || s.times < 0 {
		return state{}, journal.Key{}, corrupt("", sealHeaderSize, ErrContent, "point %d in segment %d at %d", s.point, s.base, s.position)
	}
	return s, key, nil
}

// readState returns the note of the last checkpoint; ok is false where there is
// none that can be read. ErrNewerFormat is an error.
func readState(fsys vfs.FS, dir string, key journal.Key) (s state, ok bool, err error) {
	name := path.Join(dir, nameState)
	raw, err := vfs.ReadFile(fsys, name, smallFileMax)
	if err != nil {
		return state{}, false, nil
	}
	s, owner, err := decodeState(raw)
	if errors.Is(err, ErrNewerFormat) {
		return state{}, false, fmt.Errorf("read %s: %w", name, err)
	}
	return s, err == nil && owner == key, nil
}

// writeState replaces the note, durably. The directory entry is Create's matter.
func writeState(fsys vfs.FS, dir string, content []byte) error {
	f, err := fsys.OpenFile(path.Join(dir, nameState), vfs.Write|vfs.Create)
	if err != nil {
		return fmt.Errorf("write log state: %w", err)
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.SyncData()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write log state: %w", err)
	}
	return nil
}

// matches reports whether the first entries of the arrays are those that the
// checkpoint wrote, and returns them.
func (s state) matches(index []byte, times []byte) bool {
	n, m := int(s.index)*indexEntrySize, int(s.times)*timeIndexEntrySize
	return len(index) >= n && len(times) >= m &&
		crc32.Checksum(index[:n], castagnoli) == s.indexCRC && crc32.Checksum(times[:m], castagnoli) == s.timesCRC
}
