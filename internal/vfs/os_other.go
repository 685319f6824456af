//go:build unix && !linux

package vfs

import "golang.org/x/sys/unix"

// Other systems have no O_DIRECT that means the same. O_SYNC is stronger than
// O_DSYNC, never weaker.
const (
	flagDirect   = 0
	flagDataSync = unix.O_SYNC
)

// The development systems get fsync; only Linux keeps the promise.
func syncData(fd int) error { return unix.Fsync(fd) }

func syncFileSystem(int) error { return unix.EOPNOTSUPP }

func preallocate(int, int64, int64) error { return unix.EOPNOTSUPP }
