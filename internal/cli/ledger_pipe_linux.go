package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// pipeOf returns in where it is a pipe, whose content the kernel can move into a
// file by itself, or nil.
func pipeOf(in io.Reader) *os.File {
	f, ok := in.(*os.File)
	if !ok {
		return nil
	}
	st, err := f.Stat()
	if err != nil || st.Mode()&os.ModeNamedPipe == 0 {
		return nil
	}
	return f
}

// errNoSplice: this file system cannot take bytes from a pipe in the kernel.
var errNoSplice = errors.New("splice is not supported here")

// move waits for bytes in the pipe, moves them into the file, makes them durable
// and copies them into p. Between pipe and file they are in the kernel's hands
// alone: SIGKILL finds them in one of the two, never in neither or in both.
// io.EOF is the end of the input; errNoSplice means that nothing was moved.
func (l *ledger) move(pipe *os.File, p []byte) (n int, err error) {
	for n == 0 && err == nil {
		// The wait is not serve's: acknowledgements are noted meanwhile.
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(pipe.Fd()), Events: unix.POLLIN}}, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return 0, fmt.Errorf("wait for input: %w", err)
		}
		err = l.do(func() error {
			if err := l.room(); err != nil {
				return err
			}
			n, err = l.splice(int(pipe.Fd()), len(p))
			return err
		})
	}
	if n == 0 {
		return 0, err
	}
	// What was moved is handed out even if it is not durable: the process lives,
	// and the records may yet be acknowledged. Nothing is read after it.
	if got, readErr := l.data.ReadAt(p[:n], l.readBack); got < n {
		return 0, fmt.Errorf("read %s: %w", l.path, readErr)
	}
	return n, err
}

// splice is called by serve. Zero bytes without an error means that there was
// nothing to move after all.
func (l *ledger) splice(pipe, most int) (int, error) {
	at := l.size
	moved, err := unix.Splice(pipe, nil, int(l.data.Fd()), &at, most, unix.SPLICE_F_NONBLOCK)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return 0, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return 0, errNoSplice
	case err != nil:
		l.fault = err
		return 0, fmt.Errorf("keep the input in %s: %w", l.path, err)
	case moved == 0:
		return 0, io.EOF
	}
	l.readBack = l.size
	l.size += moved
	if err := l.data.Sync(); err != nil {
		l.fault = err
		return int(moved), fmt.Errorf("keep the input in %s: %w", l.path, err)
	}
	return int(moved), nil
}
