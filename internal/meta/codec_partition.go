package meta

import (
	"fmt"
	"math"

	"holdfast/internal/bin"
	"holdfast/internal/kafka"
)

func (p *PartitionRecord) body(dst []byte) []byte {
	dst = bin.AppendUUID(dst, p.TopicID)
	dst = bin.AppendUvarint(dst, uint32(p.Index))
	dst = bin.AppendUvarint(dst, uint32(p.PartitionEpoch))
	return p.fields(dst, setAll)
}

// body of a change has the fields that it sets in the order of their bits.
func (c *PartitionChange) body(dst []byte) []byte {
	dst = bin.AppendUUID(dst, c.TopicID)
	dst = bin.AppendUvarint(dst, uint32(c.Index))
	dst = bin.AppendUvarint(dst, uint32(c.PartitionEpoch))
	dst = bin.AppendUvarint(dst, uint32(c.Fields))
	return c.fields(dst, c.Fields)
}

func (p *PartitionRecord) fields(dst []byte, set PartitionFields) []byte {
	if set&SetReplicas != 0 {
		dst = appendBrokers(dst, p.Replicas)
	}
	if set&SetDirectories != 0 {
		dst = appendDirectories(dst, p.Directories)
	}
	if set&SetISR != 0 {
		dst = appendBrokers(dst, p.ISR)
	}
	if set&SetELR != 0 {
		dst = appendBrokers(dst, p.ELR)
	}
	if set&SetLost != 0 {
		dst = appendBrokers(dst, p.Lost)
	}
	if set&SetLeader != 0 {
		dst = bin.AppendVarint(dst, int32(p.Leader))
		dst = bin.AppendUvarint(dst, uint32(p.LeaderEpoch))
	}
	if set&SetMinISR != 0 {
		dst = bin.AppendUvarint(dst, uint32(p.MinISR))
		dst = bin.AppendUvarint(dst, uint32(p.LowestMinISR))
	}
	if set&SetTargetReplicas != 0 {
		dst = bin.AppendUvarint(dst, uint32(p.TargetReplicas))
	}
	return dst
}

func decodePartition(r *bin.Reader) *PartitionRecord {
	p := new(PartitionRecord)
	p.decodeHead(r)
	p.decodeFields(r, setAll)
	return p
}

func decodePartitionChange(r *bin.Reader) *PartitionChange {
	c := new(PartitionChange)
	c.decodeHead(r)
	c.Fields = PartitionFields(bounded(r, uint32(setAll)))
	c.decodeFields(r, c.Fields)
	return c
}

func (p *PartitionRecord) decodeHead(r *bin.Reader) {
	p.TopicID = kafka.TopicID(r.UUID())
	p.Index = kafka.PartitionIndex(bounded(r, math.MaxInt32))
	p.PartitionEpoch = kafka.PartitionEpoch(bounded(r, math.MaxInt32))
}

func (p *PartitionRecord) decodeFields(r *bin.Reader, set PartitionFields) {
	if set&SetReplicas != 0 {
		p.Replicas = decodeBrokers(r)
	}
	if set&SetDirectories != 0 {
		p.Directories = decodeDirectories(r)
	}
	if set&SetISR != 0 {
		p.ISR = decodeBrokers(r)
	}
	if set&SetELR != 0 {
		p.ELR = decodeBrokers(r)
	}
	if set&SetLost != 0 {
		p.Lost = decodeBrokers(r)
	}
	if set&SetLeader != 0 {
		p.Leader = kafka.BrokerID(r.Varint())
		p.LeaderEpoch = kafka.LeaderEpoch(bounded(r, math.MaxInt32))
		if r.OK() && p.Leader < kafka.NoBroker {
			r.Fail(fmt.Errorf("leader %d: %w", p.Leader, errValue))
		}
	}
	if set&SetMinISR != 0 {
		p.MinISR = int(bounded(r, math.MaxInt16))
		p.LowestMinISR = int(bounded(r, math.MaxInt16))
	}
	if set&SetTargetReplicas != 0 {
		p.TargetReplicas = int(bounded(r, math.MaxInt16))
	}
}

func appendBrokers(dst []byte, ids []kafka.BrokerID) []byte {
	dst = bin.AppendUvarint(dst, uint32(len(ids)))
	for _, id := range ids {
		dst = bin.AppendUvarint(dst, uint32(id))
	}
	return dst
}

func decodeBrokers(r *bin.Reader) []kafka.BrokerID {
	n := count(r, replicasMax, 1)
	if n == 0 {
		return nil
	}
	if !r.Charge(n, 4) {
		return nil
	}
	ids := make([]kafka.BrokerID, n)
	for i := range ids {
		ids[i] = kafka.BrokerID(bounded(r, math.MaxInt32))
	}
	return ids
}
