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
	// proposalBytesMin must be free for a command where the reserve is used up.
	proposalBytesMin = 1 << 20
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

// admits reports whether a command may be decided: its entry will find space.
func (r *reserve) admits() bool {
	if r.file != nil {
		return true
	}
	free, _, err := r.fsys.Space(r.dir)
	return err == nil && free >= proposalBytesMin
}

func (r *reserve) close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}
