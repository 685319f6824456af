package api_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/clock"
	"holdfast/internal/config"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/node"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

const address = "broker:9092"

// live is a broker in memory and one connection to it. Requests and replies are
// encoded by a Kafka client's own library, so that a mistake of our codec shows.
type live struct {
	t      testing.TB
	ground *env.Test
	node   *node.Node
}

func startLive(t testing.TB, extra ...config.Setting) *live {
	t.Helper()
	flags := append([]config.Setting{{Key: "listeners", Value: "PLAINTEXT://" + address}, {Key: "admin.listen", Value: ""}}, extra...)
	c, _, err := config.Load(config.Sources{Flags: flags, Hostname: "broker"})
	if err != nil {
		t.Fatal(err)
	}
	l := &live{t: t, ground: env.NewTest(1)}
	l.node, err = node.Start(context.Background(), node.Options{Env: l.ground.Env, Config: c, DataDir: "/data", Version: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *live) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := l.node.Stop(ctx); err != nil {
		l.t.Errorf("stop: %v", err)
	}
}

// slowSyncs makes each flush round take so long.
func (l *live) slowSyncs(d time.Duration) {
	l.ground.Disk.SetLatency(clock.Real{}, func(op vfs.Op, name string, _ int) time.Duration {
		if op == vfs.OpWrite && name == "/data/holdfast.journal" {
			return d
		}
		return 0
	})
}

// conn is one connection.
type conn struct {
	t    testing.TB
	c    net.Conn
	last int32
	// again makes another connection to the same broker.
	again func() *conn
}

func (l *live) dial() *conn {
	l.t.Helper()
	c, err := l.ground.Net.Dial(address, time.Second)
	if err != nil {
		l.t.Fatal(err)
	}
	return &conn{t: l.t, c: c, again: l.dial}
}

func frame(q kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, q, correlation)
}

// send writes a request.
func (c *conn) send(q kmsg.Request) {
	c.last++
	_, _ = c.c.Write(frame(q, c.last)) // a closed connection shows at the next read
}

// errClosed: the broker closed the connection instead of answering.
var errClosed = errors.New("the connection was closed")

// read returns the next reply without its size: correlation id, then the rest.
func (c *conn) read() (int32, []byte, error) {
	wait := time.Minute
	if *recordFrom != "" {
		wait = 10 * time.Second
	}
	_ = c.c.SetReadDeadline(time.Now().Add(wait))
	var head [4]byte
	if _, err := io.ReadFull(c.c, head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			err = errClosed
		}
		return 0, nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(c.c, b); err != nil {
		return 0, nil, err
	}
	return int32(binary.BigEndian.Uint32(b)), b[4:], nil
}

// answer reads the reply to q and decodes it.
func (c *conn) answer(q kmsg.Request) (kmsg.Response, error) {
	_, b, err := c.read()
	if err != nil {
		return nil, err
	}
	p := q.ResponseKind()
	if q.IsFlexible() && q.Key() != int16(kmsg.ApiVersions) {
		if len(b) == 0 || b[0] != 0 {
			return nil, errors.New("no empty tags in a flexible response header")
		}
		b = b[1:]
	}
	return p, p.ReadFrom(b)
}

// ask sends q and demands a reply.
func ask[T kmsg.Response](c *conn, q kmsg.Request) T {
	c.t.Helper()
	c.send(q)
	p, err := c.answer(q)
	if err != nil {
		c.t.Fatalf("%T version %d: %v", q, q.GetVersion(), err)
	}
	return p.(T)
}

func (c *conn) createTopic(name string, partitions int32, configs ...string) [16]byte {
	c.t.Helper()
	q := kmsg.NewPtrCreateTopicsRequest()
	q.Version, q.TimeoutMillis = 7, 5000
	x := kmsg.NewCreateTopicsRequestTopic()
	x.Topic, x.NumPartitions, x.ReplicationFactor = name, partitions, 1
	for i := 0; i < len(configs); i += 2 {
		s := kmsg.NewCreateTopicsRequestTopicConfig()
		s.Name, s.Value = configs[i], &configs[i+1]
		x.Configs = append(x.Configs, s)
	}
	q.Topics = append(q.Topics, x)
	p := ask[*kmsg.CreateTopicsResponse](c, q)
	if p.Topics[0].ErrorCode != 0 {
		c.t.Fatalf("create %s: %d", name, p.Topics[0].ErrorCode)
	}
	return p.Topics[0].TopicID
}

// batch is one batch of records with the values given.
func batch(values ...string) []byte {
	b := record.NewBuilder(record.Options{})
	for _, v := range values {
		b.Append(kafka.Timestamp(time.Now().UnixMilli()), nil, []byte(v))
	}
	out, _ := b.Build(nil)
	return out
}

// produceTo is a produce request of one batch per partition named.
func produceTo(version, acks int16, topic string, records map[int32][]byte) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.Version, q.Acks, q.TimeoutMillis = version, acks, 5000
	x := kmsg.NewProduceRequestTopic()
	x.Topic = topic
	for p := range int32(100) {
		if b, ok := records[p]; ok {
			y := kmsg.NewProduceRequestTopicPartition()
			y.Partition, y.Records = p, b
			x.Partitions = append(x.Partitions, y)
		}
	}
	q.Topics = append(q.Topics, x)
	return q
}

func one(values ...string) map[int32][]byte { return map[int32][]byte{0: batch(values...)} }

// end is the log end that a partition's clients see.
func (c *conn) end(topic string) int64 {
	c.t.Helper()
	q := kmsg.NewPtrListOffsetsRequest()
	q.Version, q.ReplicaID = 7, -1
	x := kmsg.NewListOffsetsRequestTopic()
	x.Topic = topic
	y := kmsg.NewListOffsetsRequestTopicPartition()
	y.Timestamp = -1
	x.Partitions = append(x.Partitions, y)
	q.Topics = append(q.Topics, x)
	return ask[*kmsg.ListOffsetsResponse](c, q).Topics[0].Partitions[0].Offset
}

func bubble(t *testing.T, test func(*testing.T)) { synctest.Test(t, test) }
