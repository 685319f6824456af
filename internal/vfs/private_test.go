package vfs_test

import (
	"path/filepath"
	"testing"

	"holdfast/internal/vfs"
)

// TestOS_PrivateFilesAreTheOwners: a secret can be read by its owner only, and it can
// be told that another file can be read by others.
func TestOS_PrivateFilesAreTheOwners(t *testing.T) {
	dir := t.TempDir()
	for flag, shared := range map[vfs.Flag]bool{vfs.Private: false, 0: true} {
		name := filepath.Join(dir, map[bool]string{false: "secret", true: "other"}[shared])
		f, err := vfs.OS{}.OpenFile(name, vfs.Write|vfs.Create|vfs.Exclusive|flag)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		info, err := vfs.OS{}.Stat(name)
		if err != nil || info.Shared != shared {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
}
