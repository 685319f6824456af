package cli

import "syscall"

// childOfDev makes a broker its own process group, so that Ctrl-C reaches it
// through dev only, and lets it end when dev is killed.
func childOfDev() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
