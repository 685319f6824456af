package node_test

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/config"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/node"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

func reviewNode(t testing.TB, ground *env.Test) *node.Node {
	t.Helper()
	c := config.Default()
	c.Listeners = []config.Listener{{Name: "PLAINTEXT", Protocol: "PLAINTEXT", Bind: config.Endpoint{Host: "127.0.0.1", Port: 9092},
		Advertised: config.Endpoint{Host: "127.0.0.1", Port: 9092}}}
	n, err := node.Start(context.Background(), node.Options{Env: ground.Env, Config: c, DataDir: "/data", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

type reviewClient struct {
	t testing.TB
	c net.Conn
	n int32
}

func reviewDial(t testing.TB, ground *env.Test) *reviewClient {
	t.Helper()
	c, err := ground.Net.Dial("127.0.0.1:9092", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return &reviewClient{t: t, c: c}
}

func (r *reviewClient) frame(q kmsg.Request) []byte {
	r.n++
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("review")).AppendRequest(nil, q, r.n)
}

func (r *reviewClient) next() (int32, []byte) {
	r.t.Helper()
	_ = r.c.SetReadDeadline(time.Now().Add(20 * time.Second))
	var head [4]byte
	if _, err := io.ReadFull(r.c, head[:]); err != nil {
		r.t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(r.c, b); err != nil {
		r.t.Fatal(err)
	}
	return int32(binary.BigEndian.Uint32(b)), b[4:]
}

func (r *reviewClient) ask(q kmsg.Request, skip int) kmsg.Response {
	r.t.Helper()
	if _, err := r.c.Write(r.frame(q)); err != nil {
		r.t.Fatal(err)
	}
	_, b := r.next()
	p := q.ResponseKind()
	if err := p.ReadFrom(b[skip:]); err != nil {
		r.t.Fatal(err)
	}
	return p
}

func (r *reviewClient) create(topic string) *kmsg.CreateTopicsResponse {
	q := kmsg.NewPtrCreateTopicsRequest()
	q.Version, q.TimeoutMillis = 4, 5000
	x := kmsg.NewCreateTopicsRequestTopic()
	x.Topic, x.NumPartitions, x.ReplicationFactor = topic, 1, 1
	q.Topics = append(q.Topics, x)
	return r.ask(q, 0).(*kmsg.CreateTopicsResponse)
}

func reviewProduce(topic string, size int) *kmsg.ProduceRequest {
	b := record.NewBuilder(record.Options{})
	b.Append(kafka.Timestamp(time.Now().UnixMilli()), nil, make([]byte, size))
	data, _ := b.Build(nil)
	q := kmsg.NewPtrProduceRequest()
	q.Version, q.Acks, q.TimeoutMillis = 7, -1, 5000
	x := kmsg.NewProduceRequestTopic()
	x.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = data
	x.Partitions = append(x.Partitions, p)
	q.Topics = append(q.Topics, x)
	return q
}

func reviewFetch(topic string, minBytes, wait int32, offset int64) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.Version, q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.SessionEpoch = 11, wait, minBytes, 50<<20, -1
	x := kmsg.NewFetchRequestTopic()
	x.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = offset, 1<<20, -1
	x.Partitions = append(x.Partitions, p)
	q.Topics = append(q.Topics, x)
	return q
}

// Replies leave in request order, also when a plain one and one with a file
// range are ready together.
func TestReview_ReplyOrderWithAFileRange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ground := env.NewTest(1)
		n := reviewNode(t, ground)
		defer func() { _ = n.Stop(context.Background()) }()
		r := reviewDial(t, ground)
		r.create("t")
		r.ask(reviewProduce("t", 100<<10), 0)
		for range 20 {
			first := r.n + 1
			both := append(r.frame(reviewProduce("t", 100)), r.frame(reviewFetch("t", 1, 500, 0))...)
			if _, err := r.c.Write(both); err != nil {
				t.Fatal(err)
			}
			a, _ := r.next()
			b, _ := r.next()
			if a != first || b != first+1 {
				t.Fatalf("replies %d, %d; want %d, %d", a, b, first, first+1)
			}
		}
	})
}

