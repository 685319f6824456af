package vfs

import "golang.org/x/sys/unix"

const (
	flagDirect   = unix.O_DIRECT
	flagDataSync = unix.O_DSYNC
)

func syncData(fd int) error       { return unix.Fdatasync(fd) }
func syncFileSystem(fd int) error { return unix.Syncfs(fd) }

func preallocate(fd int, off, n int64) error {
	return unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, off, n)
}
