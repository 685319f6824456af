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

// smallFileMax bounds the small files that are believed, in bytes.
const smallFileMax = 64 << 10

const identityMagic = "HFid"

// identityBodySize is the fixed part: topic id, partition, generation, length of
// the topic's name.
const identityBodySize = 16 + 4 + 4 + 4

// Identity says whose log a directory holds. Its file is written first and
// never changed: where it is, Create was meant to succeed.
type Identity struct {
	Key   journal.Key
	Topic string
}

func (id Identity) encode() []byte {
	return seal(identityMagic, func(dst []byte) []byte {
		dst = append(dst, id.Key.TopicID[:]...)
		dst = binary.BigEndian.AppendUint32(dst, uint32(id.Key.Partition))
		dst = binary.BigEndian.AppendUint32(dst, id.Key.Generation)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(id.Topic)))
		return append(dst, id.Topic...)
	})
}

func decodeIdentity(b []byte) (Identity, error) {
	body, err := unseal(identityMagic, b)
	if err != nil {
		return Identity{}, err
	}
	if len(body) < identityBodySize {
		return Identity{}, corrupt("", int64(len(b)), ErrTruncated, "%d bytes", len(b))
	}
	f := fields{body}
	id := Identity{Key: journal.Key{TopicID: kafka.TopicID(f.id()), Partition: kafka.PartitionIndex(f.u32()), Generation: f.u32()}}
	if n := f.u32(); uint64(n) != uint64(len(f.b)) {
		return Identity{}, corrupt("", identityBodySize, ErrTruncated, "name of %d bytes in %d", n, len(f.b))
	}
	id.Topic = string(f.b)
	return id, nil
}

// ReadIdentity tells whose log the directory holds. ErrUnfinished: nobody's yet.
// ErrNewerFormat and *CorruptionError are final.
func ReadIdentity(fsys vfs.FS, dir string) (Identity, error) {
	name := path.Join(dir, nameIdentity)
	b, err := vfs.ReadFile(fsys, name, smallFileMax)
	if errors.Is(err, fs.ErrNotExist) {
		return Identity{}, fmt.Errorf("open log %s: %w", dir, ErrUnfinished)
	}
	if err != nil {
		return Identity{}, fmt.Errorf("open log %s: %w", dir, err)
	}
	id, err := decodeIdentity(b)
	if err != nil {
		return Identity{}, fmt.Errorf("open log %s: %w", dir, inFile(name, err))
	}
	return id, nil
}

// inFile names the file in a *CorruptionError that lacks it.
func inFile(name string, err error) error {
	if c, ok := errors.AsType[*CorruptionError](err); ok && c.File == "" {
		c.File = name
	}
	return err
}

// partitionMetadata is Kafka's partition.metadata, version 0.
func partitionMetadata(id kafka.TopicID) []byte {
	return fmt.Appendf(nil, "version: 0\ntopic_id: %s\n", id)
}
