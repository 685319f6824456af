package vfs

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// Flag says how OpenFile opens a file. Flags are combined with |.
type Flag uint8

// The flags of OpenFile. Without Write the file is read-only.
const (
	Write     Flag = 1 << iota // may be written
	Create                     // made when it is missing; durable only after SyncDir of its directory
	Exclusive                  // with Create: fails with fs.ErrExist when it is there
	Truncate                   // emptied when it is there
	Direct                     // bypass the page cache (O_DIRECT); offsets, lengths and memory aligned to BlockSize
	DataSync                   // each write returns only when its bytes are on stable storage (O_DSYNC)
	Private                    // with Create: nobody but the owner may read it
)

// BlockSize is the alignment that Direct demands of offsets, lengths and
// memory, in bytes. See AlignedBlock.
const BlockSize = 4096

// Errors that callers tell apart with errors.Is. A missing file is fs.ErrNotExist.
var (
	// ErrLocked: another process (or another holder in this one) has the lock.
	ErrLocked = errors.New("locked by another process")
	// ErrNoSpace: the file system is full. It wraps the operating system's ENOSPC or EDQUOT.
	ErrNoSpace = errors.New("no space left on device")
	// ErrDirectUnsupported: this file system refuses Direct; open again without it.
	ErrDirectUnsupported = errors.New("direct I/O is not supported here")
)

// NoDescriptor reports whether err is the want of a file descriptor, of this
// process or of the machine. Then a file or directory was not opened, and what
// was to be done with it was not begun: the caller may try again, also where the
// error of a sync would be final.
func NoDescriptor(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// FS is one file system. Names are slash-separated paths in the form of the
// host. Every implementation is safe for concurrent use.
//
// What a crash keeps: bytes that Sync or SyncData covered, and directory
// entries (creation, rename, removal) that SyncDir of their directory covered.
// Nothing else.
type FS interface {
	OpenFile(name string, flag Flag) (File, error)
	Remove(name string) error
	RemoveAll(name string) error
	Rename(oldName, newName string) error
	// MkdirAll creates name and its missing parents. Durable after SyncDir of each parent.
	MkdirAll(name string) error
	// ReadDir lists the entries of a directory in the order of their names.
	ReadDir(name string) ([]DirEntry, error)
	Stat(name string) (Info, error)
	// SyncDir makes the directory's entries durable.
	SyncDir(name string) error
	// Lock takes an exclusive lock on the file name, creating it when missing.
	// It fails at once with ErrLocked when somebody else holds it. Close releases it.
	Lock(name string) (io.Closer, error)
	// Space tells the bytes that this process may still write below name, and the size of the file system.
	Space(name string) (free, total int64, err error)
}

// DirEntry is one entry of a directory.
type DirEntry struct {
	Name  string
	IsDir bool
}

// Info describes a file or directory.
type Info struct {
	Size  int64
	IsDir bool
	// Shared: others than the owner may read or write it.
	Shared bool
}

// File is an open file. Methods are safe for concurrent use on disjoint ranges.
type File interface {
	io.ReaderAt
	// WriteAt writes all of p at off, or fails; after a failure the range may hold any mix of old and new bytes.
	io.WriterAt
	io.Closer
	// Name is the name that OpenFile was given.
	Name() string
	Size() (int64, error)
	// Truncate cuts or extends (with zeroes) the file to size bytes.
	Truncate(size int64) error
	// Preallocate reserves blocks for [off, off+n) without changing the size. A file system that cannot is not an error.
	Preallocate(off, n int64) error
	// SyncData makes the file's bytes and size durable (fdatasync). After an
	// error the state of the unsynced bytes is unknown for ever: never retry.
	SyncData() error
	// Sync is SyncData and all metadata (fsync).
	Sync() error
	// OS returns the operating system's file for sendfile, or nil when there is none (in memory).
	OS() *os.File
}
