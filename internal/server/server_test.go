package server_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/api"
	"holdfast/internal/clock"
	"holdfast/internal/kafka"
	"holdfast/internal/server"
	"holdfast/internal/vnet"
	"holdfast/internal/wire"
)

// echo answers every request with its correlation id in the header. Version 1
// requests wait until they are let go, version 2 requests drop the connection.
type echo struct {
	mu   sync.Mutex
	held []*held
}

type held struct {
	request  api.Request
	mu       sync.Mutex
	done     bool
	deadline time.Time
}

func (h *held) Finish(expired bool) (*api.Reply, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.done && !expired {
		return nil, false
	}
	return api.NewReply(&h.request), true
}
func (h *held) Deadline() time.Time { return h.deadline }
func (h *held) Abandon()            {}
func (h *held) Holds() bool         { return true }
func (h *held) Idle() bool          { return false }

func (e *echo) Limits(*api.Conn, kafka.APIKey) (int, int) { return 64 << 10, 2 }

func (e *echo) Begin(r *api.Request) (*api.Reply, api.Pending) {
	if r.Header.Version == 1 {
		h := &held{request: *r, deadline: r.Received.Add(time.Minute)}
		e.mu.Lock()
		e.held = append(e.held, h)
		e.mu.Unlock()
		return nil, h
	}
	return api.NewReply(r), nil
}

func (e *echo) release(i int) {
	e.mu.Lock()
	h := e.held[i]
	e.mu.Unlock()
	h.mu.Lock()
	h.done = true
	h.mu.Unlock()
	h.request.Conn.Wake()
}

// request is a frame of ListOffsets (any key would do) in a version that tells
// echo what to do.
func request(version int16, correlation int32, padding int) []byte {
	body := binary.BigEndian.AppendUint16(nil, 2)
	body = binary.BigEndian.AppendUint16(body, uint16(version))
	body = binary.BigEndian.AppendUint32(body, uint32(correlation))
	body = binary.BigEndian.AppendUint16(body, 0xffff) // no client id
	body = append(body, make([]byte, padding)...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

type world struct {
	server *server.Server
	net    *vnet.Mem
	echo   *echo
}

func start(t *testing.T, change func(*server.Limits)) *world {
	t.Helper()
	w := &world{net: vnet.NewMem(clock.Real{}, 1), echo: &echo{}}
	limits := server.DefaultLimits()
	if change != nil {
		change(&limits)
	}
	w.server = server.New(server.Options{Handler: w.echo, Clock: clock.Real{}, Limits: limits, Log: slog.New(slog.DiscardHandler)})
	l, err := w.net.Listen("broker:9092")
	if err != nil {
		t.Fatal(err)
	}
	w.server.Serve(server.Listener{Name: "PLAINTEXT", Listener: l})
	return w
}

func (w *world) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	w.server.Stop(ctx)
}

func (w *world) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := w.net.Dial("broker:9092", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// correlations reads n replies and returns their correlation ids.
func correlations(t *testing.T, c net.Conn, n int) []int32 {
	t.Helper()
	var out []int32
	for range n {
		var head [8]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			t.Fatalf("after replies %v: %v", out, err)
		}
		if size := binary.BigEndian.Uint32(head[:]); size > 4 {
			io.CopyN(io.Discard, c, int64(size-4))
		}
		out = append(out, int32(binary.BigEndian.Uint32(head[4:])))
	}
	return out
}

func TestServer_RepliesInRequestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		defer w.stop()
		c := w.dial(t)
		defer c.Close()
		var all []byte
		for i, version := range []int16{0, 1, 0, 1, 0} {
			all = append(all, request(version, int32(i), i*1000)...)
		}
		c.Write(all)
		synctest.Wait()
		w.echo.release(1) // the later one first
		synctest.Wait()
		w.echo.release(0)
		got := correlations(t, c, 5)
		for i, id := range got {
			if id != int32(i) {
				t.Fatalf("replies %v, want request order", got)
			}
		}
	})
}

func TestServer_PausesReadingAtTheParkedLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(l *server.Limits) { l.Parked = 4 })
		defer w.stop()
		c := w.dial(t)
		defer c.Close()
		go func() {
			for i := range 100 {
				c.Write(request(1, int32(i), 100))
			}
		}()
		synctest.Wait()
		w.echo.mu.Lock()
		begun := len(w.echo.held)
		w.echo.mu.Unlock()
		if begun > 5 {
			t.Errorf("%d requests begun with 4 places", begun)
		}
		go func() {
			for i := range 100 {
				for {
					w.echo.mu.Lock()
					ok := i < len(w.echo.held)
					w.echo.mu.Unlock()
					if ok {
						break
					}
					clock.Real{}.Sleep(time.Millisecond)
				}
				w.echo.release(i)
			}
		}()
		if got := correlations(t, c, 100); got[99] != 99 {
			t.Errorf("last reply %d", got[99])
		}
	})
}

