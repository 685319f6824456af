package kafka

import (
	"encoding/base64"
	"fmt"
)

// BrokerID names a broker for life (node.id). Valid ids are 0 and above;
// NoBroker means "none".
type BrokerID int32

// NoBroker is the wire's "no broker" or "an ordinary consumer".
const NoBroker BrokerID = -1

// BrokerEpoch names one incarnation of a broker: the metadata offset of its
// registration record (KIP-631, KIP-903). It grows with every registration.
type BrokerEpoch int64

// PartitionIndex numbers the partitions of a topic from 0.
type PartitionIndex int32

// APIKey is the number of a request kind on the wire.
type APIKey int16

// UUID is a 128-bit identity in Kafka's own text form: base64url without
// padding, 22 characters (KIP-516).
type UUID [16]byte

// TopicID names one life of a topic: a topic that is deleted and created again
// under the same name has another id.
type TopicID UUID

// ClusterID names a cluster. Its text form is that of a UUID.
type ClusterID UUID

// DirectoryID names one life of a data directory (KIP-858).
type DirectoryID UUID

// IsZero reports whether u is all zeroes, which no real identity is.
func (u UUID) IsZero() bool { return u == UUID{} }

// String returns the 22-character base64url text of u.
func (u UUID) String() string { return base64.RawURLEncoding.EncodeToString(u[:]) }

// NewUUID draws a random UUID of version 4 whose text does not begin with a dash,
// which would look like a flag on a command line. As Kafka's, it is not zero.
func NewUUID(r interface{ Read([]byte) }) UUID {
	for {
		var u UUID
		r.Read(u[:])
		u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
		if u.String()[0] != '-' {
			return u
		}
	}
}

// ParseUUID reads the text form that String writes.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return u, fmt.Errorf("parse uuid %q: %w", s, err)
	}
	if len(b) != len(u) {
		return u, fmt.Errorf("parse uuid %q: %d bytes, want %d", s, len(b), len(u))
	}
	copy(u[:], b)
	return u, nil
}

// IsZero reports whether the id is unset.
func (t TopicID) IsZero() bool { return t == TopicID{} }

// String returns the text form of a UUID.
func (t TopicID) String() string { return UUID(t).String() }

// IsZero reports whether the id is unset.
func (c ClusterID) IsZero() bool { return c == ClusterID{} }

// String returns the text form of a UUID.
func (c ClusterID) String() string { return UUID(c).String() }

// IsZero reports whether the id is unset.
func (d DirectoryID) IsZero() bool { return d == DirectoryID{} }

// String returns the text form of a UUID.
func (d DirectoryID) String() string { return UUID(d).String() }

// TopicPartition names a partition by the topic's name.
type TopicPartition struct {
	Topic     string
	Partition PartitionIndex
}

// String is the directory name that Kafka gives the partition: topic-0.
func (tp TopicPartition) String() string { return fmt.Sprintf("%s-%d", tp.Topic, tp.Partition) }

// TopicIDPartition names a partition by the topic's id, which a deletion and
// re-creation of the topic changes.
type TopicIDPartition struct {
	TopicID   TopicID
	Partition PartitionIndex
}

// String is the id's text and the index.
func (tp TopicIDPartition) String() string { return fmt.Sprintf("%s-%d", tp.TopicID, tp.Partition) }

// Principal is who stands behind a connection. Until authentication exists it
// is always Anonymous, but every request carries one from the first day.
type Principal string

// Anonymous is the principal of an unauthenticated connection.
const Anonymous Principal = "User:ANONYMOUS"
