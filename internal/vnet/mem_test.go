package vnet_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/vnet"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("error %v, want %v", got, want)
	}
}

// pair connects host a to host b.
func pair(t *testing.T, m *vnet.Mem) (near, far net.Conn) {
	t.Helper()
	l, err := m.Host("b").Listen("b:0")
	must(t, err)
	near, err = m.Host("a").Dial(l.Addr().String(), 0)
	must(t, err)
	far, err = l.Accept()
	must(t, err)
	must(t, l.Close())
	return near, far
}

func inBubble(t *testing.T, run func(t *testing.T, m *vnet.Mem)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { run(t, vnet.NewMem(clock.Real{}, 1)) })
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	n, err := c.Write([]byte(text))
	if n != len(text) || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
}

func receive(t *testing.T, c net.Conn, want string) {
	t.Helper()
	p := make([]byte, len(want))
	if _, err := io.ReadFull(c, p); err != nil || string(p) != want {
		t.Fatalf("received %q, %v; want %q", p, err, want)
	}
}

// onBoth runs what TCP and the network in memory must agree on. It is outside
// of a bubble because of TCP.
func onBoth(t *testing.T, run func(t *testing.T, n vnet.Net)) {
	t.Run("TCP", func(t *testing.T) { run(t, vnet.TCP{}) })
	t.Run("Mem", func(t *testing.T) { run(t, vnet.NewMem(clock.Real{}, 1)) })
}

func TestNet_ConnectionsHaveAddressesEndsAndErrors(t *testing.T) {
	onBoth(t, func(t *testing.T, n vnet.Net) {
		l, err := n.Listen("127.0.0.1:0")
		must(t, err)
		_, err = n.Listen(l.Addr().String())
		wantError(t, err, syscall.EADDRINUSE)
		near, err := n.Dial(l.Addr().String(), time.Minute)
		must(t, err)
		far, err := l.Accept()
		must(t, err)
		if near.RemoteAddr().String() != l.Addr().String() || near.LocalAddr().String() != far.RemoteAddr().String() ||
			far.LocalAddr().String() != l.Addr().String() {
			t.Errorf("addresses %v-%v and %v-%v", near.LocalAddr(), near.RemoteAddr(), far.LocalAddr(), far.RemoteAddr())
		}
		send(t, near, "question")
		receive(t, far, "question")
		send(t, far, "answer")
		receive(t, near, "answer")

		must(t, near.SetReadDeadline(time.Now().Add(-time.Second)))
		_, err = near.Read(make([]byte, 1))
		wantError(t, err, os.ErrDeadlineExceeded)
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v is not a timeout", err)
		}
		must(t, near.SetReadDeadline(time.Time{}))

		must(t, near.(interface{ CloseWrite() error }).CloseWrite())
		if _, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after CloseWrite: %v, want a bare EOF", err)
		}
		send(t, far, "still open")
		receive(t, near, "still open")
		must(t, far.Close())
		if _, err := near.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after Close: %v, want a bare EOF", err)
		}
		wantError(t, far.Close(), net.ErrClosed)
		_, err = far.Read(make([]byte, 1))
		wantError(t, err, net.ErrClosed)
		_, err = far.Write(make([]byte, 1))
		wantError(t, err, net.ErrClosed)
		wantError(t, far.SetDeadline(time.Time{}), net.ErrClosed)
		must(t, near.Close())
		must(t, l.Close())
		_, err = l.Accept()
		wantError(t, err, net.ErrClosed)
		_, err = n.Dial(l.Addr().String(), time.Minute)
		wantError(t, err, syscall.ECONNREFUSED)
		for _, bad := range []string{"no port", "127.0.0.1:x", "127.0.0.1:-1"} {
			if _, err := n.Listen(bad); err == nil {
				t.Errorf("Listen(%q) succeeded", bad)
			}
		}
	})
}

func TestNet_UnreadBytesTurnCloseIntoAReset(t *testing.T) {
	onBoth(t, func(t *testing.T, n vnet.Net) {
		l, err := n.Listen("127.0.0.1:0")
		must(t, err)
		defer l.Close()
		near, err := n.Dial(l.Addr().String(), time.Minute)
		must(t, err)
		defer near.Close()
		far, err := l.Accept()
		must(t, err)
		send(t, near, "two requests")
		receive(t, far, "two")
		must(t, far.Close())
		_, err = io.ReadAll(near)
		wantError(t, err, syscall.ECONNRESET)
	})
}

