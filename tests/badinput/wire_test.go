//go:build rig

package badinput_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// conn is one raw connection.
type conn struct {
	net.Conn
	correlation int32
}

func dial(t *testing.T, addr string) *conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &conn{Conn: c}
}

// frame is a whole request with its length.
func (c *conn) frame(req kmsg.Request) []byte {
	c.correlation++
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("badinput")).AppendRequest(nil, req, c.correlation)
}

// answerWait is how long a broker may take to answer or close.
const answerWait = 10 * time.Second

var errSilent = errors.New("neither an answer nor a closed connection")

// answer sends the frame and returns the body of the reply behind its header's
// correlation id; io.EOF when the connection was closed instead.
func (c *conn) answer(frame []byte) ([]byte, error) {
	_ = c.SetDeadline(time.Now().Add(answerWait))
	if _, err := c.Write(frame); err != nil {
		return nil, io.EOF
	}
	return c.read()
}

func (c *conn) read() ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, errSilent
		}
		return nil, io.EOF
	}
	n := binary.BigEndian.Uint32(length[:])
	if n < 4 || n > 16<<20 {
		return nil, fmt.Errorf("reply of %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, io.EOF
	}
	return body[4:], nil
}

// ask sends a request and decodes its reply.
func (c *conn) ask(req kmsg.Request) (kmsg.Response, error) {
	body, err := c.answer(c.frame(req))
	if err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if resp.IsFlexible() && resp.Key() != 18 {
		body = body[1:]
	}
	return resp, resp.ReadFrom(body)
}

// batch is a record batch of magic 2 in the making.
type batch struct {
	attributes int16
	producer   int64
	epoch      int16
	sequence   int32
	timestamp  int64
	count      int32
	lastDelta  int32
	payload    []byte // records, compressed or not
}

// plain is a batch of n records of size bytes.
func plain(n int32, size int) batch {
	b := batch{producer: -1, epoch: -1, sequence: -1, timestamp: time.Now().UnixMilli(), count: n, lastDelta: n - 1}
	for i := range n {
		b.payload = append(b.payload, rec(int64(i), make([]byte, size))...)
	}
	return b
}

// rec is one record with an offset delta and a value.
func rec(delta int64, value []byte) []byte {
	body := []byte{0}
	body = binary.AppendVarint(body, 0)
	body = binary.AppendVarint(body, delta)
	body = binary.AppendVarint(body, -1)
	body = binary.AppendVarint(body, int64(len(value)))
	body = append(body, value...)
	body = binary.AppendVarint(body, 0)
	return append(binary.AppendVarint(nil, int64(len(body))), body...)
}

func (b batch) bytes() []byte {
	out := make([]byte, 61, 61+len(b.payload))
	binary.BigEndian.PutUint32(out[8:], uint32(49+len(b.payload)))
	binary.BigEndian.PutUint32(out[12:], ^uint32(0))
	out[16] = 2
	binary.BigEndian.PutUint16(out[21:], uint16(b.attributes))
	binary.BigEndian.PutUint32(out[23:], uint32(b.lastDelta))
	binary.BigEndian.PutUint64(out[27:], uint64(b.timestamp))
	binary.BigEndian.PutUint64(out[35:], uint64(b.timestamp))
	binary.BigEndian.PutUint64(out[43:], uint64(b.producer))
	binary.BigEndian.PutUint16(out[51:], uint16(b.epoch))
	binary.BigEndian.PutUint32(out[53:], uint32(b.sequence))
	binary.BigEndian.PutUint32(out[57:], uint32(b.count))
	out = append(out, b.payload...)
	seal(out)
	return out
}

// seal sets the checksum.
func seal(b []byte) {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
}

// edit changes bytes of a finished batch and seals it again.
func edit(b []byte, f func([]byte)) []byte {
	f(b)
	seal(b)
	return b
}

func produce(topic string, partition int32, acks int16, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, acks, 5000
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.Partitions = topic, append(rt.Partitions, p)
	req.Topics = append(req.Topics, rt)
	return req
}