// A topic whose creation met a full disk is usable once there is space.
func TestReview_TopicCreatedOnAFullDiskRecovers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ground := env.NewTest(1)
		n := reviewNode(t, ground)
		defer func() { _ = n.Stop(context.Background()) }()
		r := reviewDial(t, ground)
		r.create("before")
		heal := ground.Disk.Inject(reviewNoSpace("*partition.metadata*"))
		heal2 := ground.Disk.Inject(reviewNoSpace("*/t-0/*"))
		x := r.create("t")
		t.Logf("create: %+v", x.Topics)
		heal()
		heal2()
		<-time.After(3 * time.Second)
		p := r.ask(reviewProduce("t", 100), 0).(*kmsg.ProduceResponse)
		if code := p.Topics[0].Partitions[0].ErrorCode; code != 0 {
			t.Errorf("CreateTopics answered %d; after the disk has space again produce answers %d", x.Topics[0].ErrorCode, code)
		}
	})
}

// A small request makes a reply of any size on the heap: one partition named
// again and again, each below the size from which ranges are sent as files.
func TestReview_FetchNamesOnePartitionManyTimes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ground := env.NewTest(1)
		n := reviewNode(t, ground)
		defer func() { _ = n.Stop(context.Background()) }()
		r := reviewDial(t, ground)
		r.create("t")
		r.ask(reviewProduce("t", 30<<10), 0)
		q := reviewFetch("t", 1, 0, 0)
		for range 3000 {
			q.Topics[0].Partitions = append(q.Topics[0].Partitions, q.Topics[0].Partitions[0])
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		before, requests := m.HeapAlloc, 0
		if _, err := r.c.Write(r.frame(reviewFetch("t", 1, 2000, 1))); err != nil { // parked at the end of the log
			t.Fatal(err)
		}
		for range 8 { // nobody reads the replies
			frame := r.frame(q)
			requests += len(frame)
			if _, err := r.c.Write(frame); err != nil {
				t.Fatal(err)
			}
		}
		held := int64(0)
		for range 80 {
			<-time.After(100 * time.Millisecond)
			runtime.ReadMemStats(&m)
			held = max(held, int64(m.HeapAlloc)-int64(before))
		}
		_ = r.c.Close()
		if held > 256<<20 {
			t.Errorf("%d bytes of requests on one connection hold %d MiB for replies, in no pool", requests, held>>20)
		} else {
			t.Logf("%d bytes of requests hold %d MiB", requests, held>>20)
		}
	})
}

func reviewNoSpace(path string) vfs.Fault {
	return vfs.Fault{Op: vfs.OpWrite | vfs.OpCreate, Path: path, Err: vfs.ErrNoSpace}
}

// What a parked request keeps is small, or is accounted for: here every fetch
// behind a parked one keeps its decoded body after its memory was given back.
func TestReview_ParkedFetchesKeepTheirBodies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ground := env.NewTest(1)
		n := reviewNode(t, ground)
		defer func() { _ = n.Stop(context.Background()) }()
		r := reviewDial(t, ground)
		r.create("t")
		big := reviewFetch("t", 1, 5_000, 0)
		for range 60_000 {
			big.Topics[0].Partitions = append(big.Topics[0].Partitions, big.Topics[0].Partitions[0])
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		before := m.HeapAlloc
		if _, err := r.c.Write(r.frame(reviewFetch("t", 1, 5_000, 0))); err != nil {
			t.Fatal(err)
		}
		const requests = 100
		frame := r.frame(big)
		go func() { // the broker stops reading where memory ends; then this blocks
			for range requests {
				if _, err := r.c.Write(frame); err != nil {
					return
				}
			}
		}()
		<-time.After(3 * time.Second)
		runtime.GC()
		runtime.ReadMemStats(&m)
		held := (int64(m.HeapAlloc) - int64(before)) >> 20
		_ = r.c.Close()
		if held > 256 {
			t.Errorf("%d parked requests of one connection hold %d MiB, which no pool knows (client memory is 256 MiB)", requests, held)
		} else {
			t.Logf("%d MiB", held)
		}
	})
}
