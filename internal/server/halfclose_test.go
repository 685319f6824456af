package server_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/server"
)

// TestServer_HalfClosedClientGetsItsReplies: a client that says that it sends
// nothing more still gets what it is owed, in order, and then the end.
func TestServer_HalfClosedClientGetsItsReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		defer w.stop()
		c := w.dial(t)
		defer c.Close()
		for _, frame := range [][]byte{request(0, 1, 0), request(1, 2, 0), request(0, 3, 10_000), request(1, 4, 0)} {
			if _, err := c.Write(frame); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		<-time.After(3 * time.Second)
		w.echo.release(1)
		<-time.After(3 * time.Second)
		w.echo.release(0)
		got := correlations(t, c, 4)
		for i, id := range got {
			if id != int32(i+1) {
				t.Fatalf("replies %v", got)
			}
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the last reply: %v", err)
		}
		if open := w.server.Stats().Open.Load(); open != 0 {
			t.Errorf("%d connections are open", open)
		}
	})
}

// TestServer_HalfClosedClientDoesNotStayForEver: what is owed is waited for as
// long as a slow reader is, and an end in the middle of a frame is the end.
func TestServer_HalfClosedClientDoesNotStayForEver(t *testing.T) {
	for _, cut := range []int{0, 7} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, func(l *server.Limits) { l.Write = 20 * time.Second })
			defer w.stop()
			c := w.dial(t)
			defer c.Close()
			frames := append(request(1, 1, 0), request(0, 2, 0)[:cut]...)
			if _, err := c.Write(frames); err != nil {
				t.Fatal(err)
			}
			if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if n, err := c.Read(make([]byte, 100)); err == nil {
				t.Errorf("%d bytes of a reply that nobody has made", n)
			}
			took := time.Since(began)
			if cut == 0 && (took < 19*time.Second || took > 40*time.Second) || cut > 0 && took > time.Second {
				t.Errorf("cut at %d: the connection ends after %v", cut, took)
			}
		})
	}
}
