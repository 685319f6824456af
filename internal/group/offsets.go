package group

import (
	"maps"
	"math"
	"slices"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// commitNamesMissing is the first version of OffsetCommit that is told that a
// group does not exist.
const commitNamesMissing = 9

// Commit handles OffsetCommit. The reply waits until the offsets are in the log.
func (m *Machine) Commit(now kafka.Timestamp, call CallID, r CommitRequest) Effects {
	o := m.begin(now)
	g, code := o.checkCommit(&r)
	if code == kafka.ErrNone && o.crowds(g.commitWeight(&r)) {
		code = kafka.ErrCoordinatorLoadInProgress
	}
	if code == kafka.ErrNone {
		o.reply(call, o.commit(g, &r))
	} else {
		o.reply(call, commitAnswers(&r, func(*wire.OffsetCommitRequestTopicPartition) kafka.ErrorCode { return code }))
	}
	return o.finish()
}

// checkCommit finds the group and decides whether the sender may commit for it.
// A group that does not exist is made only by whoever commits without being a
// member; it is returned unlinked, see commit.
func (o *operation) checkCommit(r *CommitRequest) (*group, kafka.ErrorCode) {
	if len(r.Group) > math.MaxInt16 {
		return nil, kafka.ErrInvalidGroupID
	}
	g := o.groups[r.Group]
	switch {
	case g == nil && r.Generation < 0:
		return o.newGroup(r.Group), kafka.ErrNone
	case g == nil && r.Version >= commitNamesMissing:
		return nil, kafka.ErrGroupIDNotFound
	case g == nil:
		return nil, kafka.ErrIllegalGeneration
	case g.phase == empty && r.Generation < 0:
		return g, kafka.ErrNone
	case r.Generation < 0 && r.MemberID == "" && r.InstanceID == nil:
		return nil, kafka.ErrUnknownMemberID // only members commit while there are any
	}
	m, code := g.validate(r.MemberID, r.InstanceID)
	switch {
	case code != kafka.ErrNone:
		return nil, code
	case r.Generation != g.generation:
		return nil, kafka.ErrIllegalGeneration
	case g.phase == completing:
		// It has the generation but not its assignment: what it commits belongs to
		// the generation before.
		return nil, kafka.ErrRebalanceInProgress
	}
	o.renew(m)
	return g, kafka.ErrNone
}

func (o *operation) commit(g *group, r *CommitRequest) *wire.OffsetCommitResponse {
	type entry struct {
		tp    kafka.TopicPartition
		value committed
	}
	var entries []entry
	response := commitAnswers(r, func(p *wire.OffsetCommitRequestTopicPartition) kafka.ErrorCode {
		if p.Metadata != nil && o.metadataTooLong(*p.Metadata) {
			return kafka.ErrOffsetMetadataTooLarge
		}
		return kafka.ErrNone
	})
	size := o.bytes
	for i, topic := range r.Topics {
		for j := range topic.Partitions {
			p := &topic.Partitions[j]
			if response.Topics[i].Partitions[j].ErrorCode != 0 {
				continue
			}
			e := entry{kafka.TopicPartition{Topic: topic.Topic, Partition: kafka.PartitionIndex(p.Partition)}, o.commitOf(r, topic.TopicID, p)}
			entries = append(entries, e)
			k, v := encodeOffsetKey(g.name, e.tp), encodeOffset(e.value)
			size += len(k) + len(v) + recordOverhead
			if size > o.settings.MaxBatchBytes {
				o.effects.Records = nil
				return commitAnswers(r, func(*wire.OffsetCommitRequestTopicPartition) kafka.ErrorCode { return kafka.ErrInvalidCommitOffsetSize })
			}
			o.record(k, v)
		}
	}
	for _, e := range entries {
		g.keep(e.tp, e.value)
	}
	if len(entries) > 0 {
		o.groups[g.name] = g
	}
	return response
}

func (o *operation) commitOf(r *CommitRequest, topicID [16]byte, p *wire.OffsetCommitRequestTopicPartition) committed {
	c := committed{
		offset: kafka.Offset(p.Offset), leaderEpoch: kafka.LeaderEpoch(p.LeaderEpoch),
		at: o.wall, expires: kafka.NoTimestamp, topicID: kafka.TopicID(topicID),
	}
	if p.Metadata != nil {
		c.metadata = *p.Metadata
	}
	if r.RetentionTimeMillis >= 0 { // versions 2 to 4
		c.expires = o.wall + min(kafka.Timestamp(r.RetentionTimeMillis), math.MaxInt64-o.wall)
		c.leaderEpoch, c.topicID = kafka.NoLeaderEpoch, kafka.TopicID{} // that record cannot carry them
	}
	return c
}

// metadataTooLong counts as Kafka does, in UTF-16 units.
func (o *operation) metadataTooLong(s string) bool {
	if len(s) <= o.settings.MaxMetadata {
		return false
	}
	units := 0
	for _, c := range s {
		units++
		if c > 0xffff {
			units++
		}
	}
	return units > o.settings.MaxMetadata || len(s) > math.MaxInt16
}

// commitAnswers makes the reply with one code for every partition.
func commitAnswers(r *CommitRequest, code func(*wire.OffsetCommitRequestTopicPartition) kafka.ErrorCode) *wire.OffsetCommitResponse {
	response := wire.NewOffsetCommitResponse()
	response.Topics = make([]wire.OffsetCommitResponseTopic, 0, len(r.Topics))
	for _, topic := range r.Topics {
		t := wire.OffsetCommitResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
		t.Partitions = make([]wire.OffsetCommitResponseTopicPartition, 0, len(topic.Partitions))
		for j := range topic.Partitions {
			t.Partitions = append(t.Partitions, wire.OffsetCommitResponseTopicPartition{
				Partition: topic.Partitions[j].Partition, ErrorCode: int16(code(&topic.Partitions[j])),
			})
		}
		response.Topics = append(response.Topics, t)
	}
	return &response
}

// DeleteOffsets handles OffsetDelete (KIP-496).
func (m *Machine) DeleteOffsets(now kafka.Timestamp, call CallID, r *wire.OffsetDeleteRequest) Effects {
	o := m.begin(now)
	response := wire.NewOffsetDeleteResponse()
	g := m.groups[r.Group]
	switch {
	case g == nil:
		response.ErrorCode = int16(kafka.ErrGroupIDNotFound)
	case g.phase != empty && g.protocolType != consumerProtocol:
		response.ErrorCode = int16(kafka.ErrNonEmptyGroup)
	default:
		response.Topics = o.deleteOffsets(g, r.Topics)
		o.settle(g)
	}
	o.reply(call, &response)
	return o.finish()
}

func (o *operation) deleteOffsets(g *group, topics []wire.OffsetDeleteRequestTopic) []wire.OffsetDeleteResponseTopic {
	answers := make([]wire.OffsetDeleteResponseTopic, 0, len(topics))
	for _, topic := range topics {
		t := wire.OffsetDeleteResponseTopic{Topic: topic.Topic}
		code := kafka.ErrNone
		if g.subscribes(topic.Topic) {
			code = kafka.ErrGroupSubscribedToTopic
		}
		for _, p := range topic.Partitions {
			tp := kafka.TopicPartition{Topic: topic.Topic, Partition: kafka.PartitionIndex(p.Partition)}
			if code == kafka.ErrNone && o.full() {
				code = kafka.ErrCoordinatorLoadInProgress // come again for the rest
			}
			if code == kafka.ErrNone {
				o.tombstone(g, tp)
			}
			t.Partitions = append(t.Partitions, wire.OffsetDeleteResponseTopicPartition{Partition: p.Partition, ErrorCode: int16(code)})
		}
		answers = append(answers, t)
	}
	return answers
}

// tombstone deletes an offset, if there is one.
func (o *operation) tombstone(g *group, tp kafka.TopicPartition) {
	if t := g.offsets[tp.Topic]; t != nil {
		if _, there := t.partitions[tp.Partition]; there {
			o.record(encodeOffsetKey(g.name, tp), nil)
			g.forget(tp)
		}
	}
}

// DeleteGroup handles one group of DeleteGroups. The reply is a
// *wire.DeleteGroupsResponse with exactly one group. More offsets than one batch
// takes are deleted step by step: COORDINATOR_LOAD_IN_PROGRESS asks the client to
// come again.
func (m *Machine) DeleteGroup(now kafka.Timestamp, call CallID, name string) Effects {
	o := m.begin(now)
	code := kafka.ErrGroupIDNotFound
	if g := m.groups[name]; g != nil {
		code = o.deleteGroup(g)
	}
	response := wire.NewDeleteGroupsResponse()
	response.Groups = []wire.DeleteGroupsResponseGroup{{Group: name, ErrorCode: int16(code)}}
	o.reply(call, &response)
	return o.finish()
}

func (o *operation) deleteGroup(g *group) kafka.ErrorCode {
	if g.phase != empty {
		return kafka.ErrNonEmptyGroup
	}
	for _, tp := range g.partitions() {
		if o.full() {
			return kafka.ErrCoordinatorLoadInProgress
		}
		o.tombstone(g, tp)
	}
	for _, id := range slices.Sorted(maps.Keys(g.pending)) {
		o.withdraw(g, id)
	}
	o.bury(g)
	return kafka.ErrNone
}

// bury ends a group that has no members and no offsets.
func (o *operation) bury(g *group) {
	if g.saved {
		o.record(encodeGroupKey(g.name), nil)
		g.saved = false
	}
	o.settle(g)
}

// full reports whether the batch has no room for another tombstone.
func (o *operation) full() bool {
	const tombstoneMax = 2*math.MaxInt16 + 64
	return len(o.effects.Records) > 0 && o.bytes+tombstoneMax > o.settings.MaxBatchBytes
}

// partitions lists what has an offset, in order.
func (g *group) partitions() []kafka.TopicPartition {
	var all []kafka.TopicPartition
	for _, topic := range slices.Sorted(maps.Keys(g.offsets)) {
		for _, p := range slices.Sorted(maps.Keys(g.offsets[topic].partitions)) {
			all = append(all, kafka.TopicPartition{Topic: topic, Partition: p})
		}
	}
	return all
}
