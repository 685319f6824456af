package meta

import (
	"fmt"
	"math"

	"holdfast/internal/bin"
	"holdfast/internal/kafka"
)

// Each record stands in a frame:
//
//	+--------+------+---------+-----------------+
//	| length | kind | version | body            |
//	| uvar   | u16  | u8      | length-3 bytes  |
//	+--------+------+---------+-----------------+
//
// and a list of records is its count and the frames:
//
//	+-------+---------+---------+----
//	| count | frame 0 | frame 1 | ...
//	| uvar  |         |         |
//	+-------+---------+---------+----
//
// docs/format/metadata.md has the bodies. Every kind has its own version; version
// 1 is the first. The frame's length is there for tools that skip what they do
// not know; this program never skips: an unknown kind or version is a fact that
// it would be missing.

const frameHead = 3 // kind and version

// versions holds the newest known version of each kind.
var versions = map[Kind]uint8{
	KindCluster: 1, KindFeatureLevel: 1, KindBroker: 2, KindTopic: 1, KindPartition: 2,
	KindPartitionChange: 2, KindRemoveTopic: 1, KindConfig: 1, KindProducerIDs: 1, KindRemoveBroker: 1,
}

// Bounds of what a record may hold. Decide stays below them; a decoder that sees
// more has seen damage.
const (
	replicasMax    = 1 << 10
	directoriesMax = 1 << 10
	endpointsMax   = 1 << 8
	textMax        = 1 << 15 // names, hosts, racks, keys
	valueMax       = 1 << 20 // configuration values
)

// AppendRecords appends the encoding of a list of records to dst.
func AppendRecords(dst []byte, records []Record) []byte {
	dst = bin.AppendUvarint(dst, uint32(len(records)))
	for _, r := range records {
		mark := len(dst)
		dst = bin.AppendUint16(dst, uint16(r.Kind()))
		dst = append(dst, r.version())
		dst = bin.CloseTag(r.body(dst), mark)
	}
	return dst
}

// DecodeRecords reads what AppendRecords wrote; all of b must be used up. The
// error is a *VersionError for what a newer version has written, otherwise a
// *CorruptionError. The records keep nothing of b.
func DecodeRecords(b []byte) ([]Record, error) {
	r := bin.NewReader(b)
	// A record in memory is larger than its bytes; the factor is that of a
	// partition change, which is the worst.
	r.Limit(1<<16 + 128*len(b))
	n := r.Uvarint()
	if r.OK() && int64(n) > int64(r.Left()/(frameHead+1)) {
		r.Fail(bin.ErrCount) // the only bound: the snapshot of a large cluster has millions
	}
	if !r.OK() {
		return nil, &CorruptionError{Position: r.Position(), Cause: r.Err()}
	}
	records := make([]Record, 0, n)
	for range n {
		rec, err := decodeFrame(&r)
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
	}
	if err := r.Done(); err != nil {
		return nil, &CorruptionError{Position: r.Position(), Cause: err}
	}
	return records, nil
}

func decodeFrame(r *bin.Reader) (Record, error) {
	at := r.Position()
	n := r.Uvarint()
	if r.OK() && n < frameHead {
		r.Fail(errFrame)
	}
	if r.OK() && int64(n) > int64(r.Left()) {
		r.Fail(bin.ErrShort)
	}
	left := r.Left() - int(n)
	kind, version := Kind(r.Uint16()), uint8(r.Int8())
	if !r.OK() {
		return nil, &CorruptionError{Position: at, Cause: r.Err()}
	}
	known, ok := versions[kind]
	switch {
	case !ok:
		return nil, &VersionError{What: "record kind", Version: int(kind)}
	case version > known:
		return nil, &VersionError{What: kind.String() + " record", Version: int(version), Known: int(known)}
	case version == 0:
		return nil, &CorruptionError{Position: at, Cause: fmt.Errorf("%s record of version 0: %w", kind, errValue)}
	}
	rec := decodeBody(kind, version, r)
	if r.OK() && r.Left() != left {
		r.Fail(errFrame)
	}
	if !r.OK() {
		return nil, &CorruptionError{Position: at, Cause: fmt.Errorf("%s record: %w", kind, r.Err())}
	}
	return rec, nil
}

