package controller

import (
	"holdfast/internal/config"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

func (c DeleteTopics) decide(d *decision) (Reply, error) {
	var reply Reply
	asked := map[kafka.TopicID]int{}
	for _, ref := range c.Topics {
		if t := d.find(ref); t != nil {
			asked[t.ID]++
		}
	}
	for _, ref := range c.Topics {
		result := TopicResult{Name: ref.Name, ID: ref.ID}
		if t, err := d.deletable(ref, asked); err != nil {
			result.Code, result.Message = err.Code, err.Message
		} else {
			d.emit(&meta.RemoveTopic{ID: t.ID})
			result = TopicResult{Name: t.Name, ID: t.ID}
		}
		reply.Topics = append(reply.Topics, result)
	}
	return reply, nil
}

func (d *decision) find(ref TopicRef) *meta.Topic {
	if ref.Name != "" {
		return d.image.TopicByName(ref.Name)
	}
	return d.image.TopicByID(ref.ID)
}

func (d *decision) deletable(ref TopicRef, asked map[kafka.TopicID]int) (*meta.Topic, *Error) {
	switch {
	case ref.Name != "" && !ref.ID.IsZero():
		return nil, refuse(kafka.ErrInvalidRequest, "a topic is named either by name or by id")
	case ref.Name == "" && ref.ID.IsZero():
		return nil, refuse(kafka.ErrInvalidRequest, "neither name nor id of a topic")
	}
	t := d.find(ref)
	switch {
	case t == nil && ref.Name != "":
		return nil, refuse(kafka.ErrUnknownTopicOrPartition, "there is no topic %s", clip(ref.Name))
	case t == nil:
		return nil, refuse(kafka.ErrUnknownTopicID, "there is no topic with id %s", ref.ID)
	case asked[t.ID] > 1:
		return nil, refuse(kafka.ErrInvalidRequest, "topic %s is named twice", t.Name)
	case internal(t.Name):
		return nil, refuse(kafka.ErrPolicyViolation, "%s holds what consumer groups have committed: it is not deleted", t.Name)
	case !d.settings().DeleteTopics:
		return nil, refuse(kafka.ErrTopicDeletionDisabled, "deletion of topics is switched off (delete.topic.enable)")
	}
	return t, nil
}

// internal reports whether a topic holds what the brokers themselves remember.
func internal(name string) bool {
	return name == "__consumer_offsets" || name == "__transaction_state"
}

// checkInternal refuses settings under which what the brokers remember would be
// forgotten. Kafka takes them, and the groups' positions go with the next
// retention.
func checkInternal(name string, settings config.Topic) *Error {
	switch {
	case !internal(name):
		return nil
	case !settings.Compact || settings.Delete:
		return refuse(kafka.ErrPolicyViolation, "%s holds what consumer groups have committed: its cleanup.policy stays compact", name)
	case settings.Durability == config.DurabilityPageCache:
		return refuse(kafka.ErrPolicyViolation, "%s holds what consumer groups have committed: it is written to stable storage", name)
	}
	return nil
}
