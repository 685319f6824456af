package controller

import (
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// RegisterBroker makes an incarnation of a broker known. Registering the same
// incarnation again keeps its epoch, its fencing and its leaderships. A new one
// begins fenced, outside of every ISR that has another member, and takes part
// again after a Heartbeat that shows that it has caught up; the only broker of a
// cluster begins unfenced. (KIP-631, 841, 903)
type RegisterBroker struct {
	ID kafka.BrokerID
	// Incarnation is drawn at random when the process starts. Registering the same
	// one again changes no epoch.
	Incarnation kafka.UUID
	// Starts counts the starts of the broker's data directory, this one included;
	// it was made durable before.
	Starts      uint64
	Directories []kafka.DirectoryID
	Endpoints   []meta.Endpoint
	Rack        string
	// PreviousEpoch is the epoch in the marker that the last incarnation wrote when
	// everything was closed in order; -1 where there is no such marker. Anything
	// but the epoch of the last registration is an unclean stop. (KIP-966)
	PreviousEpoch kafka.BrokerEpoch
	// Features is the newest feature level that the broker's program knows; 0 is
	// the first one.
	Features meta.FeatureLevel
}

// Heartbeat says that an incarnation is alive, how far it is, and what it wants.
// It emits records only where something changes.
type Heartbeat struct {
	Broker kafka.BrokerID
	Epoch  kafka.BrokerEpoch
	// Applied is the metadata offset that the broker has applied, and to which it
	// has brought its partitions.
	Applied kafka.Offset
	// WantFence asks to be fenced, or to stay so.
	WantFence bool
	// WantShutdown begins or continues a controlled shutdown: leaderships move,
	// the broker leaves every ISR that has another member and joins none.
	WantShutdown bool
}

// HeartbeatResult is how the broker stands once the reply's offset is applied.
type HeartbeatResult struct {
	Fenced bool
	// CaughtUp: Applied reaches the broker's registration.
	CaughtUp bool
	// MayShutDown: the controlled shutdown has nothing left to wait for: the broker
	// leads nothing that another replica could lead, now or after catching up.
	// Clients of a broker that has not applied the reply's offset do not know that
	// yet.
	MayShutDown bool
}

// FenceBroker ends the session of an incarnation that was silent for too long,
// or is proven dead: it leaves every ISR that has another member, and others are
// elected. An incarnation that is fenced already changes nothing; nor does the
// only broker, which nobody could replace.
type FenceBroker struct {
	Broker kafka.BrokerID
	Epoch  kafka.BrokerEpoch
	Reason string // for people
}

// UnregisterBroker removes the registration of a broker that is fenced and hosts
// nothing. (KIP-500)
type UnregisterBroker struct {
	Broker kafka.BrokerID
}

// ReportLost says which replicas of the broker have lost records that were
// durable once: cut or damaged below their durable end, or ending below the high
// watermark that they knew. They are marked lost, leave ISR and ELR and count as
// empty ones until they are in the ISR again. Naming one twice, or one that is
// marked, changes nothing.
type ReportLost struct {
	Broker   kafka.BrokerID
	Epoch    kafka.BrokerEpoch
	Replicas []kafka.TopicIDPartition
}