func decodeBody(kind Kind, version uint8, r *bin.Reader) Record {
	switch kind {
	case KindCluster:
		return &Cluster{ID: kafka.ClusterID(r.UUID()), FeatureLevel: FeatureLevel(r.Uint16())}
	case KindFeatureLevel:
		return &FeatureLevelRecord{Level: FeatureLevel(r.Uint16())}
	case KindBroker:
		return decodeBroker(version, r)
	case KindTopic:
		return &TopicRecord{ID: kafka.TopicID(r.UUID()), Name: text(r, textMax)}
	case KindPartition:
		return decodePartition(version, r)
	case KindPartitionChange:
		return decodePartitionChange(version, r)
	case KindRemoveTopic:
		return &RemoveTopic{ID: kafka.TopicID(r.UUID())}
	case KindConfig:
		return decodeConfig(r)
	case KindRemoveBroker:
		return &RemoveBroker{ID: kafka.BrokerID(bounded(r, math.MaxInt32))}
	default: // KindProducerIDs; decodeFrame let nothing else pass
		return &ProducerIDs{Next: kafka.ProducerID(natural(r)), Broker: kafka.BrokerID(r.Varint()), Epoch: kafka.BrokerEpoch(r.Varlong())}
	}
}

func (*Cluster) version() uint8            { return 1 }
func (*FeatureLevelRecord) version() uint8 { return 1 }
func (*TopicRecord) version() uint8        { return 1 }
func (*RemoveTopic) version() uint8        { return 1 }
func (*Config) version() uint8             { return 1 }
func (*ProducerIDs) version() uint8        { return 1 }
func (*RemoveBroker) version() uint8       { return 1 }

func (b *Broker) version() uint8 {
	if b.ShuttingDown || b.Features > 0 {
		return 2
	}
	return 1
}

func (c *Cluster) body(dst []byte) []byte {
	return bin.AppendUint16(bin.AppendUUID(dst, c.ID), uint16(c.FeatureLevel))
}

func (f *FeatureLevelRecord) body(dst []byte) []byte { return bin.AppendUint16(dst, uint16(f.Level)) }

func (b *Broker) body(dst []byte) []byte {
	dst = bin.AppendVarint(dst, int32(b.ID))
	dst = bin.AppendVarlong(dst, int64(b.Epoch))
	dst = bin.AppendUUID(dst, b.Incarnation)
	dst = bin.AppendUvarlong(dst, b.Starts)
	dst = appendDirectories(dst, b.Directories)
	dst = bin.AppendUvarint(dst, uint32(len(b.Endpoints)))
	for _, e := range b.Endpoints {
		dst = bin.AppendString(dst, e.Listener, true)
		dst = bin.AppendString(dst, e.Host, true)
		dst = bin.AppendUvarint(dst, uint32(e.Port))
	}
	dst = bin.AppendString(dst, b.Rack, true)
	dst = bin.AppendBool(dst, b.Fenced)
	if b.version() >= 2 {
		dst = bin.AppendBool(dst, b.ShuttingDown)
		dst = bin.AppendUint16(dst, uint16(b.Features))
	}
	return dst
}

func decodeBroker(version uint8, r *bin.Reader) *Broker {
	b := &Broker{ID: kafka.BrokerID(r.Varint()), Epoch: kafka.BrokerEpoch(r.Varlong()), Incarnation: r.UUID(), Starts: r.Uvarlong()}
	b.Directories = decodeDirectories(r)
	n := count(r, endpointsMax, 3)
	for range n {
		b.Endpoints = append(b.Endpoints, Endpoint{Listener: text(r, textMax), Host: text(r, textMax), Port: int32(bounded(r, math.MaxUint16))})
	}
	b.Rack = text(r, textMax)
	b.Fenced = flag(r)
	if version >= 2 {
		b.ShuttingDown = flag(r)
		b.Features = FeatureLevel(r.Uint16())
	}
	return b
}

