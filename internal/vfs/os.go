package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Permissions of what OS creates: the owner and the group, nobody else.
const (
	dirPermissions     = 0o750
	filePermissions    = 0o640
	privatePermissions = 0o600
)

// OS is the operating system's file system.
type OS struct{}

var (
	_ FS        = OS{}
	_ AllSyncer = OS{}
)

// OpenFile implements FS. Direct fails with ErrDirectUnsupported where the
// file system has no O_DIRECT.
func (OS) OpenFile(name string, flag Flag) (File, error) {
	mode := os.O_RDONLY
	if flag&Write != 0 {
		mode = os.O_RDWR
	}
	for _, f := range [...]struct {
		ours Flag
		os   int
	}{{Create, os.O_CREATE}, {Exclusive, os.O_EXCL}, {Truncate, os.O_TRUNC}, {Direct, flagDirect}, {DataSync, flagDataSync}} {
		if flag&f.ours != 0 {
			mode |= f.os
		}
	}
	if flag&Direct != 0 && flagDirect == 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: ErrDirectUnsupported}
	}
	permissions := os.FileMode(filePermissions)
	if flag&Private != 0 {
		permissions = privatePermissions
	}
	f, err := os.OpenFile(name, mode, permissions)
	if err != nil {
		if flag&Direct != 0 && errors.Is(err, unix.EINVAL) {
			return nil, &fs.PathError{Op: "open", Path: name, Err: ErrDirectUnsupported}
		}
		return nil, mapError(err)
	}
	return &osFile{f: f, name: name, direct: flag&Direct != 0}, nil
}

// Remove implements FS.
func (OS) Remove(name string) error { return mapError(os.Remove(name)) }

// RemoveAll implements FS.
func (OS) RemoveAll(name string) error { return mapError(os.RemoveAll(name)) }

// Rename implements FS.
func (OS) Rename(oldName, newName string) error { return mapError(os.Rename(oldName, newName)) }

// MkdirAll implements FS.
func (OS) MkdirAll(name string) error { return mapError(os.MkdirAll(name, dirPermissions)) }

// ReadDir implements FS.
func (OS) ReadDir(name string) ([]DirEntry, error) {
	found, err := os.ReadDir(name)
	if err != nil {
		return nil, mapError(err)
	}
	entries := make([]DirEntry, len(found))
	for i, e := range found {
		entries[i] = DirEntry{Name: e.Name(), IsDir: e.IsDir()}
	}
	return entries, nil
}

// Stat implements FS.
func (OS) Stat(name string) (Info, error) {
	s, err := os.Stat(name)
	if err != nil {
		return Info{}, mapError(err)
	}
	return Info{Size: s.Size(), IsDir: s.IsDir(), Shared: s.Mode()&0o077 != 0}, nil
}

// SyncDir implements FS.
func (OS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return mapError(err)
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return mapError(err)
}

// SyncAll implements AllSyncer.
func (OS) SyncAll(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return mapError(err)
	}
	err = control(d, "syncfs", syncFileSystem)
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Lock implements FS with flock, which belongs to the open file: two locks
// taken in one process conflict as well, and the kernel drops the lock with
// the process, however it ends.
func (OS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, filePermissions)
	if err != nil {
		return nil, mapError(err)
	}
	err = control(f, "lock", func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if err == nil {
		return f, nil
	}
	closeErr := f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = &fs.PathError{Op: "lock", Path: name, Err: ErrLocked}
	}
	return nil, errors.Join(err, closeErr)
}

// Space implements FS. Free is what an unprivileged process may use.
func (OS) Space(name string) (free, total int64, err error) {
	var s unix.Statfs_t
	err = retryInterrupted(func() error { return unix.Statfs(name, &s) })
	if err != nil {
		return 0, 0, &fs.PathError{Op: "statfs", Path: name, Err: err}
	}
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize), nil
}

type osFile struct {
	f      *os.File
	name   string
	direct bool
}

func (o *osFile) Name() string { return o.name }
func (o *osFile) OS() *os.File { return o.f }
func (o *osFile) Close() error { return mapError(o.f.Close()) }
func (o *osFile) Sync() error  { return mapError(o.f.Sync()) }

func (o *osFile) Truncate(size int64) error { return mapError(o.f.Truncate(size)) }

func (o *osFile) Size() (int64, error) {
	s, err := o.f.Stat()
	if err != nil {
		return 0, mapError(err)
	}
	return s.Size(), nil
}

func (o *osFile) ReadAt(p []byte, off int64) (int, error) {
	if !o.direct {
		n, err := o.f.ReadAt(p, off)
		return n, mapError(err)
	}
	if err := checkAligned(p, off); err != nil {
		return 0, &fs.PathError{Op: "read", Path: o.name, Err: err}
	}
	return o.directRead(p, off)
}

// directRead does not go through os.File.ReadAt, which would ask again at an
// unaligned offset when the file ends inside p.
func (o *osFile) directRead(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) && done%BlockSize == 0 {
		got := 0
		err := control(o.f, "read", func(fd int) (err error) {
			got, err = unix.Pread(fd, p[done:], off+int64(done))
			return err
		})
		if err != nil {
			return done, directError(err)
		}
		if got == 0 {
			break
		}
		done += got
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

func (o *osFile) WriteAt(p []byte, off int64) (int, error) {
	if !o.direct {
		n, err := o.f.WriteAt(p, off)
		return n, mapError(err)
	}
	if err := checkAligned(p, off); err != nil {
		return 0, &fs.PathError{Op: "write", Path: o.name, Err: err}
	}
	n, err := o.f.WriteAt(p, off)
	return n, directError(err)
}

func (o *osFile) Preallocate(off, n int64) error {
	err := control(o.f, "preallocate", func(fd int) error { return preallocate(fd, off, n) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

func (o *osFile) SyncData() error { return control(o.f, "fdatasync", syncData) }

// control runs call with the descriptor, which cannot be closed or reused
// meanwhile, again while signals interrupt it.
func control(f *os.File, operation string, call func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var callErr error
	if err := raw.Control(func(fd uintptr) {
		callErr = retryInterrupted(func() error { return call(int(fd)) })
	}); err != nil { // the only failure of a raw control is a file that is closed
		return &fs.PathError{Op: operation, Path: f.Name(), Err: fs.ErrClosed}
	}
	if callErr != nil {
		return mapError(&fs.PathError{Op: operation, Path: f.Name(), Err: callErr})
	}
	return nil
}

func retryInterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// directError tells the refusal of a direct transfer (some file systems let
// the file be opened and refuse later) from other failures.
func directError(err error) error {
	if err != nil && errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %w", ErrDirectUnsupported, err)
	}
	return mapError(err)
}

// mapError lets errors.Is see ErrNoSpace behind ENOSPC and EDQUOT.
func mapError(err error) error {
	if err != nil && (errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)) {
		return &noSpaceError{err}
	}
	return err
}

// noSpaceError keeps the message and the chain of the error that it wraps.
type noSpaceError struct{ error }

func (e *noSpaceError) Unwrap() error        { return e.error }
func (e *noSpaceError) Is(target error) bool { return target == ErrNoSpace }
