package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

const (
	boundsMagic    = "HFbo"
	boundsBodySize = 16 + 4 + 4 + 8 + 8 + 4
)

// bounds are the two decisions about the extent of a log that must be durable
// before anything follows from them.
type bounds struct {
	// start is the log start offset. Segments that end at or below it may be
	// missing.
	start kafka.Offset
	// cut is where a TruncateSuffix cut, NoOffset when none is remembered. Until
	// the recovery point of a later checkpoint is known to be stored, a stored one
	// may still speak of the bytes that are gone, so that a recovery point above
	// cut counts as cut.
	cut kafka.Offset
	// cutting: the cut is not finished. Nothing above cut is durable then, whoever
	// says so.
	cutting bool
}

func appendKey(dst []byte, key journal.Key) []byte {
	dst = append(dst, key.TopicID[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(key.Partition))
	return binary.BigEndian.AppendUint32(dst, key.Generation)
}

func (f *fields) key() journal.Key {
	return journal.Key{TopicID: kafka.TopicID(f.id()), Partition: kafka.PartitionIndex(f.u32()), Generation: f.u32()}
}

func (b bounds) encode(key journal.Key) []byte {
	return seal(boundsMagic, func(dst []byte) []byte {
		dst = appendKey(dst, key)
		dst = binary.BigEndian.AppendUint64(dst, uint64(b.start))
		dst = binary.BigEndian.AppendUint64(dst, uint64(b.cut))
		var flags uint32
		if b.cutting {
			flags = 1
		}
		return binary.BigEndian.AppendUint32(dst, flags)
	})
}

func decodeBounds(raw []byte) (bounds, journal.Key, error) {
	body, err := unseal(boundsMagic, raw)
	if err != nil {
		return bounds{}, journal.Key{}, err
	}
	if len(body) != boundsBodySize {
		return bounds{}, journal.Key{}, corrupt("", int64(len(raw)), ErrTruncated, "%d bytes", len(raw))
	}
	f := fields{body}
	key := f.key()
	b := bounds{start: kafka.Offset(f.i64()), cut: kafka.Offset(f.i64())}
	flags := f.u32()
	b.cutting = flags == 1
	if b.start < 0 || b.cut < kafka.NoOffset || flags > 1 || (b.cutting && b.cut == kafka.NoOffset) {
		return bounds{}, journal.Key{}, corrupt("", sealHeaderSize, ErrContent, "start %d, cut %d", b.start, b.cut)
	}
	return b, key, nil
}

// readBounds reads the file in dir. Where there is none, nothing was ever
// decided: the log starts at 0.
func readBounds(fsys vfs.FS, dir string, key journal.Key) (bounds, error) {
	name := path.Join(dir, nameBounds)
	raw, err := vfs.ReadFile(fsys, name, smallFileMax)
	if errors.Is(err, fs.ErrNotExist) {
		return bounds{start: 0, cut: kafka.NoOffset}, nil
	}
	if err != nil {
		return bounds{}, fmt.Errorf("read log start: %w", err)
	}
	b, owner, err := decodeBounds(raw)
	if err == nil && owner != key {
		err = corrupt("", sealHeaderSize, ErrForeign, "belongs to %v", owner)
	}
	if err != nil {
		return bounds{}, fmt.Errorf("read log start: %w", inFile(name, err))
	}
	return b, nil
}
