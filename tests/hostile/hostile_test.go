//go:build rig

package hostile_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/tests/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// frame is a request as it goes over the wire.
func frame(q kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("crowd")).AppendRequest(nil, q, correlation)
}

func versions() kmsg.Request {
	q := kmsg.NewPtrApiVersionsRequest()
	q.Version, q.ClientSoftwareName, q.ClientSoftwareVersion = 3, "crowd", "1"
	return q
}

func metadata() kmsg.Request {
	q := kmsg.NewPtrMetadataRequest()
	q.Version = 9
	return q
}

// crowd opens n connections and lets each behave until ctx ends.
func crowd(ctx context.Context, addr string, n int, behave func(context.Context, net.Conn)) (wait func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for ctx.Err() == nil {
				c, err := net.DialTimeout("tcp", addr, time.Second)
				if err != nil {
					pause(ctx, 50*time.Millisecond)
					continue
				}
				stop := context.AfterFunc(ctx, func() { _ = c.Close() })
				behave(ctx, c)
				stop()
				_ = c.Close()
			}
		})
	}
	return all.Wait
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// crowds are the bad clients, and how many of each come at once.
var crowds = []struct {
	name   string
	n      int
	behave func(context.Context, net.Conn)
}{
	{"slow senders", 200, func(ctx context.Context, c net.Conn) { // one byte, and then one more
		for _, b := range frame(metadata(), 1) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			pause(ctx, 500*time.Millisecond)
		}
	}},
	{"silent", 200, func(ctx context.Context, c net.Conn) { _, _ = io.Copy(io.Discard, c) }},
	{"half open", 100, func(ctx context.Context, c net.Conn) { // the end in the middle of a frame
		_, _ = c.Write(append(frame(versions(), 1), frame(metadata(), 2)[:9]...))
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		pause(ctx, 500*time.Millisecond)
	}},
	{"never read", 50, func(ctx context.Context, c net.Conn) {
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		for i := int32(0); i < 5000; i++ {
			if _, err := c.Write(frame(metadata(), i)); err != nil {
				return
			}
		}
		pause(ctx, time.Minute)
	}},
	{"pipeline a thousand", 1, func(ctx context.Context, c net.Conn) {
		var all []byte
		for i := range int32(1000) {
			all = append(all, frame(versions(), i)...)
		}
		for ctx.Err() == nil {
			go func() { _, _ = c.Write(all) }()
			for range 1000 {
				var size [4]byte
				if _, err := io.ReadFull(c, size[:]); err != nil {
					return
				}
				if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(size[:]))); err != nil {
					return
				}
			}
			pause(ctx, 500*time.Millisecond)
		}
	}},
}

// good is the client that behaves: one record at a time, acks=all.
type good struct {
	t *testing.T
	c *kgo.Client
}

// p99 writes records for a while.
func (g good) p99(d time.Duration) time.Duration {
	g.t.Helper()
	var took []time.Duration
	for end := time.Now().Add(d); time.Now().Before(end); {
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		err := g.c.ProduceSync(ctx, &kgo.Record{Topic: "good", Value: make([]byte, 100)}).FirstErr()
		cancel()
		if err != nil {
			g.t.Fatalf("the good client: %v", err)
		}
		took = append(took, time.Since(began))
		<-time.After(2 * time.Millisecond)
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// slack is what a machine that does other things may add: without it the test
// measures the machine.
const slack = 2 * time.Millisecond

func startGood(t *testing.T) (*rig.Process, rig.Place, good) {
	p := rig.NewPlace(t, t.TempDir())
	proc := rig.RunBroker(t, rig.DefaultTarget(t), p)
	c := rig.NewClient(t, p.Addr, kgo.ProducerLinger(0))
	rig.CreateTopics(t, c, rig.Topic{Name: "good", Partitions: 1})
	return proc, p, good{t, c}
}

// TestCrowds: no crowd makes the good client's p99 more than twice as long.
func TestCrowds(t *testing.T) {
	proc, p, g := startGood(t)
	_ = g.p99(2 * time.Second) // warm
	for _, x := range crowds {
		t.Run(x.name, func(t *testing.T) {
			var alone, among time.Duration
			for try := 0; ; try++ {
				alone = g.p99(3 * time.Second)
				ctx, cancel := context.WithCancel(context.Background())
				wait := crowd(ctx, p.Addr, x.n, x.behave)
				<-time.After(time.Second)
				among = g.p99(5 * time.Second)
				cancel()
				wait()
				if among <= 2*alone+slack || try == 2 {
					break
				}
			}
			t.Logf("p99 alone %v, among %d who %s: %v", alone, x.n, x.name, among)
			if among > 2*alone+slack {
				t.Errorf("p99 %v among them, %v alone", among, alone)
			}
			if !proc.Alive() {
				t.Fatalf("the broker ended: %s", proc.Tail(2000))
			}
		})
	}
}

// TestIdleConnections opens as many connections as the broker takes, each of
// which has said who it is, and states what one costs.
func TestIdleConnections(t *testing.T) {
	const n = 9_900
	proc, p, g := startGood(t)
	_ = g.p99(2 * time.Second)
	alone := g.p99(3 * time.Second)
	before, err := proc.ResidentBytes()
	if err != nil {
		t.Fatal(err)
	}
	hello, conns := frame(versions(), 1), make([]net.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for range n {
		c, err := net.DialTimeout("tcp", p.Addr, 5*time.Second)
		if err != nil {
			t.Fatalf("connection %d: %v", len(conns), err)
		}
		conns = append(conns, c)
		var size [4]byte
		if _, err = c.Write(hello); err == nil {
			_, err = io.ReadFull(c, size[:])
		}
		if err == nil {
			_, err = io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(size[:])))
		}
		if err != nil {
			t.Fatalf("connection %d: %v", len(conns), err)
		}
	}
	after, err := proc.ResidentBytes()
	if err != nil {
		t.Fatal(err)
	}
	each := (after - before) / n
	among := g.p99(5 * time.Second)
	t.Logf("%d idle connections: %d bytes of the broker each; p99 %v, alone %v", n, each, among, alone)
	if each > 24<<10 {
		t.Errorf("an idle connection costs %d bytes", each)
	}
	if among > 2*alone+slack {
		t.Errorf("p99 %v among them, %v alone", among, alone)
	}
}
