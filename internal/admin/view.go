package admin

import (
	"time"

	"holdfast/internal/kafka"
)

// View is a picture of one broker at one moment.
type View struct {
	Broker      kafka.BrokerID
	ClusterID   string
	Version     string
	Started     time.Time
	Checks      []Check
	Fenced      bool // it may not lead, nor be in sync, until it is told otherwise
	Topics      int
	Brokers     int
	Partitions  []Partition
	Requests    []Requests
	Network     Network
	Storage     Storage
	Quorum      Quorum
	WeakAcks    WeakAcks
	WeakClients []WeakClient
	Address     string // host:port that clients are told
	Groups      []Group
	// GroupsHidden is how many positions Groups leaves out.
	GroupsHidden int
}

// Group is one consumer group that is coordinated here.
type Group struct {
	Name      string
	Members   int
	Positions []Position
}

// Position is what a group has committed in one partition.
type Position struct {
	Topic         string
	Index         kafka.PartitionIndex
	Committed     kafka.Offset
	HighWatermark kafka.Offset // NoOffset: not hosted here
}

// Check is one condition of readiness.
type Check struct {
	Name   string
	OK     bool
	Reason string // why not; with OK, a warning or empty
}

// Ready reports whether every check holds.
func (v *View) Ready() bool {
	for _, c := range v.Checks {
		if !c.OK {
			return false
		}
	}
	return true
}

// Partition is one partition hosted here.
type Partition struct {
	Topic         string
	Index         kafka.PartitionIndex
	Leader        kafka.BrokerID
	LeaderEpoch   kafka.LeaderEpoch
	Leading       bool
	Replicas      int
	InSync        int
	Assigned      []kafka.BrokerID // the replicas, the preferred leader first
	ISR           []kafka.BrokerID
	MinISR        int
	Followers     []Follower // what this broker knows of them, where it leads
	Waiting       int        // writes that wait for the high watermark
	Fetches       int        // fetches, of followers and consumers, that wait for data
	Fault         string     // why the replica does not serve; empty: it does
	PageCache     bool       // acknowledged before it is on stable storage
	LogStart      kafka.Offset
	HighWatermark kafka.Offset
	Durable       kafka.Offset
	LogEnd        kafka.Offset
	Bytes         int64
	WeakZero      int64 // produce requests with acks=0
	WeakOne       int64 // produce requests with acks=1
	In            Flow
	Out           int64 // bytes
	Appends       Tally
	Reads         Tally
}

// Follower is what a leader knows of one follower.
type Follower struct {
	Broker kafka.BrokerID
	// FetchEnd and Durable are exclusive, NoOffset while nothing matched in this epoch.
	FetchEnd, Durable kafka.Offset
	InSync            bool
	Lag               time.Duration // for how long it has been behind; 0: it is not
}

// Flow counts what was written.
type Flow struct{ Records, Bytes int64 }

// Tally counts what was asked of a partition, and how often it was refused.
type Tally struct{ Total, Failed int64 }

// Requests counts one API.
type Requests struct {
	API           string
	Total, Failed int64
}

// Network counts connections and bytes, all listeners.
type Network struct {
	Open, Accepted, Refused int64
	ClosedIdle, ClosedSlow  int64
	BadFrames               int64
	BytesIn, BytesOut       int64
}

// Storage describes the data directory.
type Storage struct {
	Failed            bool // stopped after a failed write or sync
	Full              bool // below its reserve
	Free, Total       int64
	FlushRounds       int64
	FlushedBytes      int64
	FlushSeconds      float64 // spent in rounds since start
	JournalUsed       int64
	JournalSize       int64
	DirectSyncs       int64
	Checkpoints       int64
	CheckpointsFailed int64 // and tried again: a full disk, no file descriptor
	ScrubbedBytes     int64 // of closed segments, compared with their checksums
	CorruptSegments   int   // found by that since the start
	Strays            int   // directories of topics that the metadata does not know
	NoDescriptor      int64 // times that a group commit waited for a file descriptor
}

// Quorum describes the metadata log as this broker sees it.
type Quorum struct {
	Leader        kafka.BrokerID
	Term          int64
	HighWatermark kafka.Offset
	LogEnd        kafka.Offset
	IsLeader      bool
	Voters        []kafka.BrokerID
	Offline       int // partitions without a leader, known only where IsLeader
}

// WeakClient counts the batches of one client for one topic that asked for less
// than acks=all.
type WeakClient struct {
	Topic, ClientID string
	Acks            int16
	Batches         int64
}

// WeakAcks counts produce requests that asked for less than acks=all.
type WeakAcks struct{ Zero, One int64 }
