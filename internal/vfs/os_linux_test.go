package vfs_test

import (
	"errors"
	"syscall"
	"testing"
	"unsafe"

	"holdfast/internal/vfs"
)

func TestOS_FullDeviceIsErrNoSpace(t *testing.T) {
	f, err := vfs.OS{}.OpenFile("/dev/full", vfs.Write)
	if err != nil {
		t.Skipf("NOT SHOWN: no /dev/full here: %v", err)
	}
	defer f.Close()
	_, err = f.WriteAt([]byte("x"), 0)
	if !errors.Is(err, vfs.ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v, want ErrNoSpace and ENOSPC", err)
	}
}

func TestOS_DirectIsRefusedInWordsWhereItDoesNotExist(t *testing.T) {
	_, err := vfs.OS{}.OpenFile("/proc/self/oom_score_adj", vfs.Write|vfs.Direct)
	if !errors.Is(err, vfs.ErrDirectUnsupported) {
		t.Errorf("error %v, want ErrDirectUnsupported", err)
	}
}

func TestAlignedBlock_StartsAtAMultipleAndHasItsLength(t *testing.T) {
	for _, n := range []int{0, 1, 4095, 4096, 4097, 1 << 20} {
		p := vfs.AlignedBlock(n)
		if len(p) != n || cap(p) < n || cap(p)%vfs.BlockSize != 0 {
			t.Errorf("%d bytes: length %d, capacity %d", n, len(p), cap(p))
		}
		if n > 0 && uintptr(unsafe.Pointer(&p[0]))%vfs.BlockSize != 0 {
			t.Errorf("%d bytes start at %p", n, &p[0])
		}
	}
}
