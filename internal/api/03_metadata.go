package api

// Metadata, key 3, versions 0 to 13.
//
//	1  null topics mean all; controller; 2 cluster id; 4 auto-creation asked for
//	5  offline replicas; 7 leader epochs; 8 authorised operations (KIP-430)
//	9  flexible; 10 topic ids (KIP-516); 12 look-up by id; 13 an error for all
//
// Behaviours: brokers are named by the endpoint of the listener that the request
// came in through; a topic that is missing is created when both the client and
// auto.create.topics.enable allow it.

import (
	"context"
	"slices"

	"holdfast/internal/controller"
	"holdfast/internal/coord"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/wire"
)

func (a *API) metadata(r *Request) (*Reply, Pending) {
	q := wire.NewMetadataRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	v := r.Header.Version
	if missing := a.missingTopics(&q, v); len(missing) > 0 && a.mayAutoCreate(r, &q) {
		return nil, a.later(r, commandWait, func(ctx context.Context) wire.Message {
			a.autoCreate(ctx, r.Conn, missing)
			return a.metadataResponse(r.Conn, &q, v)
		})
	}
	return respond(r, a.metadataResponse(r.Conn, &q, v)), nil
}

// allTopics reports whether the request asks for every topic.
func allTopics(q *wire.MetadataRequest, version int16) bool {
	return q.Topics == nil || version == 0 && len(q.Topics) == 0
}

