package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
)

// AllSyncer is what a file system offers when it can make everything durable
// at once, files and directories alike.
type AllSyncer interface {
	// SyncAll makes every byte and every directory entry of the file system that
	// holds name durable. It reports write-back errors of any file on it that
	// nobody has been told about yet.
	SyncAll(name string) error
}

// SyncAll makes the whole file system that holds name durable (syncfs). It
// returns an error that is errors.ErrUnsupported when fsys cannot.
func SyncAll(fsys FS, name string) error {
	if s, ok := fsys.(AllSyncer); ok {
		return s.SyncAll(name)
	}
	return fmt.Errorf("sync all of %s: %w", name, errors.ErrUnsupported)
}

// ReadFile returns the whole content of a file of at most maxBytes bytes.
func ReadFile(fsys FS, name string, maxBytes int64) ([]byte, error) {
	f, err := fsys.OpenFile(name, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > maxBytes {
		return nil, fmt.Errorf("read %s: %d bytes, at most %d expected", name, size, maxBytes)
	}
	content := make([]byte, size)
	if err := ReadFull(f, content, 0); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return content, nil
}

// ReadFull fills p from off. A file that ends before is io.ErrUnexpectedEOF,
// also when not a single byte was there, because the caller knew the length.
func ReadFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// WriteFile replaces the file name by content so that a crash leaves the old
// content or the new, never a mix, and the new once WriteFile has returned: it
// writes name+".tmp", syncs it, renames it and syncs the directory.
func WriteFile(fsys FS, name string, content []byte) error {
	return writeFile(fsys, name, Truncate, content)
}

// WritePrivateFile is WriteFile for what only the owner may read.
func WritePrivateFile(fsys FS, name string, content []byte) error {
	// One that is left of an earlier try may have been made for everybody.
	if err := fsys.Remove(temporaryName(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return writeFile(fsys, name, Exclusive|Private, content)
}

func temporaryName(name string) string { return name + ".tmp" }

func writeFile(fsys FS, name string, how Flag, content []byte) error {
	temporary := temporaryName(name)
	f, err := fsys.OpenFile(temporary, Write|Create|how)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.SyncData()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", temporary, err)
	}
	if err := fsys.Rename(temporary, name); err != nil {
		return err
	}
	return fsys.SyncDir(path.Dir(name))
}
