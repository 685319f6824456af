package group

import (
	"fmt"

	"holdfast/internal/bin"
	"holdfast/internal/kafka"
)

// The kinds of records, by the version that their key starts with. Whatever else
// is found belongs to a protocol that this machine does not speak.
const (
	keyOffsetOld  = 0  // OffsetCommitKey, version 0: the same fields
	keyOffset     = 1  // OffsetCommitKey, version 1
	keyGroup      = 2  // GroupMetadataKey
	valueNewest   = 4  // of both values; 4 is the first flexible version
	valueExpiring = 1  // of OffsetCommitValue: the one that has an expiry
	groupValue    = 3  // what we write, as Kafka 4 does
	offsetValue   = 4  // what we write, as Kafka 4 does since it keeps topic ids
	tagTopicID    = 0  // of OffsetCommitValue, version 4
	leastMember   = 18 // bytes of a member, version 0
	leastCompact  = 15 // the same, flexible
)

// CorruptionError is a record of __consumer_offsets that cannot be what any
// version of Kafka or we have written.
type CorruptionError struct {
	What  string // "key", "offset value", "group value"
	Cause error
}

func (e *CorruptionError) Error() string {
	return fmt.Sprintf("replay consumer offsets: damaged %s: %v", e.What, e.Cause)
}

func (e *CorruptionError) Unwrap() error { return e.Cause }

// key is a decoded key. known is false for kinds that are skipped.
type key struct {
	known     bool
	offset    bool // an offset's key; otherwise a group's
	group     string
	topic     string
	partition kafka.PartitionIndex
}

func decodeKey(b []byte) (key, error) {
	r := bin.NewReader(b)
	version := r.Int16()
	if r.OK() && (version < keyOffsetOld || version > keyGroup) {
		return key{}, nil
	}
	k := key{known: true, group: r.String(false)}
	if version != keyGroup {
		k.offset = true
		k.topic = r.String(false)
		k.partition = kafka.PartitionIndex(r.Int32())
	}
	if err := r.Done(); err != nil {
		return key{}, &CorruptionError{What: "key", Cause: err}
	}
	return k, nil
}

func encodeGroupKey(group string) []byte {
	dst := make([]byte, 0, 4+len(group))
	dst = bin.AppendInt16(dst, keyGroup)
	return bin.AppendString(dst, group, false)
}

func encodeOffsetKey(group string, tp kafka.TopicPartition) []byte {
	dst := make([]byte, 0, 10+len(group)+len(tp.Topic))
	dst = bin.AppendInt16(dst, keyOffset)
	dst = bin.AppendString(dst, group, false)
	dst = bin.AppendString(dst, tp.Topic, false)
	return bin.AppendInt32(dst, int32(tp.Partition))
}

// committed is an offset as it stands in the log.
type committed struct {
	offset      kafka.Offset
	leaderEpoch kafka.LeaderEpoch
	metadata    string
	at          kafka.Timestamp
	expires     kafka.Timestamp // NoTimestamp: by the broker's retention
	topicID     kafka.TopicID
}

func encodeOffset(c committed) []byte {
	version := int16(offsetValue)
	if c.expires != kafka.NoTimestamp {
		version = valueExpiring
	}
	flexible := version >= 4
	dst := make([]byte, 0, 48+len(c.metadata))
	dst = bin.AppendInt16(dst, version)
	dst = bin.AppendInt64(dst, int64(c.offset))
	if version >= 3 {
		dst = bin.AppendInt32(dst, int32(c.leaderEpoch))
	}
	dst = bin.AppendString(dst, c.metadata, flexible)
	dst = bin.AppendInt64(dst, int64(c.at))
	if version == valueExpiring {
		return bin.AppendInt64(dst, int64(c.expires))
	}
	if c.topicID.IsZero() {
		return bin.AppendUvarint(dst, 0)
	}
	dst = bin.AppendUvarint(dst, 1)
	dst = bin.AppendUvarint(dst, tagTopicID)
	dst = bin.AppendUvarint(dst, uint32(len(c.topicID)))
	return bin.AppendUUID(dst, c.topicID)
}

