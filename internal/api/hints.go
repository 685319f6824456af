package api

import (
	"slices"

	"holdfast/internal/bin"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/partition"
)

// leaderHint is who leads a partition by the metadata here; zero values are none.
type leaderHint struct {
	leader kafka.BrokerID
	epoch  kafka.LeaderEpoch
}

// noHint says nothing.
var noHint = leaderHint{leader: kafka.NoBroker, epoch: kafka.NoLeaderEpoch}

// hints collects who leads what a client asked the wrong broker for, and where they
// are, so that it needs no metadata request (KIP-951).
type hints struct {
	image    *meta.Image
	listener string
	nodes    []kafka.BrokerID // leaders that were named, each once
}

func (a *API) newHints(c *Conn) hints {
	return hints{image: a.o.Quorum.Image(), listener: c.Listener}
}

// explains reports whether code is one that a hint helps with.
func explains(code kafka.ErrorCode) bool {
	return code == kafka.ErrNotLeaderOrFollower || code == kafka.ErrFencedLeaderEpoch
}

// byID says who leads a partition.
func (h *hints) byID(id kafka.TopicID, index kafka.PartitionIndex) leaderHint {
	return h.of(h.image.TopicByID(id), index)
}

// byName says who leads a partition.
func (h *hints) byName(topic string, index kafka.PartitionIndex) leaderHint {
	return h.of(h.image.TopicByName(topic), index)
}

func (h *hints) of(t *meta.Topic, index kafka.PartitionIndex) leaderHint {
	if t == nil {
		return noHint
	}
	p, ok := t.Partition(index)
	if !ok || p.Leader == kafka.NoBroker {
		return noHint
	}
	if _, ok := h.endpoint(p.Leader); !ok {
		return noHint
	}
	if !slices.Contains(h.nodes, p.Leader) {
		h.nodes = append(h.nodes, p.Leader)
	}
	return leaderHint{leader: p.Leader, epoch: p.LeaderEpoch}
}

func (h *hints) endpoint(id kafka.BrokerID) (meta.Endpoint, bool) {
	b := h.image.Broker(id)
	if b == nil || b.Fenced {
		return meta.Endpoint{}, false
	}
	return b.Endpoint(h.listener)
}

// each calls visit for every leader that was named, with its address.
func (h *hints) each(visit func(id kafka.BrokerID, e meta.Endpoint, rack *string)) {
	for _, id := range h.nodes {
		if e, ok := h.endpoint(id); ok {
			visit(id, e, rack(h.image.Broker(id)))
		}
	}
}

// append encodes the addresses as the tagged field of a flexible response.
func (h *hints) append(dst []byte) []byte {
	dst = bin.AppendCount(dst, len(h.nodes), true)
	h.each(func(id kafka.BrokerID, e meta.Endpoint, rack *string) {
		dst = bin.AppendInt32(dst, int32(id))
		dst = bin.AppendString(dst, e.Host, true)
		dst = bin.AppendInt32(dst, e.Port)
		dst = bin.AppendNullableString(dst, rack, true)
		dst = append(dst, 0) // no tagged fields
	})
	return dst
}

// byID finds a partition that is hosted here by its topic's id.
func (a *API) byID(id kafka.TopicID, index int32) (*partition.Partition, kafka.ErrorCode) {
	p, code := a.o.Broker.ByID(id, kafka.PartitionIndex(index))
	if code != kafka.ErrNone {
		code = a.elsewhere(a.o.Quorum.Image().TopicByID(id), index, code)
	}
	return p, code
}

// byName finds a partition that is hosted here by its topic's name.
func (a *API) byName(topic string, index int32) (*partition.Partition, kafka.ErrorCode) {
	p, code := a.o.Broker.ByName(topic, kafka.PartitionIndex(index))
	if code != kafka.ErrNone {
		code = a.elsewhere(a.o.Quorum.Image().TopicByName(topic), index, code)
	}
	return p, code
}

// elsewhere tells a partition of other brokers from one that should be here.
func (a *API) elsewhere(t *meta.Topic, index int32, code kafka.ErrorCode) kafka.ErrorCode {
	if t == nil {
		return code
	}
	if p, ok := t.Partition(kafka.PartitionIndex(index)); ok && !p.HasReplica(a.o.Self) {
		return kafka.ErrNotLeaderOrFollower
	}
	return code
}
