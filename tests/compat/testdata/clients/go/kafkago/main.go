// Command kafkago drives segmentio/kafka-go.
package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"holdfast.test/clients/proto"
)

func main() { proto.Main("github.com/segmentio/kafka-go", client{}) }

type client struct{}

func (client) Produce(r proto.Request, emit proto.Emit) error {
	codecs := map[string]kafka.Compression{"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}
	transport := &kafka.Transport{} // the shared one remembers for seconds which topics there are
	defer transport.CloseIdleConnections()
	w := &kafka.Writer{
		Addr: kafka.TCP(r.Addr), Transport: transport, Topic: r.Topic, BatchTimeout: 5 * time.Millisecond, Compression: codecs[r.Compression],
		Balancer: kafka.BalancerFunc(func(kafka.Message, ...int) int { return int(r.Partition) }),
	}
	switch r.Mode {
	case "ordinary":
		w.RequiredAcks = kafka.RequireAll
	case "idempotent":
		return proto.Unsupported("idempotence")
	}
	defer w.Close()
	var messages []kafka.Message
	for i := r.First; i < r.First+r.Count; i++ {
		messages = append(messages, kafka.Message{Key: []byte(proto.Key(i)), Value: []byte(proto.Value(i)), Time: r.At(i),
			Headers: []kafka.Header{{Key: "n", Value: []byte(strconv.Itoa(i))}}})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := w.WriteMessages(ctx, messages...); err != nil {
		return err
	}
	for i := range messages {
		emit(proto.Event{Event: "acked", Index: r.First + i, Offset: -1})
	}
	return nil
}

func record(m kafka.Message) proto.Event {
	e := proto.Event{Event: "record", Partition: int32(m.Partition), Offset: m.Offset, Time: m.Time.UnixMilli(), Key: string(m.Key), Value: string(m.Value)}
	for _, h := range m.Headers {
		e.Header = string(h.Value)
	}
	return e
}

func (client) Consume(r proto.Request, emit proto.Emit) error {
	rd := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{r.Addr}, Topic: r.Topic, Partition: int(r.Partition), MaxWait: 100 * time.Millisecond})
	defer rd.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := rd.SetOffset(r.Offset)
	if r.Op == "time" {
		err = rd.SetOffsetAt(ctx, time.UnixMilli(r.Time))
	}
	for n := 0; n < r.Count && err == nil; n++ {
		var m kafka.Message
		if m, err = rd.ReadMessage(ctx); err == nil {
			emit(record(m))
		}
	}
	return err
}

// Group uses ConsumerGroup, the layer below Reader: a Reader does not tell what
// it was assigned.
func (client) Group(r proto.Request, stop <-chan struct{}, emit proto.Emit) error {
	g, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: r.Group, Brokers: []string{r.Addr}, Topics: []string{r.Topic}, StartOffset: kafka.FirstOffset,
		HeartbeatInterval: 500 * time.Millisecond, SessionTimeout: 10 * time.Second, RebalanceTimeout: 10 * time.Second, JoinGroupBackoff: 500 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	defer g.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-stop
		cancel()
	}()
	for ctx.Err() == nil {
		gen, err := g.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			return err
		}
		e := proto.Event{Event: "assigned"}
		for _, a := range gen.Assignments[r.Topic] {
			e.Partitions = append(e.Partitions, int32(a.ID))
		}
		emit(e)
		for _, a := range gen.Assignments[r.Topic] {
			gen.Start(func(ctx context.Context) { read(ctx, gen, r, a, emit) })
		}
	}
	return nil
}

func read(ctx context.Context, gen *kafka.Generation, r proto.Request, a kafka.PartitionAssignment, emit proto.Emit) {
	rd := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{r.Addr}, Topic: r.Topic, Partition: a.ID, MaxWait: 100 * time.Millisecond})
	defer rd.Close()
	_ = rd.SetOffset(a.Offset)
	for {
		m, err := rd.ReadMessage(ctx)
		if err != nil {
			return
		}
		emit(record(m))
		if err := gen.CommitOffsets(map[string]map[int]int64{r.Topic: {a.ID: m.Offset + 1}}); err == nil {
			emit(proto.Event{Event: "committed"})
		}
	}
}

