package node_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/env"
	"holdfast/internal/kafka"
)

// streams are what well-behaved clients send on one connection: the valid
// prefixes, and the corpus.
func streams(r *reviewClient) (out [][]byte) {
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		q := kmsg.RequestForKey(key)
		if q == nil {
			continue
		}
		for _, v := range []int16{0, q.MaxVersion() / 2, q.MaxVersion()} {
			q.SetVersion(v)
			out = append(out, r.frame(q))
		}
	}
	out = append(out, r.frame(reviewProduce("t", 100)), r.frame(reviewFetch("t", 1, 10, 0)))
	return out
}

// FuzzSocket sends a valid stream and then what the fuzzer makes of another one,
// ends its side, and reads what comes. Goal: the whole broker neither panics nor
// stops, the connection ends soon, and a neighbour is served as before.
func FuzzSocket(f *testing.F) {
	ground := env.NewTest(1)
	n := reviewNode(f, ground)
	f.Cleanup(func() { _ = n.Stop(context.Background()) })
	neighbour := reviewDial(f, ground)
	neighbour.create("t")
	neighbour.create("quiet")
	valid := streams(neighbour)
	for i, s := range valid {
		f.Add(uint16(i), s)
		f.Add(uint16(i), s[:len(s)/2])
	}
	f.Add(uint16(3), []byte{0x7f, 0xff, 0xff, 0xff})
	f.Add(uint16(4), []byte{0xff, 0xff, 0xff, 0xff, 0, 0})
	f.Fuzz(func(t *testing.T, prefix uint16, tail []byte) {
		neighbour.t = t
		c, err := ground.Net.Dial("127.0.0.1:9092", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		done := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, c)
			done <- err
		}()
		_, _ = c.Write(append(append([]byte{}, valid[int(prefix)%len(valid)]...), tail...))
		_ = c.(interface{ CloseWrite() error }).CloseWrite()
		q := reviewProduce("quiet", 10)
		if code := neighbour.ask(q, 0).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; kafka.ErrorCode(code) != kafka.ErrNone {
			if kafka.ErrorCode(code) != kafka.ErrUnknownTopicOrPartition { // the fuzzer may have found its name
				t.Fatalf("a neighbour gets %v", kafka.ErrorCode(code))
			}
			neighbour.create("quiet")
		}
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if err, isTimeout := (<-done).(interface{ Timeout() bool }); isTimeout && err.Timeout() {
			t.Fatal("the connection does not end")
		}
	})
}