func (b *RemoveBroker) body(dst []byte) []byte { return bin.AppendUvarint(dst, uint32(b.ID)) }

func (t *TopicRecord) body(dst []byte) []byte {
	return bin.AppendString(bin.AppendUUID(dst, t.ID), t.Name, true)
}

func (t *RemoveTopic) body(dst []byte) []byte { return bin.AppendUUID(dst, t.ID) }

func (c *Config) body(dst []byte) []byte {
	dst = bin.AppendInt8(dst, int8(c.Resource.Type))
	dst = bin.AppendString(dst, c.Resource.Name, true)
	dst = bin.AppendString(dst, c.Key, true)
	return bin.AppendNullableString(dst, c.Value, true)
}

func decodeConfig(r *bin.Reader) *Config {
	c := &Config{Resource: Resource{Type: ResourceType(r.Int8()), Name: text(r, textMax)}, Key: text(r, textMax)}
	if t := c.Resource.Type; r.OK() && t != ResourceTopic && t != ResourceBroker {
		r.Fail(fmt.Errorf("resource type %d: %w", t, errValue))
	}
	c.Value = r.NullableString(true)
	if c.Value != nil && len(*c.Value) > valueMax {
		r.Fail(errValue)
	}
	return c
}

func (p *ProducerIDs) body(dst []byte) []byte {
	dst = bin.AppendUvarlong(dst, uint64(p.Next))
	dst = bin.AppendVarint(dst, int32(p.Broker))
	return bin.AppendVarlong(dst, int64(p.Epoch))
}

// The rest of the file reads values and refuses those that no record may have. A
// number may be written with more bytes than it needs; nobody compares bytes.

func text(r *bin.Reader, most int) string {
	s := r.String(true)
	if len(s) > most {
		r.Fail(fmt.Errorf("text of %d bytes: %w", len(s), errValue))
		return ""
	}
	return s
}

func flag(r *bin.Reader) bool {
	v := r.Int8()
	if r.OK() && v != 0 && v != 1 {
		r.Fail(fmt.Errorf("flag %d: %w", v, errValue))
	}
	return v == 1
}

// bounded reads a number from 0 to most.
func bounded(r *bin.Reader, most uint32) uint32 {
	v := r.Uvarint()
	if r.OK() && v > most {
		r.Fail(fmt.Errorf("%d above %d: %w", v, most, errValue))
		return 0
	}
	return v
}

// natural reads a number from 0 to the largest int64.
func natural(r *bin.Reader) int64 {
	v := r.Uvarlong()
	if r.OK() && v > math.MaxInt64 {
		r.Fail(errValue)
		return 0
	}
	return int64(v)
}

// count reads a number of elements of at least least bytes.
func count(r *bin.Reader, most uint32, least int) int {
	n := int(bounded(r, most))
	if r.OK() && n > r.Left()/least {
		r.Fail(bin.ErrCount)
		return 0
	}
	return n
}

func appendDirectories(dst []byte, ids []kafka.DirectoryID) []byte {
	dst = bin.AppendUvarint(dst, uint32(len(ids)))
	for _, id := range ids {
		dst = bin.AppendUUID(dst, id)
	}
	return dst
}

func decodeDirectories(r *bin.Reader) []kafka.DirectoryID {
	n := count(r, directoriesMax, 16)
	if n == 0 {
		return nil
	}
	ids := make([]kafka.DirectoryID, n)
	for i := range ids {
		ids[i] = kafka.DirectoryID(r.UUID())
	}
	return ids
}
