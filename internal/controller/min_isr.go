package controller

import (
	"holdfast/internal/config"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

const minISRKey = "min.insync.replicas"

// withMinISR makes change give p the min ISR that the settings ask for. The
// lowest one is what a recovery election counts on: while the ISR holds every
// replica it starts anew, otherwise an old commit may have reached as few
// replicas as the lowest allowed. Members of the ELR had every record only
// because the high watermark stood still below the old min ISR; under another
// one that is no longer sure (KIP-966).
func withMinISR(change *meta.PartitionChange, p *meta.PartitionRecord, settings config.Topic) {
	want := settings.EffectiveMinISR(p.TargetReplicas)
	lowest := min(p.LowestMinISR, want)
	if len(p.ISR) == len(p.Replicas) {
		lowest = want
	}
	if want == p.MinISR && lowest == p.LowestMinISR {
		return
	}
	change.Fields |= meta.SetMinISR
	change.MinISR, change.LowestMinISR = want, lowest
	if want != p.MinISR && len(p.ELR) > 0 {
		change.Fields |= meta.SetELR
		change.ELR = nil
	}
}

// changeOf begins the next change of p.
func changeOf(p *meta.PartitionRecord) *meta.PartitionChange {
	c := &meta.PartitionChange{}
	c.TopicID, c.Index, c.PartitionEpoch = p.TopicID, p.Index, p.PartitionEpoch+1
	return c
}

// emitMinISR changes the partitions of a topic to the min ISR of its settings.
func (d *decision) emitMinISR(t *meta.Topic, settings config.Topic) {
	for _, p := range t.Partitions {
		change := changeOf(p.PartitionRecord)
		withMinISR(change, p.PartitionRecord, settings)
		if change.Fields != 0 {
			d.emit(change)
		}
	}
}

// checkTopicReplication is checkReplication for a topic that exists.
func checkTopicReplication(t *meta.Topic, settings config.Topic) *Error {
	for _, p := range t.Partitions {
		if err := settings.CheckReplication(len(p.Replicas)); err != nil {
			return refuse(kafka.ErrInvalidConfig, "topic %s: %v", t.Name, err)
		}
	}
	return nil
}
