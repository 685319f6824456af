package meta

import (
	"fmt"
	"math"

	"holdfast/internal/bin"
	"holdfast/internal/kafka"
)

func (p *PartitionRecord) version() uint8 {
	if p.IsReassigning() || p.Forced != nil {
		return 2
	}
	return 1
}

func (c *PartitionChange) version() uint8 {
	if c.Fields&^setAllV1 != 0 {
		return 2
	}
	return 1
}

// fieldsOf are all fields of a version.
func fieldsOf(version uint8) PartitionFields {
	if version == 1 {
		return setAllV1
	}
	return setAll
}

func (p *PartitionRecord) body(dst []byte) []byte {
	dst = bin.AppendUUID(dst, p.TopicID)
	dst = bin.AppendUvarint(dst, uint32(p.Index))
	dst = bin.AppendUvarint(dst, uint32(p.PartitionEpoch))
	return p.fields(dst, fieldsOf(p.version()))
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
	if set&SetReassignment != 0 {
		dst = appendBrokers(dst, p.Adding)
		dst = appendBrokers(dst, p.Removing)
	}
	if set&SetForced != 0 {
		dst = p.Forced.append(dst)
	}
	return dst
}

// append writes whether there was one, and if so what it was.
func (f *ForcedRecovery) append(dst []byte) []byte {
	dst = bin.AppendBool(dst, f != nil)
	if f == nil {
		return dst
	}
	dst = bin.AppendUvarint(dst, uint32(f.LeaderEpoch))
	dst = bin.AppendUvarlong(dst, uint64(f.Cut))
	dst = bin.AppendVarlong(dst, int64(f.At))
	return bin.AppendString(dst, f.Reason, true)
}

func decodeForced(r *bin.Reader) *ForcedRecovery {
	if !flag(r) {
		return nil
	}
	return &ForcedRecovery{LeaderEpoch: kafka.LeaderEpoch(bounded(r, math.MaxInt32)), Cut: kafka.Offset(natural(r)),
		At: kafka.Timestamp(r.Varlong()), Reason: text(r, textMax)}
}

func decodePartition(version uint8, r *bin.Reader) *PartitionRecord {
	p := new(PartitionRecord)
	p.decodeHead(r)
	p.decodeFields(r, fieldsOf(version))
	return p
}

func decodePartitionChange(version uint8, r *bin.Reader) *PartitionChange {
	c := new(PartitionChange)
	c.decodeHead(r)
	c.Fields = PartitionFields(bounded(r, uint32(fieldsOf(version))))
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
	if set&SetReassignment != 0 {
		p.Adding = decodeBrokers(r)
		p.Removing = decodeBrokers(r)
	}
	if set&SetForced != 0 {
		p.Forced = decodeForced(r)
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
