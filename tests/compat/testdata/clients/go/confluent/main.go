// Command confluent drives confluent-kafka-go, which carries librdkafka.
package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"holdfast.test/clients/proto"
)

func main() { proto.Main("github.com/confluentinc/confluent-kafka-go/v2", client{}) }

type client struct{}

func (client) Produce(r proto.Request, emit proto.Emit) error {
	c := kafka.ConfigMap{"bootstrap.servers": r.Addr, "compression.type": r.Compression, "linger.ms": 5}
	switch r.Mode {
	case "ordinary":
		c["acks"] = "all"
	case "idempotent":
		c["enable.idempotence"] = true
	}
	p, err := kafka.NewProducer(&c)
	if err != nil {
		return err
	}
	defer p.Close()
	delivered := make(chan kafka.Event, r.Count)
	for i := r.First; i < r.First+r.Count; i++ {
		err := p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &r.Topic, Partition: r.Partition}, Key: []byte(proto.Key(i)), Value: []byte(proto.Value(i)), Timestamp: r.At(i),
			Headers: []kafka.Header{{Key: "n", Value: []byte(strconv.Itoa(i))}}, Opaque: i}, delivered)
		if err != nil {
			return err
		}
	}
	deadline := time.After(30 * time.Second)
	for range r.Count {
		select {
		case e := <-delivered:
			m := e.(*kafka.Message)
			if m.TopicPartition.Error != nil {
				return m.TopicPartition.Error
			}
			emit(proto.Event{Event: "acked", Index: m.Opaque.(int), Offset: int64(m.TopicPartition.Offset)})
		case <-deadline:
			return errors.New("produce: no report within 30 s")
		}
	}
	return nil
}

func record(m *kafka.Message) proto.Event {
	e := proto.Event{Event: "record", Partition: m.TopicPartition.Partition, Offset: int64(m.TopicPartition.Offset), Time: m.Timestamp.UnixMilli(), Key: string(m.Key), Value: string(m.Value)}
	for _, h := range m.Headers {
		e.Header = string(h.Value)
	}
	return e
}

func consumer(r proto.Request) (*kafka.Consumer, error) {
	group := r.Group
	if group == "" {
		group = "unused"
	}
	return kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": r.Addr, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": false,
		"heartbeat.interval.ms": 500, "session.timeout.ms": 10000, "fetch.wait.max.ms": 100})
}

func (client) Consume(r proto.Request, emit proto.Emit) error {
	c, err := consumer(r)
	if err != nil {
		return err
	}
	defer c.Close()
	at := []kafka.TopicPartition{{Topic: &r.Topic, Partition: r.Partition, Offset: kafka.Offset(r.Offset)}}
	if r.Op == "time" {
		at[0].Offset = kafka.Offset(r.Time)
		if at, err = c.OffsetsForTimes(at, 20000); err != nil {
			return err
		}
	}
	if err := c.Assign(at); err != nil {
		return err
	}
	for n := 0; n < r.Count; n++ {
		m, err := c.ReadMessage(30 * time.Second)
		if err != nil {
			return err
		}
		emit(record(m))
	}
	return nil
}

func (client) Group(r proto.Request, stop <-chan struct{}, emit proto.Emit) error {
	c, err := consumer(r)
	if err != nil {
		return err
	}
	defer c.Close()
	err = c.Subscribe(r.Topic, func(_ *kafka.Consumer, ev kafka.Event) error {
		e := proto.Event{Event: "assigned"}
		if a, ok := ev.(kafka.AssignedPartitions); ok {
			for _, p := range a.Partitions {
				e.Partitions = append(e.Partitions, p.Partition)
			}
		}
		emit(e)
		return nil
	})
	if err != nil {
		return err
	}
	for !proto.Stopped(stop) {
		switch e := c.Poll(100).(type) {
		case *kafka.Message:
			emit(record(e))
			if _, err := c.CommitMessage(e); err != nil {
				return fmt.Errorf("commit: %w", err)
			}
			emit(proto.Event{Event: "committed"})
		case kafka.Error:
			if e.IsFatal() {
				return e
			}
		}
	}
	return nil
}

func (client) Admin(r proto.Request, emit proto.Emit) error {
	adm, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": r.Addr})
	if err != nil {
		return err
	}
	defer adm.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	value, err := admin(ctx, adm, r)
	if err == nil {
		emit(proto.Event{Event: "value", Value: value})
	}
	return err
}

func topicError(res []kafka.TopicResult, err error) (string, error) {
	if err == nil && res[0].Error.Code() != kafka.ErrNoError {
		err = res[0].Error
	}
	return "", err
}

