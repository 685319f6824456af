package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"holdfast/internal/kafka"
)

// Key names one life of one log in this data directory.
type Key struct {
	TopicID    kafka.TopicID
	Partition  kafka.PartitionIndex
	Generation uint32
}

// Kind says what an entry means.
type Kind uint8

// The kinds of entries.
const (
	// Data carries the appended bytes.
	Data Kind = 1
	// Extent names bytes that were synced straight to their segment: their place
	// and checksum.
	Extent Kind = 2
	// Fence declares a part of the log dead: of every earlier entry of the key,
	// what is at or above Base. Base 0 is all of it. It precedes truncation,
	// deletion and moves.
	Fence Kind = 3
)

// Entry is one append (or fence) of one log.
type Entry struct {
	Kind          Kind
	Key           Key
	LeaderEpoch   kafka.LeaderEpoch
	Base, End     kafka.Offset // offsets [Base, End)
	SegmentBase   kafka.Offset // names the segment
	Position      int64        // of the first byte in the segment file
	Length        int64        // bytes
	Checksum      uint32       // CRC32C over these bytes
	HighWatermark kafka.Offset // of the partition when it was appended
	Payload       []byte       // the bytes themselves (Data only)
}

// entryFixed is the size of an entry without its payload, in bytes.
const entryFixed = 88

// errMalformed is wrapped by every decoding failure.
var errMalformed = errors.New("malformed entry")

// appendEntry encodes e; payload stands for e.Payload.
func appendEntry(dst []byte, e *Entry, payload []byte) []byte {
	dst = append(dst, byte(e.Kind), 0, 0, 0)
	dst = append(dst, e.Key.TopicID[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(e.Key.Partition))
	dst = binary.BigEndian.AppendUint32(dst, e.Key.Generation)
	dst = binary.BigEndian.AppendUint32(dst, uint32(e.LeaderEpoch))
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.Base))
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.End))
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.SegmentBase))
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.Position))
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.Length))
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.HighWatermark))
	dst = binary.BigEndian.AppendUint32(dst, e.Checksum)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(payload)))
	return append(dst, payload...)
}

// decodeEntry reads one entry and returns what follows it. The payload is a
// part of b.
func decodeEntry(b []byte) (Entry, []byte, error) {
	if len(b) < entryFixed {
		return Entry{}, nil, fmt.Errorf("%w: %d bytes left", errMalformed, len(b))
	}
	u32 := func(at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
	i64 := func(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
	e := Entry{
		Kind: Kind(b[0]), LeaderEpoch: kafka.LeaderEpoch(u32(28)), Base: kafka.Offset(i64(32)), End: kafka.Offset(i64(40)),
		SegmentBase: kafka.Offset(i64(48)), Position: i64(56), Length: i64(64), HighWatermark: kafka.Offset(i64(72)), Checksum: u32(80),
	}
	copy(e.Key.TopicID[:], b[4:20])
	e.Key.Partition, e.Key.Generation = kafka.PartitionIndex(u32(20)), u32(24)
	size := int64(u32(84))
	if size > int64(len(b)-entryFixed) {
		return Entry{}, nil, fmt.Errorf("%w: payload of %d bytes, %d left", errMalformed, size, len(b)-entryFixed)
	}
	if err := e.check(size); err != nil {
		return Entry{}, nil, err
	}
	rest := b[entryFixed+size:]
	if e.Kind == Data {
		e.Payload = b[entryFixed : entryFixed+size : entryFixed+size]
	}
	return e, rest, nil
}

// check refuses what Commit never writes.
func (e *Entry) check(payload int64) error {
	switch {
	case e.Kind < Data || e.Kind > Fence:
		return fmt.Errorf("%w: kind %d", errMalformed, e.Kind)
	case e.Base < 0 || e.SegmentBase < 0 || e.Position < 0 || e.Length < 0 || e.Key.Partition < 0:
		return fmt.Errorf("%w: negative place", errMalformed)
	case e.Position > math.MaxInt64-e.Length:
		return fmt.Errorf("%w: %d bytes at %d", errMalformed, e.Length, e.Position)
	case e.Kind != Fence && e.End <= e.Base:
		return fmt.Errorf("%w: offsets [%d, %d)", errMalformed, e.Base, e.End)
	case e.Kind == Data && payload != e.Length, e.Kind != Data && payload != 0:
		return fmt.Errorf("%w: payload of %d bytes for a length of %d", errMalformed, payload, e.Length)
	}
	return nil
}
