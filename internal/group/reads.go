package group

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// groupType is what ListGroups calls the groups of this machine.
const groupType = "classic"

// describeNamesMissing is the first version of DescribeGroups that is told that a
// group does not exist (KIP-1043).
const describeNamesMissing = 6

// Fetch handles one group of an OffsetFetch. nil Topics asks for all. Every topic
// of the request has its name set; TopicID is copied to the answer, and an offset
// that was committed under another id belongs to a topic that is gone and is not
// returned. In the answer to nil Topics, TopicID is the id of the commit (perhaps
// zero). requireStable changes nothing while there are no transactions: an offset
// that is not committed yet delays the answer (see Read) instead of being an
// error.
func (m *Machine) Fetch(r wire.OffsetFetchRequestGroup, requireStable bool) Read[wire.OffsetFetchResponseGroup] {
	answer := wire.OffsetFetchResponseGroup{Group: r.Group}
	g := m.groups[r.Group]
	if g == nil {
		g = newGroup(r.Group)
	}
	if r.Topics == nil {
		answer.Topics = g.fetchAll()
	} else {
		answer.Topics = g.fetch(r.Topics)
	}
	return Read[wire.OffsetFetchResponseGroup]{After: m.seq, Value: answer}
}

func (g *group) fetch(topics []wire.OffsetFetchRequestGroupTopic) []wire.OffsetFetchResponseGroupTopic {
	answers := make([]wire.OffsetFetchResponseGroupTopic, 0, len(topics))
	for _, topic := range topics {
		offsets := g.offsets[topic.Topic]
		t := wire.OffsetFetchResponseGroupTopic{Topic: topic.Topic, TopicID: topic.TopicID}
		t.Partitions = make([]wire.OffsetFetchResponseGroupTopicPartition, 0, len(topic.Partitions))
		for _, p := range topic.Partitions {
			t.Partitions = append(t.Partitions, offsets.answer(kafka.PartitionIndex(p), topic.TopicID))
		}
		answers = append(answers, t)
	}
	return answers
}

func (t *topicOffsets) answer(p kafka.PartitionIndex, id kafka.TopicID) wire.OffsetFetchResponseGroupTopicPartition {
	none := ""
	a := wire.OffsetFetchResponseGroupTopicPartition{Partition: int32(p), Offset: int64(kafka.NoOffset), LeaderEpoch: int32(kafka.NoLeaderEpoch), Metadata: &none}
	if t == nil {
		return a
	}
	c, there := t.partitions[p]
	if !there || otherTopic(c.topicID, id) {
		return a
	}
	a.Offset, a.LeaderEpoch, a.Metadata = int64(c.offset), int32(c.leaderEpoch), &c.metadata
	return a
}

// otherTopic reports whether two ids are of different topics; zero is not known.
func otherTopic(a, b kafka.TopicID) bool { return !a.IsZero() && !b.IsZero() && a != b }

func (g *group) fetchAll() []wire.OffsetFetchResponseGroupTopic {
	answers := []wire.OffsetFetchResponseGroupTopic{}
	for _, tp := range g.partitions() {
		offsets := g.offsets[tp.Topic]
		if n := len(answers); n == 0 || answers[n-1].Topic != tp.Topic {
			answers = append(answers, wire.OffsetFetchResponseGroupTopic{Topic: tp.Topic})
		}
		last := &answers[len(answers)-1]
		if id := offsets.partitions[tp.Partition].topicID; !id.IsZero() {
			last.TopicID = id
		}
		last.Partitions = append(last.Partitions, offsets.answer(tp.Partition, kafka.TopicID{}))
	}
	return answers
}

// Describe handles one group of DescribeGroups of the version given.
func (m *Machine) Describe(version int16, name string) Read[wire.DescribeGroupsResponseGroup] {
	answer := wire.DescribeGroupsResponseGroup{Group: name, State: dead, AuthorizedOperations: -2147483648}
	g := m.groups[name]
	switch {
	case g != nil:
		g.describe(&answer)
	case version >= describeNamesMissing:
		text := fmt.Sprintf("Group %s not found.", name)
		answer.ErrorCode, answer.ErrorMessage = int16(kafka.ErrGroupIDNotFound), &text
	}
	return Read[wire.DescribeGroupsResponseGroup]{After: m.seq, Value: answer}
}

func (g *group) describe(to *wire.DescribeGroupsResponseGroup) {
	to.State, to.ProtocolType = g.phase.String(), g.protocolType
	settled := g.phase == stable && g.protocol != nil
	if settled {
		to.Protocol = *g.protocol
	}
	for m := g.first; m != nil; m = m.next {
		answer := wire.DescribeGroupsResponseGroupMember{
			MemberID: m.id, InstanceID: m.instance, ClientID: m.caller.ClientID, ClientHost: m.caller.Host,
			ProtocolMetadata: []byte{}, MemberAssignment: m.assignment,
		}
		if settled {
			answer.ProtocolMetadata = g.metadata(m)
		}
		to.Members = append(to.Members, answer)
	}
}

// List handles ListGroups: the groups of this partition that pass both filters,
// by name. Filters do not mind upper and lower case.
func (m *Machine) List(r *wire.ListGroupsRequest) Read[[]wire.ListGroupsResponseGroup] {
	groups := []wire.ListGroupsResponseGroup{}
	var wanted [len(phaseNames)]bool // the filter may be long, and there may be many groups
	for p := range wanted {
		wanted[p] = len(r.StatesFilter) == 0 || contains(r.StatesFilter, phase(p).String())
	}
	if len(r.TypesFilter) == 0 || contains(r.TypesFilter, groupType) {
		for _, name := range m.names() {
			g := m.groups[name]
			if !wanted[g.phase] {
				continue
			}
			groups = append(groups, wire.ListGroupsResponseGroup{
				Group: name, ProtocolType: g.protocolType, GroupState: g.phase.String(), GroupType: groupType,
			})
		}
	}
	return Read[[]wire.ListGroupsResponseGroup]{After: m.seq, Value: groups}
}

func contains(filter []string, name string) bool {
	return slices.ContainsFunc(filter, func(s string) bool { return strings.EqualFold(s, name) })
}

// Topics lists the topics that have offsets, by name and id, so that the shell
// can compare them with the metadata after loading.
func (m *Machine) Topics() []TopicRef {
	all := map[TopicRef]struct{}{}
	for _, g := range m.groups {
		for topic, offsets := range g.offsets {
			for _, c := range offsets.partitions {
				all[TopicRef{Name: topic, ID: c.topicID}] = struct{}{}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b TopicRef) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return slices.Compare(a.ID[:], b.ID[:])
	})
}

// Owed lists the calls that wait for a reply of this machine, in ascending order;
// the shell answers them when it drops the machine.
func (m *Machine) Owed() []CallID {
	var calls []CallID
	for _, g := range m.groups {
		for each := g.first; each != nil; each = each.next {
			for _, p := range []parked{each.join, each.sync} {
				if p.set {
					calls = append(calls, p.call)
				}
			}
		}
	}
	slices.Sort(calls)
	return calls
}
