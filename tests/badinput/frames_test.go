//go:build rig

package badinput_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/tests/rig"
)

// raw prefixes a body with its length.
func raw(body ...byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// header is a request header of version 1 with a null client id.
func header(key, version int16, body ...byte) []byte {
	h := binary.BigEndian.AppendUint16(nil, uint16(key))
	h = binary.BigEndian.AppendUint16(h, uint16(version))
	h = append(h, 0, 0, 0, 7, 0xff, 0xff)
	return raw(append(h, body...)...)
}

var badFrames = []struct {
	name  string
	bytes []byte
}{
	{"length -1", []byte{0xff, 0xff, 0xff, 0xff}},
	{"length -2147483648", []byte{0x80, 0, 0, 0}},
	{"length 0", []byte{0, 0, 0, 0}},
	{"length 2147483647", append([]byte{0x7f, 0xff, 0xff, 0xff}, 0, 0, 0, 0)},
	{"length 200 MiB", append([]byte{0x0c, 0x80, 0, 0}, 0, 0, 0, 0)},
	{"header cut short", raw(0, 3)},
	{"unknown key 9999", header(9999, 0)},
	{"key -1", header(-1, 0)},
	{"Metadata of version 99", header(3, 99, 0, 0, 0, 0)},
	{"Metadata of version -1", header(3, -1, 0, 0, 0, 0)},
	{"Produce of version 99", header(0, 99, 0, 0, 0, 0)},
	{"Produce of version 2, older than record batches", header(0, 2, 0xff, 0xff, 0, 0, 0x10, 0, 0, 0, 0, 0)},
	{"inter-broker key LeaderAndIsr", header(4, 0, 0, 0, 0, 0)},
	{"raft key Vote", header(52, 0, 0, 0, 0, 0)},
	{"client id longer than the frame", raw(0, 3, 0, 1, 0, 0, 0, 1, 0x7f, 0xff)},
	{"client id of length -2", raw(0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xfe)},
	{"Metadata asks for 2147483647 topics", header(3, 1, 0x7f, 0xff, 0xff, 0xff)},
	{"Metadata asks for -2 topics", header(3, 1, 0xff, 0xff, 0xff, 0xfe)},
	{"Fetch with 2147483647 topics", header(1, 4, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0x10, 0, 0, 0x7f, 0xff, 0xff, 0xff)},
	{"bytes behind the request", header(3, 1, 0, 0, 0, 0, 1, 2, 3)},
	{"tag bomb in ApiVersions", raw(0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f)},
	{"tag bomb in the header", raw(0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1, 0)},
	{"compact array of 4294967294 in OffsetFetch", raw(0, 9, 0, 8, 0, 0, 0, 1, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0x0f)},
	{"varint that never ends", raw(0, 3, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80)},
	{"an HTTP request", []byte("GET / HTTP/1.1\r\nHost: broker\r\n\r\n")},
	{"a TLS greeting", []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 1, 2, 3, 4, 5}},
	{"zeroes", make([]byte, 4096)},
}

// TestBadFrames sends each frame on a connection of its own, and again behind a
// good request. The answer is an error code or a closed connection.
func TestBadFrames(t *testing.T) {
	b := start(t)
	began := time.Now()
	logged := 0
	for _, tt := range badFrames {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, b.place.Addr)
			_, first := c.answer(tt.bytes)
			if errors.Is(first, errSilent) {
				t.Errorf("%v", first)
			}
			second := dial(t, b.place.Addr)
			if _, err := second.ask(kmsg.NewPtrApiVersionsRequest()); err != nil {
				t.Fatalf("a good request: %v", err)
			}
			if _, err := second.answer(tt.bytes); errors.Is(err, errSilent) {
				t.Errorf("behind a good request: %v", err)
			}
			if errors.Is(first, io.EOF) && strings.Contains(b.proc.Tail(1<<20), c.LocalAddr().String()) {
				logged++
			}
			b.unharmed(t)
		})
	}
	b.noPanic(t)
	if logged == 0 {
		t.Error("no closed connection left a log line with its address")
	}
	t.Logf("%d of %d closed connections left a log line with their address", logged, len(badFrames))
	rig.Record(t, rig.Result{What: "malformed frames, each on a fresh connection and behind a good request", Rounds: len(badFrames), Seconds: time.Since(began).Seconds()})
}

