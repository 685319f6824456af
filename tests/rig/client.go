package rig

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options are those of a client that finds the brokers at addr (host:port,
// separated by commas) and tries again for ever, quickly: every accident of a rig
// ends.
func Options(addr string, more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(strings.Split(addr, ",")...),
		kgo.RequestRetries(math.MaxInt32),
		kgo.RetryTimeout(0),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.DialTimeout(2 * time.Second),
		kgo.RequestTimeoutOverhead(2 * time.Second), // a paused broker accepts and never answers
		kgo.UnknownTopicRetries(-1),
		kgo.ConsiderMissingTopicDeletedAfter(time.Hour),
		kgo.DisableClientMetrics(),
		kgo.AlwaysRetryEOF(), // a broker that dies at the first byte is an accident too
	}, more...)
}

// NewClient is a client with Options that is closed when the test ends.
func NewClient(tb testing.TB, addr string, more ...kgo.Opt) *kgo.Client {
	tb.Helper()
	cl, err := kgo.NewClient(Options(addr, more...)...)
	if err != nil {
		tb.Fatalf("new client: %v", err)
	}
	tb.Cleanup(cl.Close)
	return cl
}

// Topic is a topic to create.
type Topic struct {
	Name       string
	Partitions int32
	Replicas   int16 // 0 is 1; DefaultReplicas leaves it to the broker
	Configs    map[string]string
}

// DefaultReplicas asks for as many replicas as the cluster makes by itself.
const DefaultReplicas = -1

// CreateTopics creates the topics and waits until each can be described.
func CreateTopics(tb testing.TB, cl *kgo.Client, topics ...Topic) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, t := range topics {
		if err := createTopic(ctx, kadm.NewClient(cl), t); err != nil {
			tb.Fatal(err)
		}
	}
}

func createTopic(ctx context.Context, adm *kadm.Client, t Topic) error {
	configs := map[string]*string{}
	for k, v := range t.Configs {
		configs[k] = kadm.StringPtr(v)
	}
	replicas := t.Replicas
	if replicas == 0 {
		replicas = 1
	}
	resp, err := adm.CreateTopic(ctx, t.Partitions, replicas, configs, t.Name)
	if err == nil {
		err = resp.Err
	}
	if err != nil {
		return fmt.Errorf("create topic %s with %d partitions: %w", t.Name, t.Partitions, err)
	}
	return nil
}
