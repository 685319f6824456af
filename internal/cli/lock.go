package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockName is the file that a broker keeps locked in its data directory.
const lockName = ".lock"

// holder finds the process that holds the lock of a data directory: 0 where
// there is none, or where the system does not tell.
func holder(dir string) (pid string, name string) {
	st, err := os.Stat(filepath.Join(dir, lockName))
	if err != nil {
		return "", ""
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return "", ""
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return "", ""
	}
	defer locks.Close()
	inode := fmt.Sprint(sys.Ino)
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		// "1: FLOCK ADVISORY WRITE 4711 08:01:123456 0 EOF"
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[1] == "->" || !strings.HasSuffix(fields[5], ":"+inode) || fields[4] == "0" {
			continue
		}
		text, err := os.ReadFile("/proc/" + fields[4] + "/cmdline")
		if err != nil {
			return fields[4], ""
		}
		return fields[4], strings.TrimSpace(strings.ReplaceAll(string(text), "\x00", " "))
	}
	return "", ""
}

// holderText is the holder for people.
func holderText(dir string) string {
	pid, name := holder(dir)
	switch {
	case pid == "":
		return "another process"
	case name == "":
		return "process " + pid
	}
	const most = 120
	if len(name) > most {
		name = name[:most] + "..."
	}
	return fmt.Sprintf("process %s (%s)", pid, clean(name))
}

// heldIn is the data directory around dir, or dir itself, that a running broker
// has locked; empty where none is.
func heldIn(dir string) string {
	for _, d := range []string{dir, filepath.Dir(dir)} {
		f, err := os.Open(filepath.Join(d, lockName))
		if err != nil {
			continue
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return d
		}
	}
	return ""
}
