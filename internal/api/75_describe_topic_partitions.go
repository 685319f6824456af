package api

// DescribeTopicPartitions, key 75, version 0 (KIP-966): topics by name in pages
// of partitions.
//
// Behaviours: topics come in the order of their names, each once; the cursor
// names the first partition of the next page. The last known ELR is empty: what it
// is for in Kafka, an election by guess, does not happen here.

import (
	"slices"
	"strings"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/wire"
)

// describePartitionsMax is the largest page, Kafka's
// max.request.partition.size.limit.
const describePartitionsMax = 2000

func (a *API) describeTopicPartitions(r *Request) (*Reply, Pending) {
	q := wire.NewDescribeTopicPartitionsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	image := a.o.Quorum.Image()
	names := describedNames(image, &q)
	if c := q.Cursor; c != nil && (c.Partition < 0 || len(q.Topics) > 0 && (len(names) == 0 || !asksFor(&q, c.Topic))) {
		return respond(r, cursorRefused(&q)), nil
	}
	page := partitionPage{api: a, conn: r.Conn, image: image, room: pageSize(q.ResponsePartitionLimit), out: wire.NewDescribeTopicPartitionsResponse()}
	for _, name := range names {
		from := int32(0)
		if q.Cursor != nil && q.Cursor.Topic == name {
			from = q.Cursor.Partition
		}
		if !page.add(name, from, len(q.Topics) == 0) {
			break
		}
	}
	return respond(r, &page.out), nil
}

// describedNames are the topics that are asked for, from the cursor's on.
func describedNames(image *meta.Image, q *wire.DescribeTopicPartitionsRequest) (names []string) {
	if len(q.Topics) == 0 {
		for _, t := range image.Topics() {
			names = append(names, t.Name)
		}
	}
	for _, t := range q.Topics {
		names = append(names, t.Topic)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if q.Cursor == nil {
		return names
	}
	at, _ := slices.BinarySearch(names, q.Cursor.Topic)
	return names[at:]
}

func asksFor(q *wire.DescribeTopicPartitionsRequest, name string) bool {
	return slices.ContainsFunc(q.Topics, func(t wire.DescribeTopicPartitionsRequestTopic) bool { return t.Topic == name })
}

func pageSize(asked int32) int { return max(1, min(int(asked), describePartitionsMax)) }

// cursorRefused answers a cursor that points nowhere.
func cursorRefused(q *wire.DescribeTopicPartitionsRequest) *wire.DescribeTopicPartitionsResponse {
	out := wire.NewDescribeTopicPartitionsResponse()
	for i := range q.Topics {
		t := wire.NewDescribeTopicPartitionsResponseTopic()
		t.Topic, t.ErrorCode = &q.Topics[i].Topic, int16(kafka.ErrInvalidRequest)
		out.Topics = append(out.Topics, t)
	}
	return &out
}

// partitionPage is a page that is being filled.
type partitionPage struct {
	api   *API
	conn  *Conn
	image *meta.Image
	room  int // partitions that still fit
	out   wire.DescribeTopicPartitionsResponse
}

// add adds a topic from one of its partitions on. It reports false when the page
// is full; the cursor is then set.
func (p *partitionPage) add(name string, from int32, all bool) bool {
	if p.room == 0 {
		p.out.NextCursor = &wire.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: from}
		return false
	}
	out := wire.NewDescribeTopicPartitionsResponseTopic()
	name = strings.Clone(name)
	out.Topic = &name
	t := p.image.TopicByName(name)
	switch {
	case !p.api.authorize(p.conn.Principal, opDescribe, topicResource(name)):
		if all {
			return true
		}
		out.ErrorCode = int16(kafka.ErrTopicAuthorizationFailed)
	case t == nil:
		if out.ErrorCode = int16(kafka.ErrUnknownTopicOrPartition); controller.ValidateTopicName(name) != nil {
			out.ErrorCode = int16(kafka.ErrInvalidTopicException)
		}
		out.AuthorizedOperations = p.api.operationsOn(p.conn.Principal, topicResource(name))
	default:
		out.TopicID, out.IsInternal = t.ID, isInternal(name)
		out.AuthorizedOperations = p.api.operationsOn(p.conn.Principal, topicResource(name))
		p.addPartitions(&out, t, int(from))
	}
	p.out.Topics = append(p.out.Topics, out)
	return p.out.NextCursor == nil
}

func (p *partitionPage) addPartitions(out *wire.DescribeTopicPartitionsResponseTopic, t *meta.Topic, from int) {
	until := min(len(t.Partitions), from+p.room)
	for i := from; i < until; i++ {
		out.Partitions = append(out.Partitions, describePartition(p.conn, p.image, t.Partitions[i]))
		p.room--
	}
	if until < len(t.Partitions) {
		p.out.NextCursor = &wire.DescribeTopicPartitionsResponseNextCursor{Topic: t.Name, Partition: int32(until)}
	}
}

func describePartition(c *Conn, image *meta.Image, p meta.Partition) wire.DescribeTopicPartitionsResponseTopicPartition {
	out := wire.NewDescribeTopicPartitionsResponseTopicPartition()
	leader, code := leaderFor(c, image, p)
	out.Partition, out.LeaderID, out.LeaderEpoch, out.ErrorCode = int32(p.Index), int32(leader), int32(p.LeaderEpoch), int16(code)
	out.Replicas, out.ISR = brokerIDs(p.Replicas), brokerIDs(p.ISR)
	out.EligibleLeaderReplicas, out.LastKnownELR = brokerIDs(p.ELR), []int32{}
	out.OfflineReplicas = offlineReplicas(image, p)
	return out
}
