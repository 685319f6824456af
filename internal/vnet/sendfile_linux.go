package vnet

import (
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// sendChunkMax is the most that one sendfile call is asked for: enough to keep
// the call cheap per byte, little enough to notice a dead peer between calls.
const sendChunkMax = 1 << 20

// CanSendFile reports whether SendFile can move a file's bytes to c without
// copying them through this process.
func CanSendFile(c net.Conn) bool {
	_, ok := c.(*net.TCPConn)
	return ok
}

// SendFile writes the bytes [off, off+n) of f to c with sendfile(2), which reads
// at an explicit offset, so that one descriptor serves many readers. progress,
// when set, runs after each chunk with the bytes sent so far.
func SendFile(c net.Conn, f *os.File, off, n int64, progress func(sent int64)) error {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	in := int(f.Fd())
	end, sent := off+n, int64(0)
	for off < end && err == nil {
		var callErr error
		err = raw.Write(func(fd uintptr) bool {
			var w int
			w, callErr = unix.Sendfile(int(fd), in, &off, int(min(end-off, sendChunkMax)))
			if callErr == unix.EAGAIN {
				callErr = nil
				return false // wait until the socket takes more
			}
			if callErr == unix.EINTR {
				callErr = nil
				return true
			}
			if callErr == nil && w == 0 {
				callErr = io.ErrUnexpectedEOF // the file is shorter than the range
			}
			sent += int64(max(w, 0)) // -1 with an error
			return true
		})
		if err == nil {
			err = callErr
		}
		if progress != nil {
			progress(sent)
		}
	}
	return err
}

// WriteMore writes p and tells the kernel that more follows at once, so that
// header and payload leave in one segment.
func WriteMore(c net.Conn, p []byte) error {
	t, ok := c.(*net.TCPConn)
	if !ok {
		_, err := c.Write(p)
		return err
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	for len(p) > 0 && err == nil {
		var callErr error
		err = raw.Write(func(fd uintptr) bool {
			var w int
			w, callErr = unix.SendmsgN(int(fd), p, nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL)
			if callErr == unix.EAGAIN {
				callErr = nil
				return false
			}
			if callErr == unix.EINTR {
				callErr = nil
			}
			if w > 0 {
				p = p[w:]
			}
			return true
		})
		if err == nil {
			err = callErr
		}
	}
	return err
}