func TestNet_ManyConnectionsCarryMuchBothWays(t *testing.T) {
	onBoth(t, func(t *testing.T, n vnet.Net) {
		l, err := n.Listen("127.0.0.1:0")
		must(t, err)
		var servers, clients sync.WaitGroup
		servers.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				servers.Go(func() {
					defer c.Close()
					_, _ = io.Copy(c, c)
				})
			}
		})
		for i := range 8 {
			clients.Go(func() {
				c, err := n.Dial(l.Addr().String(), time.Minute)
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				sent := bytes.Repeat([]byte{byte(i), 1, 2, 3, 4}, 300_000)
				var writer sync.WaitGroup
				writer.Go(func() {
					if _, err := c.Write(sent); err != nil {
						t.Error(err)
					}
				})
				got := make([]byte, len(sent))
				if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
					t.Errorf("connection %d: what came back differs: %v", i, err)
				}
				writer.Wait()
			})
		}
		clients.Wait()
		must(t, l.Close())
		servers.Wait()
	})
}

func TestMem_LatencyAndBandwidthTakeTheirTime(t *testing.T) {
	inBubble(t, func(t *testing.T, m *vnet.Mem) {
		m.SetLink("a", "b", vnet.Link{Latency: 10 * time.Millisecond, Bandwidth: 1000})
		m.SetLink("b", "a", vnet.Link{Latency: 30 * time.Millisecond})
		start := time.Now()
		near, far := pair(t, m)
		if took := time.Since(start); took != 40*time.Millisecond {
			t.Errorf("dialling took %v, want a round trip", took)
		}
		start = time.Now()
		send(t, near, strings.Repeat("x", 500))
		receive(t, far, strings.Repeat("x", 500))
		if took := time.Since(start); took != 510*time.Millisecond {
			t.Errorf("500 bytes at 1000 B/s and 10 ms took %v", took)
		}
		start = time.Now()
		send(t, far, "answer")
		receive(t, near, "answer")
		if took := time.Since(start); took != 30*time.Millisecond {
			t.Errorf("the answer took %v", took)
		}
	})
}

func TestMem_JitterFollowsTheSeedAndKeepsTheOrder(t *testing.T) {
	run := func(seed uint64) (arrivals string) {
		synctest.Test(t, func(t *testing.T) {
			m := vnet.NewMem(clock.Real{}, seed)
			m.SetUsualLink(vnet.Link{Latency: time.Millisecond, Jitter: time.Second})
			near, far := pair(t, m)
			start := time.Now()
			for i := range 10 {
				send(t, near, fmt.Sprint(i))
			}
			for i := range 10 {
				receive(t, far, fmt.Sprint(i))
				arrivals += time.Since(start).String() + " "
			}
		})
		return arrivals
	}
	if one, again := run(1), run(1); one != again {
		t.Errorf("one seed, two runs:\n%s\n%s", one, again)
	}
	if run(1) == run(2) {
		t.Error("two seeds, one run")
	}
}

func TestMem_CutHoldsWhatIsUnderWay(t *testing.T) {
	inBubble(t, func(t *testing.T, m *vnet.Mem) {
		m.SetUsualLink(vnet.Link{Latency: time.Second})
		near, far := pair(t, m)
		send(t, near, "before")
		m.Cut("a", "b", true)
		send(t, near, " after")
		must(t, far.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err := far.Read(make([]byte, 10))
		wantError(t, err, os.ErrDeadlineExceeded)
		send(t, far, "the other way is open")
		receive(t, near, "the other way is open")
		must(t, near.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err = m.Host("a").Dial("b:1", time.Minute)
		wantError(t, err, os.ErrDeadlineExceeded)
		m.Cut("a", "b", false)
		must(t, far.SetReadDeadline(time.Time{}))
		healed := time.Now()
		receive(t, far, "before after")
		if took := time.Since(healed); took != time.Second {
			t.Errorf("arrived %v after the cut was healed", took)
		}
	})
}

func TestMem_CloseBehindACutIsLearntWhenItHeals(t *testing.T) {
	inBubble(t, func(t *testing.T, m *vnet.Mem) {
		near, far := pair(t, m)
		m.Partition([]string{"a"}, []string{"b"}, true)
		send(t, near, "last words")
		must(t, near.Close())
		must(t, far.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err := far.Read(make([]byte, 1))
		wantError(t, err, os.ErrDeadlineExceeded)
		m.Partition([]string{"a"}, []string{"b"}, false)
		must(t, far.SetReadDeadline(time.Time{}))
		got, err := io.ReadAll(far)
		if string(got) != "last words" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		_, err = far.Write([]byte("x"))
		wantError(t, err, syscall.EPIPE)
	})
}

func TestMem_WriterWaitsForAReaderThatIsSlow(t *testing.T) {
	inBubble(t, func(t *testing.T, m *vnet.Mem) {
		near, far := pair(t, m)
		must(t, near.SetWriteDeadline(time.Now().Add(time.Minute)))
		n, err := near.Write(make([]byte, 10<<20))
		wantError(t, err, os.ErrDeadlineExceeded)
		if n == 0 || n >= 10<<20 {
			t.Fatalf("wrote %d bytes into a connection that nobody reads", n)
		}
		must(t, near.SetWriteDeadline(time.Time{}))
		var rest sync.WaitGroup
		rest.Go(func() {
			if _, err := near.Write(make([]byte, 10<<20)); err != nil {
				t.Error(err)
			}
			_ = near.Close()
		})
		got, err := io.Copy(io.Discard, far)
		if want := int64(n + 10<<20); got != want || err != nil {
			t.Errorf("read %d, %v; want %d", got, err, want)
		}
		rest.Wait()
	})
}

func TestMem_BlockedCallsEndWithTheirConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, m *vnet.Mem) {
		for _, c := range []struct {
			name string
			end  func(near, far net.Conn)
			want error
		}{
			{"closed here", func(near, _ net.Conn) { _ = near.Close() }, net.ErrClosed},
			{"reset", func(net.Conn, net.Conn) { m.Reset("a", "b") }, syscall.ECONNRESET},
			{"closed there", func(_, far net.Conn) { _ = far.Close() }, io.EOF},
			{"deadline set later", func(near, _ net.Conn) { _ = near.SetDeadline(time.Now().Add(time.Second)) }, os.ErrDeadlineExceeded},
			{"killed there", func(net.Conn, net.Conn) { m.Kill("b") }, io.EOF},
		} {
			near, far := pair(t, m)
			got := make(chan error, 1)
			go func() {
				_, err := near.Read(make([]byte, 1))
				got <- err
			}()
			synctest.Wait()
			c.end(near, far)
			if err := <-got; !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			_ = near.Close()
			_ = far.Close()
		}
	})
}

