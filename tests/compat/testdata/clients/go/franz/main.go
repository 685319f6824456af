// Command franz drives franz-go.
package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast.test/clients/proto"
)

func main() { proto.Main("github.com/twmb/franz-go", franz{}) }

type franz struct{}

func options(r proto.Request) ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(r.Addr), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	switch r.Mode {
	case "ordinary":
		opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.DisableIdempotentWrite())
	case "idempotent":
		opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))
	}
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	if r.Compression != "" {
		c, ok := codecs[r.Compression]
		if !ok {
			return nil, proto.Unsupported("compression " + r.Compression)
		}
		opts = append(opts, kgo.ProducerBatchCompression(c))
	}
	return opts, nil
}

func (franz) Produce(r proto.Request, emit proto.Emit) error {
	opts, err := options(r)
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	var records []*kgo.Record
	for i := r.First; i < r.First+r.Count; i++ {
		records = append(records, &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: []byte(proto.Key(i)), Value: []byte(proto.Value(i)), Timestamp: r.At(i),
			Headers: []kgo.RecordHeader{{Key: "n", Value: []byte(strconv.Itoa(i))}}})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for i, res := range cl.ProduceSync(ctx, records...) {
		if res.Err != nil {
			return res.Err
		}
		emit(proto.Event{Event: "acked", Index: r.First + i, Offset: res.Record.Offset})
	}
	return nil
}

func record(rec *kgo.Record) proto.Event {
	e := proto.Event{Event: "record", Partition: rec.Partition, Offset: rec.Offset, Time: rec.Timestamp.UnixMilli(), Key: string(rec.Key), Value: string(rec.Value)}
	for _, h := range rec.Headers {
		e.Header = string(h.Value)
	}
	return e
}

func (franz) Consume(r proto.Request, emit proto.Emit) error {
	at := kgo.NewOffset().At(r.Offset)
	if r.Op == "time" {
		at = kgo.NewOffset().AfterMilli(r.Time)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.Addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.Topic: {r.Partition: at}}))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for n := 0; n < r.Count; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			emit(record(rec))
			n++
		})
	}
	return nil
}

func (franz) Group(r proto.Request, stop <-chan struct{}, emit proto.Emit) error {
	held := map[int32]bool{}
	say := func() {
		e := proto.Event{Event: "assigned"}
		for p := range held {
			e.Partitions = append(e.Partitions, p)
		}
		emit(e)
	}
	lost := func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
		for _, p := range m[r.Topic] {
			delete(held, p)
		}
		say()
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.Addr), kgo.ConsumerGroup(r.Group), kgo.ConsumeTopics(r.Topic), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(500*time.Millisecond), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
			for _, p := range m[r.Topic] {
				held[p] = true
			}
			say()
		}), kgo.OnPartitionsRevoked(lost), kgo.OnPartitionsLost(lost))
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	for !proto.Stopped(stop) {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		fetches := cl.PollFetches(ctx)
		cancel()
		if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		n := 0
		fetches.EachRecord(func(rec *kgo.Record) {
			emit(record(rec))
			n++
		})
		if n > 0 {
			if err := cl.CommitUncommittedOffsets(context.Background()); err != nil {
				return fmt.Errorf("commit: %w", err)
			}
			emit(proto.Event{Event: "committed"})
		}
		cl.AllowRebalance()
	}
	return nil
}

func (franz) Admin(r proto.Request, emit proto.Emit) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.Addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	value, err := admin(ctx, adm, r)
	if err == nil {
		emit(proto.Event{Event: "value", Value: value})
	}
	return err
}

func admin(ctx context.Context, adm *kadm.Client, r proto.Request) (string, error) {
	switch r.Op {
	case "create-topic":
		_, err := adm.CreateTopic(ctx, r.Partitions, 1, nil, r.Topic)
		return "", err
	case "describe-topic":
		d, err := adm.ListTopics(ctx, r.Topic)
		if err == nil {
			err = d.Error()
		}
		return strconv.Itoa(len(d[r.Topic].Partitions)), err
	case "alter-config":
		_, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &r.Value}}, r.Topic)
		return "", err
	case "describe-config":
		d, err := adm.DescribeTopicConfigs(ctx, r.Topic)
		if err != nil {
			return "", err
		}
		for _, c := range d[0].Configs {
			if c.Key == "retention.ms" {
				return *c.Value, d[0].Err
			}
		}
		return "", d[0].Err
	case "add-partitions":
		_, err := adm.UpdatePartitions(ctx, int(r.Partitions), r.Topic)
		return "", err
	case "list-offsets":
		l, err := adm.ListEndOffsets(ctx, r.Topic)
		o, _ := l.Lookup(r.Topic, r.Partition)
		return strconv.FormatInt(o.Offset, 10), err
	case "list-groups":
		l, err := adm.ListGroups(ctx)
		return strconv.FormatBool(l[r.Group].Group == r.Group), err
	case "describe-group":
		d, err := adm.DescribeGroups(ctx, r.Group)
		return d[r.Group].State, err
	case "group-offsets":
		o, err := adm.FetchOffsets(ctx, r.Group)
		at, _ := o.Lookup(r.Topic, r.Partition)
		return strconv.FormatInt(at.At, 10), err
	case "delete-group":
		_, err := adm.DeleteGroup(ctx, r.Group)
		return "", err
	case "delete-topic":
		_, err := adm.DeleteTopic(ctx, r.Topic)
		return "", err
	}
	return "", proto.Unsupported("admin " + r.Op)
}

func (franz) Survive(r proto.Request, stop <-chan struct{}, emit proto.Emit) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.Addr), kgo.DefaultProduceTopic(r.Topic), kgo.MaxBufferedRecords(500))
	if err != nil {
		return err
	}
	defer cl.Close()
	for i := 0; !proto.Stopped(stop); i++ {
		n := i
		cl.Produce(context.Background(), &kgo.Record{Value: []byte(strconv.Itoa(n))}, func(_ *kgo.Record, err error) {
			e := proto.Event{Event: "acked", Index: n}
			if err != nil {
				e.Event, e.Error = "failed", err.Error()
			}
			emit(e)
		})
		time.Sleep(2 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return cl.Flush(ctx)
}