// missingTopics are the names asked for that no topic has and one may have, each
// once.
func (a *API) missingTopics(q *wire.MetadataRequest, version int16) (names []string) {
	if allTopics(q, version) {
		return nil
	}
	image := a.o.Quorum.Image()
	for _, t := range q.Topics {
		if t.Topic != nil && image.TopicByName(*t.Topic) == nil && controller.ValidateTopicName(*t.Topic) == nil {
			names = append(names, *t.Topic)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (a *API) mayAutoCreate(r *Request, q *wire.MetadataRequest) bool {
	asked := r.Header.Version < 4 || q.AllowAutoTopicCreation
	return asked && a.settings().AutoCreateTopics && a.authorize(r.Conn.Principal, opCreate, clusterResource())
}

// autoCreate makes the topics, each with the cluster's defaults; the internal
// topic of groups as its coordinator wants it. The internal topic of transactions
// is never made by a client's wish.
func (a *API) autoCreate(ctx context.Context, c *Conn, names []string) {
	command := controller.CreateTopics{}
	for _, name := range names {
		switch {
		case name == coord.OffsetsTopic:
			command.Topics = append(command.Topics, coord.TopicCommand(a.settings()).Topics...)
		case !isInternal(name):
			command.Topics = append(command.Topics, controller.NewTopic{Name: name, Partitions: controller.Default, ReplicationFactor: controller.Default})
		}
	}
	if len(command.Topics) == 0 {
		return
	}
	reply, err := a.submit(ctx, command)
	if err != nil {
		a.o.Log.Warn("auto-creation failed", "client", c.Client, "topics", len(names), "error", err)
		return
	}
	for _, t := range reply.Topics {
		switch t.Code {
		case kafka.ErrNone:
			a.o.Log.Info("topic made because a client asked for it", "client", c.Client, "topic", t.Name, "partitions", t.Partitions)
		case kafka.ErrTopicAlreadyExists: // somebody else was faster
		default:
			a.o.Log.Warn("topic not made that a client asked for", "client", c.Client, "topic", t.Name, "error", t.Message)
		}
	}
}

func (a *API) metadataResponse(c *Conn, q *wire.MetadataRequest, version int16) *wire.MetadataResponse {
	image := a.o.Quorum.Image()
	out := wire.NewMetadataResponse()
	id := image.ClusterID().String()
	out.ClusterID = &id
	out.ControllerID = int32(a.controllerFor(c, image))
	for _, b := range image.Brokers() {
		if e, ok := b.Endpoint(c.Listener); ok && !b.Fenced {
			out.Brokers = append(out.Brokers, wire.MetadataResponseBroker{NodeID: int32(b.ID), Host: e.Host, Port: e.Port, Rack: rack(b)})
		}
	}
	if q.IncludeClusterAuthorizedOperations {
		out.AuthorizedOperations = a.operationsOn(c.Principal, clusterResource())
	}
	if allTopics(q, version) {
		for _, t := range image.Topics() {
			if a.authorize(c.Principal, opDescribe, topicResource(t.Name)) {
				out.Topics = append(out.Topics, a.withOperations(c, q, describeTopic(c, image, t)))
			}
		}
		return &out
	}
	for i := range q.Topics {
		out.Topics = append(out.Topics, a.withOperations(c, q, a.metadataTopic(c, image, &q.Topics[i])))
	}
	return &out
}

// withOperations adds what may be done to a topic, where that was asked (KIP-430).
func (a *API) withOperations(c *Conn, q *wire.MetadataRequest, t wire.MetadataResponseTopic) wire.MetadataResponseTopic {
	if q.IncludeTopicAuthorizedOperations && t.ErrorCode == int16(kafka.ErrNone) {
		t.AuthorizedOperations = a.operationsOn(c.Principal, topicResource(*t.Topic))
	}
	return t
}

func rack(b *meta.Broker) *string {
	if b.Rack == "" {
		return nil
	}
	return &b.Rack
}

func (a *API) metadataTopic(c *Conn, image *meta.Image, q *wire.MetadataRequestTopic) wire.MetadataResponseTopic {
	out := wire.NewMetadataResponseTopic()
	out.Topic, out.TopicID = q.Topic, q.TopicID
	var t *meta.Topic
	if q.Topic != nil {
		t = image.TopicByName(*q.Topic)
		out.ErrorCode = int16(kafka.ErrUnknownTopicOrPartition)
	} else {
		t = image.TopicByID(q.TopicID)
		out.ErrorCode = int16(kafka.ErrUnknownTopicID)
	}
	if q.Topic != nil && !a.authorize(c.Principal, opDescribe, topicResource(*q.Topic)) {
		out.ErrorCode = int16(kafka.ErrTopicAuthorizationFailed)
		return out
	}
	if t == nil {
		if q.Topic != nil && controller.ValidateTopicName(*q.Topic) != nil {
			out.ErrorCode = int16(kafka.ErrInvalidTopicException)
		}
		return out
	}
	return describeTopic(c, image, t)
}

func describeTopic(c *Conn, image *meta.Image, t *meta.Topic) wire.MetadataResponseTopic {
	out := wire.NewMetadataResponseTopic()
	out.Topic, out.TopicID = &t.Name, t.ID
	out.IsInternal = isInternal(t.Name)
	out.Partitions = make([]wire.MetadataResponseTopicPartition, len(t.Partitions))
	for i := range t.Partitions {
		p := t.Partitions[i]
		w := wire.NewMetadataResponseTopicPartition()
		leader, code := leaderFor(c, image, p)
		w.Partition, w.Leader, w.LeaderEpoch, w.ErrorCode = int32(p.Index), int32(leader), int32(p.LeaderEpoch), int16(code)
		w.Replicas, w.ISR = brokerIDs(p.Replicas), brokerIDs(p.ISR)
		w.OfflineReplicas = offlineReplicas(image, p)
		out.Partitions[i] = w
	}
	return out
}

// leaderFor is the leader as a client of this listener can reach it.
func leaderFor(c *Conn, image *meta.Image, p meta.Partition) (kafka.BrokerID, kafka.ErrorCode) {
	b := image.Broker(p.Leader)
	if b == nil || b.Fenced {
		return kafka.NoBroker, kafka.ErrLeaderNotAvailable
	}
	if _, ok := b.Endpoint(c.Listener); !ok {
		return kafka.NoBroker, kafka.ErrListenerNotFound
	}
	return p.Leader, kafka.ErrNone
}

// controllerFor is the broker that clients shall send their commands to: the leader
// of the quorum where this listener's clients can reach it, else this broker, which
// forwards.
func (a *API) controllerFor(c *Conn, image *meta.Image) kafka.BrokerID {
	for _, id := range []kafka.BrokerID{a.o.Quorum.Leader(), a.o.Self} {
		if b := image.Broker(id); b != nil && !b.Fenced {
			if _, ok := b.Endpoint(c.Listener); ok {
				return id
			}
		}
	}
	return kafka.NoBroker
}

// offlineReplicas are the replicas whose brokers are not there.
func offlineReplicas(image *meta.Image, p meta.Partition) (out []int32) {
	for _, id := range p.Replicas {
		if b := image.Broker(id); b == nil || b.Fenced {
			out = append(out, int32(id))
		}
	}
	return out
}

// isInternal reports whether a topic belongs to the broker itself.
func isInternal(name string) bool {
	return name == "__consumer_offsets" || name == "__transaction_state"
}

func brokerIDs(in []kafka.BrokerID) []int32 {
	out := make([]int32, len(in))
	for i, id := range in {
		out[i] = int32(id)
	}
	return out
}