func TestMem_PowerOffTellsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, m *vnet.Mem) {
		m.SetUsualLink(vnet.Link{Latency: time.Second})
		near, far := pair(t, m)
		quiet, farQuiet := pair(t, m)
		send(t, far, "lost under way")
		m.PowerOff("b")
		must(t, near.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err := near.Read(make([]byte, 1))
		wantError(t, err, os.ErrDeadlineExceeded)
		send(t, near, "into the void")
		for _, c := range []net.Conn{far, farQuiet} {
			_, err = c.Read(make([]byte, 1))
			wantError(t, err, net.ErrClosed)
		}
		_, err = m.Host("a").Dial("b:9092", time.Minute)
		wantError(t, err, os.ErrDeadlineExceeded)

		m.PowerOn("b")
		must(t, near.SetReadDeadline(time.Time{}))
		_, err = near.Read(make([]byte, 1))
		wantError(t, err, syscall.ECONNRESET)
		must(t, quiet.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err = quiet.Read(make([]byte, 1))
		wantError(t, err, os.ErrDeadlineExceeded) // half-open: it never learns, until it writes
		_, err = quiet.Write([]byte("hello?"))
		wantError(t, err, syscall.ECONNRESET)
		_, err = m.Host("a").Dial("b:9092", time.Minute)
		wantError(t, err, syscall.ECONNREFUSED)
	})
}

func TestMem_DialWaitsForAFullBacklogAndForAHeal(t *testing.T) {
	inBubble(t, func(t *testing.T, m *vnet.Mem) {
		l, err := m.Listen("localhost:0")
		must(t, err)
		for range 128 {
			_, err := m.Dial(l.Addr().String(), time.Second)
			must(t, err)
		}
		_, err = m.Dial(l.Addr().String(), time.Second)
		wantError(t, err, os.ErrDeadlineExceeded)
		result := make(chan error)
		dial := func() {
			_, err := m.Dial(l.Addr().String(), time.Hour)
			result <- err
		}
		go dial()
		synctest.Wait()
		_, err = l.Accept()
		must(t, err)
		must(t, <-result)
		_, err = l.Accept()
		must(t, err)
		m.Cut(vnet.DefaultHost, vnet.DefaultHost, true)
		go dial()
		synctest.Wait()
		m.Cut("localhost", "localhost", false)
		must(t, <-result)
		must(t, l.Close())
	})
}

func TestMem_HostsHaveTheirOwnLoopback(t *testing.T) {
	inBubble(t, func(t *testing.T, m *vnet.Mem) {
		a, b := m.Host("a"), m.Host("b")
		la, err := a.Listen("0.0.0.0:9092")
		must(t, err)
		lb, err := b.Listen("localhost:9092")
		must(t, err)
		_, err = a.Listen("b:1")
		wantError(t, err, syscall.EADDRNOTAVAIL)
		for _, c := range []struct {
			from vnet.Net
			to   string
			want net.Listener
		}{{a, "localhost:9092", la}, {b, "localhost:9092", lb}, {b, "a:9092", la}, {m, "b:9092", lb}} {
			conn, err := c.from.Dial(c.to, time.Second)
			must(t, err)
			far, err := c.want.Accept()
			must(t, err)
			if conn.LocalAddr().String() != far.RemoteAddr().String() {
				t.Errorf("%s reached another listener", c.to)
			}
		}
		_, err = m.Dial("localhost:9092", time.Second)
		wantError(t, err, syscall.ECONNREFUSED)
	})
}