func (client) Admin(r proto.Request, emit proto.Emit) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	value, err := admin(ctx, &kafka.Client{Addr: kafka.TCP(r.Addr)}, r)
	if err == nil {
		emit(proto.Event{Event: "value", Value: value})
	}
	return err
}

func admin(ctx context.Context, cl *kafka.Client, r proto.Request) (string, error) {
	switch r.Op {
	case "create-topic":
		res, err := cl.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: r.Topic, NumPartitions: int(r.Partitions), ReplicationFactor: 1}}})
		if err != nil {
			return "", err
		}
		return "", res.Errors[r.Topic]
	case "describe-topic":
		res, err := cl.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{r.Topic}})
		if err != nil {
			return "", err
		}
		return strconv.Itoa(len(res.Topics[0].Partitions)), nil
	case "add-partitions":
		res, err := cl.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: r.Topic, Count: r.Partitions}}})
		if err != nil {
			return "", err
		}
		return "", res.Errors[r.Topic]
	case "alter-config":
		res, err := cl.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: r.Topic,
			Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "retention.ms", Value: r.Value, ConfigOperation: kafka.ConfigOperationSet}}}}})
		if err != nil {
			return "", err
		}
		return "", res.Resources[0].Error
	case "describe-config":
		res, err := cl.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: r.Topic, ConfigNames: []string{"retention.ms"}}}})
		if err != nil {
			return "", err
		}
		for _, e := range res.Resources[0].ConfigEntries {
			return e.ConfigValue, res.Resources[0].Error
		}
		return "", res.Resources[0].Error
	case "list-offsets":
		res, err := cl.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{r.Topic: {kafka.LastOffsetOf(int(r.Partition))}}})
		if err != nil {
			return "", err
		}
		return strconv.FormatInt(res.Topics[r.Topic][0].LastOffset, 10), res.Topics[r.Topic][0].Error
	case "delete-topic":
		res, err := cl.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{r.Topic}})
		if err != nil {
			return "", err
		}
		return "", res.Errors[r.Topic]
	}
	return adminGroup(ctx, cl, r)
}

func adminGroup(ctx context.Context, cl *kafka.Client, r proto.Request) (string, error) {
	switch r.Op {
	case "list-groups":
		res, err := cl.ListGroups(ctx, &kafka.ListGroupsRequest{})
		if err != nil {
			return "", err
		}
		for _, g := range res.Groups {
			if g.GroupID == r.Group {
				return "true", res.Error
			}
		}
		return "false", res.Error
	case "describe-group":
		res, err := cl.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{r.Group}})
		if err != nil {
			return "", err
		}
		return res.Groups[0].GroupState, res.Groups[0].Error
	case "group-offsets":
		res, err := cl.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: r.Group, Topics: map[string][]int{r.Topic: {int(r.Partition)}}})
		if err != nil {
			return "", err
		}
		return strconv.FormatInt(res.Topics[r.Topic][0].CommittedOffset, 10), res.Error
	case "delete-group":
		res, err := cl.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{r.Group}})
		if err != nil {
			return "", err
		}
		return "", res.Errors[r.Group]
	}
	return "", proto.Unsupported("admin " + r.Op)
}

// Survive reports nothing as acknowledged that the default acks=0 of a Writer
// cannot know: with it, no error means only that the bytes were sent.
func (client) Survive(r proto.Request, stop <-chan struct{}, emit proto.Emit) error {
	w := &kafka.Writer{Addr: kafka.TCP(r.Addr), Topic: r.Topic, BatchTimeout: 5 * time.Millisecond}
	defer w.Close()
	var wait sync.WaitGroup
	slots := make(chan struct{}, 200)
	for i := 0; !proto.Stopped(stop); i++ {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			err := w.WriteMessages(ctx, kafka.Message{Value: []byte(strconv.Itoa(i))})
			e := proto.Event{Event: "acked", Index: i}
			switch {
			case err != nil:
				e.Event, e.Error = "failed", err.Error()
			case w.RequiredAcks == kafka.RequireNone:
				e.Event, e.Error = "failed", errors.New("unknown: acks=0 has no answer").Error()
			}
			emit(e)
		})
		time.Sleep(2 * time.Millisecond)
	}
	wait.Wait()
	return nil
}
