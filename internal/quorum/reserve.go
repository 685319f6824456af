package quorum

import (
	"errors"
	"fmt"

	"holdfast/internal/vfs"
)

const (
	// reserveBytes are set aside for metadata, so that topics can still be deleted
	// and settings changed on a disk that data has filled.
	reserveBytes = 8 << 20
	// marginBytes stay free of new entries, for what is written besides them.
	marginBytes = 1 << 20
)

// reserve is a file that occupies space until metadata needs it. A file system
// that cannot preallocate has no reserve.
type reserve struct {
	fsys vfs.FS
	dir  string
	name string
	file vfs.File // nil: the space is not set aside
}

// errReserveUsed: there is nothing left to release.
var errReserveUsed = errors.New("the metadata reserve is used up")

// establish sets the space aside, unless it is already. It leaves data four times
// as much; below that the disk counts as full already.
func (r *reserve) establish() error {
	if r.file != nil {
		return nil
	}
	free, _, err := r.fsys.Space(r.dir)
	if err != nil {
		return fmt.Errorf("measure free space: %w", err)
	}
	if info, err := r.fsys.Stat(r.name); err != nil || info.IsDir {
		if free < 4*reserveBytes {
			return fmt.Errorf("%d bytes are free: %w", free, vfs.ErrNoSpace)
		}
	}
	f, err := r.fsys.OpenFile(r.name, vfs.Write|vfs.Create)
	if err != nil {
		return fmt.Errorf("open metadata reserve: %w", err)
	}
	if err := f.Preallocate(0, reserveBytes); err != nil {
		return errors.Join(fmt.Errorf("fill metadata reserve: %w", err), f.Close())
	}
	r.file = f
	return nil
}

// release gives the space to whoever writes next.
func (r *reserve) release() error {
	if r.file == nil {
		return errReserveUsed
	}
	err := r.file.Close()
	r.file = nil
	return errors.Join(err, r.fsys.Remove(r.name))
}

// room is how many bytes may be written now, the reserve included. Others write
// to the same disk: it is a measurement, not a promise.
func (r *reserve) room() int64 {
	room := int64(-marginBytes)
	if r.file != nil {
		room += reserveBytes
	}
	if free, _, err := r.fsys.Space(r.dir); err == nil {
		room += free
	}
	return room
}

func (r *reserve) close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}
