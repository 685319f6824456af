package controller

import (
	"fmt"

	"holdfast/internal/config"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

const minISRKey = "min.insync.replicas"

// emitMinISR changes the partitions of a topic to the min ISR of its settings.
func (d *decision) emitMinISR(t *meta.Topic, settings config.Topic) {
	for _, p := range t.Partitions {
		x := d.transition(t, p)
		x.applySettings(settings)
		x.settle()
	}
}

// checkTopicReplication is checkReplication for a topic that exists.
func checkTopicReplication(t *meta.Topic, settings config.Topic) *Error {
	for _, p := range t.Partitions {
		// Both before and after a reassignment.
		if err := settings.CheckReplication(len(p.Replicas) - max(len(p.Adding), len(p.Removing))); err != nil {
			return refuse(kafka.ErrInvalidConfig, "topic %s: %v", t.Name, err)
		}
	}
	return nil
}

// warnOfMinISR tells an operator when a promise is weaker than it looks.
func warnOfMinISR(settings config.Topic, factor int) string {
	if factor > 1 && settings.EffectiveMinISR(factor) == 1 {
		return fmt.Sprintf("%s=1: a write counts as soon as one of %d replicas has it, and is lost with that one", minISRKey, factor)
	}
	return ""
}