func TestServer_ClosesBadAndSlowConnections(t *testing.T) {
	cases := []struct {
		name string
		send []byte
		wait time.Duration
	}{
		{"negative size", []byte{0xff, 0xff, 0xff, 0xff}, time.Second},
		{"size zero", []byte{0, 0, 0, 0}, time.Second},
		{"larger than the api takes", request(0, 1, 70<<10)[:64], time.Second},
		{"a frame that never ends", request(0, 1, 1000)[:100], 40 * time.Second},
		{"a large frame that never ends", request(0, 1, 30000)[:5000], 40 * time.Second},
		{"no request at all", nil, 15 * time.Second},
		{"idle", request(0, 1, 0), 11 * time.Minute},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, nil)
				defer w.stop()
				c := w.dial(t)
				defer c.Close()
				c.Write(tc.send)
				began := time.Now()
				_, err := io.Copy(io.Discard, c)
				if took := time.Since(began); took > tc.wait {
					t.Errorf("closed after %v, want at most %v (%v)", took, tc.wait, err)
				}
			})
		})
	}
}

func TestServer_DeadlineAnswersWithoutWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		defer w.stop()
		c := w.dial(t)
		defer c.Close()
		began := time.Now()
		c.Write(request(1, 7, 0))
		correlations(t, c, 1)
		if took := time.Since(began); took < time.Minute || took > 2*time.Minute {
			t.Errorf("answered after %v, want the deadline of one minute", took)
		}
	})
}

func TestServer_MemoryIsAdmittedBeforeItIsAllocated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(l *server.Limits) { l.ClientMemory = 100 << 10 })
		defer w.stop()
		var conns []net.Conn
		for range 3 { // each declares 40 KiB with factor 2: only one fits
			c := w.dial(t)
			defer c.Close()
			c.Write(request(0, 1, 40<<10)[:8<<10])
			conns = append(conns, c)
		}
		synctest.Wait()
		rest := request(0, 1, 40<<10)[8<<10:]
		for _, c := range conns {
			go c.Write(rest)
		}
		for i, c := range conns {
			if got := correlations(t, c, 1); got[0] != 1 {
				t.Errorf("connection %d: reply %v", i, got)
			}
		}
	})
}

func TestServer_StopLetsRepliesLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		c := w.dial(t)
		defer c.Close()
		c.Write(request(1, 9, 0))
		synctest.Wait()
		go func() {
			clock.Real{}.Sleep(100 * time.Millisecond)
			w.echo.release(0)
		}()
		stopped := make(chan struct{})
		go func() { w.stop(); close(stopped) }()
		if got := correlations(t, c, 1); got[0] != 9 {
			t.Errorf("reply %v", got)
		}
		if n, err := io.Copy(io.Discard, c); n != 0 || err != nil {
			t.Errorf("after stop: %d bytes, %v", n, err)
		}
		<-stopped
	})
}

func TestServer_ConnectionLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(l *server.Limits) { l.Connections = 2 })
		defer w.stop()
		for i := range 3 {
			c := w.dial(t)
			defer c.Close()
			c.Write(request(0, int32(i), 0))
			var b [8]byte
			_, err := io.ReadFull(c, b[:])
			if (err == nil) != (i < 2) {
				t.Errorf("connection %d: %v", i, err)
			}
		}
	})
}

// TestServer_BrokersGetInWhereClientsDoNot: what comes after the last connection of
// clients has to begin with a broker's proof.
func TestServer_BrokersGetInWhereClientsDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(l *server.Limits) { l.Connections, l.BrokerReserve = 1, 2 })
		defer w.stop()
		say := func(key uint16) (answered bool) {
			c := w.dial(t)
			t.Cleanup(func() { _ = c.Close() })
			f := request(0, 1, 1)
			binary.BigEndian.PutUint16(f[4:], key)
			c.Write(f)
			var b [8]byte
			_, err := io.ReadFull(c, b[:])
			return err == nil
		}
		hello, fetch := uint16(wire.KeyBrokerHello), uint16(wire.KeyFetch)
		for i, step := range []struct {
			key      uint16
			answered bool
		}{{fetch, true}, {fetch, false}, {hello, true}, {fetch, false}, {hello, true}, {hello, false}} {
			if got := say(step.key); got != step.answered {
				t.Errorf("connection %d: answered %v, want %v", i, got, step.answered)
			}
			synctest.Wait()
		}
	})
}

func TestRequest_RoundTrip(t *testing.T) {
	f := request(3, 5, 2)
	var r api.Request
	if err := r.Parse(f[4:]); err != nil || r.Header.CorrelationID != 5 || !bytes.Equal(f[:4], []byte{0, 0, 0, 12}) {
		t.Errorf("%+v %v", r.Header, err)
	}
}
