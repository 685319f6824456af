package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/internal/config"
	"holdfast/internal/env"
	"holdfast/internal/node"
)

// BenchmarkTopics creates and deletes a topic of many partitions on the real disk,
// as one client sees it: HOLDFAST_BENCH_PARTITIONS, 1000 when unset. Besides the
// answers it measures the time to the first record in the last partition.
//
//	go test -run - -bench Topics -benchtime 1x ./internal/node
func BenchmarkTopics(b *testing.B) {
	partitions := 1000
	if n, err := strconv.Atoi(os.Getenv("HOLDFAST_BENCH_PARTITIONS")); err == nil {
		partitions = n
	}
	flags := []config.Setting{{Key: "listeners", Value: "PLAINTEXT://127.0.0.1:0"}, {Key: "admin.listen", Value: ""}}
	c, _, err := config.Load(config.Sources{Flags: flags, Hostname: "localhost"})
	if err != nil {
		b.Fatal(err)
	}
	n, err := node.Start(context.Background(), node.Options{Env: env.NewReal(), Config: c, DataDir: b.TempDir(), Version: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = n.Stop(context.Background()) }()
	client, err := kgo.NewClient(kgo.SeedBrokers(n.Listeners()[0].Address), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(20*time.Millisecond), kgo.UnknownTopicRetries(-1))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	admin.SetTimeoutMillis(60_000)
	took := func(what string, f func() error) {
		began := time.Now()
		if err := f(); err != nil {
			b.Fatalf("%s: %v", what, err)
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/"+what)
	}
	i := 0
	for b.Loop() {
		topic := fmt.Sprint("t", i)
		i++
		took("create", func() error {
			_, err := admin.CreateTopic(context.Background(), int32(partitions), 1, nil, topic)
			return err
		})
		took("first-record", func() error {
			return client.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Partition: int32(partitions - 1), Value: []byte("x")}).FirstErr()
		})
		took("delete", func() error {
			_, err := admin.DeleteTopic(context.Background(), topic)
			return err
		})
		took("again", func() error { // behind whatever the deletion leaves to be done
			_, err := admin.CreateTopic(context.Background(), 1, 1, nil, topic+"-again")
			return err
		})
	}
}