// decodeOffset reports known=false for a version that is newer than ours.
func decodeOffset(b []byte) (c committed, known bool, err error) {
	r := bin.NewReader(b)
	version := r.Int16()
	if r.OK() && (version < 0 || version > valueNewest) {
		return committed{}, false, nil
	}
	flexible := version >= 4
	c = committed{leaderEpoch: kafka.NoLeaderEpoch, expires: kafka.NoTimestamp}
	c.offset = kafka.Offset(r.Int64())
	if version >= 3 {
		c.leaderEpoch = kafka.LeaderEpoch(r.Int32())
	}
	c.metadata = r.String(flexible)
	c.at = kafka.Timestamp(r.Int64())
	if version == valueExpiring {
		c.expires = kafka.Timestamp(r.Int64())
	}
	if flexible {
		readOffsetTags(&r, &c)
	}
	if err := r.Done(); err != nil {
		return committed{}, false, &CorruptionError{What: "offset value", Cause: err}
	}
	return c, true, nil
}

func readOffsetTags(r *bin.Reader, c *committed) {
	last := int64(-1)
	for n := r.TagCount(); n > 0 && r.OK(); n-- {
		tag, rest := r.OpenTag(last)
		if tag == tagTopicID {
			c.topicID = r.UUID()
			r.CloseTag(rest)
		} else {
			r.SkipTag(rest)
		}
		last = tag
	}
}

// saved is a group as it stands in the log.
type saved struct {
	protocolType string
	generation   int32
	protocol     *string
	leader       *string
	since        kafka.Timestamp // when the state began; NoTimestamp in old records
	members      []savedMember
}

type savedMember struct {
	id               string
	instance         *string
	clientID, host   string
	rebalanceTimeout int32 // ms; -1: as the session
	sessionTimeout   int32 // ms
	subscription     []byte
	assignment       []byte
}

func encodeGroup(s *saved) []byte {
	size := 64 + len(s.protocolType)
	for i := range s.members {
		m := &s.members[i]
		size += 48 + len(m.id) + len(m.clientID) + len(m.host) + len(m.subscription) + len(m.assignment)
	}
	dst := make([]byte, 0, size)
	dst = bin.AppendInt16(dst, groupValue)
	dst = bin.AppendString(dst, s.protocolType, false)
	dst = bin.AppendInt32(dst, s.generation)
	dst = bin.AppendNullableString(dst, s.protocol, false)
	dst = bin.AppendNullableString(dst, s.leader, false)
	dst = bin.AppendInt64(dst, int64(s.since))
	dst = bin.AppendCount(dst, len(s.members), false)
	for i := range s.members {
		m := &s.members[i]
		dst = bin.AppendString(dst, m.id, false)
		dst = bin.AppendNullableString(dst, m.instance, false)
		dst = bin.AppendString(dst, m.clientID, false)
		dst = bin.AppendString(dst, m.host, false)
		dst = bin.AppendInt32(dst, m.rebalanceTimeout)
		dst = bin.AppendInt32(dst, m.sessionTimeout)
		dst = bin.AppendBytes(dst, m.subscription, false)
		dst = bin.AppendBytes(dst, m.assignment, false)
	}
	return dst
}

// decodeGroup reports known=false for a version that is newer than ours. What it
// returns shares no memory with b.
func decodeGroup(b []byte) (s saved, known bool, err error) {
	r := bin.NewReader(b)
	version := r.Int16()
	if r.OK() && (version < 0 || version > valueNewest) {
		return saved{}, false, nil
	}
	flexible := version >= 4
	s = saved{since: kafka.NoTimestamp}
	s.protocolType = r.String(flexible)
	s.generation = r.Int32()
	s.protocol = r.NullableString(flexible)
	s.leader = r.NullableString(flexible)
	if version >= 2 {
		s.since = kafka.Timestamp(r.Int64())
	}
	least := leastMember
	if flexible {
		least = leastCompact
	}
	n := r.Count(flexible, least)
	for i := 0; i < n && r.OK(); i++ {
		s.members = append(s.members, decodeMember(&r, version))
	}
	if flexible {
		r.SkipTags()
	}
	if err := r.Done(); err != nil {
		return saved{}, false, &CorruptionError{What: "group value", Cause: err}
	}
	return s, true, nil
}

func decodeMember(r *bin.Reader, version int16) savedMember {
	flexible := version >= 4
	m := savedMember{rebalanceTimeout: -1}
	m.id = r.String(flexible)
	if version >= 3 {
		m.instance = r.NullableString(flexible)
	}
	m.clientID = r.String(flexible)
	m.host = r.String(flexible)
	if version >= 1 {
		m.rebalanceTimeout = r.Int32()
	}
	m.sessionTimeout = r.Int32()
	m.subscription = append([]byte(nil), r.Bytes(flexible)...)
	m.assignment = append([]byte(nil), r.Bytes(flexible)...)
	if flexible {
		r.SkipTags()
	}
	return m
}
