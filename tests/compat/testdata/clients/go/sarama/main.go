// Command sarama drives IBM/sarama.
package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"holdfast.test/clients/proto"
)

func main() { proto.Main("github.com/IBM/sarama", client{}) }

type client struct{}

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

func config(r proto.Request) *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Producer.Return.Successes = true
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	c.Consumer.MaxWaitTime = 100 * time.Millisecond
	if r.Compression != "" {
		c.Producer.Compression = codecs[r.Compression]
	}
	switch r.Mode {
	case "ordinary":
		c.Producer.RequiredAcks = sarama.WaitForAll
	case "idempotent":
		c.Producer.RequiredAcks, c.Producer.Idempotent, c.Net.MaxOpenRequests = sarama.WaitForAll, true, 1
	}
	return c
}

func (client) Produce(r proto.Request, emit proto.Emit) error {
	c := config(r)
	c.Producer.Partitioner = sarama.NewManualPartitioner
	p, err := sarama.NewSyncProducer([]string{r.Addr}, c)
	if err != nil {
		return err
	}
	defer p.Close()
	var messages []*sarama.ProducerMessage
	for i := r.First; i < r.First+r.Count; i++ {
		messages = append(messages, &sarama.ProducerMessage{Topic: r.Topic, Partition: r.Partition, Key: sarama.StringEncoder(proto.Key(i)), Value: sarama.StringEncoder(proto.Value(i)),
			Timestamp: r.At(i), Headers: []sarama.RecordHeader{{Key: []byte("n"), Value: []byte(strconv.Itoa(i))}}})
	}
	if err := p.SendMessages(messages); err != nil {
		return err
	}
	for i, m := range messages {
		emit(proto.Event{Event: "acked", Index: r.First + i, Offset: m.Offset})
	}
	return nil
}

func record(m *sarama.ConsumerMessage) proto.Event {
	e := proto.Event{Event: "record", Partition: m.Partition, Offset: m.Offset, Time: m.Timestamp.UnixMilli(), Key: string(m.Key), Value: string(m.Value)}
	for _, h := range m.Headers {
		e.Header = string(h.Value)
	}
	return e
}

func (client) Consume(r proto.Request, emit proto.Emit) error {
	cl, err := sarama.NewClient([]string{r.Addr}, config(r))
	if err != nil {
		return err
	}
	defer cl.Close()
	at := r.Offset
	if r.Op == "time" {
		if at, err = cl.GetOffset(r.Topic, r.Partition, r.Time); err != nil {
			return err
		}
	}
	c, err := sarama.NewConsumerFromClient(cl)
	if err != nil {
		return err
	}
	pc, err := c.ConsumePartition(r.Topic, r.Partition, at)
	if err != nil {
		return err
	}
	defer pc.Close()
	deadline := time.After(30 * time.Second)
	for n := 0; n < r.Count; n++ {
		select {
		case m := <-pc.Messages():
			emit(record(m))
		case <-deadline:
			return errors.New("consume: not enough records in 30 s")
		}
	}
	return nil
}

// member is a sarama.ConsumerGroupHandler.
type member struct {
	topic string
	emit  proto.Emit
}

func (m member) Setup(s sarama.ConsumerGroupSession) error {
	m.emit(proto.Event{Event: "assigned", Partitions: s.Claims()[m.topic]})
	return nil
}

func (m member) Cleanup(sarama.ConsumerGroupSession) error {
	m.emit(proto.Event{Event: "assigned"})
	return nil
}

func (m member) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case msg, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			m.emit(record(msg))
			s.MarkMessage(msg, "")
			s.Commit()
			m.emit(proto.Event{Event: "committed"})
		case <-s.Context().Done():
			return nil
		}
	}
}

func (client) Group(r proto.Request, stop <-chan struct{}, emit proto.Emit) error {
	g, err := sarama.NewConsumerGroup([]string{r.Addr}, r.Group, config(r))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-stop
		cancel()
	}()
	for ctx.Err() == nil {
		if err := g.Consume(ctx, []string{r.Topic}, member{r.Topic, emit}); err != nil {
			return err
		}
	}
	return g.Close()
}

func (client) Admin(r proto.Request, emit proto.Emit) error {
	cl, err := sarama.NewClient([]string{r.Addr}, config(r))
	if err != nil {
		return err
	}
	defer cl.Close()
	adm, err := sarama.NewClusterAdminFromClient(cl)
	if err != nil {
		return err
	}
	value, err := admin(cl, adm, r)
	if err == nil {
		emit(proto.Event{Event: "value", Value: value})
	}
	return err
}

func admin(cl sarama.Client, adm sarama.ClusterAdmin, r proto.Request) (string, error) {
	switch r.Op {
	case "create-topic":
		return "", adm.CreateTopic(r.Topic, &sarama.TopicDetail{NumPartitions: r.Partitions, ReplicationFactor: 1}, false)
	case "describe-topic":
		d, err := adm.DescribeTopics([]string{r.Topic})
		if err != nil {
			return "", err
		}
		return strconv.Itoa(len(d[0].Partitions)), nil
	case "alter-config":
		return "", adm.IncrementalAlterConfig(sarama.TopicResource, r.Topic, map[string]sarama.IncrementalAlterConfigsEntry{"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &r.Value}}, false)
	case "describe-config":
		entries, err := adm.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: r.Topic, ConfigNames: []string{"retention.ms"}})
		for _, e := range entries {
			return e.Value, err
		}
		return "", err
	case "add-partitions":
		return "", adm.CreatePartitions(r.Topic, r.Partitions, nil, false)
	case "list-offsets":
		o, err := cl.GetOffset(r.Topic, r.Partition, sarama.OffsetNewest)
		return strconv.FormatInt(o, 10), err
	case "list-groups":
		groups, err := adm.ListConsumerGroups()
		_, ok := groups[r.Group]
		return strconv.FormatBool(ok), err
	case "describe-group":
		d, err := adm.DescribeConsumerGroups([]string{r.Group})
		if err != nil {
			return "", err
		}
		return d[0].State, nil
	case "group-offsets":
		o, err := adm.ListConsumerGroupOffsets(r.Group, map[string][]int32{r.Topic: {r.Partition}})
		if err != nil {
			return "", err
		}
		return strconv.FormatInt(o.GetBlock(r.Topic, r.Partition).Offset, 10), nil
	case "delete-group":
		return "", adm.DeleteConsumerGroup(r.Group)
	case "delete-topic":
		return "", adm.DeleteTopic(r.Topic)
	}
	return "", proto.Unsupported("admin " + r.Op)
}

func (client) Survive(r proto.Request, stop <-chan struct{}, emit proto.Emit) error {
	c := sarama.NewConfig()
	c.Producer.Return.Successes = true
	p, err := sarama.NewAsyncProducer([]string{r.Addr}, c)
	if err != nil {
		return err
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		for m := range p.Successes() {
			emit(proto.Event{Event: "acked", Index: m.Metadata.(int)})
		}
	})
	wait.Go(func() {
		for e := range p.Errors() {
			emit(proto.Event{Event: "failed", Index: e.Msg.Metadata.(int), Error: e.Err.Error()})
		}
	})
	for i := 0; !proto.Stopped(stop); i++ {
		p.Input() <- &sarama.ProducerMessage{Topic: r.Topic, Value: sarama.StringEncoder(strconv.Itoa(i)), Metadata: i}
		time.Sleep(2 * time.Millisecond)
	}
	p.AsyncClose()
	wait.Wait()
	return nil
}