func admin(ctx context.Context, adm *kafka.AdminClient, r proto.Request) (string, error) {
	resource := kafka.ConfigResource{Type: kafka.ResourceTopic, Name: r.Topic}
	switch r.Op {
	case "create-topic":
		return topicError(adm.CreateTopics(ctx, []kafka.TopicSpecification{{Topic: r.Topic, NumPartitions: int(r.Partitions), ReplicationFactor: 1}}))
	case "describe-topic":
		d, err := adm.DescribeTopics(ctx, kafka.NewTopicCollectionOfTopicNames([]string{r.Topic}))
		if err != nil {
			return "", err
		}
		return strconv.Itoa(len(d.TopicDescriptions[0].Partitions)), nil
	case "add-partitions":
		return topicError(adm.CreatePartitions(ctx, []kafka.PartitionsSpecification{{Topic: r.Topic, IncreaseTo: int(r.Partitions)}}))
	case "alter-config":
		resource.Config = []kafka.ConfigEntry{{Name: "retention.ms", Value: r.Value, IncrementalOperation: kafka.AlterConfigOpTypeSet}}
		res, err := adm.IncrementalAlterConfigs(ctx, []kafka.ConfigResource{resource})
		if err == nil && res[0].Error.Code() != kafka.ErrNoError {
			err = res[0].Error
		}
		return "", err
	case "describe-config":
		res, err := adm.DescribeConfigs(ctx, []kafka.ConfigResource{resource})
		if err != nil {
			return "", err
		}
		return res[0].Config["retention.ms"].Value, nil
	case "list-offsets":
		at := kafka.TopicPartition{Topic: &r.Topic, Partition: r.Partition}
		res, err := adm.ListOffsets(ctx, map[kafka.TopicPartition]kafka.OffsetSpec{at: kafka.LatestOffsetSpec})
		if err != nil {
			return "", err
		}
		for _, o := range res.ResultInfos {
			return strconv.FormatInt(int64(o.Offset), 10), nil
		}
		return "", nil
	case "delete-topic":
		return topicError(adm.DeleteTopics(ctx, []string{r.Topic}))
	}
	return adminGroup(ctx, adm, r)
}

func adminGroup(ctx context.Context, adm *kafka.AdminClient, r proto.Request) (string, error) {
	switch r.Op {
	case "list-groups":
		res, err := adm.ListConsumerGroups(ctx)
		for _, g := range res.Valid {
			if g.GroupID == r.Group {
				return "true", err
			}
		}
		return "false", err
	case "describe-group":
		res, err := adm.DescribeConsumerGroups(ctx, []string{r.Group})
		if err != nil {
			return "", err
		}
		return res.ConsumerGroupDescriptions[0].State.String(), nil
	case "group-offsets":
		res, err := adm.ListConsumerGroupOffsets(ctx, []kafka.ConsumerGroupTopicPartitions{{Group: r.Group, Partitions: []kafka.TopicPartition{{Topic: &r.Topic, Partition: r.Partition}}}})
		if err != nil {
			return "", err
		}
		return strconv.FormatInt(int64(res.ConsumerGroupsTopicPartitions[0].Partitions[0].Offset), 10), nil
	case "delete-group":
		res, err := adm.DeleteConsumerGroups(ctx, []string{r.Group})
		if err == nil && res.ConsumerGroupResults[0].Error.Code() != kafka.ErrNoError {
			err = res.ConsumerGroupResults[0].Error
		}
		return "", err
	}
	return "", proto.Unsupported("admin " + r.Op)
}

func (client) Survive(r proto.Request, stop <-chan struct{}, emit proto.Emit) error {
	p, err := kafka.NewProducer(&kafka.ConfigMap{"bootstrap.servers": r.Addr})
	if err != nil {
		return err
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		for ev := range p.Events() {
			m, ok := ev.(*kafka.Message)
			if !ok {
				continue
			}
			e := proto.Event{Event: "acked", Index: m.Opaque.(int)}
			if m.TopicPartition.Error != nil {
				e.Event, e.Error = "failed", m.TopicPartition.Error.Error()
			}
			emit(e)
		}
	})
	for i := 0; !proto.Stopped(stop); i++ {
		err := p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &r.Topic, Partition: kafka.PartitionAny}, Value: []byte(strconv.Itoa(i)), Opaque: i}, nil)
		if err != nil {
			emit(proto.Event{Event: "failed", Index: i, Error: err.Error()})
		}
		time.Sleep(2 * time.Millisecond)
	}
	p.Flush(60000)
	p.Close()
	wait.Wait()
	return nil
}