// TestUnsupportedApiVersions is the one request whose refusal has a form of its
// own: version 0, code UNSUPPORTED_VERSION, with the list.
func TestUnsupportedApiVersions(t *testing.T) {
	b := start(t)
	body, err := dial(t, b.place.Addr).answer(header(18, 99, 0))
	if err != nil {
		t.Fatal(err)
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	if err := resp.ReadFrom(body); err != nil {
		t.Fatal(err)
	}
	if resp.ErrorCode != 35 || len(resp.ApiKeys) == 0 {
		t.Errorf("code %d with %d keys, want 35 with the list", resp.ErrorCode, len(resp.ApiKeys))
	}
	b.unharmed(t)
}

// TestSlowFrames holds many connections in the middle of a frame, byte by byte,
// while the neighbour goes on.
func TestSlowFrames(t *testing.T) {
	b := start(t)
	frame := (&conn{}).frame(kmsg.NewPtrMetadataRequest())
	var slow []*conn
	for range 200 {
		slow = append(slow, dial(t, b.place.Addr))
	}
	for i := range min(len(frame)-1, 20) {
		for _, c := range slow {
			_ = c.SetDeadline(time.Now().Add(time.Second))
			_, _ = c.Write(frame[i : i+1])
		}
		time.Sleep(50 * time.Millisecond)
	}
	// And a hundred that promise a large frame and send none of it.
	for range 100 {
		c := dial(t, b.place.Addr)
		_, _ = c.Write([]byte{0, 0x0f, 0xff, 0xff, 0, 0})
	}
	b.unharmed(t)
	b.mu.Lock()
	slowest := b.slowest
	b.mu.Unlock()
	if slowest > 2*time.Second {
		t.Errorf("the neighbour waited %v", slowest)
	}
	rig.Record(t, rig.Result{What: "300 connections stuck in the middle of a frame", Figures: "neighbour's slowest write " + slowest.Round(time.Millisecond).String()})
}

// TestRandomBytes sends noise and mutated good requests.
func TestRandomBytes(t *testing.T) {
	b := start(t)
	seed := rig.Seed(t)
	n := rig.Rounds(t, 300, 3000)
	began := time.Now()
	x := seed | 1
	next := func() uint64 { x ^= x << 13; x ^= x >> 7; x ^= x << 17; return x }
	good := [][]byte{
		(&conn{}).frame(produce(topic, 0, -1, plain(3, 10).bytes())),
		(&conn{}).frame(kmsg.NewPtrMetadataRequest()),
		(&conn{}).frame(kmsg.NewPtrApiVersionsRequest()),
		(&conn{}).frame(kmsg.NewPtrInitProducerIDRequest()),
	}
	for range n {
		frame := bytes.Clone(good[next()%uint64(len(good))])
		for range 1 + next()%4 {
			// The batch's own checksum guards the records: a flip there is refused, never stored.
			frame[4+next()%uint64(len(frame)-4)] ^= byte(1 << (next() % 8))
		}
		c, err := net.DialTimeout("tcp", b.place.Addr, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = c.Write(frame)
		var buf [512]byte
		_, _ = c.Read(buf[:])
		c.Close()
	}
	if !b.proc.Alive() {
		t.Fatalf("the broker died (seed %d):\n%s", seed, b.proc.Tail(4000))
	}
	b.noPanic(t)
	rig.Record(t, rig.Result{What: "good requests with one to four bits flipped", Rounds: n, Seed: seed, Seconds: time.Since(began).Seconds()})
}
