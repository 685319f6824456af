package vnet_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/vnet"
)

func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := vnet.TCP{}.Listen("127.0.0.1:0")
	must(t, err)
	defer l.Close()
	near, err = vnet.TCP{}.Dial(l.Addr().String(), time.Minute)
	must(t, err)
	far, err = l.Accept()
	must(t, err)
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	return near, far
}

func TestSendFile_SendsTheRangeBehindItsHeader(t *testing.T) {
	content := make([]byte, 5<<20)
	for i := range content {
		content[i] = byte(i * 7 / 3)
	}
	name := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(name, content, 0o600))
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	near, far := tcpPair(t)
	if !vnet.CanSendFile(near) {
		t.Fatal("a TCP connection cannot send a file")
	}
	const off, n = 1000, 4 << 20
	result, last := make(chan error, 1), int64(0)
	go func() {
		if err := vnet.WriteMore(near, []byte("header")); err != nil {
			result <- err
			return
		}
		result <- vnet.SendFile(near, f, off, n, func(sent int64) { last = sent })
	}()
	got := make([]byte, len("header")+n)
	if _, err := io.ReadFull(far, got); err != nil {
		t.Fatal(err)
	}
	must(t, <-result)
	if string(got[:6]) != "header" || !bytes.Equal(got[6:], content[off:off+n]) {
		t.Error("the bytes differ")
	}
	if last != n {
		t.Errorf("progress ended at %d, want %d", last, n)
	}
}

func TestSendFile_ShortFileAndClosedConnectionAreErrors(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(name, make([]byte, 100), 0o600))
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	near, _ := tcpPair(t)
	last := int64(-1)
	err = vnet.SendFile(near, f, 50, 100, func(sent int64) { last = sent })
	if !errors.Is(err, io.ErrUnexpectedEOF) || last != 50 {
		t.Errorf("%v after %d bytes, want an unexpected end after 50", err, last)
	}
	must(t, near.Close())
	if err := vnet.SendFile(near, f, 0, 100, nil); err == nil {
		t.Error("sending on a closed connection succeeded")
	}
	if err := vnet.WriteMore(near, []byte("x")); err == nil {
		t.Error("writing on a closed connection succeeded")
	}
}

func TestCanSendFile_NotInMemory(t *testing.T) {
	near, far := pair(t, vnet.NewMem(clock.Real{}, 1))
	if vnet.CanSendFile(near) {
		t.Error("a connection in memory claims to send files")
	}
	must(t, vnet.WriteMore(near, []byte("copied")))
	receive(t, far, "copied")
}
