package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Disk is an ext4 image on a loop device.
type Disk struct {
	image string
	mount string
}

// shutdownNoLogFlush is the argument of EXT4_IOC_SHUTDOWN that drops whatever
// the file system had not committed, as a power cut does.
const (
	ext4IOCShutdown    = 0x8004587d
	shutdownNoLogFlush = 2
)

// diskPrefix starts the name of every directory that holds an image, followed
// by the id of the process that owns it.
const diskPrefix = "holdfast-disk-"

// NewDisk makes an image of mib MiB and mounts it. Without root or loop devices
// the test is Missing "powercut".
func NewDisk(tb testing.TB, mib int64) *Disk {
	tb.Helper()
	if os.Geteuid() != 0 {
		Missing(tb, "powercut", "mounting an image needs root")
	}
	for _, tool := range []string{"mkfs.ext4", "mount", "umount", "losetup"} {
		if _, err := exec.LookPath(tool); err != nil {
			Missing(tb, "powercut", tool+" is not installed")
		}
	}
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", diskPrefix, os.Getpid()))
	if err != nil {
		tb.Fatal(err)
	}
	d := &Disk{image: filepath.Join(dir, "image"), mount: filepath.Join(dir, "mnt")}
	tb.Cleanup(func() {
		if err := removeDisk(dir); err != nil {
			tb.Errorf("remove the disk: %v", err)
		}
	})
	if err := d.format(mib); err != nil {
		tb.Fatal(err)
	}
	if err := d.attach(); err != nil {
		Missing(tb, "powercut", err.Error())
	}
	return d
}

func (d *Disk) format(mib int64) error {
	if err := os.MkdirAll(d.mount, 0o755); err != nil {
		return err
	}
	f, err := os.Create(d.image)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(mib << 20); err != nil {
		return err
	}
	return run("mkfs.ext4", "-q", "-F", "-m", "0", d.image)
}

// Path is the mount point.
func (d *Disk) Path() string { return d.mount }

func (d *Disk) attach() error { return run("mount", "-o", "loop", "-t", "ext4", d.image, d.mount) }

// Cut takes the power away: what was not synced is gone, and every later write
// and sync fails. The process that writes there notices by its errors only.
func (d *Disk) Cut() error {
	fd, err := unix.Open(d.mount, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("cut the power: %w", err)
	}
	defer unix.Close(fd)
	flag := uint32(shutdownNoLogFlush)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ext4IOCShutdown, uintptr(unsafe.Pointer(&flag))); e != 0 {
		return fmt.Errorf("cut the power: EXT4_IOC_SHUTDOWN: %w", e)
	}
	return nil
}

// Sync writes back everything on the disk. A broker that does not sync its own
// files when it is founded gets that for free; only its records are judged then.
func (d *Disk) Sync() error {
	fd, err := unix.Open(d.mount, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("sync the disk: %w", err)
	}
	defer unix.Close(fd)
	return unix.Syncfs(fd)
}

// Restore turns the power on again: unmount, mount, journal replay. Nobody may
// have a file open.
func (d *Disk) Restore() error {
	if err := unmount(d.mount); err != nil {
		return err
	}
	return d.attach()
}

func unmount(path string) error {
	var err error
	for range 100 {
		if err = run("umount", path); err == nil {
			return nil
		}
		if !mounted(path) {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

func mounted(path string) bool {
	b, err := os.ReadFile("/proc/self/mounts")
	return err == nil && strings.Contains(string(b), " "+path+" ")
}

// removeDisk unmounts and deletes the directory of a Disk.
func removeDisk(dir string) error {
	mount := filepath.Join(dir, "mnt")
	if mounted(mount) {
		if err := unmount(mount); err != nil {
			return errors.Join(err, run("umount", "-l", mount))
		}
	}
	if out, err := exec.Command("losetup", "-n", "-O", "NAME", "-j", filepath.Join(dir, "image")).Output(); err == nil {
		for _, dev := range strings.Fields(string(out)) {
			if err := run("losetup", "-d", dev); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(dir)
}

// sweepDisks removes the disks of test processes that are gone.
func sweepDisks() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), diskPrefix+"*"))
	for _, dir := range dirs {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), diskPrefix), "-")
		n, err := strconv.Atoi(pid)
		if err != nil || unix.Kill(n, 0) != unix.ESRCH {
			continue
		}
		if err := removeDisk(dir); err != nil {
			fmt.Fprintf(os.Stderr, "sweep %s: %v\n", dir, err)
		}
	}
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
